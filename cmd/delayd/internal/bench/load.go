package bench

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/harness"
	"github.com/delayd-io/delayd/levels"
)

const (
	// idSize is how many bytes of a value are the record's number.
	idSize = 8
	// tick is how often the paced sender looks at the clock: each time it sends
	// what has come due since, so that no record is sent later than this.
	tick = time.Millisecond
	// fillBuffered is how many records the filler has on their way: enough for
	// full batches to every partition.
	fillBuffered = 100_000
	// fillStep is how many records the filler makes between two looks at
	// whether it should end.
	fillStep = 1000
)

// deck says what the record of a number is: records take turns in their levels,
// and the records of each level in their keys. It is all in the number, so that
// the tally needs nothing else of an arrival.
type deck struct {
	levels  []levels.Level
	keys    int
	targets int
	// exact is the longest delay of records that ask for an exact one each, and wait on
	// whatever levels that takes; 0: they wait on levels. from is the shortest, where it is
	// not exactFrom.
	exact, from time.Duration
	// cancel is the share that is cancelled, of those that wait for CancelLeast or longer; then
	// each record has a delay-id. 0: none is, and none has.
	cancel float64
}

// exactFrom is the shortest delay that a record asks for exactly, but for pending ones.
const exactFrom = time.Second

// delay is how long the record of a number waits: its level, or a random delay, the same
// in every run.
func (d deck) delay(id int64) time.Duration {
	if d.exact == 0 {
		return d.levels[d.level(id)].Delay
	}
	from := cmp.Or(d.from, exactFrom)
	random := rand.New(rand.NewPCG(uint64(id), 1)).Int64N((d.exact - from).Milliseconds() + 1)
	return from + time.Duration(random)*time.Millisecond
}

func (d deck) level(id int64) int { return int(id % int64(len(d.levels))) }
func (d deck) key(id int64) int   { return int(id / int64(len(d.levels)) % int64(d.keys)) }

// target is the same for all records of a key, because order is kept per target.
func (d deck) target(id int64) int { return d.key(id) % d.targets }

// lane numbers what has an order of its own: a key on a level.
func (d deck) lane(id int64) int { return d.level(id)*d.keys + d.key(id) }

func (d deck) lanes() int { return len(d.levels) * d.keys }

// maker makes records.
type maker struct {
	deck
	size int
	keys [][]byte
	// address says where a record goes, and with which headers.
	address func(id int64) (topic string, headers []kgo.RecordHeader)
	random  *rand.ChaCha8
}

func newMaker(d deck, size int, address func(int64) (string, []kgo.RecordHeader)) *maker {
	m := &maker{deck: d, size: size, address: address, random: rand.NewChaCha8([32]byte{})}
	for i := range d.keys {
		m.keys = append(m.keys, fmt.Appendf(nil, "key-%05d", i))
	}
	return m
}

// record makes the record of a number. Its value is the number and pseudo-random
// bytes, the same in every run, which no compression makes smaller.
func (m *maker) record(id int64) *kgo.Record {
	value := make([]byte, m.size)
	m.random.Read(value[idSize:])
	binary.BigEndian.PutUint64(value, uint64(id))
	topic, headers := m.address(id)
	if m.cancel > 0 {
		headers = append(headers[:len(headers):len(headers)], kgo.RecordHeader{Key: levels.HeaderID, Value: cancelID(id)})
	}
	return &kgo.Record{Topic: topic, Key: m.keys[m.key(id)], Value: value, Headers: headers}
}

// sender writes records and knows how many a broker has taken.
type sender struct {
	client *kgo.Client
	sent   atomic.Int64
	fail   context.CancelCauseFunc
}

// acknowledged gets the outcome of each record.
func (s *sender) acknowledged(rec *kgo.Record, err error) {
	if err != nil {
		s.fail(fmt.Errorf("send to %s: %w", rec.Topic, err))
		return
	}
	s.sent.Add(1)
}

// newSender returns a sender, and a context that ends when it fails.
func newSender(ctx context.Context, opts []kgo.Opt) (*sender, context.Context, error) {
	client, err := newClient(opts, kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, nil, err
	}
	ctx, fail := context.WithCancelCause(ctx)
	return &sender{client: client, fail: fail}, ctx, nil
}

func (s *sender) close() {
	s.fail(nil)
	s.client.Close()
}

// finish waits until a broker has every record.
func (s *sender) finish(ctx context.Context) error {
	err := s.client.Flush(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// pace sends n records at a rate, in records a second, and has c cancel some of them.
func pace(ctx context.Context, opts []kgo.Opt, m *maker, rate int, n int64, c *canceller) (took time.Duration, sent int64, err error) {
	s, ctx, err := newSender(ctx, append(opts[:len(opts):len(opts)], kgo.ProducerLinger(0)))
	if err != nil {
		return 0, 0, err
	}
	defer s.close()
	start, id := time.Now(), int64(0)
	for now, due := range harness.Due(ctx, tick, float64(rate)) {
		for ; id < min(due, n); id++ {
			accepted := c.sends(id, now)
			s.client.Produce(ctx, m.record(id), func(rec *kgo.Record, err error) {
				s.acknowledged(rec, err)
				if err == nil && accepted != nil {
					accepted()
				}
			})
		}
		s.cancel(ctx, c, now)
		if id == n && took == 0 {
			took = time.Since(start)
		}
		if id == n && c.idle() {
			break
		}
	}
	err = s.finish(ctx)
	return took, s.sent.Load(), err
}

// cancel sends the cancels that are due.
func (s *sender) cancel(ctx context.Context, c *canceller, now time.Time) {
	for {
		of, ok := c.due(now)
		if !ok {
			return
		}
		s.client.Produce(ctx, c.record(of.id), func(rec *kgo.Record, err error) {
			if err != nil {
				s.fail(fmt.Errorf("cancel on %s: %w", rec.Topic, err))
				return
			}
			c.acknowledged(of, time.Now())
		})
	}
}

// fill sends n records as fast as it goes, which record makes of their numbers.
func fill(ctx context.Context, opts []kgo.Opt, record func(id int64) *kgo.Record, n int64, progress Progress) error {
	s, ctx, err := newSender(ctx, append(opts[:len(opts):len(opts)], kgo.MaxBufferedRecords(fillBuffered)))
	if err != nil {
		return err
	}
	defer s.close()
	for id := int64(0); id < n; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		step := min(n-id, fillStep)
		for range step {
			s.client.Produce(ctx, record(id), s.acknowledged)
			id++
		}
		progress.Add(step)
	}
	return s.finish(ctx)
}
