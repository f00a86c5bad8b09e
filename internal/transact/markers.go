package transact

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/delayd-io/delayd/internal/consume"
)

// begunNever are a coordinator's states of an id whose producer has begun no transaction.
// outcomes are those of a transaction that has ended, or will in only one way.
var (
	begunNever = []string{"Empty", "Dead"}
	outcomes   = map[string]consume.Outcome{
		"PrepareCommit": consume.Committed, "CompleteCommit": consume.Committed,
		"PrepareAbort": consume.Aborted, "PrepareEpochFence": consume.Aborted, "CompleteAbort": consume.Aborted,
	}
)

// lastOutcome asks the coordinator how the last transaction of the id has ended. It is
// unknown while one is open. begun is false where none was begun since a producer
// started with the id, if one ever did.
func (p *Producer) lastOutcome(ctx context.Context) (outcome consume.Outcome, begun bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, abortWithin)
	defer cancel()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{p.id}
	resp, err := req.RequestWith(ctx, p.cfg.Client)
	if err != nil {
		return consume.Unknown, true, err
	}
	if len(resp.TransactionStates) == 0 {
		return consume.Unknown, true, nil
	}
	s := resp.TransactionStates[0]
	if err := kerr.ErrorForCode(s.ErrorCode); errors.Is(err, kerr.TransactionalIDNotFound) {
		return consume.Unknown, false, nil
	} else if err != nil {
		return consume.Unknown, true, err
	}
	return outcomes[s.State], !slices.Contains(begunNever, s.State), nil
}

// awaitOutcome returns how the transaction has ended that was just tried to be committed.
// One that is still open is aborted by the next client of the id.
func (p *Producer) awaitOutcome(ctx context.Context) consume.Outcome {
	for ctx.Err() == nil {
		outcome, _, err := p.lastOutcome(ctx)
		if err == nil {
			return cmp.Or(outcome, consume.Aborted)
		}
		p.cfg.Log.Debug().Err(err).Msg("transaction in doubt: asking again")
		select {
		case <-time.After(backoffMin):
		case <-ctx.Done():
		}
	}
	return consume.Unknown
}

// settleMarkers makes brokers mark the end of the last transaction once more, and opens a
// client.
func (p *Producer) settleMarkers(ctx context.Context) error {
	if p.last != consume.Unknown {
		err := p.rewriteMarkers(ctx, p.last, p.parts)
		p.cfg.Log.Warn().Err(err).Str("transactional_id", p.id).
			Msg("a broker may not have marked the end of a transaction: it is marked once more")
		if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.OperationNotAttempted) {
			p.parts = nil // one is gone, or nobody may write there any more: the others are marked by what is written next
		}
		if err != nil {
			return err
		}
	}
	p.markersUncertain = false
	return p.open(ctx) // rewriteMarkers has fenced the client
}

// rewriteMarkers makes the broker mark the end of the id's last transaction once more, in
// parts and where the group's offsets are. A broker that shuts down can note that a transaction
// has ended without having marked it everywhere (seen with Apache Kafka 4.3.0, where
// no other broker could lead the partitions): what it committed stays pending, readers
// wait behind what it wrote, and an abort of the producer's next one there would take
// it back. The mark of any later transaction of the same producer ends both, and so
// this makes an empty one that ends in the same way. The id's client is fenced by it.
func (p *Producer) rewriteMarkers(ctx context.Context, as consume.Outcome, parts map[string][]int32) error {
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	producerID, epoch, err := p.initProducerID(ctx)
	if err != nil {
		return err
	}
	if err := p.addToTransaction(ctx, producerID, epoch, parts); err != nil {
		return err
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = p.id, producerID, epoch, as == consume.Committed
	resp, err := end.RequestWith(ctx, p.cfg.Client)
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

// addToTransaction makes the group's offsets and parts belong to a transaction.
func (p *Producer) addToTransaction(ctx context.Context, producerID int64, epoch int16, parts map[string][]int32) error {
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = p.id, producerID, epoch, p.cfg.Group
	added, err := add.RequestWith(ctx, p.cfg.Client)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("add the offsets of group %s to a transaction: %w", p.cfg.Group, err)
	}
	if len(parts) == 0 {
		return nil
	}
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.AddPartitionsToTxn.Int16(), addPartitionsVersion)
	client, err := kgo.NewClient(append(p.cfg.Options(0), kgo.MaxVersions(versions))...)
	if err != nil {
		return err
	}
	defer client.Close()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.id, producerID, epoch
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
		for _, part := range t.Partitions {
			if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
				return fmt.Errorf("add %s/%d to a transaction: %w", t.Topic, part.Partition, err)
			}
		}
	}
	return nil
}
