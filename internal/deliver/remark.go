package deliver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// ending is how a transaction has ended.
type ending int

const (
	unknown ending = iota
	never          // none was begun since a producer started with the id, if one ever did
	committed
	aborted
)

// certain reports whether a transaction has ended, and how.
func (e ending) certain() bool { return e == committed || e == aborted }

// states are what a coordinator says of a transaction that has ended, or will in only
// one way.
var states = map[string]ending{
	"Empty": never, "Dead": never,
	"PrepareCommit": committed, "CompleteCommit": committed,
	"PrepareAbort": aborted, "PrepareEpochFence": aborted, "CompleteAbort": aborted,
}

// ended asks the coordinator how the last transaction of an id has ended. It is
// unknown while one is open.
func (w *writer) ended(ctx context.Context, turn int) (ending, error) {
	ctx, cancel := context.WithTimeout(ctx, abortWithin)
	defer cancel()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{w.id(turn)}
	resp, err := req.RequestWith(ctx, w.o.client)
	if err != nil {
		return unknown, err
	}
	if len(resp.TransactionStates) == 0 {
		return unknown, nil
	}
	s := resp.TransactionStates[0]
	if err := kerr.ErrorForCode(s.ErrorCode); errors.Is(err, kerr.TransactionalIDNotFound) {
		return never, nil
	} else if err != nil {
		return unknown, err
	}
	return states[s.State], nil
}

// partitions are where a transaction wrote, by topic. They are known once all is
// answered.
func (t *transaction) partitions() map[string][]int32 {
	parts := make(map[string][]int32)
	topic := ""
	var in []int32
	for _, it := range t.items {
		out := it.trial.out
		if out.Topic != topic {
			if topic != "" {
				parts[topic] = in
			}
			topic, in = out.Topic, parts[out.Topic]
		}
		if out.Partition >= 0 && !slices.Contains(in, out.Partition) { // else it was not written
			in = append(in, out.Partition)
		}
	}
	if topic != "" {
		parts[topic] = in
	}
	maps.DeleteFunc(parts, func(_ string, in []int32) bool { return len(in) == 0 })
	return parts
}

// remark has the broker mark the end of an id's last transaction once more, in parts
// and where group's offsets are. A broker that shuts down can note that a transaction
// has ended without having marked it everywhere (seen with Apache Kafka 4.3.0, where
// no other broker could lead the partitions): what it committed stays pending, readers
// wait behind what it wrote, and an abort of the producer's next one there would take
// it back. The mark of any later transaction of the same producer ends both, and so
// this makes an empty one that ends in the same way. The id's client is fenced by it.
func (w *writer) remark(ctx context.Context, turn int, group string, parts map[string][]int32, as ending) error {
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	producer, epoch, err := w.fence(ctx, turn)
	if err != nil {
		return err
	}
	if err := w.add(ctx, turn, producer, epoch, group, parts); err != nil {
		return err
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = w.id(turn), producer, epoch, as == committed
	resp, err := end.RequestWith(ctx, w.o.client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("end a transaction: %w", err)
	}
	return nil
}

// addPartitionsVersion is the last that is for producers: those behind it are for
// brokers (KIP-890).
const addPartitionsVersion = 3

// add makes group's offsets and parts belong to a transaction.
func (w *writer) add(ctx context.Context, turn int, producer int64, epoch int16, group string, parts map[string][]int32) error {
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = w.id(turn), producer, epoch, group
	added, err := add.RequestWith(ctx, w.o.client)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("add the offsets of group %s to a transaction: %w", group, err)
	}
	if len(parts) == 0 {
		return nil
	}
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.AddPartitionsToTxn.Int16(), addPartitionsVersion)
	client, err := kgo.NewClient(append(w.o.opts[:len(w.o.opts):len(w.o.opts)], kgo.MaxVersions(versions))...)
	if err != nil {
		return err
	}
	defer client.Close()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = w.id(turn), producer, epoch
	for topic, in := range parts {
		t := kmsg.NewAddPartitionsToTxnRequestTopic()
		t.Topic, t.Partitions = topic, in
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("add partitions to a transaction: %w", err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("add %s/%d to a transaction: %w", t.Topic, p.Partition, err)
			}
		}
	}
	return nil
}
