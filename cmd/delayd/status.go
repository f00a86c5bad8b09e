package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/levels"
)

type statusCmd struct {
	Watch         bool          `help:"Look again every --interval, until Ctrl-C: on a terminal in one place, else a table or a line of JSON each time."`
	Interval      time.Duration `type:"interval" placeholder:"D" default:"2s" help:"The pause between two looks of --watch (default: ${default})."`
	FailOnOverdue time.Duration `type:"above-zero" placeholder:"D" help:"End with exit code 4, and say why, when something that is not paused has been overdue for longer than D, or nobody is there to deliver; with 1 when topics are missing."`
	Output        string        `type:"choice" short:"o" enum:"text,wide,json" default:"text" help:"text, wide (with topics, and who holds which partitions) or json."`
	clientFlags
	nameFlags
	knownLadderFlags
}

// Help is shown by kong below the flags.
func (statusCmd) Help() string {
	return "IN 1M, IN 10M and IN 1H are what becomes due in that time and is not due yet. " +
		"The counts come from offsets alone: a look costs the same whatever waits."
}

const (
	// lookTimeout bounds one look at the cluster.
	lookTimeout = 45 * time.Second
	// leastInterval is the shortest pause of --watch: each look asks every broker.
	leastInterval = 100 * time.Millisecond
)

// Run looks once, or until ctx ends.
func (c *statusCmd) Run(ctx context.Context, con *console, config *cli, parsed *kong.Context) error {
	return c.ask(ctx, func(cl *kgo.Client) error {
		look := (&look{cl: cl, cmd: c, given: config.given(parsed)}).now
		switch {
		case !c.Watch:
			report, err := look(ctx)
			if err != nil {
				return err
			}
			return c.show(con.out, report)
		case c.Output != "json" && isTerminal(con.in) && isTerminal(con.out):
			return c.onScreen(ctx, con, look)
		}
		return c.again(ctx, con, look)
	})
}

// parseInterval reads the pause between two looks.
func parseInterval(s string) (time.Duration, error) {
	d, err := levels.ParseDelay(s)
	if err == nil && d < leastInterval {
		err = fmt.Errorf("%q: each look asks every broker; write %s or more", s, leastInterval)
	}
	return d, err
}

// lookFunc looks at the cluster once.
type lookFunc func(context.Context) (statusReport, error)

// look is what each look at the cluster hands to the next.
type look struct {
	cl    *kgo.Client
	cmd   *statusCmd
	given givenFlags

	known    installed
	alarms   admin.Results
	verified time.Time // when these are from
}

// statusReport is what is on the topics, and which of them are not as they should be.
type statusReport struct {
	admin.Status
	Paused  []admin.Paused  `json:"paused,omitempty"`
	Alarms  admin.Results   `json:"alarms,omitempty"`
	Service *admin.Settings `json:"service,omitempty"` // as it has published

	unpaused error // why it is not known what is paused
	known    installed
	brokers  string // as a command of Kafka's own tools names them
}

// now counts. The topics' settings are checked as seldom as a running service
// does: that asks for the offsets of every group there is.
func (l *look) now(ctx context.Context) (statusReport, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	stale := time.Since(l.verified) >= watchEvery
	if stale {
		l.known = findInstalled(ctx, l.cl, admin.Spec{Ladder: l.cmd.Levels, Names: l.cmd.Prefix}, l.given)
	}
	status, err := admin.Inspect(ctx, l.cl, l.known.spec, time.Now())
	if err != nil {
		return statusReport{}, err
	}
	if stale {
		// However many partitions there are, that is no news here.
		spec := l.known.running()
		spec.Partitions = int32(status.Inbox.Partitions)
		results, _ := admin.Verify(ctx, l.cl, spec)
		l.alarms, l.verified = alarming(results), time.Now()
	}
	paused, unknown := admin.Pauses(ctx, l.cl, l.cmd.Prefix)
	report := statusReport{
		Status: status, Paused: paused, Alarms: l.alarms, Service: l.known.published, unpaused: unknown, known: l.known, brokers: l.cmd.String(),
	}
	report.leaveOutGuesses()
	return report, nil
}

// leaveOutGuesses takes out what would be said of levels that the service may not have,
// or may have.
func (r *statusReport) leaveOutGuesses() {
	if r.known.levels == certain {
		return
	}
	for i := range r.Levels {
		r.Levels[i].Retired = false
	}
	if r.known.levels != guessed {
		return
	}
	r.Levels = slices.DeleteFunc(r.Levels, func(l admin.TopicStatus) bool { return l.Partitions == 0 })
	r.Alarms = slices.DeleteFunc(slices.Clone(r.Alarms), func(a admin.Result) bool {
		_, level := r.known.spec.Names.LevelDelay(a.Topic)
		return level && !slices.ContainsFunc(r.Levels, func(l admin.TopicStatus) bool { return l.Topic == a.Topic })
	})
}

// alarming are the topics that are missing, or differ from what is wanted.
func alarming(results admin.Results) (alarms admin.Results) {
	for _, r := range results {
		if r.Outcome == admin.OutcomeDrifted || r.Outcome == admin.OutcomeFailed || r.Outcome == admin.OutcomeShared {
			alarms = append(alarms, r)
		}
	}
	return alarms
}

// show prints a report, and fails where it says what --fail-on-overdue asks about.
func (c *statusCmd) show(w io.Writer, report statusReport) error {
	if c.Output == "json" {
		if err := printJSON(w, report); err != nil {
			return err
		}
	} else {
		printStatus(w, report, c.Output == "wide")
	}
	return c.verdict(report)
}

// again prints one report after the other until ctx ends. A look that fails is noted,
// and tried again: but the first one has to succeed.
func (c *statusCmd) again(ctx context.Context, con *console, look lookFunc) error {
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	for first := true; ; first = false {
		report, err := look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil:
			con.note("%s  %v; trying again", clockTime(time.Now()), err)
		default:
			if c.Output != "json" {
				fmt.Fprintln(con.out, clockTime(report.At))
			}
			if err := c.show(con.out, report); err != nil {
				return err
			}
			if c.Output != "json" {
				fmt.Fprintln(con.out)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func clockTime(t time.Time) string { return t.Local().Format(time.TimeOnly) }

// verdict is an error where --fail-on-overdue asks for one.
func (c *statusCmd) verdict(report statusReport) error {
	if c.FailOnOverdue == 0 {
		return nil
	}
	if err := c.overdue(report); err != nil {
		return err
	}
	if line := report.unattended(); line != "" {
		return overdueError{errors.New(line)}
	}
	return report.absent()
}

// unattended says that no process is there to deliver, "" where one is. An inbox where nothing
// waits needs no router of its own: producers may write to the levels.
func (r statusReport) unattended() string {
	nobody := func(topics ...admin.TopicStatus) bool {
		there := slices.DeleteFunc(topics, func(t admin.TopicStatus) bool { return t.Partitions == 0 })
		return len(there) > 0 && !slices.ContainsFunc(there, func(t admin.TopicStatus) bool { return t.Members != 0 })
	}
	names := r.known.spec.Names
	var groups []string
	undelivered := nobody(append(slices.Clone(r.Levels), r.Parked)...)
	if nobody(r.Inbox) && (undelivered || r.Inbox.Pending > 0) {
		groups = append(groups, names.RouterGroup()+", which routes the inbox")
	}
	if undelivered {
		groups = append(groups, names.ForwarderGroup()+", which delivers")
	}
	if len(groups) == 0 {
		return ""
	}
	return "no process is a member of group " + strings.Join(groups, ", nor of ")
}

// nowhere is an error where there is no topic of the service at all.
func (r statusReport) nowhere() error {
	for _, t := range append(everyTopic(r.Status), r.Dead) {
		if t.Partitions > 0 {
			return nil
		}
	}
	return fmt.Errorf("there is no delayd with --prefix %s: none of its topics exists", r.known.spec.Names.Prefix)
}

// absent is an error where topics are missing without which nothing is known.
func (r statusReport) absent() error {
	if err := r.nowhere(); err != nil {
		return err
	}
	there := r.known.running().Ladder
	var missing []string
	for _, t := range append(everyTopic(r.Status), r.Dead) {
		if t.Partitions == 0 && (t.Level == "" || has(there, t.Level)) {
			missing = append(missing, t.Topic)
		}
	}
	switch {
	case len(missing) > 0:
		return fmt.Errorf("topics are missing: %s", listed(missing))
	case len(r.Levels) == 0:
		return fmt.Errorf("there is no topic of a level: %s…", r.known.spec.Names.LevelPrefix())
	}
	return nil
}

// overdueError marks what --fail-on-overdue asks about.
type overdueError struct{ error }

func (e overdueError) Unwrap() error { return e.error }

// overdue is an error where something has been overdue for longer than
// --fail-on-overdue, which says what and for how long. A record on the inbox that is
// not routed, and one that is parked, counts from when it got there. A level that is
// paused does not count, nor does what is parked while any target is paused.
func (c *statusCmd) overdue(report statusReport) error {
	s := report.Status
	var late []string
	for _, t := range everyTopic(s) {
		if report.paused(t) {
			continue
		}
		by, is := t.Late(s.At)
		n := t.Pending
		if t.Level != "" {
			n = t.Overdue
		}
		switch {
		case !is || by >= 0 && by <= c.FailOnOverdue:
		case by < 0:
			late = append(late, fmt.Sprintf("%s for a time that is not known (%s)", nameOf(s, t), plural(int(n), "record")))
		default:
			late = append(late, fmt.Sprintf("%s for %s (%s)", nameOf(s, t), roughly(by), plural(int(n), "record")))
		}
	}
	if len(late) == 0 {
		return nil
	}
	return overdueError{fmt.Errorf("overdue for longer than --fail-on-overdue %s: %s",
		levels.FormatDelay(c.FailOnOverdue), strings.Join(late, ", "))}
}

// paused reports whether what is late on a topic is so on purpose.
func (r statusReport) paused(t admin.TopicStatus) bool {
	return slices.ContainsFunc(r.Paused, func(p admin.Paused) bool {
		return p.Level != "" && p.Level == t.Level || p.Target != "" && t.Topic == r.Parked.Topic
	})
}

// everyTopic are the topics on which something can be late.
func everyTopic(s admin.Status) []admin.TopicStatus {
	return append(append([]admin.TopicStatus{s.Inbox}, s.Levels...), s.Parked)
}

// nameOf is what a topic is called in a sentence.
func nameOf(s admin.Status, t admin.TopicStatus) string {
	switch t.Topic {
	case s.Inbox.Topic:
		return "inbox"
	case s.Parked.Topic:
		return "parked"
	}
	return "level " + t.Level
}

// roughly is a time for people: to the second, and below a second to the millisecond.
func roughly(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}
