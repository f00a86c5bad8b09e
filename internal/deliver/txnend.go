package deliver

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/lane"
)

// txnEnd ends a transaction for the consumer, which commits its offsets: see lane.Txn.
type txnEnd struct {
	o       *Outbox
	t       *transaction
	fault   error // why it is not certain that the commit has succeeded
	doubted bool
}

// Commit implements lane.Txn.
func (e *txnEnd) Commit(offsets *kmsg.TxnOffsetCommitRequest) (lane.Outcome, *kmsg.TxnOffsetCommitResponse, error) {
	p := e.t.producer
	p.parts = e.t.partitions()
	refused, err := p.commit(e.o.ctx, offsets)
	e.fault = err
	switch {
	case err == nil && p.proves(e.t):
		return lane.Committed, nil, nil
	case err == nil:
		return lane.Unknown, nil, errInDoubt
	case errors.Is(err, errInDoubt):
		return lane.Unknown, nil, err
	}
	return lane.Aborted, refused, err
}

// Decide implements lane.Txn. A new client with the same id has the broker decide how the
// transaction ended, if it has not.
func (e *txnEnd) Decide(ctx context.Context) error {
	e.doubted = true
	p := e.t.producer
	if p.last = lane.Unknown; e.fault == nil {
		return nil
	}
	e.o.log.Warn().Err(e.fault).Msg("transaction in doubt: asking the broker")
	p.last = p.awaitOutcome(ctx)
	return p.reopen(ctx)
}

// Unstable implements lane.Txn.
func (e *txnEnd) Unstable(ctx context.Context) { e.t.producer.settleMarkers(ctx) }
