package transact

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/consume"
)

// pairIDs is how many transactional ids each of the two names of a loop has. A broker that
// cannot write the end of an aborted transaction to an unavailable target keeps its id busy until
// it can; then another id is used.
const pairIDs = 4

// The names of loops. The ids of a loop have either its name or that with nameNext.
const (
	NameDirect = "direct"
	NameParked = "parked"
	nameNext   = "-next"
)

// Producers are the transactional producers of one loop, each with an id of its own. One
// of them is in use at a time.
//
// A producer is not used again before the outcome of its last transaction is known. Where
// it is known the producer is released, else it is retired: the outcome is found out in
// the background while a spare takes its place.
//
// Two take turns, because for some milliseconds after the end of a transaction a broker
// refuses the same id's next one, and looks again only after 20
// (add.partitions.to.txn.retry.backoff.ms). The group keeps the offsets that were
// committed last, whichever id's transaction is marked as ended first.
type Producers struct {
	cfg      Config
	all      []*Producer
	former   []*Producer // with ids of former versions; they only have their transactions ended
	rotation rotation
}

// Config says what a loop's producers are.
type Config struct {
	Group  string // whose offsets the transactions commit
	Member string // begins the transactional ids, and those of other loops of the process
	Name   string // of the loop: NameDirect or NameParked
	// Client sends the requests that need no producer.
	Client *kgo.Client
	// Options returns how a producer's client reaches the cluster and packs records. What
	// Acquire is given chooses among variants of that.
	Options func(variant int) []kgo.Opt
	Log     zerolog.Logger
}

// New returns the producers of a loop. The search for outcomes ends with ctx, at the latest
// with Close.
func New(ctx context.Context, cfg Config) *Producers {
	ps := &Producers{cfg: cfg}
	for i := range pairIDs {
		for _, name := range []string{cfg.Name, cfg.Name + nameNext} {
			ps.all = append(ps.all, &Producer{cfg: &ps.cfg, ctx: ctx, id: transactionalID(cfg.Member, name, i)})
			ps.former = append(ps.former, &Producer{cfg: &ps.cfg, ctx: ctx, id: formerID(cfg.Member, name, i)})
		}
	}
	ps.rotation = newRotation(len(ps.all))
	return ps
}

// transactionalID is an id that no other producer has: a name has no slash, whatever the
// member is called.
func transactionalID(member, name string, i int) string {
	return fmt.Sprintf("%s/%s-%d", member, name, i+1)
}

// formerID is the id that the producer had in former versions, where the member n-2 used
// an id of the member n.
func formerID(member, name string, i int) string {
	id := member + strings.TrimPrefix("-"+name, "-"+NameDirect)
	if i == 0 {
		return id
	}
	return fmt.Sprintf("%s-%d", id, i+1)
}

// Start ends what a former process of the same member has left open, of a former version
// too: the group's offsets cannot be read before that. It opens the two producers that
// take turns.
func (ps *Producers) Start(ctx context.Context) error {
	for _, p := range slices.Concat(ps.all, ps.former) {
		outcome, begun, err := p.lastOutcome(ctx)
		if err == nil && !begun && slices.Contains(ps.former, p) {
			continue // do not bring a former id into being
		}
		// A fenced id has forgotten how its last transaction ended.
		if err == nil && outcome != consume.Unknown {
			if err := p.rewriteMarkers(ctx, outcome, nil); err == nil {
				continue
			}
		}
		if _, _, err := p.initProducerID(ctx); err != nil {
			ps.cfg.Log.Debug().Err(err).Str("transactional_id", p.id).Msg("ending a former transaction")
			p.findOut()
		}
	}
	if err := ps.current().reopen(ctx); err != nil {
		return err
	}
	return ps.following().reopen(ctx)
}

// current returns the producer that is in use, or will be.
func (ps *Producers) current() *Producer { return ps.all[ps.rotation[0]] }

// following returns the one that takes turns with it.
func (ps *Producers) following() *Producer { return ps.all[ps.rotation[1]] }

// Acquire begins a transaction and returns its producer. Its Ending or Abort follows, and
// then Release or Retire. A producer that cannot begin is retired, and the next one tried;
// after pairIDs of them Acquire keeps trying with the same one, until ctx ends.
func (ps *Producers) Acquire(ctx context.Context, variant int) (*Producer, error) {
	for range pairIDs {
		p := ps.current()
		err := p.begin(ctx, variant)
		if err == nil || ctx.Err() != nil || Hopeless(err) {
			return p, err
		}
		ps.cfg.Log.Debug().Err(err).Msg("beginning a transaction: its producer is replaced")
		ps.Retire()
	}
	p := ps.current()
	p.variant = variant
	if err := p.reopen(ctx); err != nil {
		return p, err
	}
	return p, p.begin(ctx, variant)
}

// Release gives the current producer back, whose transaction has ended in a known way.
func (ps *Producers) Release() { ps.rotation.swap() }

// Retire replaces the current producer: it is not known how its transaction ended, or the
// broker may not be able to end it. That is found out in the background.
func (ps *Producers) Retire() {
	p := ps.current()
	p.close()
	p.findOut()
	ps.rotation.replace(func(i int) bool { return ps.all[i].known() })
}

// BrokerGone notes that a broker has gone, and may not have marked the end of the last
// transaction of the producer that is not in use.
func (ps *Producers) BrokerGone() { ps.following().markersUncertain = true }

// RewriteMarkers makes brokers mark the ends of the last transactions once more. None may
// be under way.
func (ps *Producers) RewriteMarkers(ctx context.Context) {
	for _, p := range []*Producer{ps.current(), ps.following()} {
		p.markersUncertain = true
		p.settleMarkers(ctx)
	}
}

// ForgetTopics makes all producers learn topics anew. It is not called within a transaction.
func (ps *Producers) ForgetTopics(topics ...string) {
	for _, p := range ps.all {
		p.forgetTopics(topics...)
	}
}

// Refresh makes all producers look up the partitions of their topics.
func (ps *Producers) Refresh() {
	for _, p := range ps.all {
		p.refresh()
	}
}

// Close closes all clients and ends all searches.
func (ps *Producers) Close() {
	for _, p := range slices.Concat(ps.all, ps.former) {
		p.close()
		p.stopSearch()
	}
}

// rotation is the order in which producers are used, by their indices: the first two take
// turns, and the others are spare, the one that was retired last at the end.
type rotation []int

func newRotation(n int) rotation {
	t := make(rotation, n)
	for i := range t {
		t[i] = i
	}
	return t
}

// swap makes the second producer the first.
func (t rotation) swap() { t[0], t[1] = t[1], t[0] }

// replace moves the first producer to the end, and puts a spare in its place: the first
// that is ready, or else the one that was retired longest ago.
func (t rotation) replace(ready func(i int) bool) {
	spare := 2 + max(0, slices.IndexFunc(t[2:], ready))
	first := t[0]
	t[0] = t[spare]
	copy(t[spare:], t[spare+1:])
	t[len(t)-1] = first
}
