package deliver

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ending is how a transaction has ended.
type ending int

const (
	unknown ending = iota
	committed
	aborted
)

// states are what a coordinator says of a transaction that has ended, or will in only
// one way.
var states = map[string]ending{
	"PrepareCommit": committed, "CompleteCommit": committed,
	"PrepareAbort": aborted, "PrepareEpochFence": aborted, "CompleteAbort": aborted,
}

// ended asks the coordinator how the last transaction of an id has ended. It is
// unknown while one is open, where there was none, and once a producer has started
// with the id since.
func (w *writer) ended(ctx context.Context, turn int) (ending, error) {
	ctx, cancel := context.WithTimeout(ctx, abortWithin)
	defer cancel()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{w.id(turn)}
	resp, err := req.RequestWith(ctx, w.o.client)
	if err != nil {
		return unknown, err
	}
	for _, s := range resp.TransactionStates {
		err := kerr.ErrorForCode(s.ErrorCode)
		if err != nil && !errors.Is(err, kerr.TransactionalIDNotFound) {
			return unknown, err
		}
		return states[s.State], nil
	}
	return unknown, nil
}

// remark has the broker mark the end of an id's last transaction once more where
// group's offsets are. A broker that shuts down can note that a transaction has ended
// without having marked it there (seen with Apache Kafka 4.3.0): what it committed
// stays pending, and nobody can read where to start. The mark of any later transaction
// of the same producer ends both, and so this makes an empty one that ends in the same
// way. The id's client is fenced by it.
func (w *writer) remark(ctx context.Context, turn int, group string, as ending) error {
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	producer, epoch, err := w.fence(ctx, turn)
	if err != nil {
		return err
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = w.id(turn), producer, epoch, group
	added, err := add.RequestWith(ctx, w.o.client)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("add the offsets of group %s to a transaction: %w", group, err)
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = w.id(turn), producer, epoch, as == committed
	done, err := end.RequestWith(ctx, w.o.client)
	if err == nil {
		err = kerr.ErrorForCode(done.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("end a transaction: %w", err)
	}
	return nil
}
