package main

import (
	"context"
	"fmt"
	"iter"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/harness"
)

const (
	// tick is how often producers look at the clock.
	tick = 2 * time.Millisecond
	// buffered is how many records a producer keeps that no broker has taken. Until
	// there is room again it falls behind its rate, and then catches up.
	buffered = 50_000
	// flushWait is how long records may take that are still on their way when the
	// load is over. What becomes of later ones is not known.
	flushWait = 60 * time.Second
	// inboxLimit is the largest batch that the inbox takes: Kafka's default.
	inboxLimit = 1_048_588
	// unpackedLimit is the largest batch of producers that compress, before that.
	unpackedLimit = 16 << 20
	// lengthPrefix is what franz-go counts besides: the length in front of a batch.
	lengthPrefix = 4
	// transactionTimeout is when a broker aborts a transaction that nobody ends:
	// until then nobody reads past it.
	transactionTimeout = 10 * time.Second
)

// load sends records at a rate, and tells the history what became of each.
type load struct {
	mix     *mix
	history *history
	brokers []string
	log     zerolog.Logger
	rate    int         // records a second, of all producers together
	records int64       // how many at most
	held    atomic.Bool // nothing is sent just now

	mu      sync.Mutex
	clients []*kgo.Client // of the producers; guarded by mu
}

// renew has the producers take a topic for another that has been deleted and made
// again. What they have not written to it is unknown.
func (l *load) renew(topic string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, cl := range l.clients {
		cl.PurgeTopicsFromProducing(topic)
	}
}

// run sends until ctx ends or there are enough, and returns when the outcome of
// every record is known or known to be unknown.
func (l *load) run(ctx context.Context) error {
	var producers sync.WaitGroup
	errs := make(chan error, l.mix.producers)
	for p := range l.mix.producers {
		send := l.stream
		if l.mix.transactional && p == l.mix.producers-1 {
			send = l.transactions
		}
		producers.Go(func() { errs <- send(ctx, p) })
	}
	producers.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	return nil
}

// numbers are the numbers of a producer's records, each when its time has come.
func (l *load) numbers(ctx context.Context, producer int, room func() bool) iter.Seq[int64] {
	most := int64(math.MaxInt64)
	if l.records > 0 {
		most = (l.records + int64(l.mix.producers) - 1 - int64(producer)) / int64(l.mix.producers)
	}
	return func(yield func(int64) bool) {
		n := int64(0)
		for _, due := range harness.Due(ctx, tick, float64(l.rate)/float64(l.mix.producers)) {
			for ; n < min(due, most) && room() && ctx.Err() == nil; n++ {
				if !yield(n*int64(l.mix.producers) + int64(producer)) {
					return
				}
			}
			if n >= most {
				return
			}
		}
	}
}

func (l *load) client(name string, opts ...kgo.Opt) (*kgo.Client, error) {
	own := []kgo.Opt{kgo.MaxBufferedRecords(2 * buffered), kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(inboxLimit + lengthPrefix)}
	if l.mix.gzip {
		own = append(own, kgo.ProducerBatchMaxBytes(unpackedLimit), kgo.ProducerBatchCompression(kgo.GzipCompression()))
	}
	return kgo.NewClient(append(append(connect.Options(l.brokers, "torture-"+name, l.log), own...), opts...)...)
}

// stream sends the records of a producer one by one.
func (l *load) stream(ctx context.Context, producer int) error {
	cl, err := l.client(fmt.Sprintf("producer-%d", producer))
	if err != nil {
		return err
	}
	defer cl.Close() // fails what is left: those are unknown
	// A record that is on its way stays so when the load is over.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	l.mu.Lock()
	l.clients = append(l.clients, cl)
	l.mu.Unlock()
	for id := range l.numbers(ctx, producer, func() bool { return cl.BufferedProduceRecords() < buffered && !l.held.Load() }) {
		c := l.mix.recipe(id)
		cl.Produce(life, l.mix.record(&c), func(_ *kgo.Record, err error) {
			if err != nil {
				l.log.Warn().Err(err).Int64("record", id).Msg("outcome unknown")
				l.history.sent(id, maybe)
				return
			}
			l.history.sent(id, acked)
		})
	}
	flush, cancel := context.WithTimeout(life, flushWait)
	defer cancel()
	_ = cl.Flush(flush) // what is not flushed is unknown, and counted as such
	return nil
}

// transactionsOf is the id of the producer that sends in transactions.
func transactionsOf(m *mix) string { return "torture-" + m.run }

// transactions sends the records of a producer in transactions, some of which it
// aborts.
func (l *load) transactions(ctx context.Context, producer int) error {
	var cl *kgo.Client
	defer func() {
		if cl != nil {
			cl.Close()
		}
	}()
	var batch []int64
	for id := range l.numbers(ctx, producer, func() bool { return true }) {
		if batch = append(batch, id); len(batch) < transactionRecords {
			continue
		}
		if cl == nil {
			var err error
			if cl, err = l.client("transactions", kgo.TransactionalID(transactionsOf(l.mix)), kgo.TransactionTimeout(transactionTimeout)); err != nil {
				return err
			}
		}
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushWait)
		o, err := l.transaction(bounded, cl, batch)
		cancel()
		for _, id := range batch {
			l.history.sent(id, o)
		}
		if err != nil {
			l.log.Warn().Err(err).Msg("transaction failed; a new producer takes over")
			cl.Close() // the next one's first request ends what this one left open
			cl = nil
		}
		batch = batch[:0]
	}
	return nil // the rest of a batch was never sent
}

// transaction sends a batch in a transaction of its own.
func (l *load) transaction(ctx context.Context, cl *kgo.Client, batch []int64) (outcome, error) {
	if err := cl.BeginTransaction(); err != nil {
		return aborted, err
	}
	recs := make([]*kgo.Record, len(batch))
	for i, id := range batch {
		c := l.mix.recipe(id)
		recs[i] = l.mix.record(&c)
	}
	err := cl.ProduceSync(ctx, recs...).FirstErr()
	if err != nil || l.mix.aborts(l.mix.transaction(batch[0])) {
		// It is never committed, whatever becomes of this request.
		if endErr := cl.EndTransaction(ctx, kgo.TryAbort); err == nil {
			err = endErr
		}
		return aborted, err
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return maybe, err
	}
	return acked, nil
}
