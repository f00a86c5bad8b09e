package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/lane"
)

const (
	// transactionTimeout is after when the broker aborts a transaction whose
	// producer is gone: until then readers of what is committed wait behind it.
	transactionTimeout = 10 * time.Second
	// endWithin bounds each of the two requests that end a transaction: partitions
	// are not handed over meanwhile.
	endWithin = 3 * time.Second
	// abortWithin bounds an abort, and the start of a producer, before another
	// producer is tried: other targets wait.
	abortWithin = time.Second
)

// errInDoubt says that a transaction may have been committed or not.
var errInDoubt = errors.New("it is not known whether the transaction was committed")

// producer is a transactional producer. It belongs to one goroutine, and takes a new
// client where it is not certain how a transaction ended.
type producer struct {
	o      *Outbox
	group  string // whose offsets it commits
	id     string
	client *kgo.Client // nil: none
	// packing is what the next transaction needs, and packed what the client has.
	packing, packed packing

	// The last transaction: how it ended, and where it wrote. A broker may not have
	// marked that end: see rewriteMarkers.
	last             lane.Outcome
	parts            map[string][]int32
	markersUncertain bool

	// The producer id of the transaction under way. franz-go can take a new epoch in
	// the middle of one, which silently aborts what was written before.
	producerID int64
	epoch      int16

	// committed are the topics that the client has committed something to. franz-go can
	// have the answer to the first record for a topic before it has noted the topic.
	// Where it knows of nothing that was written, EndTransaction aborts, and returns
	// no error.
	committed map[string]bool

	search *search // for the outcome of the last transaction; nil: none
}

// search finds out in the background how a producer's last transaction ended, or has the
// broker end it. Meanwhile the producer's state is the search's.
type search struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// findOut starts a search. By itself a broker aborts a transaction only 10 to 20 s after
// the last that was heard of its producer, and until then readers wait behind it.
func (p *producer) findOut() {
	if p.search != nil {
		p.stopSearch()
	}
	ctx, cancel := context.WithCancel(p.o.ctx)
	s := &search{cancel: cancel, ended: make(chan struct{})}
	p.search = s
	p.o.wg.Go(func() {
		defer close(s.ended)
		for ctx.Err() == nil {
			if err := p.end(ctx); err == nil || hopeless(err) {
				return
			}
			select {
			case <-time.After(backoffMax):
			case <-ctx.Done():
			}
		}
	})
}

// end has the broker end the last transaction. What is certain of its outcome is marked
// once more where that may be missing.
func (p *producer) end(ctx context.Context) error {
	var err error
	if p.markersUncertain && p.last != lane.Unknown {
		err = p.rewriteMarkers(ctx, p.last, p.parts)
	} else {
		_, _, err = p.initProducerID(ctx)
	}
	if err == nil {
		p.last, p.parts, p.markersUncertain = lane.Unknown, nil, false
	}
	return err
}

// known reports whether no search is running.
func (p *producer) known() bool {
	if p.search == nil {
		return true
	}
	select {
	case <-p.search.ended:
		return true
	default:
		return false
	}
}

// stopSearch ends a search. What it has not found out the next client does: see open.
func (p *producer) stopSearch() {
	if p.search != nil {
		p.search.cancel()
		<-p.search.ended
		p.search = nil
	}
}

// initProducerID makes the broker abort what the id has left open, and gives the id's
// producer a new epoch.
func (p *producer) initProducerID(ctx context.Context) (producerID int64, epoch int16, err error) {
	ctx, cancel := context.WithTimeout(ctx, abortWithin)
	defer cancel()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &p.id, int32(transactionTimeout.Milliseconds())
	resp, err := req.RequestWith(ctx, p.o.client)
	if err != nil {
		return 0, 0, err
	}
	return resp.ProducerID, resp.ProducerEpoch, kerr.ErrorForCode(resp.ErrorCode)
}

// reopen takes a new client with the id of the old one, as often as that needs.
// When it returns nil the former client's transaction has ended in some way.
func (p *producer) reopen(ctx context.Context) error {
	backoff := backoffMin
	for {
		err := p.open(ctx)
		if err == nil || ctx.Err() != nil || hopeless(err) {
			return err
		}
		p.o.log.Warn().Err(err).Msg("starting transactions: retried")
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
		}
		backoff = min(2*backoff, backoffMax)
	}
}

// open replaces the client, and has the broker end what its id has left open.
func (p *producer) open(ctx context.Context) error {
	p.close()
	p.stopSearch()
	opts := append(producerOptions(p.o.opts), kgo.TransactionalID(p.id), kgo.TransactionTimeout(transactionTimeout))
	client, err := kgo.NewClient(append(opts, p.packing.options(p.o)...)...)
	if err != nil {
		return fmt.Errorf("produce with transactional id %s: %w", p.id, err)
	}
	try, cancel := context.WithTimeout(ctx, abortWithin)
	defer cancel()
	if _, _, err := client.ProducerID(try); err != nil {
		client.Close()
		return fmt.Errorf("produce with transactional id %s: %w", p.id, p.explain(err))
	}
	p.client, p.committed, p.packed = client, make(map[string]bool), p.packing
	return nil
}

func (p *producer) close() {
	if p.client != nil {
		p.client.Close()
		p.client = nil
	}
}

// hopeless says that no transaction can be begun, however often it is tried. A right
// that is missing may be granted, as it may be to a group.
func hopeless(err error) bool { return errors.Is(err, kerr.InvalidTransactionTimeout) }

// explain adds to a broker's answer what the operator can do about it.
func (p *producer) explain(err error) error {
	if hopeless(err) {
		return fmt.Errorf("%w; set transaction.max.timeout.ms of the brokers to %d or more", err, transactionTimeout.Milliseconds())
	}
	return connect.GrantTransactions(err, p.o.cfg.TransactionalID)
}

// purge has the client learn topics anew. It is not called within a transaction.
func (p *producer) purge(topics ...string) {
	if p.client != nil {
		p.client.PurgeTopicsFromProducing(topics...)
		for _, topic := range topics {
			delete(p.committed, topic)
		}
	}
}

// refresh has the client look up the partitions of its topics.
func (p *producer) refresh() {
	if p.client != nil {
		p.client.ForceMetadataRefresh()
	}
}

// sure says whether it is certain that t is committed, when commit says so.
func (p *producer) proves(t *transaction) bool {
	return slices.ContainsFunc(t.items, func(it *item) bool { return p.committed[it.trial.out.Topic] })
}

// learn notes that t is committed.
func (p *producer) noteCommitted(t *transaction) {
	last := ""
	for _, it := range t.items {
		if topic := it.trial.out.Topic; topic != last {
			p.committed[topic], last = true, topic
		}
	}
}

// begin begins a transaction. It opens a client first where there is none for packing,
// or where the end of the last transaction may have to be marked once more.
func (p *producer) begin(ctx context.Context, packing packing) error {
	p.packing = packing
	p.stopSearch()
	if p.markersUncertain {
		if err := p.settleMarkers(ctx); err != nil {
			return err
		}
	}
	if p.client == nil || p.packed != p.packing {
		if err := p.open(ctx); err != nil {
			return err
		}
	}
	if err := p.client.BeginTransaction(); err != nil {
		return err
	}
	var err error
	try, cancel := context.WithTimeout(ctx, abortWithin)
	defer cancel()
	p.producerID, p.epoch, err = p.client.ProducerID(try)
	return err
}

// commit commits the transaction together with offsets. refused is the
// coordinator's answer to them, if that is why it was not. Where errInDoubt is part
// of err the transaction may have been committed after all; otherwise it has yet to
// be aborted.
func (p *producer) commit(ctx context.Context, offsets *kmsg.TxnOffsetCommitRequest) (refused *kmsg.TxnOffsetCommitResponse, err error) {
	try, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	if id, epoch, err := p.client.ProducerID(try); err != nil || id != p.producerID || epoch != p.epoch {
		return nil, fmt.Errorf("the producer has changed in the middle of a transaction: %w", errors.Join(err, kerr.InvalidProducerEpoch))
	}
	offsets.TransactionalID, offsets.ProducerID, offsets.ProducerEpoch = p.id, p.producerID, p.epoch
	resp, err := offsets.RequestWith(try, p.client)
	if err != nil {
		return nil, fmt.Errorf("commit offsets in a transaction: %w", err)
	}
	for _, t := range resp.Topics {
		for _, part := range t.Partitions {
			if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
				return resp, fmt.Errorf("commit offsets of %s/%d in a transaction: %w", t.Topic, part.Partition, err)
			}
		}
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	err = p.client.EndTransaction(end, kgo.TryCommit)
	if err == nil || errors.Is(err, kerr.OperationNotAttempted) {
		return nil, err
	}
	return nil, fmt.Errorf("commit a transaction: %w: %w", errInDoubt, err)
}

// abort ends the transaction without a trace. It returns false when it is not
// certain that it has been: then the client is gone, and what was written with it
// has been answered.
func (p *producer) abort(ctx context.Context) bool {
	try, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortWithin)
	defer cancel()
	err := p.client.AbortBufferedRecords(try)
	if err == nil {
		err = p.client.EndTransaction(try, kgo.TryAbort)
	}
	if err != nil {
		p.o.log.Debug().Err(err).Msg("aborting a transaction: its producer is replaced")
		p.close()
	}
	return err == nil
}

// canTransact checks that the cluster's transactions are those of Kafka 4.0
// (KIP-890): the ones before it let a late request of one transaction fall into the
// next. It asks until somebody answers.
func (o *Outbox) canTransact(ctx context.Context) error {
	const feature, least = "transaction.version", 2
	for backoff := backoffMin; ; backoff = min(2*backoff, backoffMax) {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "delayd", "1"
		resp, err := req.RequestWith(ctx, o.client)
		if err == nil {
			level := int16(0)
			for _, f := range resp.FinalizedFeatures {
				if f.Name == feature {
					level = f.MaxVersionLevel
				}
			}
			if level < least {
				return fmt.Errorf("exactly-once delivery needs Kafka 4.0 or later with %s %d, and the cluster has %d: "+
					"raise it with kafka-features.sh upgrade --feature %[1]s=%[2]d, or run with --delivery at-least-once", feature, least, level)
			}
			return nil
		}
		o.log.Warn().Err(err).Msg("asking for the cluster's features: retried")
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
