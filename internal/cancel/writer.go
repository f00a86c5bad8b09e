package cancel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/offsets"
)

const (
	// DefaultMax is how many marks may be outstanding unless configured.
	DefaultMax = 1_000_000

	// countEvery is how often the outstanding marks are counted again, while some are
	// written.
	countEvery = 10 * time.Second
	// fullEvery is how often they are while there is no room.
	fullEvery = time.Second
	// writeWait bounds one attempt to write a mark, and writeAgain is the pause before the next.
	writeWait  = 5 * time.Second
	writeAgain = 250 * time.Millisecond
	// MissingWait is how long a cancel topic that does not exist is waited for.
	MissingWait = 10 * time.Second
)

// ErrMissing says that there is no cancel topic, and that nothing can be cancelled.
var ErrMissing = errors.New("the topic of cancels does not exist; run `delayd admin provision`")

// Missing reports whether an error says that there is no cancel topic.
func Missing(err error) bool { return errors.Is(err, kerr.UnknownTopicOrPartition) }

// Writer writes marks. Its methods can be called from several goroutines.
type Writer struct {
	topic string
	keep  time.Duration
	max   int64
	opts  []kgo.Opt
	log   zerolog.Logger

	mu      sync.Mutex
	client  *kgo.Client
	counted time.Time
	count   int64 // that were outstanding then
	written int64 // since
}

// NewWriter returns a writer to a topic, on which max marks may be outstanding that count for
// keep. Start opens its client.
func NewWriter(topic string, keep time.Duration, most int64, log zerolog.Logger, opts ...kgo.Opt) *Writer {
	return &Writer{
		topic: topic, keep: keep, max: most, opts: opts,
		log: log.Sample(&zerolog.BurstSampler{Burst: 1, Period: 10 * time.Second}),
	}
}

// Start opens the client, which connects with the first mark. stop closes it.
func (w *Writer) Start() (stop func(), err error) {
	client, err := kgo.NewClient(append(append(connect.Serving(), w.opts...),
		kgo.ProducerLinger(0), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordDeliveryTimeout(writeWait))...)
	if err != nil {
		return nil, err
	}
	w.client = client
	return client.Close, nil
}

// Asked is a mark that is to be written, and the key of the record that asked for it.
type Asked struct {
	Mark Mark
	Key  []byte
}

// Write writes marks, and waits until all replicas in sync have them. It retries until ctx ends.
// ErrMissing is the only other error.
func (w *Writer) Write(ctx context.Context, asked []Asked) error {
	records := make([]*kgo.Record, 0, len(asked))
	for _, a := range asked {
		records = append(records, &kgo.Record{Topic: w.topic, Partition: -1, Key: a.Key, Value: []byte(a.Mark.String())})
	}
	for begun := time.Now(); ; {
		written := make(chan error, 1)
		go func() { written <- w.client.ProduceSync(context.WithoutCancel(ctx), records...).FirstErr() }()
		var err error
		select {
		case err = <-written:
		case <-ctx.Done(): // marks in flight may be written: that is early, not wrong
			return ctx.Err()
		}
		if err == nil {
			w.mu.Lock()
			w.written += int64(len(asked))
			w.mu.Unlock()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if Missing(err) && time.Since(begun) >= MissingWait {
			return ErrMissing
		}
		w.adopt(err)
		w.log.Warn().Err(connect.GrantWrite(err, w.topic)).Str("topic", w.topic).Msg("cannot write a mark, cancels wait: retried")
		for i, a := range asked { // franz-go has written to them
			records[i] = &kgo.Record{Topic: w.topic, Partition: -1, Key: a.Key, Value: records[i].Value}
		}
		select {
		case <-time.After(writeAgain):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// adopt makes the client write to the topic that there is, where err says that it was deleted and
// recreated: franz-go keeps to the former one until it has forgotten it.
func (w *Writer) adopt(err error) {
	if errors.Is(err, kerr.UnknownTopicID) {
		w.client.PurgeTopicsFromProducing(w.topic)
	}
}

// Stalls tells the forwarders that a router cannot go on in a partition of the inbox, at an offset.
// It returns at once. Where that cannot be written they find it out by themselves, after a while.
func (w *Writer) Stalls(partition int32, offset int64) {
	rec := &kgo.Record{Topic: w.topic, Partition: -1, Value: []byte(stallText(partition, offset))}
	w.client.Produce(context.Background(), rec, func(_ *kgo.Record, err error) {
		go w.adopt(err) // franz-go must not wait for this
		if err != nil && !Missing(err) {
			w.log.Warn().Err(connect.GrantWrite(err, w.topic)).Str("topic", w.topic).Msg("cannot write that a partition stalls")
		}
	})
}

// Room returns how many more marks may be written, from the offsets of the topic: what may
// count is what was written since the longest wait ago. Several routers can exceed the bound by
// what they write in ten seconds.
func (w *Writer) Room(ctx context.Context) (room int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := w.max - w.count - w.written
	if age := time.Since(w.counted); !w.counted.IsZero() && (age < fullEvery || age < countEvery && left > 0) {
		return max(0, left), nil
	}
	n, err := w.outstanding(ctx)
	if err != nil {
		return 0, err
	}
	w.counted, w.count, w.written = time.Now(), n, 0
	return max(0, w.max-n), nil
}

func (w *Writer) outstanding(ctx context.Context) (int64, error) {
	return Outstanding(ctx, kadm.NewClient(w.client), w.topic, w.keep)
}

// Outstanding returns how many marks of a topic count, from its offsets.
func Outstanding(ctx context.Context, adm *kadm.Client, topic string, keep time.Duration) (n int64, err error) {
	from, err := adm.ListOffsetsAfterMilli(ctx, time.Now().Add(-keep).UnixMilli(), topic)
	if err = offsets.ListFault(from, err); err == nil {
		var ends kadm.ListedOffsets
		ends, err = adm.ListEndOffsets(ctx, topic)
		if err = offsets.ListFault(ends, err); err == nil {
			ends.Each(func(end kadm.ListedOffset) {
				if f, ok := from.Lookup(end.Topic, end.Partition); ok {
					n += max(0, end.Offset-f.Offset)
				}
			})
			return n, nil
		}
	}
	return 0, fmt.Errorf("count the outstanding cancels: %w", connect.GrantTopic(err, connect.Read, topic))
}
