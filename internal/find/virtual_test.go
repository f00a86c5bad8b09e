//go:build synctests

package find_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/admin/deadletter"
	"github.com/delayd-io/delayd/delaydtest"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/find"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// world is a broker on virtual time with a service that can be stopped.
type world struct {
	*delaydtest.Env
	t                          *testing.T
	purge                      time.Duration
	stopRouter, stopForwarder  func()
	requests                   atomic.Int64
	sent                       int
	routerRuns, forwardingRuns bool
}

func virtual(t *testing.T, ladder string, test func(w *world)) {
	t.Helper()
	delaydtest.Run(t, delaydtest.Config{Levels: ladder, Topics: []string{"orders", "mails"}, Partitions: 3}, func(t *testing.T, env *delaydtest.Env) {
		w := &world{Env: env, t: t, purge: consume.PurgeOff}
		w.Cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
			w.Cluster.KeepControl()
			w.requests.Add(1)
			return nil, nil, false
		})
		test(w)
		w.halt()
	})
}

// start starts the router and the forwarder, those that do not run.
func (w *world) start() {
	w.t.Helper()
	run := func(f func(context.Context) error) func() {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := f(ctx); err != nil {
				w.t.Errorf("service: %v", err)
			}
		}()
		return func() { cancel(); <-done }
	}
	if !w.routerRuns {
		cfg := router.DefaultConfig()
		cfg.Ladder, cfg.Instance, cfg.PurgeAfter = w.Ladder, "one", w.purge
		r, err := router.New(cfg, w.Opts()...)
		if err != nil {
			w.t.Fatal(err)
		}
		w.stopRouter, w.routerRuns = run(r.Run), true
	}
	if !w.forwardingRuns {
		cfg := forwarder.DefaultConfig()
		cfg.Ladder, cfg.Instance, cfg.PurgeAfter = w.Ladder, "one", w.purge
		f, err := forwarder.New(cfg, w.Opts()...)
		if err != nil {
			w.t.Fatal(err)
		}
		w.stopForwarder, w.forwardingRuns = run(f.Run), true
	}
	time.Sleep(20 * time.Second) // joined, and at work
}

func (w *world) haltRouter() {
	if w.routerRuns {
		w.stopRouter()
		w.routerRuns = false
	}
}

func (w *world) halt() {
	w.haltRouter()
	if w.forwardingRuns {
		w.stopForwarder()
		w.forwardingRuns = false
	}
}

// send writes a record to the inbox, with headers as keys and values in turn, and returns
// the id that the service makes for it.
func (w *world) send(key string, headers ...string) string {
	w.t.Helper()
	w.sent++
	rec := &kgo.Record{Topic: w.Names.Inbox(), Key: []byte(key), Value: fmt.Appendf(nil, "value of %s, %d", key, w.sent)}
	if key == "" {
		rec.Key = nil
	}
	for i := 0; i < len(headers); i += 2 {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return w.put(rec)
}

func (w *world) put(rec *kgo.Record) string {
	w.t.Helper()
	if err := w.Client.ProduceSync(context.Background(), rec).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	return record.OriginID(rec, rec.Timestamp.UnixMilli())
}

func (w *world) find(q find.Query, change ...func(*find.Config)) *find.Result {
	w.t.Helper()
	cfg := find.Config{Names: w.Names, Ladder: w.Ladder}
	for _, c := range change {
		c(&cfg)
	}
	r, err := find.Find(context.Background(), w.Client, cfg, q)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// says is a result in one line.
func says(r *find.Result) string {
	words := []string{string(r.State)}
	for _, s := range r.Records {
		word := fmt.Sprintf("%s on %s", s.State, s.Topic)
		if s.Steps > 0 {
			word += fmt.Sprintf(" step %d of %d", s.Step, s.Steps)
		}
		if s.Code != "" {
			word += " " + string(s.Code)
		}
		words = append(words, word)
	}
	return strings.Join(words, "; ")
}

func (w *world) want(q find.Query, want string) *find.Result {
	w.t.Helper()
	r := w.find(q)
	if got := says(r); got != want {
		w.t.Errorf("%q: %s, want %s\n%+v", q.ID, got, want, r)
	}
	return r
}

// TestStates follows records through all places.
func TestStates(t *testing.T) {
	virtual(t, "1s 10s 1m 10m", func(w *world) {
		// The router is away.
		id := w.send("k", "delay-level", "10m", "delay-target", "orders")
		own := w.send("k", "delay-level", "10m", "delay-target", "orders", "delay-id", "mine")
		r := w.want(find.Query{ID: id}, "waiting; waiting on delay.inbox")
		if s := r.Records[0]; s.Due != nil || s.Key.Text != "k" || s.Value.Text != "value of k, 1" || *s.Target != "orders" {
			t.Errorf("on the inbox: %+v", s)
		}
		w.want(find.Query{ID: "mine"}, "waiting; waiting on delay.inbox")
		w.want(find.Query{ID: own}, "waiting; waiting on delay.inbox")

		w.start()
		accepted := time.Now()
		id = w.send("k", "delay-level", "1m", "delay-target", "orders")
		dead := w.send("k", "delay-level", "soon", "delay-target", "orders")
		if err := admin.Pause(context.Background(), w.Client, w.Names, admin.Paused{Target: "mails"}); err != nil {
			t.Fatal(err)
		}
		parked := w.send("m", "delay-level", "1s", "delay-target", "mails")
		time.Sleep(5 * time.Second)
		r = w.want(find.Query{ID: id}, "waiting; waiting on delay.level.1m")
		if s := r.Records[0]; s.ID != id || s.Level != "1m" || s.Due.Sub(accepted).Round(time.Second) != time.Minute || s.Granted != "1m" || s.StepDue != nil {
			t.Errorf("on a level: %+v", s)
		}
		r = w.want(find.Query{ID: dead}, "dead; dead on delay.dead bad-level")
		if s := r.Records[0]; !strings.Contains(s.Detail, "soon") || !strings.HasPrefix(s.Origin, "delay.inbox/") {
			t.Errorf("dead: %+v", s)
		}
		r = w.want(find.Query{ID: parked}, "parked; parked on delay.parked")
		if s := r.Records[0]; *s.Target != "mails" || s.Key.Text != "m" || s.Due == nil {
			t.Errorf("parked: %+v", s)
		}
		w.want(find.Query{ID: "mine"}, "waiting; waiting on delay.level.10m")
		w.want(find.Query{ID: "mine", Key: []byte("k")}, "waiting; waiting on delay.level.10m")
		w.want(find.Query{ID: "mine", Around: time.Now().Add(-time.Minute)}, "waiting; waiting on delay.level.10m")
		w.want(find.Query{ID: own}, "waiting; waiting on delay.level.10m")

		time.Sleep(2 * time.Minute)
		r = w.want(find.Query{ID: id}, "delivered; delivered on orders")
		if s := r.Records[0]; s.Since.Sub(*s.Due) < 0 || s.Since.Sub(*s.Due) > time.Second || s.Key.Text != "k" {
			t.Errorf("delivered: %+v", s)
		}
		if err := admin.Resume(context.Background(), w.Client, w.Names, admin.Paused{Target: "mails"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		w.want(find.Query{ID: parked}, "delivered; delivered on mails")
		time.Sleep(10 * time.Minute)
		w.want(find.Query{ID: "mine", Target: "orders"}, "delivered; delivered on orders")
		w.want(find.Query{ID: own}, "delivered; delivered on orders")
		w.want(find.Query{ID: "nobody's"}, "not-found")
	})
}

// TestCancelled: a record whose cancel was accepted in time is cancelled, while it waits and
// after that. What was delivered is not, and neither is what nobody can know of any more.
func TestCancelled(t *testing.T) {
	virtual(t, "1s 10s 1m 10m", func(w *world) {
		w.start()
		asked := func(id, delay string) string {
			return w.send("k", "delay-level", delay, "delay-target", "orders", "delay-id", id)
		}
		sent, origin := time.Now(), asked("early", "1m")
		asked("parked", "10s")
		asked("replaced", "1m")
		asked("late", "10s")
		made := w.send("k", "delay-level", "10m", "delay-target", "orders")
		if err := admin.Pause(context.Background(), w.Client, w.Names, admin.Paused{Target: "orders"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		for _, id := range []string{"early", "parked", made} {
			w.send("k", "delay-cancel", id)
		}
		w.send("k", "delay-cancel", "another")
		w.send("k", "delay-level", "10m", "delay-target", "orders", "delay-id", "replaced", "delay-replace", "true")
		time.Sleep(2 * time.Second)
		for _, id := range []string{"early", origin} {
			r := w.want(find.Query{ID: id}, "cancelled; cancelled on delay.level.1m")
			if s := r.Records[0]; s.Cancel == nil || s.Cancel.Replaces || s.Cancel.At.Before(*s.Accepted) {
				t.Errorf("%q: %+v", id, s.Cancel)
			}
		}
		w.want(find.Query{ID: made}, "cancelled; cancelled on delay.level.10m")
		w.want(find.Query{ID: "parked"}, "cancelled; cancelled on delay.parked")
		w.want(find.Query{ID: "late"}, "parked; parked on delay.parked")
		r := w.want(find.Query{ID: "replaced"}, "waiting; waiting on delay.level.10m; cancelled on delay.level.1m")
		if s := r.Records[1]; s.Cancel == nil || !s.Cancel.Replaces {
			t.Errorf("replaced: %+v", s.Cancel)
		}
		if err := admin.Resume(context.Background(), w.Client, w.Names, admin.Paused{Target: "orders"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		w.want(find.Query{ID: origin}, "cancelled; cancelled on delay.level.1m")
		w.want(find.Query{ID: "early", Around: sent}, "cancelled; cancelled on delay.level.1m")
		w.want(find.Query{ID: "late", Target: "orders"}, "delivered; delivered on orders")
		w.send("k", "delay-cancel", "late")
		time.Sleep(2 * time.Second)
		w.want(find.Query{ID: "late", Target: "orders"}, "delivered; delivered on orders")
		if r := w.find(find.Query{ID: "late", Around: sent, Target: "others"}); r.Left == nil {
			t.Errorf("a cancel that came too late: %s", says(r))
		}
	})
}

// TestWalk finds an exact record on each step, by an id that says when it was accepted and
// by one that says nothing; also where the levels before are purged.
func TestWalk(t *testing.T) {
	for _, purge := range []time.Duration{consume.PurgeOff, 0} {
		virtual(t, "1s 10s 1m 10m", func(w *world) {
			w.purge = purge
			w.start()
			due := time.Now().Add(33*time.Minute + 12*time.Second)
			id := w.send("k", "delay-for", "33m12s", "delay-target", "orders")
			w.send("k", "delay-for", "33m12s", "delay-target", "orders", "delay-id", "mine")
			time.Sleep(2 * time.Second)
			seen := make(map[string]bool)
			for time.Until(due) > time.Second {
				for _, q := range []find.Query{{ID: id}, {ID: "mine"}} {
					r := w.find(q)
					if r.State != find.Waiting || len(r.Records) != 1 {
						t.Fatalf("%v before it is due: %s", time.Until(due), says(r))
					}
					s := r.Records[0]
					if d := s.Due.Sub(due).Abs(); d > 100*time.Millisecond || s.Granted != levels.GrantedExact || s.Steps < s.Step || s.Steps > w.Ladder.Steps(33*time.Minute+12*time.Second) || s.StepDue.Before(time.Now()) {
						t.Errorf("%+v", s)
					}
					seen[fmt.Sprintf("%s %d", s.Level, s.Step)] = true
				}
				time.Sleep(4 * time.Second)
			}
			want := []string{"10m 1", "10m 2", "10m 3", "10s 7", "1m 4", "1m 5", "1m 6"}
			var got []string
			for s := range seen {
				got = append(got, s)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			time.Sleep(time.Minute)
			w.want(find.Query{ID: id, Target: "orders"}, "delivered; delivered on orders")
			if purge != 0 {
				w.want(find.Query{ID: id}, "delivered; delivered on orders")
			}
		})
	}
}

// TestFewLookUps: a record that waits is found by its default id with a few look-ups, with
// whatever else waits.
func TestFewLookUps(t *testing.T) {
	virtual(t, "1s 10s 1m 10m", func(w *world) {
		w.start()
		flood := func() {
			var recs []*kgo.Record
			for i := range 20_000 {
				recs = append(recs, &kgo.Record{Topic: w.Names.Inbox(), Key: []byte(strconv.Itoa(i)), Headers: []kgo.RecordHeader{
					{Key: "delay-level", Value: []byte("10m")}, {Key: "delay-target", Value: []byte("orders")}}})
			}
			if err := w.Client.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		flood()
		time.Sleep(500 * time.Millisecond)
		id := w.send("k", "delay-level", "10m", "delay-target", "orders")
		time.Sleep(500 * time.Millisecond)
		flood()
		time.Sleep(10 * time.Second)
		idle := w.requests.Load()
		time.Sleep(time.Second)
		idle = w.requests.Load() - idle
		before := w.requests.Load()
		r := w.want(find.Query{ID: id}, "waiting; waiting on delay.level.10m")
		if r.Read > 10 || r.Cut {
			t.Errorf("%d records were read", r.Read)
		}
		if n := w.requests.Load() - before; n > 40+idle {
			t.Errorf("%d requests were made, with %d a second by the service", n, idle)
		}
		// An id of a producer's reads what waits, up to the limit, and says so.
		r = w.find(find.Query{ID: "nobody's"}, func(c *find.Config) { c.Limit = 1000 })
		if r.State != find.NotFound || !r.Cut || r.Read > 1000 || !strings.Contains(strings.Join(r.Notes, "\n"), "--around") {
			t.Errorf("%s, %d read, %v", says(r), r.Read, r.Notes)
		}
		if r = w.find(find.Query{ID: "nobody's"}); r.Cut || r.Read != 40_001 {
			t.Errorf("%d read, cut %v; want all that waits", r.Read, r.Cut)
		}
	})
}

// TestDeliveredLongAgo: the target keeps nothing from that time, which the answer says.
func TestDeliveredLongAgo(t *testing.T) {
	virtual(t, "1s 10s", func(w *world) {
		w.start()
		id := w.send("k", "delay-level", "1s", "delay-target", "orders")
		w.send("k", "delay-level", "1s", "delay-target", "orders", "delay-id", "mine")
		time.Sleep(time.Hour)
		for i := range 30 {
			w.send(strconv.Itoa(i), "delay-level", "1s", "delay-target", "orders")
		}
		time.Sleep(time.Minute)
		adm := kadm.NewClient(w.Client)
		var gone kadm.Offsets
		p := record.PartitionOf([]byte("k"), 3)
		gone.AddOffset("orders", p, 3, -1)
		if _, err := adm.DeleteRecords(context.Background(), gone); err != nil {
			t.Fatal(err)
		}
		r := w.want(find.Query{ID: id}, "not-found")
		if r.Left == nil || r.Left.Topic != "delay.level.1s" || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "topic orders keeps no records from before 2000-01-01T01:") {
			t.Errorf("%+v, notes %q", r.Left, r.Notes)
		}
		i := slices.IndexFunc(r.Searched, func(s find.Searched) bool { return s.Topic == "orders" })
		if i < 0 || r.Searched[i].Earliest == nil || !slices.Equal(r.Searched[i].Partitions, []int32{p}) {
			t.Errorf("searched %+v", r.Searched)
		}
	})
}

// TestSharedID lists all records that have an id, up to a bound.
func TestSharedID(t *testing.T) {
	virtual(t, "1s 10s 1m 10m", func(w *world) {
		w.start()
		w.send("a", "delay-level", "1s", "delay-target", "orders", "delay-id", "both")
		w.send("b", "delay-level", "10m", "delay-target", "orders", "delay-id", "both")
		w.send("c", "delay-level", "never", "delay-target", "orders", "delay-id", "both")
		time.Sleep(time.Minute)
		w.send("d", "delay-for", "5m", "delay-target", "orders", "delay-id", "both")
		time.Sleep(time.Second)
		w.want(find.Query{ID: "both", Target: "orders"}, "waiting; waiting on delay.level.1m step 1 of 5; delivered on orders; dead on delay.dead bad-level; waiting on delay.level.10m")
		r := w.find(find.Query{ID: "both"}, func(c *find.Config) { c.Most = 2 })
		if len(r.Records) > 2 || !r.More {
			t.Errorf("%s, more %v", says(r), r.More)
		}
	})
}

// TestSentAgain follows a dead letter that was sent again.
func TestSentAgain(t *testing.T) {
	virtual(t, "1s 10s 1m 10m", func(w *world) {
		w.start()
		id := w.send("k", "delay-level", "soon", "delay-target", "orders")
		time.Sleep(time.Hour)
		resend := deadletter.ResendOptions{Level: "1m"}
		if err := deadletter.Resend(context.Background(), w.Client, w.Names, resend, func(deadletter.Resent) error { return nil }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		r := w.want(find.Query{ID: id}, "waiting; waiting on delay.level.1m; dead on delay.dead bad-level")
		if s := r.Records[1]; s.SentAgain == nil || !strings.HasPrefix(s.SentTo, "delay.inbox/") {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Minute)
		w.want(find.Query{ID: id}, "delivered; delivered on orders; dead on delay.dead bad-level")
	})
}

// TestHostileIDs: no id makes a search fail, and none finds what has another one.
func TestHostileIDs(t *testing.T) {
	virtual(t, "1s 10s", func(w *world) {
		w.start()
		const evil = "<script>\x1b[2J\u202e\xff\x00"
		w.send("k", "delay-level", "10s", "delay-target", "orders", "delay-id", evil)
		// Its own id is the place of another record, or no time that can be.
		w.send("k", "delay-level", "10s", "delay-target", "orders", "delay-id", "delay.inbox-0-0-9223372036854775807")
		w.send("k", "delay-level", "10s", "delay-target", "orders", "delay-id", "delay.level.1s-99-0-0")
		forged := &kgo.Record{Topic: "delay.level.10s", Headers: []kgo.RecordHeader{
			{Key: record.KeyDue, Value: []byte("9223372036854775807")}, {Key: record.KeyAccepted, Value: []byte("9223372036854775807")},
			{Key: record.KeyGranted, Value: []byte("exact")}, {Key: record.KeyID, Value: []byte("forged")}, {Key: "delay-target", Value: []byte("__consumer_offsets")}}}
		w.put(forged)
		time.Sleep(time.Second)
		w.want(find.Query{ID: evil}, "waiting; waiting on delay.level.10s")
		w.want(find.Query{ID: "delay.inbox-0-0-9223372036854775807"}, "waiting; waiting on delay.level.10s")
		w.want(find.Query{ID: "delay.level.1s-99-0-0"}, "waiting; waiting on delay.level.10s")
		w.find(find.Query{ID: "forged"})
		for _, id := range []string{"delay.inbox-0-0-0", "delay.inbox-0-0-253402300799999", "delay.inbox-2147483647-9223372036854775807-1", "other.inbox-0-0-1", "-", "---", strings.Repeat("x", 1<<16)} {
			w.want(find.Query{ID: id}, "not-found")
		}
		for _, q := range []find.Query{{}, {ID: "x", Target: "delay.dead"}, {ID: "x", Target: "no topic"}, {ID: strings.Repeat("x", 1<<21)}} {
			if _, err := find.Find(context.Background(), w.Client, find.Config{Names: w.Names}, q); err == nil {
				t.Errorf("%.40q, target %q: no error", q.ID, q.Target)
			}
		}
	})
}

// place is where a record is.
type place struct {
	topic     string
	partition int32
	offset    int64
}

// naive reads all topics from their beginning and returns where records with an id are,
// while nothing moves.
func (w *world) naive(id string) (places []place) {
	w.t.Helper()
	adm := kadm.NewClient(w.Client)
	ctx := context.Background()
	topics := []string{w.Names.Inbox(), w.Names.Parked(), w.Names.Dead(), "orders", "mails"}
	for l := range w.Ladder.All() {
		topics = append(topics, w.Names.Level(l))
	}
	ends, err := adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		w.t.Fatal(err)
	}
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		w.t.Fatal(err)
	}
	committed := make(map[string]kadm.OffsetResponses)
	for _, group := range []string{w.Names.RouterGroup(), w.Names.ForwarderGroup()} {
		if committed[group], err = adm.FetchOffsets(ctx, group); err != nil {
			w.t.Fatal(err)
		}
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) {
		s, _ := starts.Lookup(o.Topic, o.Partition)
		left += o.Offset - s.Offset
	})
	cl, err := kgo.NewClient(append(w.Opts(), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	for left > 0 {
		cl.PollFetches(ctx).EachRecord(func(rec *kgo.Record) {
			left--
			for _, c := range committed {
				if o, ok := c.Lookup(rec.Topic, rec.Partition); ok && o.At > rec.Offset {
					return
				}
			}
			header := func(key string) string { v, _ := record.Last(rec.Headers, key); return string(v) }
			is := header(levels.HeaderID) == id || header(record.KeyID) == id
			if rec.Topic == w.Names.Inbox() {
				is = is || record.OriginID(rec, rec.Timestamp.UnixMilli()) == id
			}
			if is {
				places = append(places, place{rec.Topic, rec.Partition, rec.Offset})
			}
		})
	}
	return places
}

// TestFindsWhatANaiveScanFinds: in random worlds, at random moments, each record is found
// at the places at which a scan of all topics finds it.
func TestFindsWhatANaiveScanFinds(t *testing.T) {
	states := make(map[find.State]int)
	for seed := range uint64(4) {
		virtual(t, "1s 5s 30s 2m", func(w *world) {
			rng := rand.New(rand.NewPCG(18, seed))
			if seed%2 == 1 {
				w.purge = 0
			}
			type sent struct{ id, target, own, value string }
			var all []sent
			paused := false
			w.start()
			for range 12 {
				for range 5 + rng.IntN(20) {
					own, key := "", []string{"", "a", "b", "c"}[rng.IntN(4)]
					headers := []string{"delay-target", []string{"orders", "mails", "mails", "nowhere.to.be"}[rng.IntN(4)]}
					switch rng.IntN(5) {
					case 0:
						headers = append(headers, "delay-level", "soon")
					case 1, 2:
						headers = append(headers, "delay-for", fmt.Sprintf("%ds", 1+rng.IntN(400)))
					default:
						headers = append(headers, "delay-level", []string{"1s", "5s", "30s", "2m"}[rng.IntN(4)])
					}
					if rng.IntN(3) == 0 {
						own = fmt.Sprintf("own-%d", rng.IntN(25)) // some are shared
						headers = append(headers, "delay-id", own)
					}
					id := w.send(key, headers...)
					all = append(all, sent{id, headers[1], own, fmt.Sprintf("value of %s, %d", key, w.sent)})
					time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
				}
				switch rng.IntN(4) {
				case 0:
					w.haltRouter()
				case 1:
					w.start()
				case 2:
					change := admin.Pause
					if paused {
						change = admin.Resume
					}
					if err := change(context.Background(), w.Client, w.Names, admin.Paused{Target: "mails"}); err != nil {
						t.Fatal(err)
					}
					paused = !paused
				}
				time.Sleep(time.Duration(rng.IntN(60)) * time.Second)
			}
			w.halt() // nothing moves, and all that was done is committed
			for _, of := range all {
				w.compare(states, of.id, of.value, of.target)
				if of.own != "" {
					w.compare(states, of.own, "", "orders", "mails")
				}
			}
		})
	}
	for _, state := range []find.State{find.Waiting, find.Parked, find.Delivered, find.Dead} {
		if states[state] < 10 {
			t.Errorf("%d records are %s: the worlds show nothing of that", states[state], state)
		}
	}
}

// compare compares what is found with a scan, with each of the targets. Where the id is
// not the one that a record is delivered with, it may be found after that all the same, by
// its value.
func (w *world) compare(states map[find.State]int, id, value string, targets ...string) {
	w.t.Helper()
	want := w.naive(id)
	got := make(map[place]bool)
	for _, target := range targets {
		for _, s := range w.find(find.Query{ID: id, Target: target}).Records {
			states[s.State]++
			if s.ID == id || s.Value.Text != value || s.State == find.Waiting || s.State == find.Parked {
				got[place{s.Topic, s.Partition, s.Offset}] = true
			}
		}
	}
	for _, p := range want {
		if !got[p] {
			w.t.Errorf("%s is at %v, and is not found there; found %v", id, p, got)
		}
		delete(got, p)
	}
	for p := range got {
		w.t.Errorf("%s is found at %v, where it is not; want %v", id, p, want)
	}
}
