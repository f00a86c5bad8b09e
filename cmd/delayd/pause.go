package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/describe"
)

// pausableFlags say what is paused or resumed.
type pausableFlags struct {
	clientFlags
	nameFlags
	Level  time.Duration `type:"above-zero" xor:"what" required:"" placeholder:"LEVEL" help:"A level, as in 5m."`
	Target string        `type:"topic" xor:"what" required:"" placeholder:"TOPIC" help:"A topic that is delivered to."`
}

// ask calls do with what is meant, and a client of a cluster that has just answered.
func (f *pausableFlags) ask(ctx context.Context, do func(*kgo.Client, admin.Paused) error) error {
	cl, err := f.connectTo(zerolog.Nop(), kgo.RecordDeliveryTimeout(answerTimeout), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := f.ping(ctx, cl); err != nil {
		return err
	}
	what := admin.TargetOf(f.Target)
	if f.Level > 0 {
		what = admin.LevelOf(f.Level)
	}
	return do(cl, what)
}

type pauseCmd struct {
	pausableFlags
	Reason string `placeholder:"TEXT" help:"Reason, shown by \"delayd admin status\"."`
}

// Run pauses a level or a target.
func (c *pauseCmd) Run(ctx context.Context, con *console) error {
	return c.ask(ctx, func(cl *kgo.Client, what admin.Paused) error {
		what.Reason = c.Reason
		if err := c.mustExist(ctx, cl, c.Prefix.Control()); err != nil {
			return err
		}
		if err := admin.Pause(ctx, cl, c.Prefix, what); err != nil {
			return err
		}
		printLine(con.out, "%v is paused, until delayd admin resume; running instances stop within a second or so", what)
		if what.Target != "" {
			if _, exists, err := c.lookUp(ctx, cl, what.Target); err == nil && !exists {
				con.note("there is no topic %s: is that its name? delayd admin resume --target %[1]s takes this back", what.Target)
			}
		}
		if why := forgotten(ctx, cl, c.Prefix.Control()); why != "" {
			con.note("%s; delayd admin plan says what to set", why)
		}
		return nil
	})
}

// forgotten says why a pause will be forgotten, "" where it is kept, or where the settings of
// its topic cannot be read.
func forgotten(ctx context.Context, cl *kgo.Client, topic string) string {
	all, err := describe.Configs(ctx, cl, kmsg.ConfigResourceTypeTopic, topic)
	policy := all[topic].Values["cleanup.policy"]
	if err != nil || !strings.Contains(policy, "delete") {
		return ""
	}
	return fmt.Sprintf("topic %s has cleanup.policy=%s: this is forgotten when the brokers delete its record", topic, policy)
}

type resumeCmd struct{ pausableFlags }

// Run takes a pause back.
func (c *resumeCmd) Run(ctx context.Context, con *console) error {
	return c.ask(ctx, func(cl *kgo.Client, what admin.Paused) error {
		paused, err := admin.Pauses(ctx, cl, c.Prefix)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(paused, func(p admin.Paused) bool { return p.Level == what.Level && p.Target == what.Target }) {
			if err := c.mustExist(ctx, cl, c.Prefix.Control()); err != nil {
				return err
			}
			printLine(con.out, "%v was not paused; %s", what, listPaused(paused))
			return nil
		}
		if err := admin.Resume(ctx, cl, c.Prefix, what); err != nil {
			return err
		}
		printLine(con.out, "%v is resumed; what is overdue is delivered in order", what)
		return nil
	})
}

// listPaused names what is paused.
func listPaused(paused []admin.Paused) string {
	if len(paused) == 0 {
		return "nothing is"
	}
	words := make([]string, len(paused))
	for i, p := range paused {
		words[i] = p.String()
	}
	return "paused: " + strings.Join(words, ", ")
}

// pausedLines say what is paused, since when and why.
func pausedLines(paused []admin.Paused, now time.Time) (lines []string) {
	for _, p := range paused {
		reason := ""
		if p.Reason != "" {
			reason = ": " + p.Reason
		}
		lines = append(lines, fmt.Sprintf("paused: %v, for %v%s", p, now.Sub(p.Since).Round(time.Second), reason))
	}
	return lines
}
