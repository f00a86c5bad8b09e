package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// cancelRows cancel and replace records of their own, beside the load, while delayd is broken.
// What was cancelled a second before it was due, by the answer to its producer, never arrives;
// what was not cancelled arrives.
var cancelRows = []row{{
	name:       "cancel-race",
	about:      "records are cancelled and replaced at any time, up to their due times and after them",
	deliveries: bothDeliveries, instances: []string{"one", "two"},
	least:  45 * time.Second,
	limits: limits{worst: 5 * time.Second, late: time.Second, recover: 5*time.Second + echo},
	before: createBeside, run: cancelling(untilLoadIsOver), after: checkBeside,
}, {
	name:       "cancel-kill",
	about:      "the same, while one of two instances is killed every few seconds",
	deliveries: bothDeliveries, instances: []string{"one", "two"},
	least:  60 * time.Second,
	limits: limits{worst: takeover + 5*time.Second},
	before: createBeside, after: checkBeside,
	run: cancelling(func(ctx context.Context, w *world) error {
		for n := 0; w.whileLoad(ctx, w.between(4*time.Second, 9*time.Second)); n++ {
			if err := w.killAndRestart(ctx, w.row.instances[n%2], 500*time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	}),
}, {
	name:       "cancel-handover",
	about:      "the same, while partitions move to instances that come, and back from those that go",
	deliveries: bothDeliveries,
	least:      60 * time.Second,
	limits:     limits{worst: takeover + 5*time.Second},
	before:     createBeside, after: checkBeside,
	run: cancelling(func(ctx context.Context, w *world) error {
		for w.whileLoad(ctx, 3*time.Second) {
			if err := w.grow(ctx, "two"); err != nil {
				return err
			}
			if !w.whileLoad(ctx, 5*time.Second) {
				return nil
			}
			if err := w.shrink(ctx, "one", "two"); err != nil {
				return err
			}
		}
		return nil
	}),
}}

const (
	// besideTopic is the target of the records that are cancelled.
	besideTopic = "beside"
	// besideMark begins their values, by which the history knows that it has not sent them.
	besideMark = "beside "
	// besideEvery is the pause between two of them.
	besideEvery = 3 * time.Millisecond
	// besideLate is for how long after its due time a record may be cancelled.
	besideLate = 300 * time.Millisecond
	// besideNotice is how long before its due time a cancel holds in any case.
	besideNotice = time.Second
)

// isBeside reports whether a record is one of those, or cancels one.
func isBeside(rec *kgo.Record) bool {
	_, cancels := record.Last(rec.Headers, levels.HeaderCancel)
	return cancels || strings.HasPrefix(string(rec.Value), besideMark)
}

// beside is what became of the records that are sent to be cancelled.
type beside struct {
	mu      sync.Mutex
	acked   []bool      // by number
	asked   []bool      // a cancel was sent, acknowledged or not
	gone    []time.Time // when a cancel was acknowledged
	longest time.Duration
}

func (b *beside) add() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acked, b.asked, b.gone = append(b.acked, false), append(b.asked, false), append(b.gone, time.Time{})
	return len(b.acked) - 1
}

func (b *beside) note(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func createBeside(ctx context.Context, w *world) error { return w.createTarget(ctx, besideTopic) }

// cancelling has fault happen while records are cancelled.
func cancelling(fault func(context.Context, *world) error) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		w.beside = &beside{longest: w.longest()}
		sending, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- w.sendBeside(sending) }()
		err := fault(ctx, w)
		stop()
		return errors.Join(err, <-ended)
	}
}

// sendBeside sends records, and cancels or replaces half of them.
func (w *world) sendBeside(ctx context.Context) error {
	cl, err := kgo.NewClient(append(connect.Options(w.cluster.Brokers(), "torture-beside", w.log), kgo.ProducerLinger(0))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	draw := rand.New(rand.NewPCG(w.rand.Uint64(), 1))
	var cancels sync.WaitGroup
	ticker := time.NewTicker(besideEvery)
	defer ticker.Stop()
	b := w.beside
	for {
		select {
		case <-ticker.C:
		case <-w.loadOver:
			cancels.Wait()
			return nil
		case <-ctx.Done():
			cancels.Wait()
			return nil
		}
		n := b.add()
		rec, delay := w.besideRecord(draw, n, n)
		written := make(chan struct{})
		cl.Produce(context.WithoutCancel(ctx), rec, func(_ *kgo.Record, err error) {
			b.note(func() { b.acked[n] = err == nil })
			close(written)
		})
		if draw.IntN(2) == 0 {
			continue
		}
		after, replaces, keyless := time.Duration(draw.Int64N(int64(delay+besideLate))), draw.IntN(4) == 0, draw.IntN(4) == 0
		seed := draw.Uint64()
		cancels.Go(func() {
			<-written // a cancel hits what was accepted before it, by the brokers' milliseconds
			time.Sleep(max(after, 2*time.Millisecond))
			cancel := &kgo.Record{Topic: w.names.Inbox(), Key: rec.Key, Headers: []kgo.RecordHeader{{Key: levels.HeaderCancel, Value: besideID(n)}}}
			m := -1
			switch {
			case replaces:
				m = b.add()
				cancel, _ = w.besideRecord(rand.New(rand.NewPCG(seed, 2)), m, n)
				cancel.Topic = w.names.Inbox()
				cancel.Headers = append(cancel.Headers, kgo.RecordHeader{Key: levels.HeaderReplace, Value: []byte("true")})
			case keyless:
				cancel.Key = nil
			}
			b.note(func() { b.asked[n] = true })
			err := cl.ProduceSync(context.WithoutCancel(ctx), cancel).FirstErr()
			now := time.Now()
			b.note(func() {
				if err == nil {
					b.gone[n] = now
				}
				if m >= 0 {
					b.acked[m] = err == nil
				}
			})
		})
	}
}

func besideID(n int) []byte { return fmt.Appendf(nil, "beside-%d", n) }

// besideRecord is a record with a number and an id, on any way and with any delay.
func (w *world) besideRecord(draw *rand.Rand, n, id int) (*kgo.Record, time.Duration) {
	all := w.history.mix.levels
	level := all[draw.IntN(len(all))]
	rec := &kgo.Record{
		Topic: w.names.Inbox(), Key: fmt.Appendf(nil, "beside-%d", id%50), Value: fmt.Appendf(nil, "%s%d", besideMark, n),
		Headers: []kgo.RecordHeader{
			{Key: levels.HeaderTarget, Value: []byte(besideTopic)}, {Key: levels.HeaderID, Value: besideID(id)},
		},
	}
	delay, asked := level.Delay, kgo.RecordHeader{Key: levels.HeaderLevel, Value: []byte(level.String())}
	switch draw.IntN(4) {
	case 0:
		delay = time.Duration(1+draw.Int64N(all[len(all)-1].Delay.Milliseconds()*3/2)) * time.Millisecond
		asked = kgo.RecordHeader{Key: levels.HeaderFor, Value: []byte(levels.FormatDelay(delay))}
	case 1:
		rec.Topic = w.names.Level(level)
	}
	rec.Headers = append(rec.Headers, asked)
	return rec, delay
}

// checkBeside compares what arrived with what may have.
func checkBeside(ctx context.Context, w *world) error {
	b := w.beside
	if err := sleep(ctx, 2*b.longest+takeover); err != nil {
		return err
	}
	due, twice, err := w.readBeside(ctx)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var inTime, held, lateHeld, lost int
	for n := range b.acked {
		at, arrived := due[n]
		switch {
		case !b.gone[n].IsZero() && arrived && !b.gone[n].After(at.Add(-besideNotice)):
			inTime++
			w.violated("%s%d was due at %s, cancelled %v before that, and arrived", besideMark, n, at.Format(time.StampMilli), at.Sub(b.gone[n]))
		case !b.gone[n].IsZero() && !arrived:
			held++
		case !b.gone[n].IsZero():
			lateHeld++
		case b.acked[n] && !b.asked[n] && !arrived:
			lost++
			w.violated("%s%d never arrived, and nobody cancelled it", besideMark, n)
		}
	}
	if w.delivery == exactlyOnce && twice > 0 {
		w.violated("%d of the records that are cancelled or not arrived twice", twice)
	}
	if held == 0 {
		w.violated("nothing was cancelled")
	}
	w.measured("of %d records %d were cancelled, %d too late; %d cancelled in time arrived, %d were lost, %d came twice", len(b.acked), held, lateHeld, inTime, lost, twice)
	return nil
}

// readBeside reads when the records that arrived were due, by their numbers.
func (w *world) readBeside(ctx context.Context) (due map[int]time.Time, twice int, err error) {
	ctx, cancel := context.WithTimeout(ctx, standingWait)
	defer cancel()
	due = make(map[int]time.Time)
	err = w.readAll(ctx, besideTopic, func(rec *kgo.Record) {
		n, err := strconv.Atoi(strings.TrimPrefix(string(rec.Value), besideMark))
		if err != nil {
			return
		}
		if _, again := due[n]; again {
			twice++
		}
		ms, _ := headerNumber(rec, levels.HeaderDue)
		due[n] = time.UnixMilli(ms)
	})
	return due, twice, err
}
