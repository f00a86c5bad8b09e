package router

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/deliver"
	"github.com/delayd-io/delayd/levels"
)

// producerClientID names the client of a Producer to the brokers.
const producerClientID = "delayd-producer"

// clampWarningEvery bounds how often a Producer warns that it clamps.
const clampWarningEvery = time.Minute

// ProducerConfig says how a Producer decides. Its Policy should be the one of the
// service that forwards the records: a level that nobody forwards is a topic that
// does not exist, or that nobody reads.
type ProducerConfig struct {
	Policy
	// Log is warned, at most once a minute, when a delay above the last level
	// is shortened to it, and gets what the Kafka client has to say. The zero
	// value is silent.
	Log zerolog.Logger
}

// Producer sends records that are delivered later. It makes the router's decision
// before it sends and writes to the topic of the level itself, so that neither the
// inbox nor a router is needed; records are then due by when the level's topic
// accepted them.
//
// Writes are idempotent and acknowledged by all replicas in sync. Records with
// the same key, delay and target arrive in the order in which they were sent.
// All methods can be called from several goroutines.
type Producer struct {
	policy  Policy
	targets deliver.Targets
	client  *kgo.Client
	log     zerolog.Logger
	// room has an element for each record in flight. franz-go has such a limit
	// too, but only a record's own context ends the wait for it, and that
	// context must not end once the record is on its way; see SendAsync.
	room chan struct{}
}

// NewProducer returns a producer with the brokers and whatever else opts say,
// kgo.SeedBrokers first of all. It connects when the first record is sent.
//
// opts override what is set here, but for the acknowledgements and the choice of
// the partition. The error names the setting that is wrong.
func NewProducer(cfg ProducerConfig, opts ...kgo.Opt) (*Producer, error) {
	policy := cfg.Policy.WithDefaults()
	if err := policy.Validate(); err != nil {
		return nil, fmt.Errorf("new producer: %w", err)
	}
	all := connect.Options(nil, producerClientID, cfg.Log)
	all = append(all, kgo.ProducerLinger(0)) // a delay is counted from acceptance: nothing is gained by waiting first
	all = append(all, opts...)
	all = append(all, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(deliver.Partitioner()))
	client, err := kgo.NewClient(all...)
	if err != nil {
		return nil, fmt.Errorf("new producer: %w", err)
	}
	if off, _ := client.OptValue(kgo.DisableIdempotentWrite).(bool); off {
		client.Close()
		return nil, errors.New("new producer: kgo.DisableIdempotentWrite would write records twice and out of order; leave it out")
	}
	inFlight, _ := client.OptValue(kgo.MaxBufferedRecords).(int64)
	return &Producer{
		policy:  policy,
		targets: policy.targets(),
		client:  client,
		log:     cfg.Log.Sample(&zerolog.BurstSampler{Burst: 1, Period: clampWarningEvery}),
		room:    make(chan struct{}, max(inFlight, 1)),
	}, nil
}

// Send sends a record that is to be delivered after a delay, and waits until all
// replicas in sync have it; see [Producer.SendAsync] for what becomes of it. The
// end of ctx ends the wait, not the sending: a record that had been taken by then
// may still be written.
func (p *Producer) Send(ctx context.Context, rec *kgo.Record, delay time.Duration) error {
	done := make(chan error, 1)
	p.SendAsync(ctx, rec, delay, func(_ *kgo.Record, err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done: // both at once: what is known is better than what is not
		return err
	default:
		return sendError(rec, delay, fmt.Errorf("%w; the record may still be written", context.Cause(ctx)))
	}
}

// SendAsync sends a record that is to be delivered after a delay, and calls
// callback, which may be nil, when all replicas in sync have it or it has failed.
//
// The record's topic is its target; where it is empty, the header delay-target or
// else the policy's default target is. The header delay-partition asks for a
// partition of the target; otherwise the key chooses. The delay is rounded to a
// level as the policy says, and sent along as it was asked for. A delay of zero
// skips the levels: the record is written to its target, with the headers that a
// delivered record has, times by this machine's clock and an id of its own. The
// record's timestamp, or else the time now, travels as delay-sent.
//
// A record that was delivered, with the headers that it came with, can be sent to
// be delayed again: it waits its full delay and gets a new id.
//
// rec is copied, but for the bytes of its key, value and headers, which must not
// be changed before the callback. The callback gets the record as it was written,
// with its place on the level's topic. It runs on the producer's own goroutine,
// where it must not block; for a record that was never taken it is called with rec
// itself before SendAsync returns. A delay or a target that the policy refuses is
// a [*Refusal] in the error.
//
// SendAsync blocks while as many records are in flight as kgo.MaxBufferedRecords
// allows. The end of ctx ends this wait. It does not recall a record that was
// taken: in Kafka that fails the records behind it too.
func (p *Producer) SendAsync(ctx context.Context, rec *kgo.Record, delay time.Duration, callback func(*kgo.Record, error)) {
	if callback == nil {
		callback = func(*kgo.Record, error) {}
	}
	out, err := p.prepare(rec, delay, time.Now())
	if err != nil {
		callback(rec, sendError(rec, delay, err))
		return
	}
	if err := p.takeRoom(ctx); err != nil {
		callback(rec, sendError(rec, delay, err))
		return
	}
	p.client.Produce(context.WithoutCancel(ctx), out, func(written *kgo.Record, err error) {
		<-p.room
		if err != nil {
			err = sendError(rec, delay, p.writeError(written.Topic, err))
		}
		callback(written, err)
	})
}

// Close sends what is in flight and closes the connections. Where ctx ends first,
// the records that are left fail, and the error says how many they are.
func (p *Producer) Close(ctx context.Context) error {
	defer p.client.Close()
	if err := p.client.Flush(ctx); err != nil {
		return fmt.Errorf("close producer: %d records are not acknowledged: %w", p.client.BufferedProduceRecords(), err)
	}
	return nil
}

// takeRoom waits until one more record may be in flight.
func (p *Producer) takeRoom(ctx context.Context) error {
	if ctx.Err() != nil { // with room too: select would toss a coin
		return context.Cause(ctx)
	}
	select {
	case p.room <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d records are in flight: %w; send fewer at a time, or raise kgo.MaxBufferedRecords",
			cap(p.room), context.Cause(ctx))
	}
}

// prepare is the record to write for rec: to the topic of a level, or without
// delay to the target.
func (p *Producer) prepare(rec *kgo.Record, delay time.Duration, now time.Time) (*kgo.Record, error) {
	if delay < 0 {
		return nil, &Refusal{Code: levels.BadLevel, Detail: fmt.Sprintf("the delay %s is negative; ask for 0 or more", delay)}
	}
	asked := levels.FormatDelay(delay)
	granted, refusal := p.policy.grant(levels.Request{Delay: delay}, []byte(asked))
	if refusal != nil {
		return nil, refusal
	}
	targets := p.targets
	if rec.Topic != "" {
		targets.Default = rec.Topic
	}
	headers := incoming(rec)
	topic, partition, refusal := targets.Resolve(headers)
	if refusal != nil {
		return nil, refusal
	}
	if granted.clamped {
		p.log.Warn().Str("target", topic).Str("asked", asked).Stringer("granted", granted.level).
			Msg("delay is above the last level and was shortened to it")
	}

	sent := now
	if !rec.Timestamp.IsZero() {
		sent = rec.Timestamp
	}
	out := &kgo.Record{
		Topic:     p.policy.Names.Level(granted.level),
		Partition: deliver.ByKey,
		Key:       rec.Key,
		Value:     rec.Value,
		Headers: append(headers,
			kgo.RecordHeader{Key: levels.HeaderLevel, Value: []byte(asked)},
			kgo.RecordHeader{Key: levels.HeaderTarget, Value: []byte(topic)},
			kgo.RecordHeader{Key: levels.HeaderSent, Value: strconv.AppendInt(nil, sent.UnixMilli(), 10)}),
	}
	if granted.level.Delay > 0 {
		return out, nil
	}
	return deliver.Final(out, deliver.Facts{
		Topic:     topic,
		Partition: partition,
		ID:        rand.Text(), // no broker has accepted it yet, so that there is no place to name it after
		Due:       now.UnixMilli(),
		Accepted:  now.UnixMilli(),
		Granted:   granted.level.String(),
	}), nil
}

// producerAdds is how many headers prepare puts on.
const producerAdds = 3

// incoming is a fresh slice of a record's headers without those that the producer
// sets: the caller says level and target otherwise, and private headers that a due
// record still carries where a handler received it would shorten its next delay.
func incoming(rec *kgo.Record) []kgo.RecordHeader {
	kept := deliver.WithoutHop(rec.Headers, producerAdds)
	n := 0
	for _, h := range kept {
		switch {
		case h.Key == levels.HeaderLevel, h.Key == levels.HeaderSent:
		case h.Key == levels.HeaderTarget && rec.Topic != "":
		default:
			kept[n] = h
			n++
		}
	}
	return kept[:n]
}

func sendError(rec *kgo.Record, delay time.Duration, cause error) error {
	return fmt.Errorf("send to %s after %s: %w", deliver.Quote([]byte(rec.Topic)), delay, cause)
}

// writeError says what to do about an error of the client's, where that is known.
func (p *Producer) writeError(topic string, cause error) error {
	mend := ""
	switch {
	case errors.Is(cause, kerr.UnknownTopicOrPartition), errors.Is(cause, kerr.UnknownTopicID):
		mend = "; create the topic"
		if p.policy.Names.Owns(topic) {
			mend = "; create the topics with delayd admin provision, and use the --levels and --prefix of the service"
		}
	case errors.Is(cause, kerr.MessageTooLarge):
		mend = "; send a smaller record, or raise the topic's max.message.bytes and kgo.ProducerBatchMaxBytes"
	case errors.Is(cause, kgo.ErrClientClosed):
		mend = "; the producer is closed"
	}
	return fmt.Errorf("write to topic %s: %w%s", topic, connect.GrantWrite(cause, topic), mend)
}
