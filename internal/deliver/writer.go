package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
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
	// spareIDs is how many transactional ids a writer has. A broker that cannot write
	// the end of an aborted transaction to a sick target keeps its id busy until it
	// can; then the next id is used.
	spareIDs = 4
)

// errInDoubt says that a transaction may have been committed or not.
var errInDoubt = errors.New("it is not known whether the transaction was committed")

// writer is a transactional producer. It belongs to one goroutine, and takes a new
// client whenever it is not certain how a transaction ended.
type writer struct {
	o      *Outbox
	member string // begins its transactional ids, and those of the process's other writers
	name   string // follows there
	turn   int    // which of its ids is used
	client *kgo.Client
	// packing is what the next transaction needs, and packed what the client has.
	packing, packed packing
	left            [2 * spareIDs]func() // ends what runs to end an id's transaction, and waits for it

	// Of the id in use: how its last transaction ended, and where it wrote.
	last     ending
	parts    map[string][]int32
	unmarked bool // a broker may not have marked that end: see remark

	// The producer of the transaction under way. franz-go can take a new epoch in
	// the middle of one, which silently aborts what was written before.
	producer int64
	epoch    int16

	// known are the topics that the client has committed something to. franz-go can
	// have the answer to the first record for a topic before it has noted the topic.
	// Where it knows of nothing that was written, EndTransaction aborts, and returns
	// no error.
	known map[string]bool
}

// id is the transactional id of a turn, which no other writer has: a name has no slash,
// whatever the member is called. From spareIDs on it is the one that the turn had in
// former versions, where the member n-2 used an id of the member n.
func (w *writer) id(turn int) string {
	if turn < spareIDs {
		return fmt.Sprintf("%s/%s-%d", w.member, w.name, turn+1)
	}
	id := w.member + strings.TrimPrefix("-"+w.name, "-"+nameDirect)
	if turn == spareIDs {
		return id
	}
	return fmt.Sprintf("%s-%d", id, turn-spareIDs+1)
}

// The names of writers; the second of a pair has nameNext appended.
const (
	nameDirect = "direct"
	nameParked = "parked"
	nameNext   = "-next"
)

// start makes the first client, and ends what a former process of the same member has
// left open, of a former version too: the group's offsets cannot be read before that.
func (w *writer) start(ctx context.Context, group string) error {
	for turn := range 2 * spareIDs {
		as, err := w.ended(ctx, turn)
		if err == nil && as == never && turn >= spareIDs {
			continue // do not bring a former id into being
		}
		// A fenced id has forgotten how its last transaction ended.
		if err == nil && as.certain() {
			if err := w.remark(ctx, turn, group, nil, as); err == nil {
				continue
			}
		}
		if _, _, err := w.fence(ctx, turn); err != nil {
			w.o.log.Debug().Err(err).Str("transactional_id", w.id(turn)).Msg("ending a former transaction")
			w.end(turn, group)
		}
	}
	return w.reopen(ctx)
}

// fence has the broker abort what an id has left open, and gives the id's producer a
// new epoch.
func (w *writer) fence(ctx context.Context, turn int) (producer int64, epoch int16, err error) {
	ctx, cancel := context.WithTimeout(ctx, abortWithin)
	defer cancel()
	req := kmsg.NewPtrInitProducerIDRequest()
	id := w.id(turn)
	req.TransactionalID, req.TransactionTimeoutMillis = &id, int32(transactionTimeout.Milliseconds())
	resp, err := req.RequestWith(ctx, w.o.client)
	if err != nil {
		return 0, 0, err
	}
	return resp.ProducerID, resp.ProducerEpoch, kerr.ErrorForCode(resp.ErrorCode)
}

// end fences the id in use, which is left, as soon as its coordinator takes that, or
// until the id is used again: by itself a broker aborts a transaction only 10 to 20 s
// after the last that was heard of it, and until then readers wait behind it.
func (w *writer) end(turn int, group string) {
	if w.left[turn] != nil {
		return
	}
	ctx, cancel := context.WithCancel(w.o.ctx)
	ended := make(chan struct{})
	w.left[turn] = func() { cancel(); <-ended }
	unmarked, last, parts := w.unmarked && w.last.certain(), w.last, w.parts
	w.o.wg.Go(func() {
		defer close(ended)
		for ctx.Err() == nil {
			var err error
			if unmarked {
				err = w.remark(ctx, turn, group, parts, last)
			} else {
				_, _, err = w.fence(ctx, turn)
			}
			if err == nil || hopeless(err) {
				return
			}
			select {
			case <-time.After(backoffMax):
			case <-ctx.Done():
			}
		}
	})
}

// reopen takes a new client with the id of the old one, as often as that needs.
// When it returns nil the former client's transaction has ended in some way.
func (w *writer) reopen(ctx context.Context) error {
	backoff := backoffMin
	for {
		err := w.open(ctx)
		if err == nil || ctx.Err() != nil || hopeless(err) {
			return err
		}
		w.o.log.Warn().Err(err).Msg("starting transactions: retried")
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
		}
		backoff = min(2*backoff, backoffMax)
	}
}

// move takes a new client with the next id that can be used. The former one's
// transaction will be aborted if it is not yet.
func (w *writer) move(ctx context.Context, group string) error {
	for range spareIDs {
		w.end(w.turn, group)
		w.turn, w.last, w.parts, w.unmarked = (w.turn+1)%spareIDs, unknown, nil, false
		err := w.open(ctx)
		if err == nil || ctx.Err() != nil || hopeless(err) {
			return err
		}
		w.o.log.Debug().Err(err).Msg("starting transactions with another id")
	}
	return w.reopen(ctx)
}

// open replaces the client, and has the broker end what its id has left open.
func (w *writer) open(ctx context.Context) error {
	w.close()
	if stop := w.left[w.turn]; stop != nil {
		stop()
		w.left[w.turn] = nil
	}
	opts := append(producerOptions(w.o.opts), kgo.TransactionalID(w.id(w.turn)), kgo.TransactionTimeout(transactionTimeout))
	client, err := kgo.NewClient(append(opts, w.packing.options(w.o)...)...)
	if err != nil {
		return fmt.Errorf("produce with transactional id %s: %w", w.id(w.turn), err)
	}
	try, cancel := context.WithTimeout(ctx, abortWithin)
	defer cancel()
	if _, _, err := client.ProducerID(try); err != nil {
		client.Close()
		return fmt.Errorf("produce with transactional id %s: %w", w.id(w.turn), w.explain(err))
	}
	w.client, w.known, w.packed = client, make(map[string]bool), w.packing
	return nil
}

func (w *writer) close() {
	if w.client != nil {
		w.client.Close()
		w.client = nil
	}
}

// hopeless says that no transaction can be begun, however often it is tried. A right
// that is missing may be granted, as it may be to a group.
func hopeless(err error) bool { return errors.Is(err, kerr.InvalidTransactionTimeout) }

// explain adds to a broker's answer what the operator can do about it.
func (w *writer) explain(err error) error {
	if hopeless(err) {
		return fmt.Errorf("%w; set transaction.max.timeout.ms of the brokers to %d or more", err, transactionTimeout.Milliseconds())
	}
	return connect.GrantTransactions(err, w.o.cfg.TransactionalID)
}

// purge has the client learn topics anew. It is not called within a transaction.
func (w *writer) purge(topics ...string) {
	if w.client != nil {
		w.client.PurgeTopicsFromProducing(topics...)
		for _, topic := range topics {
			delete(w.known, topic)
		}
	}
}

// refresh has the client look up the partitions of its topics.
func (w *writer) refresh() {
	if w.client != nil {
		w.client.ForceMetadataRefresh()
	}
}

// sure says whether it is certain that t is committed, when commit says so.
func (w *writer) sure(t *transaction) bool {
	return slices.ContainsFunc(t.items, func(it *item) bool { return w.known[it.trial.out.Topic] })
}

// learn notes that t is committed.
func (w *writer) learn(t *transaction) {
	last := ""
	for _, it := range t.items {
		if topic := it.trial.out.Topic; topic != last {
			w.known[topic], last = true, topic
		}
	}
}

// begin begins a transaction.
func (w *writer) begin(ctx context.Context) error {
	if w.client == nil {
		return errors.New("no producer")
	}
	if w.packed != w.packing {
		if err := w.open(ctx); err != nil {
			return err
		}
	}
	if err := w.client.BeginTransaction(); err != nil {
		return err
	}
	var err error
	try, cancel := context.WithTimeout(ctx, abortWithin)
	defer cancel()
	w.producer, w.epoch, err = w.client.ProducerID(try)
	return err
}

// commit commits the transaction together with offsets. refused is the
// coordinator's answer to them, if that is why it was not. Where errInDoubt is part
// of err the transaction may have been committed after all; otherwise it has yet to
// be aborted.
func (w *writer) commit(ctx context.Context, offsets *kmsg.TxnOffsetCommitRequest) (refused *kmsg.TxnOffsetCommitResponse, err error) {
	try, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	if id, epoch, err := w.client.ProducerID(try); err != nil || id != w.producer || epoch != w.epoch {
		return nil, fmt.Errorf("the producer has changed in the middle of a transaction: %w", errors.Join(err, kerr.InvalidProducerEpoch))
	}
	offsets.TransactionalID, offsets.ProducerID, offsets.ProducerEpoch = w.id(w.turn), w.producer, w.epoch
	resp, err := offsets.RequestWith(try, w.client)
	if err != nil {
		return nil, fmt.Errorf("commit offsets in a transaction: %w", err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return resp, fmt.Errorf("commit offsets of %s/%d in a transaction: %w", t.Topic, p.Partition, err)
			}
		}
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	err = w.client.EndTransaction(end, kgo.TryCommit)
	if err == nil || errors.Is(err, kerr.OperationNotAttempted) {
		return nil, err
	}
	return nil, fmt.Errorf("commit a transaction: %w: %w", errInDoubt, err)
}

// abort ends the transaction without a trace. It returns false when it is not
// certain that it has been: then the client is gone, and what was written with it
// has been answered.
func (w *writer) abort(ctx context.Context) bool {
	try, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortWithin)
	defer cancel()
	err := w.client.AbortBufferedRecords(try)
	if err == nil {
		err = w.client.EndTransaction(try, kgo.TryAbort)
	}
	if err != nil {
		w.o.log.Debug().Err(err).Msg("aborting a transaction: its producer is replaced")
		w.close()
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
