package router

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// Retry sends back a record that a consumer of its target has failed to handle, as it was
// consumed: it is delivered to its topic again after the next wait of its policy, the
// header delay-retry-policy or else Policy.Retry. It waits until all replicas in sync have
// it; then the consumer commits the record, or accepts it in a share group. See
// [Producer.Send] for what ends the wait.
//
// The record keeps its delay-id, or gets one. It is delivered with delay-attempt, the
// number of the retry, and with cause as delay-retry-cause, cut to a few hundred bytes; the
// first cause stays beside it. A nil cause leaves the one before.
//
// After the last retry the record is written to the dead letters, retries-exhausted, with
// both causes: the Receipt then has their topic and no Attempt, and the error is nil. A
// delay-attempt or a policy that cannot be read is a [*Refusal] in the error.
//
// Unlike a record on the inbox it needs no router. It takes the right to write to the
// topics of the levels and of the dead letters. Of one whose delivery can be repeated both
// copies can be sent back: they have one delay-id and one delay-attempt.
func (p *Producer) Retry(ctx context.Context, rec *kgo.Record, cause error) (Receipt, error) {
	fail := func(err error) error { return retryError(rec, err) }
	return p.await(ctx, fail, func(ctx context.Context, callback func(Receipt, error)) Receipt {
		made, err := p.sending.retry(rec, cause, time.Now(), rand.Text())
		if err == nil && made.letter != "" {
			p.log.Warn().Str("topic", rec.Topic).Str("id", made.receipt.ID).Str("detail", made.letter).Msg("dead letter: retries exhausted")
		}
		return p.put(ctx, made.prepared, err, fail, callback)
	})
}

// PrepareRetry returns the record to write so that rec, which was consumed, is retried: the
// one that [Producer.Retry] would write, to a level's topic or to that of the dead letters.
// It is for a program that writes in its own transaction; see [Policy.Prepare].
func (p Policy) PrepareRetry(rec *kgo.Record, cause error, now time.Time) (*kgo.Record, error) {
	s, err := newSending(p, false)
	if err != nil {
		return nil, retryError(rec, err)
	}
	made, err := s.retry(rec, cause, now, rand.Text())
	if err != nil {
		return nil, retryError(rec, err)
	}
	return made.record, nil
}

// PrepareRetry is [Policy.PrepareRetry] by the configuration of p.
func (p *Producer) PrepareRetry(rec *kgo.Record, cause error, now time.Time) (*kgo.Record, error) {
	made, err := p.sending.retry(rec, cause, now, rand.Text())
	if err != nil {
		return nil, retryError(rec, err)
	}
	return made.record, nil
}

// retrying is what becomes of a record that is sent back.
type retrying struct {
	prepared
	letter string // why it is a dead letter; "" where it waits
}

// retry returns what to write for a record that a consumer failed. id is for a record that
// brings none.
func (s *sending) retry(rec *kgo.Record, cause error, now time.Time, id string) (retrying, error) {
	src := *rec
	if text := causeText(cause); text != nil {
		src.Headers = append(rec.Headers[:len(rec.Headers):len(rec.Headers)], kgo.RecordHeader{Key: levels.HeaderRetryCause, Value: text})
	}
	attempt, wait, refusal := record.NextRetry(src.Headers, s.policy.Retry)
	switch {
	case refusal == nil:
	case refusal.Code == levels.RetriesExhausted:
		return s.exhausted(&src, refusal), nil
	default:
		return retrying{}, refusal
	}
	most := s.policy.Ladder.Last().Delay
	if s.policy.Rounding == levels.Exact {
		most = s.policy.MaxDelay
	}
	retried := record.Retried(&src, attempt)
	if sent, ok := record.Number(src.Headers, levels.HeaderSent, math.MaxInt64); ok {
		retried.Timestamp = time.UnixMilli(sent)
	}
	made, err := s.prepare(retried, wish{delay: min(wait, most)}, now, id)
	if err != nil {
		return retrying{}, err
	}
	made.receipt.Attempt = attempt
	return retrying{prepared: made}, nil
}

// exhausted returns the dead letter of a record that is retried no more: as it is on the
// inbox when a consumer sends it back, so that it can be sent again by the service.
func (s *sending) exhausted(src *kgo.Record, refusal *Refusal) retrying {
	back := *src
	back.Headers = append(record.WithoutHop(src.Headers, 2), kgo.RecordHeader{Key: levels.HeaderLevel, Value: []byte(levels.RetryLevel)})
	if src.Topic != "" {
		back.Headers = append(back.Headers, kgo.RecordHeader{Key: levels.HeaderTarget, Value: []byte(src.Topic)})
	}
	facts := levels.Facts{Accepted: max(0, src.Timestamp.UnixMilli())}
	letter := record.Fit(record.Dead(&back, s.policy.Names.Dead(), facts, *refusal, 0), letterBytes)
	id, _ := record.Last(letter.Headers, levels.HeaderID)
	return retrying{letter: refusal.Detail, prepared: prepared{
		record:  letter,
		receipt: Receipt{ID: string(id), Topic: letter.Topic, Partition: unknownPlace, Offset: unknownPlace},
	}}
}

// letterBytes bounds a dead letter of a Producer: what franz-go puts into a batch unless
// opts say otherwise, and a topic takes by default.
const letterBytes = 1_000_000

// causeText is a cause as it travels, nil for none.
func causeText(cause error) []byte {
	if cause == nil {
		return nil
	}
	return record.Cause([]byte(cause.Error()))
}

func retryError(rec *kgo.Record, cause error) error {
	return fmt.Errorf("retry a record%s: %w", toward("of", rec), cause)
}
