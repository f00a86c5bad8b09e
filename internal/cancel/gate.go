package cancel

import (
	"cmp"
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
	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/offsets"
)

const (
	// Notice is how long before its due time a cancel has to be accepted to hold in any
	// case.
	Notice = time.Second

	// lookEvery is how often the gate looks while records ask for it.
	lookEvery = 250 * time.Millisecond
	// passedEvery is how often it asks again whether the router has passed what the inbox
	// had accepted, until that has taken passedFor.
	passedEvery = 25 * time.Millisecond
	passedFor   = time.Second
	// openFor is how long an installation without an inbox, or without a cancel topic,
	// counts as one.
	openFor = 10 * time.Second
	// heldLog is how long records are held until the log says so, and readyAfter until the
	// process is unready.
	heldLog    = 2 * time.Second
	readyAfter = 5 * time.Second
	// heldLogAgain is the pause between two such lines of the log.
	heldLogAgain = 30 * time.Second
	// readTimeout bounds the wait for the marks.
	readTimeout = 30 * time.Second
)

// Gate knows up to which time all cancels are known that the inbox has accepted, for each of
// its partitions. It looks while records ask for it, and never otherwise: at the end of the inbox,
// until the router's group has seen that (consume.NotedUpTo), and at the end of the cancel topic,
// until the marks are read to there. All that the inbox had accepted before the look is known then.
type Gate struct {
	inbox, group string
	marks        *Marks
	opts         []kgo.Opt
	log          zerolog.Logger

	want  chan struct{} // has room for one
	known atomic.Pointer[known]
	open  atomic.Pointer[time.Time] // until then nothing can be cancelled
	since atomic.Pointer[time.Time] // records have been held from then on; nil: none are
	last  atomic.Pointer[time.Time] // when one was held last
	cause atomic.Pointer[error]     // why something is not known
}

// known is up to which times of this host all cancels are known.
type known struct {
	partitions []time.Time // of the inbox
	// all is the least of them, but for partitions that stand still.
	all time.Time
}

// of returns up to when the cancels of a record are known whose own cancels come by a
// partition of the inbox; below 0: by any. A zero time is none.
func (k *known) of(partition int32) time.Time {
	if partition >= 0 && int(partition) < len(k.partitions) && k.partitions[partition].Before(k.all) {
		return k.partitions[partition]
	}
	return k.all
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
// turns a time of this host into one by which due counts. partition is that of the inbox by which
// the record came, or would have come; below 0: not known. Where they are not the record is held.
//
// All partitions of the inbox count, as a cancel without a key, or from a client with another
// partitioner, comes by any. One that stalls counts only for its own records: an error there must
// not stop everybody.
func (g *Gate) Knows(due time.Time, partition int32, clock func(time.Time) time.Time) bool {
	if k := g.known.Load(); k != nil {
		if at := k.of(partition); !at.IsZero() && !clock(at).Before(due.Add(-Notice)) { // no clock can tell the zero time
			return true
		}
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
	p := newPassing()
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
		err := g.look(ctx, adm, p)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			g.cause.Store(nil)
			g.since.Store(nil)
		} else {
			g.cause.Store(&err)
			if now := time.Now(); g.Held(now) > heldLog && now.Sub(logged) > heldLogAgain {
				logged = now
				g.log.Warn().Err(err).Msg("holding records with a delay-id: it is not known which are cancelled")
			}
		}
		wait := lookEvery
		if p.waits(time.Now(), passedFor) { // the router commits every 100 ms
			wait = passedEvery
			g.Want()
		}
		select {
		case <-time.After(max(0, wait-time.Since(begun))):
		case <-ctx.Done():
			return
		}
	}
}

// look finds out what is known. Its error says what is not.
func (g *Gate) look(ctx context.Context, adm *kadm.Client, p *passing) error {
	begun := time.Now()
	// Not the last stable offsets: a cancel behind an open transaction of somebody else is
	// accepted, and the router can't read it yet.
	ends, err := adm.ListEndOffsets(ctx, g.inbox)
	fault := offsets.ListFault(ends, err)
	if fault != nil && !answered(ends[g.inbox]) {
		if errors.Is(fault, kerr.UnknownTopicOrPartition) {
			g.opened()
			return nil
		}
		return fmt.Errorf("look up the end of the inbox: %w", connect.GrantTopic(fault, connect.Describe, g.inbox))
	}
	commits, err := adm.FetchOffsets(ctx, g.group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("look up the offsets of group %s: %w", g.group, connect.GrantGroup(err, connect.Describe, g.group))
	}
	starts, _ := adm.ListStartOffsets(ctx, g.inbox) // what was handled is deleted, also where its commit is
	meta, err := adm.Metadata(ctx, g.inbox)
	if err != nil {
		return fmt.Errorf("look up the partitions of the inbox: %w", err)
	}
	inbox := meta.Topics[g.inbox]
	count := len(ends[g.inbox])
	if fault != nil { // there is no answer for some
		count = len(inbox.Partitions)
	}
	if count == 0 {
		return fmt.Errorf("look up the end of the inbox: topic %s has no partitions", g.inbox)
	}
	now := make([]spot, count)
	for n := range now {
		end, known := ends.Lookup(g.inbox, int32(n))
		now[n] = spot{end: end.Offset, away: !known || end.Err != nil}
		if start, ok := starts.Lookup(g.inbox, int32(n)); ok && start.Err == nil {
			now[n].passed = max(0, start.Offset)
		}
		if c, ok := commits.Lookup(g.inbox, int32(n)); ok && c.Err == nil && !consume.Outdated(c.Metadata, inbox.ID, meta.Cluster) {
			now[n].passed = max(now[n].passed, consume.NotedUpTo(c.At, c.Metadata))
		}
	}
	k, lagging := p.look(now, begun, g.marks.stalls())
	read, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	ok, err := g.marks.Read(read, true)
	if err != nil {
		return err
	}
	if !ok {
		g.opened()
		return nil
	}
	g.known.Store(k)
	switch {
	case lagging < 0:
		return nil
	case now[lagging].away:
		return fmt.Errorf("look up the end of %s/%d: %w", g.inbox, lagging, cmp.Or(fault, errNoAnswer))
	}
	return fmt.Errorf("group %s (the router) is at %d of %s/%d, whose end is %d", g.group, now[lagging].passed, g.inbox, lagging, now[lagging].end)
}

var errNoAnswer = errors.New("no answer")

// answered reports whether there is an answer for some partition. Where there is none for
// others, as their leader is away, these alone are held up.
func answered(partitions map[int32]kadm.ListedOffset) bool {
	for _, o := range partitions {
		if o.Err == nil {
			return true
		}
	}
	return false
}

func (g *Gate) opened() {
	until := time.Now().Add(openFor)
	g.open.Store(&until)
}
