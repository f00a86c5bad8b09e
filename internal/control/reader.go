package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/unpack"
)

const (
	// fetchWait is how long an idle fetch waits at the broker. The first record ends
	// it, so that a pause is heard of at once; lower costs an idle service requests.
	fetchWait = 30 * time.Second
	// retryEvery is how often the reader retries a topic that does not exist or
	// cannot be read. Nothing is paused then.
	retryEvery = 10 * time.Second
	// loadWithin is how long the start of deliveries waits for what is paused: so
	// long a restart with a broker away may take. After it they start as if nothing
	// were, because a topic that only stops things must not stop everything; unless
	// what is paused is required, when each so long is one line of the log.
	loadWithin = 30 * time.Second
)

// Reader follows what is paused.
type Reader struct {
	topic    string
	required bool
	opts     []kgo.Opt
	log      zerolog.Logger
	changed  func(State)
	state    State         // owned by run
	told     string        // the last error that was logged; owned by run
	loaded   chan struct{} // closed when the state of the start is known
}

// NewReader returns a reader of a topic; Start starts it. changed is called with the
// first state and each one after it. While the topic has not been read, nothing counts
// as paused, or all does where it is required: then [Reader.Loaded] waits until it has.
func NewReader(topic string, required bool, log zerolog.Logger, changed func(State), opts ...kgo.Opt) *Reader {
	return &Reader{topic: topic, required: required, opts: opts, log: log, changed: changed, loaded: make(chan struct{})}
}

// Start follows in a goroutine of its own, which stop ends and waits for. It goes on
// when ctx has ended: what is paused stays so while the last records are handled.
func (r *Reader) Start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.run(ctx)
	}()
	return func() { cancel(); <-ended }
}

func (r *Reader) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if absent(err) && !r.required {
			r.publish() // nothing is paused, as far as anybody can tell
		}
		r.tell(err)
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
		}
	}
}

// tell logs an error of following once.
func (r *Reader) tell(err error) {
	if err == nil || err.Error() == r.told {
		return
	}
	r.told = err.Error()
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		r.log.Info().Str("topic", r.topic).Msg("there is no topic that says what is paused: nothing can be paused until delayd admin provision creates it")
		return
	}
	r.log.Warn().Err(err).Msg("reading what is paused: retried")
}

// absent says that the topic is not there, or not for us.
func absent(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || connect.Denied(err)
}

// Loaded waits until what is paused is known, or has been waited for long enough.
func (r *Reader) Loaded(ctx context.Context) error {
	for {
		timer := time.NewTimer(loadWithin)
		select {
		case <-r.loaded:
			timer.Stop()
			return nil
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		if !r.required {
			r.log.Error().Str("topic", r.topic).Msg("cannot read what is paused; starting with nothing paused")
			return nil
		}
		r.log.Error().Str("topic", r.topic).Msg("cannot read what is paused; delivering nothing until it can be read (--require-control)")
	}
}

// Ready returns an error while deliveries wait for what is paused.
func (r *Reader) Ready() error {
	select {
	case <-r.loaded:
	default:
		if r.required {
			return fmt.Errorf("what is paused is not known: topic %s has not been read yet (--require-control)", r.topic)
		}
	}
	return nil
}

// publish tells the state.
func (r *Reader) publish() {
	r.changed(r.state)
	select {
	case <-r.loaded:
	default:
		close(r.loaded)
	}
}

// follow reads the topic from its start, publishes what it says when the end is
// reached, and then whatever comes. It returns when it cannot go on.
func (r *Reader) follow(ctx context.Context) error {
	var room unpack.Room
	client, err := kgo.NewClient(append(append(connect.Timing(), r.opts...), kgo.FetchMaxWait(fetchWait),
		kgo.WithDecompressor(unpack.New(&room, nil)),
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()), kgo.KeepControlRecords())...) // see replay
	if err != nil {
		return err
	}
	defer client.Close()
	left, err := span(ctx, client, r.topic)
	if err != nil {
		return err
	}
	// Not before: clients that may create topics would create this one.
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: {0: kgo.NewOffset().AtStart()}})
	r.told = "" // it can be read again
	all := newReplay()
	for {
		if left.next >= left.end {
			r.state = all.snapshot()
			r.publish()
		}
		fetches := client.PollFetches(ctx)
		room.Reset()
		if err := fetches.Err(); err != nil && !errors.Is(err, unpack.ErrNoRoom) { // fetched again
			return fmt.Errorf("read %s: %w", r.topic, connect.GrantTopic(err, connect.Read, r.topic))
		}
		for _, rec := range fetches.Records() {
			if err := all.take(rec); err != nil {
				r.log.Warn().Err(err).Msg("what is paused: record ignored")
			}
			left.next = rec.Offset + 1
		}
	}
}

// bounds are the offsets of the records that a topic has.
type bounds struct{ next, end int64 }

// span is what there is on a topic of one partition.
func span(ctx context.Context, client *kgo.Client, topic string) (b bounds, err error) {
	adm := kadm.NewClient(client)
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err = offsets.ListFault(starts, err); err != nil {
		return b, fmt.Errorf("look for what is paused: %w", connect.GrantTopic(err, connect.Read, topic))
	}
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err = offsets.ListFault(ends, err); err != nil {
		return b, fmt.Errorf("look for what is paused: %w", connect.GrantTopic(err, connect.Read, topic))
	}
	start, _ := starts.Lookup(topic, 0)
	end, _ := ends.Lookup(topic, 0)
	return bounds{start.Offset, end.Offset}, nil
}

// Read returns what is paused now. Without the topic nothing is.
func Read(ctx context.Context, topic string, opts ...kgo.Opt) (state State, err error) {
	read, done := context.WithCancel(ctx)
	defer done()
	r := NewReader(topic, false, zerolog.Nop(), func(s State) { state = s; done() }, opts...)
	if err = r.follow(read); read.Err() != nil && ctx.Err() == nil || errors.Is(err, kerr.UnknownTopicOrPartition) {
		err = nil
	}
	return state, err
}
