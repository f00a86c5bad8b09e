package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// Cancel drops the records with an id and a key that a broker accepted before, and that are not
// delivered yet: records of this or any other producer. A nil key cancels the records with that
// id whatever their key. The id is Receipt.ID, or the record's header delay-id.
//
// Cancel writes to the inbox, which has to have a router. It returns nil when all replicas in
// sync have the cancel. From then on it holds for each record with an id of its own, as all
// records of a Producer have, that is due in a second or later. Later ones are dropped if they
// are not delivered yet. That there is such a record is not checked.
func (p *Producer) Cancel(ctx context.Context, id string, key []byte) error {
	if id == "" {
		return errors.New("cancel: the id is empty; use Receipt.ID or the record's delay-id")
	}
	rec := &kgo.Record{
		Topic: p.sending.policy.Names.Inbox(), Partition: levels.ByKey, Key: key,
		Headers: []kgo.RecordHeader{{Key: levels.HeaderCancel, Value: []byte(id)}},
	}
	if _, err := p.writeInbox(ctx, rec); err != nil {
		return fmt.Errorf("cancel %s: %w", record.Quote([]byte(id)), err)
	}
	return nil
}

// Replace sends a record that takes the place of earlier ones with its delay-id and key, which
// are dropped as by [Producer.Cancel]. The record needs a header delay-id. The delay counts
// from when the broker accepts the record, and is rounded as in [Producer.Send]: that moves
// an appointment, or waits until an id has been quiet for so long.
//
// It writes to the inbox, which has to have a router. Receipt.Topic is the inbox.
func (p *Producer) Replace(ctx context.Context, rec *kgo.Record, delay time.Duration) (Receipt, error) {
	return p.replace(ctx, rec, wish{delay: delay})
}

// ReplaceFor is [Producer.Replace] with an exact delay; see [Producer.SendFor].
func (p *Producer) ReplaceFor(ctx context.Context, rec *kgo.Record, delay time.Duration) (Receipt, error) {
	return p.replace(ctx, rec, wish{delay: delay, exact: true})
}

// ReplaceUntil is [Producer.Replace] with an exact time; see [Producer.SendUntil].
func (p *Producer) ReplaceUntil(ctx context.Context, rec *kgo.Record, at time.Time) (Receipt, error) {
	return p.replace(ctx, rec, wish{at: at, exact: true})
}

func (p *Producer) replace(ctx context.Context, rec *kgo.Record, wish wish) (Receipt, error) {
	now := time.Now()
	fail := func(err error) (Receipt, error) {
		return Receipt{}, fmt.Errorf("replace: %w", sendError(rec, wish, err))
	}
	id, own := record.Read(rec.Headers).OwnID()
	if !own {
		return fail(fmt.Errorf("the record has no %s; it names the records that this one takes the place of", levels.HeaderID))
	}
	plain := *rec
	plain.Headers = without(slices.Clone(rec.Headers), func(key string) bool { return key == levels.HeaderReplace })
	rec = &plain
	made, err := p.prepare(rec, wish, now)
	if err != nil {
		return fail(err)
	}
	out := p.sending.toInbox(rec, made, now)
	written, err := p.writeInbox(ctx, out)
	if err != nil {
		return fail(err)
	}
	receipt := made.receipt
	receipt.ID, receipt.Topic, receipt.Partition, receipt.Offset = string(id), written.Topic, written.Partition, written.Offset
	receipt.Due = made.due(time.Now())
	return receipt, nil
}

// toInbox is the record of made as the inbox takes it.
func (s *sending) toInbox(rec *kgo.Record, made prepared, now time.Time) *kgo.Record {
	headers := incoming(rec.Headers, made.target != "")
	sent := now
	if !rec.Timestamp.IsZero() {
		sent = rec.Timestamp
	}
	headers = append(headers, made.wish.header())
	if made.target != "" {
		headers = append(headers, kgo.RecordHeader{Key: levels.HeaderTarget, Value: []byte(made.target)})
	}
	headers = append(headers,
		kgo.RecordHeader{Key: levels.HeaderSent, Value: strconv.AppendInt(nil, sent.UnixMilli(), 10)},
		kgo.RecordHeader{Key: levels.HeaderReplace, Value: []byte("true")})
	return &kgo.Record{
		Topic: s.policy.Names.Inbox(), Partition: levels.ByKey, Key: rec.Key, Value: rec.Value, Headers: headers, Timestamp: rec.Timestamp,
	}
}

// writeInbox writes one record and waits until all replicas in sync have it.
func (p *Producer) writeInbox(ctx context.Context, rec *kgo.Record) (*kgo.Record, error) {
	ctx, cancel := p.writer.bounded(ctx)
	defer cancel()
	done := make(chan error, 1)
	if err := p.writer.write(ctx, rec, func(err error) { done <- err }); err != nil {
		return nil, err
	}
	select {
	case err := <-done:
		return rec, err
	case <-ctx.Done():
		return nil, p.writer.explain(fmt.Errorf("%w; it may still be written", context.Cause(ctx)))
	}
}
