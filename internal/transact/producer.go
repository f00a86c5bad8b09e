package transact

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/consume"
)

const (
	// transactionTimeout is after when the broker aborts a transaction whose
	// producer is gone. Until then read_committed readers wait for its end.
	transactionTimeout = 10 * time.Second
	// endWithin bounds each of the two requests that end a transaction: partitions
	// are not handed over meanwhile.
	endWithin = 3 * time.Second
	// abortWithin bounds an abort, and the start of a producer, before another
	// producer is tried: other targets wait.
	abortWithin = time.Second
)

const (
	// backoffMin and backoffMax bound the wait before a request is tried again.
	backoffMin = 20 * time.Millisecond
	backoffMax = 2 * time.Second
)

// errInDoubt says that a transaction may have been committed or not.
var errInDoubt = errors.New("it is not known whether the transaction was committed")

// Producer is a transactional producer. It belongs to one goroutine, and takes a new
// client where it is not certain how a transaction ended.
type Producer struct {
	cfg    *Config
	ctx    context.Context // of searches
	id     string
	client *kgo.Client // nil: none
	// variant is what the next transaction needs, and opened what the client has.
	variant, opened int

	// The last transaction: how it ended, and where it wrote. A broker may not have
	// marked that end: see rewriteMarkers.
	last             consume.Outcome
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

// search finds out in the background how a producer's last transaction ended, or makes the
// broker end it. Meanwhile the producer's state is the search's.
type search struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// findOut starts a search. By itself a broker aborts a transaction only 10 to 20 s after
// its producer's last request. Until then readers wait for it.
func (p *Producer) findOut() {
	if p.search != nil {
		p.stopSearch()
	}
	ctx, cancel := context.WithCancel(p.ctx)
	s := &search{cancel: cancel, ended: make(chan struct{})}
	p.search = s
	go func() {
		defer close(s.ended)
		for ctx.Err() == nil {
			if err := p.end(ctx); err == nil || Hopeless(err) {
				return
			}
			select {
			case <-time.After(backoffMax):
			case <-ctx.Done():
			}
		}
	}()
}

// end makes the broker end the last transaction. A certain outcome whose markers may be
// missing is marked once more.
func (p *Producer) end(ctx context.Context) error {
	var err error
	if p.markersUncertain && p.last != consume.Unknown {
		err = p.rewriteMarkers(ctx, p.last, p.parts)
	} else {
		_, _, err = p.initProducerID(ctx)
	}
	if err == nil {
		p.last, p.parts, p.markersUncertain = consume.Unknown, nil, false
	}
	return err
}

// known reports whether no search is running.
func (p *Producer) known() bool {
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

// stopSearch ends a search. The next client finds out what it has not: see open.
func (p *Producer) stopSearch() {
	if p.search != nil {
		p.search.cancel()
		<-p.search.ended
		p.search = nil
	}
}

// initProducerID makes the broker abort what the id has left open, and gives the id's
// producer a new epoch.
func (p *Producer) initProducerID(ctx context.Context) (producerID int64, epoch int16, err error) {
	ctx, cancel := context.WithTimeout(ctx, abortWithin)
	defer cancel()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &p.id, int32(transactionTimeout.Milliseconds())
	resp, err := req.RequestWith(ctx, p.cfg.Client)
	if err != nil {
		return 0, 0, err
	}
	return resp.ProducerID, resp.ProducerEpoch, kerr.ErrorForCode(resp.ErrorCode)
}

// reopen takes a new client with the id of the old one, as often as that needs.
// When it returns nil the former client's transaction has ended in some way.
func (p *Producer) reopen(ctx context.Context) error {
	backoff := backoffMin
	for {
		err := p.open(ctx)
		if err == nil || ctx.Err() != nil || Hopeless(err) {
			return err
		}
		p.cfg.Log.Warn().Err(err).Msg("starting transactions: retried")
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
		}
		backoff = min(2*backoff, backoffMax)
	}
}

// open replaces the client, and makes the broker end what its id has left open.
func (p *Producer) open(ctx context.Context) error {
	p.close()
	p.stopSearch()
	opts := append(p.cfg.Options(p.variant), kgo.TransactionalID(p.id), kgo.TransactionTimeout(transactionTimeout))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("produce with transactional id %s: %w", p.id, err)
	}
	try, cancel := context.WithTimeout(ctx, abortWithin)
	defer cancel()
	if _, _, err := client.ProducerID(try); err != nil {
		client.Close()
		return fmt.Errorf("produce with transactional id %s: %w", p.id, p.explain(err))
	}
	p.client, p.committed, p.opened = client, make(map[string]bool), p.variant
	return nil
}

func (p *Producer) close() {
	if p.client != nil {
		p.client.Close()
		p.client = nil
	}
}

// Hopeless reports whether no transaction can be begun, however often delayd tries. A right
// that is missing may be granted, as it may be to a group.
func Hopeless(err error) bool { return errors.Is(err, kerr.InvalidTransactionTimeout) }

// explain adds to a broker's answer what the operator can do about it.
func (p *Producer) explain(err error) error {
	if Hopeless(err) {
		return fmt.Errorf("%w; set transaction.max.timeout.ms of the brokers to %d or more", err, transactionTimeout.Milliseconds())
	}
	return connect.GrantTransactions(err, p.cfg.Member)
}

// forgetTopics makes the client learn topics anew. It is not called within a transaction.
func (p *Producer) forgetTopics(topics ...string) {
	if p.client != nil {
		p.client.PurgeTopicsFromProducing(topics...)
		for _, topic := range topics {
			delete(p.committed, topic)
		}
	}
}

// refresh makes the client look up the partitions of its topics.
func (p *Producer) refresh() {
	if p.client != nil {
		p.client.ForceMetadataRefresh()
	}
}

// proves reports whether a nil error from commit proves that a transaction with records
// in parts was committed.
func (p *Producer) proves(parts map[string][]int32) bool {
	for topic := range parts {
		if p.committed[topic] {
			return true
		}
	}
	return false
}

// begin begins a transaction. It opens a client first where there is none of the variant,
// or where the end of the last transaction may have to be marked once more.
func (p *Producer) begin(ctx context.Context, variant int) error {
	p.variant = variant
	p.stopSearch()
	if p.markersUncertain {
		if err := p.settleMarkers(ctx); err != nil {
			return err
		}
	}
	if p.client == nil || p.opened != p.variant {
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
func (p *Producer) commit(ctx context.Context, offsets *kmsg.TxnOffsetCommitRequest) (refused *kmsg.TxnOffsetCommitResponse, err error) {
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

// Produce writes a record in the transaction. promise is called as by kgo.Client.
func (p *Producer) Produce(ctx context.Context, rec *kgo.Record, promise func(*kgo.Record, error)) {
	p.client.Produce(ctx, rec, promise)
}

// abort ends the transaction without a trace. It returns false when it is not
// certain that it has been: then the client is gone, and what was written with it
// has been answered.
func (p *Producer) abort(ctx context.Context) bool {
	try, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortWithin)
	defer cancel()
	err := p.client.AbortBufferedRecords(try)
	if err == nil {
		err = p.client.EndTransaction(try, kgo.TryAbort)
	}
	if err != nil {
		p.cfg.Log.Debug().Err(err).Msg("aborting a transaction: its producer is replaced")
		p.close()
	}
	return err == nil
}
