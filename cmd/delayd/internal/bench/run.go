package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// bench is a run on its way.
type bench struct {
	Config
	client *kgo.Client
	adm    *kadm.Client
	ladder levels.Ladder // of the service
	report *Report
	struck []*stage // to be removed in the end
}

// turn is one contender in one round, in one of the ways that the scenario has.
type turn struct {
	kind  Kind
	label string
	round int
}

func (t turn) String() string {
	name := string(t.kind)
	if t.label != "" {
		name += ", " + t.label
	}
	return name
}

// Run runs what cfg asks for. Where it fails on the way, the report is of what
// was run until then; it is nil where nothing was.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg, ladder, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	client, err := newClient(cfg.Opts)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	b := &bench{Config: cfg, client: client, adm: kadm.NewClient(client), ladder: ladder}
	cluster, err := describeCluster(ctx, client)
	if err != nil {
		return nil, err
	}
	if cluster.Embedded && cfg.Sick {
		return nil, fmt.Errorf("bench: a sick target is one that does not exist, and on the embedded broker the service creates it; use a Kafka cluster")
	}
	b.report = &Report{
		Started: time.Now(), Version: version(), Machine: describeMachine(), Cluster: cluster,
		Clock: clock(cluster), Load: cfg.Load, Delivery: cfg.Delivery, Notes: cfg.notes(),
	}
	defer b.removeStages(ctx)
	for round := 1; round <= cfg.Rounds; round++ {
		for _, t := range b.turns(round) {
			results, err := b.take(ctx, t)
			b.report.Runs = append(b.report.Runs, results...)
			if err != nil {
				b.report.summarise()
				return b.report, fmt.Errorf("round %d of %s: %w", round, t, err)
			}
		}
	}
	b.report.summarise()
	return b.report, nil
}

// removeStages deletes the topics of steady loads. Brokers delete files a minute
// after they are told to, which would be in the middle of another contender's run.
func (b *bench) removeStages(ctx context.Context) {
	for _, s := range b.struck {
		s.remove(ctx)
	}
}

// turns are who runs in a round, in the order of it. Every other round goes the
// other way round, so that whoever runs first has no lasting advantage.
func (b *bench) turns(round int) []turn {
	var turns []turn
	for _, kind := range b.Contenders {
		for _, label := range b.labels(kind) {
			turns = append(turns, turn{kind, label, round})
		}
	}
	if round%2 == 0 {
		slices.Reverse(turns)
	}
	return turns
}

// labels are the ways in which a contender runs.
func (b *bench) labels(kind Kind) []string {
	switch {
	case kind != Delayd:
		return []string{""}
	case b.Flood > 0:
		return []string{LabelAlone, LabelFlood}
	case b.Sick:
		return []string{LabelAlone, LabelSick}
	case b.Cancel > 0:
		return []string{LabelAlone, LabelCancel}
	case b.Kills > 0:
		return []string{LabelKilled}
	}
	return []string{""}
}

// take runs one turn. Beside a flood it has two results.
func (b *bench) take(ctx context.Context, t turn) ([]Result, error) {
	b.Log.Info().Stringer("contender", t).Int("round", t.round).Int("of", b.Rounds).Msg("starting")
	var results []Result
	var err error
	switch {
	case t.label == LabelFlood:
		results, err = b.flooded(ctx, t)
	case b.Load.Scenario == Steady:
		results, err = one(b.steady(ctx, t))
	case b.Load.Scenario == Backlog:
		results, err = one(b.backlog(ctx, t))
	default:
		results, err = one(b.pending(ctx, t))
	}
	for i := range results {
		results[i].Contender, results[i].Round = t.kind, t.round
	}
	return results, err
}

func one(r Result, err error) ([]Result, error) {
	if err != nil {
		return nil, err
	}
	return []Result{r}, nil
}

// say names what is being done now, for the progress.
func (b *bench) say(t turn, what string) string {
	return fmt.Sprintf("%d/%d %s: %s", t.round, b.Rounds, t, what)
}

// note tells the reader of the report something that came out on the way, once.
func (b *bench) note(sentence string) {
	if !slices.Contains(b.report.Notes, sentence) {
		b.report.Notes = append(b.report.Notes, sentence)
	}
}
