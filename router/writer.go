package router

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

const (
	// producerClientID names the client of a Producer to the brokers.
	producerClientID = "delayd-producer"

	// deliveryTimeout is the default of kgo.RecordDeliveryTimeout, that of
	// delivery.timeout.ms in Kafka's own producer.
	deliveryTimeout = 2 * time.Minute

	// answerGrace is for how much longer than kgo.RecordDeliveryTimeout an answer is
	// waited for. The client's own answer is better: it says that a record will not be
	// written any more. It has none for a record that was sent to a broker which went
	// away: that one is tried until the broker is back.
	answerGrace = 5 * time.Second
)

// writer writes what a Producer has prepared. It bounds how many records are in flight and
// how long anybody waits for them, and says what to do about an error.
type writer struct {
	client *kgo.Client
	faults *faults
	names  levels.Names
	bound  time.Duration // of a wait whose context has none; 0 is without end
	// room has an element for each record in flight. franz-go has such a limit
	// too, but only a record's own context ends the wait for it, and that
	// context must not end once the record is on its way; see Producer.SendAsync.
	room chan struct{}
	// adopted counts the recreated topics that the client has learned anew.
	adopted atomic.Int64
}

func newWriter(names levels.Names, log zerolog.Logger, opts []kgo.Opt) (*writer, error) {
	faults := newFaults()
	all := connect.Options(nil, producerClientID, log)
	all = append(all,
		kgo.ProducerLinger(0), // a delay is counted from acceptance: nothing is gained by waiting first
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		kgo.WithHooks(faults))
	all = append(all, opts...)
	all = append(all, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(record.Partitioner()))
	client, err := kgo.NewClient(all...)
	if err != nil {
		return nil, err
	}
	w := &writer{client: client, faults: faults, names: names}
	if timeout, _ := client.OptValue(kgo.RecordDeliveryTimeout).(time.Duration); timeout > 0 {
		w.bound = timeout + answerGrace
	}
	inFlight, _ := client.OptValue(kgo.MaxBufferedRecords).(int64)
	w.room = make(chan struct{}, max(inFlight, 1))
	return w, nil
}

// write writes a record, once one more may be in flight, and calls done when all replicas in
// sync have it or it has failed. With an error, that of ctx, the record was not taken.
func (w *writer) write(ctx context.Context, rec *kgo.Record, done func(error)) error {
	select {
	case w.room <- struct{}{}:
	case <-ctx.Done():
		return w.explain(fmt.Errorf("%d records are in flight: %w; send fewer at a time, or raise kgo.MaxBufferedRecords",
			cap(w.room), context.Cause(ctx)))
	}
	adopted := w.adopted.Load()
	w.client.Produce(context.WithoutCancel(ctx), rec, func(_ *kgo.Record, err error) {
		<-w.room
		if errors.Is(err, kerr.UnknownTopicID) {
			w.adopt(rec.Topic, adopted)
		}
		if err != nil {
			err = w.writeError(rec.Topic, err)
		}
		done(err)
	})
	return nil
}

// adopt makes the client write to the topic that there is, after a record was refused because
// the topic was deleted and recreated: franz-go keeps to the former one until it has forgotten
// it. adopted is what w.adopted was when the record was sent, so that a late refusal costs no
// record in flight to the new topic.
func (w *writer) adopt(topic string, adopted int64) {
	if w.adopted.CompareAndSwap(adopted, adopted+1) {
		go w.client.PurgeTopicsFromProducing(topic) // franz-go must not wait for this
	}
}

// close sends what is in flight and closes the connections.
func (w *writer) close(ctx context.Context) error {
	ctx, cancel := w.bounded(ctx)
	defer cancel()
	defer w.client.Close()
	if err := w.client.Flush(ctx); err != nil {
		return fmt.Errorf("%d records are not acknowledged: %w", w.client.BufferedProduceRecords(), w.explain(err))
	}
	return nil
}

// bounded is ctx, with a deadline in any case where there is one for records.
func (w *writer) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has || w.bound == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, w.bound)
}

// explain adds to a wait that ended what last failed between the client and the brokers.
func (w *writer) explain(cause error) error {
	if !errors.Is(cause, context.DeadlineExceeded) && !errors.Is(cause, context.Canceled) && !errors.Is(cause, kgo.ErrRecordTimeout) {
		return cause
	}
	if last := w.faults.latest(); last != nil {
		return fmt.Errorf("%w; the client's last error: %w", cause, last)
	}
	return cause
}

// writeError says what to do about an error of the client's, where that is known.
func (w *writer) writeError(topic string, cause error) error {
	fix := ""
	switch {
	case errors.Is(cause, kerr.UnknownTopicOrPartition), errors.Is(cause, kerr.UnknownTopicID):
		fix = "; create the topic"
		if w.names.Owns(topic) {
			fix = "; create the topics with delayd admin provision or admin.Ensure, and use the Ladder and Names of the service"
		}
	case errors.Is(cause, kerr.MessageTooLarge):
		fix = "; send a smaller record, or raise the topic's max.message.bytes and kgo.ProducerBatchMaxBytes"
	case errors.Is(cause, kgo.ErrClientClosed):
		fix = "; the producer is closed"
	}
	return fmt.Errorf("write to topic %s: %w%s", topic, w.explain(connect.GrantWrite(cause, topic)), fix)
}
