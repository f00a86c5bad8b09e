package transact

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/consume"
)

// Ending ends a transaction of which all records are acknowledged. The consumer, which
// commits its offsets, calls its methods: it is a consume.Txn.
type Ending struct {
	ctx     context.Context
	p       *Producer
	fault   error // why it is not certain that the commit has succeeded
	decided bool
}

// Ending returns what ends the transaction that was begun, of which records are in parts,
// by topic. It is committed before ctx ends, or not at all.
func (p *Producer) Ending(ctx context.Context, parts map[string][]int32) *Ending {
	p.parts = parts
	return &Ending{ctx: ctx, p: p}
}

// Commit implements consume.Txn.
func (e *Ending) Commit(offsets *kmsg.TxnOffsetCommitRequest) (consume.Outcome, *kmsg.TxnOffsetCommitResponse, error) {
	refused, err := e.p.commit(e.ctx, offsets)
	e.fault = err
	switch {
	case err == nil && e.p.proves(e.p.parts):
		return consume.Committed, nil, nil
	case err == nil:
		return consume.Unknown, nil, errInDoubt
	case errors.Is(err, errInDoubt):
		return consume.Unknown, nil, err
	}
	return consume.Aborted, refused, err
}

// Decide implements consume.Txn. A new client with the same id makes the broker decide how
// the transaction ended, if it has not.
func (e *Ending) Decide(ctx context.Context) error {
	e.decided = true
	if e.p.last = consume.Unknown; e.fault == nil {
		return nil
	}
	e.p.cfg.Log.Warn().Err(e.fault).Msg("transaction in doubt: asking the broker")
	e.p.last = e.p.awaitOutcome(ctx)
	return e.p.reopen(ctx)
}

// Unstable implements consume.Txn.
func (e *Ending) Unstable(ctx context.Context) { e.p.settleMarkers(ctx) }

// Ended notes the outcome that the consumer has found, and reports whether the transaction
// has ended. It has not where it was not tried to be committed, or the commit was refused:
// then Abort follows.
func (e *Ending) Ended(outcome consume.Outcome) bool {
	p := e.p
	switch {
	case outcome == consume.Committed:
		if e.fault == nil {
			for topic := range p.parts {
				p.committed[topic] = true
			}
		}
		p.last, p.markersUncertain = consume.Committed, e.fault != nil
		return true
	case e.decided && outcome == consume.Aborted:
		p.last = consume.Aborted
	}
	return e.decided
}

// Abort ends the transaction without a trace. answered waits until all its records have
// been answered, which they are soon, and returns where they were written. It reports
// whether it is certain that the transaction has been aborted.
func (p *Producer) Abort(ctx context.Context, answered func() (parts map[string][]int32)) (certain bool) {
	certain = p.abort(ctx)
	p.last, p.parts = consume.Aborted, answered() // at the latest by the next client of its id
	return certain
}
