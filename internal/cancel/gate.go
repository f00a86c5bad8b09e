package cancel

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/offsets"
)

const (
	// Notice is how long before its due time a cancel has to be accepted to hold in any
	// case.
	Notice = time.Second

	// lookEvery is how often the gate looks while records ask for it.
	lookEvery = 250 * time.Millisecond
	// passedEvery is how often it asks again whether the router has passed what the inbox
	// had accepted.
	passedEvery = 25 * time.Millisecond
	// openFor is how long an installation without an inbox, or without a cancel topic,
	// counts as one.
	openFor = 10 * time.Second
	// heldLog is how long records are held until the log says so, and readyAfter until the
	// process is unready.
	heldLog    = 2 * time.Second
	readyAfter = 5 * time.Second
	// lookTimeout bounds the wait for the marks, and how long an end of the inbox is waited
	// for before it is looked whether the inbox still reaches so far.
	lookTimeout = 30 * time.Second
)

// Gate knows up to which time all cancels are known that the inbox has accepted. It looks while
// records ask for it, and never otherwise: at the end of the inbox, until the router's
// group has committed that, and at the end of the cancel topic, until the marks are read to
// there. All that the inbox had accepted before the look is known then.
type Gate struct {
	inbox, group string
	marks        *Marks
	opts         []kgo.Opt
	log          zerolog.Logger

	want  chan struct{}             // has room for one
	known atomic.Pointer[time.Time] // all that was accepted before it is known; host clock
	open  atomic.Pointer[time.Time] // until then nothing can be cancelled
	since atomic.Pointer[time.Time] // records have been held from then on; nil: none are
	last  atomic.Pointer[time.Time] // when one was held last
	cause atomic.Pointer[error]     // why the look under way does not end
}

// NewGate returns a gate for the records that an inbox had accepted, which the group reads.
func NewGate(inbox, group string, marks *Marks, log zerolog.Logger, opts ...kgo.Opt) *Gate {
	return &Gate{inbox: inbox, group: group, marks: marks, opts: opts, log: log, want: make(chan struct{}, 1)}
}

// Want has the gate look, as a record is due soon.
func (g *Gate) Want() {
	select {
	case g.want <- struct{}{}:
	default:
	}
}

// Knows reports whether all cancels are known that were accepted Notice before due. clock
// turns a time of this host into one by which due counts. Where they are not the record is held.
func (g *Gate) Knows(due time.Time, clock func(time.Time) time.Time) bool {
	if known := g.known.Load(); known != nil && !clock(*known).Before(due.Add(-Notice)) {
		return true
	}
	if seeded.openGate {
		return true
	}
	now := time.Now()
	if open := g.open.Load(); open != nil && now.Before(*open) {
		return true
	}
	g.last.Store(&now)
	if g.since.Load() == nil {
		g.since.Store(&now)
	}
	g.Want()
	return false
}

// Held returns how long records have been held, 0 for not at all.
func (g *Gate) Held(now time.Time) time.Duration {
	since, last := g.since.Load(), g.last.Load()
	if since == nil || last == nil || now.Sub(*last) > time.Second {
		return 0
	}
	return now.Sub(*since)
}

// Ready returns an error while records are held for long.
func (g *Gate) Ready() error {
	if err := g.marks.ready(time.Now()); err != nil {
		return err
	}
	held := g.Held(time.Now())
	if held < readyAfter {
		return nil
	}
	return fmt.Errorf("records with a delay-id have been held for %v, as it is not known which are cancelled: %w",
		held.Round(time.Second), g.reason())
}

func (g *Gate) reason() error {
	if cause := g.cause.Load(); cause != nil {
		return *cause
	}
	return errors.New("the look at the inbox has not ended")
}

// Start looks in a goroutine of its own, which stop ends and waits for.
func (g *Gate) Start(ctx context.Context) (stop func(), err error) {
	client, err := kgo.NewClient(append(connect.Timing(), g.opts...)...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.run(ctx, kadm.NewClient(client))
	}()
	return func() { cancel(); <-ended; client.Close() }, nil
}

func (g *Gate) run(ctx context.Context, adm *kadm.Client) {
	var logged time.Time
	for {
		select {
		case <-g.want:
		case <-ctx.Done():
			return
		}
		if held := g.Held(time.Now()); held == 0 {
			g.since.Store(nil)
		}
		begun := time.Now()
		err := g.look(ctx, adm, func(cause error) {
			g.cause.Store(&cause)
			if now := time.Now(); g.Held(now) > heldLog && now.Sub(logged) > lookTimeout {
				logged = now
				g.log.Warn().Err(cause).Msg("holding records with a delay-id: it is not known which are cancelled")
			}
		})
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			g.cause.Store(nil)
			g.since.Store(nil)
		}
		select {
		case <-time.After(max(0, lookEvery-time.Since(begun))):
		case <-ctx.Done():
			return
		}
	}
}

// look finds out what is known. waits is called with what it waits for, again and again.
func (g *Gate) look(ctx context.Context, adm *kadm.Client, waits func(error)) error {
	begun := time.Now()
	ends, err := adm.ListCommittedOffsets(ctx, g.inbox)
	if err = offsets.ListFault(ends, err); err != nil {
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			g.opened()
			return nil
		}
		err = fmt.Errorf("look up the end of the inbox: %w", connect.GrantTopic(err, connect.Describe, g.inbox))
		waits(err)
		return err
	}
	for checked := begun; ; {
		behind := g.behind(ctx, adm, ends)
		if behind == nil {
			break
		}
		waits(behind)
		if now := time.Now(); now.Sub(checked) > lookTimeout {
			checked = now
			g.shorten(ctx, adm, ends)
		}
		select {
		case <-time.After(passedEvery):
		case <-ctx.Done():
			return behind
		}
	}
	read, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	ok, err := g.marks.Read(read, true)
	if err != nil {
		waits(err)
		return err
	}
	if !ok {
		g.opened()
		return nil
	}
	g.known.Store(&begun)
	return nil
}

// shorten lowers ends to what the inbox has now: it may have been deleted and created again.
func (g *Gate) shorten(ctx context.Context, adm *kadm.Client, ends kadm.ListedOffsets) {
	listed, err := adm.ListCommittedOffsets(ctx, g.inbox)
	if offsets.ListFault(listed, err) != nil {
		return
	}
	for topic, partitions := range ends {
		for p, end := range partitions {
			if o, _ := listed.Lookup(topic, p); o.Offset < end.Offset {
				end.Offset = o.Offset
				partitions[p] = end
			}
		}
	}
}

func (g *Gate) opened() {
	until := time.Now().Add(openFor)
	g.open.Store(&until)
}

// behind returns why the router has not passed what the inbox had accepted, nil when it has.
func (g *Gate) behind(ctx context.Context, adm *kadm.Client, ends kadm.ListedOffsets) error {
	commits, err := adm.FetchOffsets(ctx, g.group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("look up the offsets of group %s: %w", g.group, connect.GrantGroup(err, connect.Describe, g.group))
	}
	var late []kadm.ListedOffset
	ends.Each(func(end kadm.ListedOffset) {
		c, ok := commits.Lookup(end.Topic, end.Partition)
		if end.Offset > 0 && (!ok || c.Err != nil || c.At < end.Offset) {
			late = append(late, end)
		}
	})
	if len(late) == 0 {
		return nil
	}
	starts, err := adm.ListStartOffsets(ctx, g.inbox) // what was handled is deleted, also where its commit is
	if err = offsets.ListFault(starts, err); err != nil {
		return fmt.Errorf("look up the start of the inbox: %w", connect.GrantTopic(err, connect.Describe, g.inbox))
	}
	for _, end := range late {
		if start, ok := starts.Lookup(end.Topic, end.Partition); ok && start.Offset >= end.Offset {
			continue
		}
		c, _ := commits.Lookup(end.Topic, end.Partition)
		return fmt.Errorf("group %s (the router) is at %d of %s/%d, which had %d", g.group, max(0, c.At), end.Topic, end.Partition, end.Offset)
	}
	return nil
}
