//go:build synctests

package endtoend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/cancel"
	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// cable is an instance's network, which a crash cuts.
type cable struct {
	dial func(context.Context, string, string) (net.Conn, error)
	mu   sync.Mutex
	cut  bool
	open []net.Conn
}

func (c *cable) dialer(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.dial(ctx, network, addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case c.cut:
		conn.Close()
		return nil, errors.New("the process is dead")
	}
	c.open = append(c.open, conn)
	return conn, nil
}

// crash takes an instance off the network for good.
func (c *cable) crash() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	for _, conn := range c.open {
		conn.Close()
	}
}

// drops collects which records of levels instances report as cancelled, by their origins.
type drops struct {
	mu  sync.Mutex
	set map[string]bool
}

func (d *drops) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("record cancelled")) {
		var l struct{ Origin string }
		if err := json.Unmarshal(line, &l); err == nil {
			d.mu.Lock()
			d.set[l.Origin] = true
			d.mu.Unlock()
		}
	}
	return len(line), nil
}

// part is a router or a forwarder that can crash.
type part struct {
	*cable
	end func()
}

// cancelModel runs random sends, cancels, replacements, crashes and hand-overs beside the
// naive twin, which says what may arrive.
type cancelModel struct {
	*world
	random  *rand.Rand
	change  change
	crashes bool
	drops   drops

	routers, forwarders map[string]*part
	sent                []*sentTwin
}

// sentTwin is a record as the twin knows it.
type sentTwin struct {
	value, id, key string
	due            time.Time
	gone           time.Time // when a cancel of it was acknowledged first; zero: never
}

func (m *cancelModel) start(name string, routes bool) {
	c := &cable{dial: m.dial}
	opts := append(m.Opts(), kgo.Dialer(c.dialer))
	rc, fc := router.DefaultConfig(), forwarder.DefaultConfig()
	rc.Ladder, fc.Ladder, rc.Instance, fc.Instance = m.Ladder, m.Ladder, name, name
	rc.PurgeAfter, fc.PurgeAfter = consume.PurgeOff, consume.PurgeOff
	fc.Log = zerolog.New(&m.drops).Level(zerolog.DebugLevel)
	m.change(&rc, &fc)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	run, parts := func(context.Context) error { return nil }, m.forwarders
	if routes {
		r, err := router.New(rc, opts...)
		if err != nil {
			m.t.Fatal(err)
		}
		run, parts = r.Run, m.routers
	} else {
		f, err := forwarder.New(fc, opts...)
		if err != nil {
			m.t.Fatal(err)
		}
		run = f.Run
	}
	m.running.Go(func() { defer close(done); _ = run(ctx) })
	parts[name] = &part{c, func() { stop(); <-done }}
}

// away ends one part: by a crash, or cleanly.
func (m *cancelModel) away(name string, parts map[string]*part) {
	p := parts[name]
	if m.crashes && m.random.IntN(2) == 0 {
		p.crash()
		go p.end()
	} else {
		p.end()
	}
	delete(parts, name)
}

// produce writes a record and returns when it is acknowledged.
func (m *cancelModel) produce(rec *kgo.Record) { m.send(rec) }

func (m *cancelModel) record(i int) (*kgo.Record, *sentTwin) {
	s := &sentTwin{value: strconv.Itoa(i), id: "id" + strconv.Itoa(m.random.IntN(60)), key: "k" + strconv.Itoa(m.random.IntN(3))}
	rec := m.request("", "orders", s.key, s.value, named(s.id))
	longest := int64(20_000)
	if m.random.IntN(4) == 0 {
		longest = 200_000
	}
	d := time.Duration(1+m.random.Int64N(longest)) * time.Millisecond
	if m.random.IntN(2) == 0 {
		rec.Headers[0] = kgo.RecordHeader{Key: levels.HeaderFor, Value: []byte(levels.FormatDelay(d))}
	} else {
		level, _ := m.Ladder.Round(d, levels.Nearest)
		d, rec.Headers[0].Value = level.Delay, []byte(level.String())
	}
	s.due = time.Now().Add(d)
	return rec, s
}

// cancelled notes that the records with an id and a key, "" for any, are cancelled from now on.
func (m *cancelModel) cancelled(id, key string) {
	for _, s := range m.sent {
		if s.id == id && (key == "" || s.key == key) && s.gone.IsZero() {
			s.gone = time.Now()
		}
	}
}

func (m *cancelModel) step(i int) {
	switch n := m.random.IntN(100); {
	case n < 60:
		rec, s := m.record(i)
		m.produce(rec)
		m.sent = append(m.sent, s)
	case n < 80:
		rec, s := m.record(i)
		rec.Headers = append(rec.Headers, replaces)
		m.produce(rec)
		m.cancelled(s.id, s.key)
		m.sent = append(m.sent, s)
	case len(m.sent) > 0:
		s := m.sent[max(0, len(m.sent)-1-m.random.IntN(30))]
		key := s.key
		if m.random.IntN(3) == 0 {
			key = ""
		}
		m.produce(m.cancel(s.id, key))
		m.cancelled(s.id, key)
	}
}

// faults returns what the twin finds wrong.
func (m *cancelModel) faults(got []arrival, waited map[string]string, exactly bool) (faults []string) {
	arrived := counts(got)
	strict := exactly || !m.crashes
	for _, s := range m.sent {
		n := arrived[s.value]
		inTime := !s.gone.IsZero() && !s.gone.After(s.due.Add(-cancel.Notice))
		switch {
		case inTime && n > 0:
			faults = append(faults, fmt.Sprintf("%s (%s, %s) was due at %v, cancelled %v before that, and arrived", s.value, s.id, s.key, s.due, s.due.Sub(s.gone)))
		case s.gone.IsZero() && n == 0:
			faults = append(faults, fmt.Sprintf("%s (%s, %s) never arrived, and nobody cancelled it", s.value, s.id, s.key))
		case strict && n > 1:
			faults = append(faults, fmt.Sprintf("%s arrived %d times", s.value, n))
		}
	}
	m.drops.mu.Lock()
	defer m.drops.mu.Unlock()
	for origin := range m.drops.set {
		value, known := waited[origin]
		if !known {
			faults = append(faults, "reported as cancelled, and on no level: "+origin)
		}
		if strict && arrived[value] > 0 {
			faults = append(faults, value+" arrived, and is reported as cancelled")
		}
	}
	return faults
}

// runCancelModel returns what the twin finds wrong in a run.
func runCancelModel(t *testing.T, seed uint64, delivery change, exactly, crashes bool, steps int) (faults []string) {
	virtual(t, "1s 5s 20s 2m", []string{"orders"}, func(w *world) {
		m := &cancelModel{
			world: w, random: rand.New(rand.NewPCG(18, seed)), change: delivery, crashes: crashes,
			routers: make(map[string]*part), forwarders: make(map[string]*part), drops: drops{set: make(map[string]bool)},
		}
		var topics []string
		for l := range w.Ladder.All() {
			topics = append(topics, w.Names.Level(l))
		}
		got, waited := w.watchCommitted("orders"), w.watch(topics...)
		m.start("r1", true)
		m.start("f1", false)
		time.Sleep(10 * time.Second)
		for i := range steps {
			m.step(i)
			time.Sleep(time.Duration(m.random.IntN(600)) * time.Millisecond)
			if m.random.IntN(25) != 0 {
				continue
			}
			parts, routes, prefix := m.forwarders, false, "f"
			if m.random.IntN(2) == 0 {
				parts, routes, prefix = m.routers, true, "r"
			}
			name := prefix + strconv.Itoa(1+m.random.IntN(2))
			if parts[name] == nil {
				m.start(name, routes)
			} else {
				m.away(name, parts)
			}
		}
		for _, name := range []string{"r1", "f1"} {
			if parts := map[byte]map[string]*part{'r': m.routers, 'f': m.forwarders}[name[0]]; parts[name] == nil {
				m.start(name, strings.HasPrefix(name, "r"))
			}
		}
		time.Sleep(10 * time.Minute)
		for _, parts := range []map[string]*part{m.routers, m.forwarders} {
			for name := range parts {
				parts[name].end()
			}
		}
		places := make(map[string]string)
		for _, a := range waited.now() {
			places[record.Origin(a.Record)] = string(a.Value)
		}
		faults = m.faults(got.now(), places, exactly)
		t.Logf("seed %d: %d sent, %d arrived, %d reported as cancelled", seed, len(m.sent), len(got.now()), len(m.drops.set))
	})
	return faults
}

// TestCancelModel: what was cancelled a second before it was due never arrives. What was not
// cancelled arrives, and what arrives is not reported as cancelled. It goes through crashes of
// routers and forwarders, hand-overs, and clean stops. At least once, a crash can leave a
// record on a level twice, and deliver it before a late cancel: there the last is checked
// without crashes.
func TestCancelModel(t *testing.T) {
	bothDeliveries(t, func(t *testing.T, delivery change, slack time.Duration) {
		for seed := range uint64(max(2, 6/lighter)) {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				exactly := slack == time.Second
				for _, fault := range runCancelModel(t, seed, delivery, exactly, seed%2 == 0, 300) {
					t.Error(fault)
				}
			})
		}
	})
}

// TestCancelModelFindsMistakes: each mistake that is put in is found.
func TestCancelModelFindsMistakes(t *testing.T) {
	for name, mistakes := range map[string]cancel.Mistakes{
		"a mark read late":            {ReadLate: true},
		"a mark lost at a hand-over":  {LostAtStart: true},
		"a hash that collides":        {Collide: true},
		"a mark that is purged early": {PurgeEarly: true},
		"a gate that is always open":  {OpenGate: true},
	} {
		t.Run(name, func(t *testing.T) {
			cancel.Seed(mistakes)
			defer cancel.Seed(cancel.Mistakes{})
			for seed := range uint64(4) {
				if faults := runCancelModel(t, seed, func(*router.Config, *forwarder.Config) {}, false, seed%2 == 0, 300); len(faults) > 0 {
					t.Logf("found: %s", faults[0])
					return
				}
			}
			t.Error("nothing was found")
		})
	}
}
