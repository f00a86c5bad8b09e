package router

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/levels"
)

const (
	// clampWarningEvery bounds how often a Producer warns that it clamps.
	clampWarningEvery = time.Minute

	// unknownPlace is the partition and the offset of a record that is not written.
	unknownPlace = -1
)

// ProducerConfig says how a Producer decides.
type ProducerConfig struct {
	// Policy should be the one of the service that forwards the records: a level that
	// nobody forwards is a topic that does not exist, or that nobody reads. A delay
	// above the last level is refused, also with OverMaxAuto; OverMaxClamp grants the
	// last level.
	Policy
	// NoTarget is for a prefix whose owner is a program with a forwarder.Handler, which
	// takes the place of targets. A record needs no target then. If its topic names
	// one, that is the kind of work: it travels as delay-target. A topic of the prefix's
	// own names none, so that a handler can delay the record that it got. A record
	// without delay takes the topic of the shortest level, with a private header
	// by which it is due at once. There it waits for records with its key that are
	// before it, and for as long as this machine's clock is ahead of the broker's; in
	// all never longer than that level.
	NoTarget bool
	// CheckTarget makes the first send to a target ask the brokers whether that topic
	// exists, and fail as unknown-topic where it does not. Otherwise the sender does not
	// hear of it: the record becomes a dead letter when it is due. A target that was
	// there once is not checked again. It takes the right to DESCRIBE the target,
	// without which the target counts as there.
	CheckTarget bool
	// Log is warned, at most once a minute, when a delay above the last level
	// is shortened to it, and gets what the Kafka client has to say. The zero
	// value is silent.
	Log zerolog.Logger
}

// Receipt is what is known of a record that was sent.
type Receipt struct {
	// ID is the record's delay-id: the caller's own, or one that the producer made.
	// Every duplicate of the delivered record has it.
	ID string
	// Level is what was granted, of an exact time the level that it waits on first; the
	// zero Level for no delay.
	Level levels.Level
	// Due is when the record is due at the latest: the acknowledgement by this
	// machine's clock, plus the level. The exact time, which counts from when the
	// broker took it, is in the header delay-due of the delivered record. Zero where
	// the record is not known to be written.
	Due time.Time
	// Topic is what the record was written to, that of a level or without delay the
	// target. Partition and Offset are its place there, -1 where it is not known to be
	// written.
	Topic     string
	Partition int32
	Offset    int64
	// Attempt is the number of the retry that the record waits for, see [Producer.Retry];
	// 0 where it was sent otherwise, and where it was not retried but is a dead letter.
	Attempt int
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
	sending sending
	writer  *writer
	exists  *existing // nil: targets are not checked
	log     zerolog.Logger
}

// NewProducer returns a producer with the brokers and whatever else opts say,
// kgo.SeedBrokers first of all. It connects when the first record is sent.
//
// opts override what is set here, but for the acknowledgements. An option that would
// break the producer is refused: those of transactions (see [Producer.Prepare]), of
// consuming, kgo.RecordPartitioner and kgo.DisableIdempotentWrite. The error names the
// setting that is wrong.
func NewProducer(cfg ProducerConfig, opts ...kgo.Opt) (*Producer, error) {
	p, err := newProducer(cfg, opts)
	if err != nil {
		return nil, fmt.Errorf("new producer: %w", err)
	}
	return p, nil
}

func newProducer(cfg ProducerConfig, opts []kgo.Opt) (*Producer, error) {
	s, err := newSending(cfg.Policy, cfg.NoTarget)
	if err != nil {
		return nil, err
	}
	if cfg.NoTarget && cfg.CheckTarget {
		return nil, errors.New("ProducerConfig.CheckTarget: with NoTarget there is no target to look up; leave one of the two out")
	}
	if err := connect.Refuse(opts, connect.ForProducer); err != nil {
		return nil, err
	}
	w, err := newWriter(s.policy.Names, cfg.Log, opts)
	if err != nil {
		return nil, err
	}
	p := &Producer{sending: s, writer: w, log: cfg.Log.Sample(&zerolog.BurstSampler{Burst: 1, Period: clampWarningEvery})}
	if cfg.CheckTarget {
		p.exists = newExisting(w.client)
	}
	return p, nil
}

// Send sends a record that is to be delivered after a delay, and waits until all
// replicas in sync have it; see [Producer.SendAsync] for what becomes of it. The
// end of ctx ends the wait, not the sending: a record that had been taken by then
// may still be written. The error says so, and what last failed between the client and
// the brokers.
//
// Without a deadline in ctx, Send waits for kgo.RecordDeliveryTimeout, two minutes
// unless opts say otherwise, and five seconds more. With a timeout of 0 it waits for as
// long as it takes.
func (p *Producer) Send(ctx context.Context, rec *kgo.Record, delay time.Duration) (Receipt, error) {
	return p.sendWait(ctx, rec, wish{delay: delay})
}

// SendFor is [Producer.Send] with an exact delay: the record is delivered that long, to the
// millisecond, after the broker accepted it, and walks over several levels until then. See
// [levels.Ladder.Walk] for which, and Policy.MaxDelay for how long it may be. Records with
// one key arrive by their due times.
func (p *Producer) SendFor(ctx context.Context, rec *kgo.Record, delay time.Duration) (Receipt, error) {
	return p.sendWait(ctx, rec, wish{delay: delay, exact: true})
}

// SendUntil is [Producer.SendFor] with an exact time of delivery. A fraction of a
// millisecond is rounded up. This machine's clock only chooses the first level: whether the
// time has come is judged by the broker's, and a time that is over then is delivered at
// once.
func (p *Producer) SendUntil(ctx context.Context, rec *kgo.Record, at time.Time) (Receipt, error) {
	return p.sendWait(ctx, rec, wish{at: at, exact: true})
}

// sendWait is Send.
func (p *Producer) sendWait(ctx context.Context, rec *kgo.Record, wish wish) (Receipt, error) {
	return p.await(ctx, func(err error) error { return sendError(rec, wish, err) },
		func(ctx context.Context, callback func(Receipt, error)) Receipt {
			return p.send(ctx, rec, wish, callback)
		})
}

// await waits for a record that send takes. fail adds to the error of a wait what it was
// for.
func (p *Producer) await(ctx context.Context, fail func(error) error, send func(context.Context, func(Receipt, error)) Receipt) (Receipt, error) {
	ctx, cancel := p.writer.bounded(ctx)
	defer cancel()
	type result struct {
		receipt Receipt
		err     error
	}
	done := make(chan result, 1)
	taken := send(ctx, func(receipt Receipt, err error) { done <- result{receipt, err} })
	select {
	case r := <-done:
		return r.receipt, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-done: // both at once: what is known is better than what is not
		return r.receipt, r.err
	default:
		err := p.writer.explain(fmt.Errorf("%w; the record may still be written", context.Cause(ctx)))
		return taken, fail(err)
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
// delivered record has and times by this machine's clock. The record's timestamp, or
// else the time now, travels as delay-sent. A record without a delay-id gets one.
//
// A record that was delivered, with the headers that it came with, can be sent to
// be delayed again: it waits its full delay and gets a new id.
//
// rec is copied, but for the bytes of its key, value and headers, which must not
// be changed before the callback. The callback runs on the producer's own goroutine,
// where it must not block; for a record that was never taken it is called before
// SendAsync returns. With an error its Receipt says what the record would have been, and
// nothing where it was refused. A delay or a target that the policy refuses is a
// [*Refusal] in the error. A delay above the last level is one of them (over-max),
// unless the policy has OverMaxClamp.
//
// SendAsync blocks while as many records are in flight as kgo.MaxBufferedRecords
// allows, and while it checks that the target exists (ProducerConfig.CheckTarget). The
// end of ctx ends this wait. It does not recall a record that was taken: in Kafka that
// fails the records behind it too. A record fails after kgo.RecordDeliveryTimeout,
// unless it was sent to a broker that went away before it answered.
func (p *Producer) SendAsync(ctx context.Context, rec *kgo.Record, delay time.Duration, callback func(Receipt, error)) {
	p.send(ctx, rec, wish{delay: delay}, callback)
}

// SendForAsync is [Producer.SendAsync] with an exact delay; see [Producer.SendFor].
func (p *Producer) SendForAsync(ctx context.Context, rec *kgo.Record, delay time.Duration, callback func(Receipt, error)) {
	p.send(ctx, rec, wish{delay: delay, exact: true}, callback)
}

// SendUntilAsync is [Producer.SendAsync] with an exact time; see [Producer.SendUntil].
func (p *Producer) SendUntilAsync(ctx context.Context, rec *kgo.Record, at time.Time, callback func(Receipt, error)) {
	p.send(ctx, rec, wish{at: at, exact: true}, callback)
}

// send is SendAsync. It returns what is known of a record that was taken.
func (p *Producer) send(ctx context.Context, rec *kgo.Record, wish wish, callback func(Receipt, error)) Receipt {
	if callback == nil {
		callback = func(Receipt, error) {}
	}
	made, err := p.prepare(rec, wish, time.Now())
	return p.put(ctx, made, err, func(err error) error { return sendError(rec, wish, err) }, callback)
}

// put writes what was prepared, unless that has failed. fail adds to an error what it was
// for.
func (p *Producer) put(ctx context.Context, made prepared, err error, fail func(error) error, callback func(Receipt, error)) Receipt {
	if err == nil {
		err = p.admit(ctx, made.target)
	}
	if err == nil {
		err = p.writer.write(ctx, made.record, func(err error) {
			if err != nil {
				callback(made.receipt, fail(err))
				return
			}
			receipt := made.receipt
			receipt.Partition, receipt.Offset = made.record.Partition, made.record.Offset
			receipt.Due = made.due(time.Now())
			callback(receipt, nil)
		})
	}
	if err != nil {
		callback(made.receipt, fail(err))
	}
	return made.receipt
}

// Prepare returns the record to write so that rec is delivered after a delay, as
// [Policy.Prepare] does, by the configuration of p: for a program that writes in its own
// transaction.
func (p *Producer) Prepare(rec *kgo.Record, delay time.Duration, now time.Time) (*kgo.Record, error) {
	return p.prepareOnly(rec, wish{delay: delay}, now)
}

// PrepareFor is [Producer.Prepare] for an exact delay; see [Producer.SendFor].
func (p *Producer) PrepareFor(rec *kgo.Record, delay time.Duration, now time.Time) (*kgo.Record, error) {
	return p.prepareOnly(rec, wish{delay: delay, exact: true}, now)
}

// PrepareUntil is [Producer.Prepare] for an exact time; see [Producer.SendUntil].
func (p *Producer) PrepareUntil(rec *kgo.Record, at, now time.Time) (*kgo.Record, error) {
	return p.prepareOnly(rec, wish{at: at, exact: true}, now)
}

func (p *Producer) prepareOnly(rec *kgo.Record, wish wish, now time.Time) (*kgo.Record, error) {
	made, err := p.prepare(rec, wish, now)
	if err != nil {
		return nil, prepareError(rec, wish, err)
	}
	return made.record, nil
}

// Close sends what is in flight and closes the connections. Where ctx ends first,
// the records that are left fail, and the error says how many they are. Without a
// deadline in ctx it ends when Send would.
func (p *Producer) Close(ctx context.Context) error {
	if err := p.writer.close(ctx); err != nil {
		return fmt.Errorf("close producer: %w", err)
	}
	return nil
}

// prepare decides what to write, and warns where that is less than was asked for.
func (p *Producer) prepare(rec *kgo.Record, wish wish, now time.Time) (prepared, error) {
	made, err := p.sending.prepare(rec, wish, now, rand.Text())
	if err == nil && made.clamped {
		p.log.Warn().Str("target", made.target).Str("asked", levels.FormatDelay(wish.delay)).Stringer("granted", made.receipt.Level).
			Msg("delay is above the last level and was shortened to it")
	}
	return made, err
}

// admit returns an error where a record for a target may not be written.
func (p *Producer) admit(ctx context.Context, target string) error {
	if ctx.Err() != nil { // with room too: select would toss a coin
		return context.Cause(ctx)
	}
	if p.exists == nil || target == "" { // a dead letter has none
		return nil
	}
	ctx, cancel := p.writer.bounded(ctx)
	defer cancel()
	if err := p.exists.check(ctx, target); err != nil {
		return p.writer.explain(err)
	}
	return nil
}

func sendError(rec *kgo.Record, wish wish, cause error) error {
	return fmt.Errorf("send%s with %s: %w", toward("to", rec), wish, cause)
}
