package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/levels"
)

// clusterFlags say what the cluster takes, and what the service may do there.
type clusterFlags struct {
	Profile      admin.Profile `placeholder:"KIND" default:"apache" help:"What the cluster refuses is left out: ${profiles} (default: ${default})."`
	OutageBudget time.Duration `type:"budget" placeholder:"D" default:"0" help:"For a service that may not delete what it has handled: how long it may be away before what waits is deleted; 0 keeps everything (default: ${default})."`
}

// profileNames are the words that --profile takes.
func profileNames() string {
	var names []string
	for _, p := range admin.Profiles() {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}

// shapeFlags say what the topics are to be like.
type shapeFlags struct {
	Partitions int32 `type:"partitions" placeholder:"N" default:"${partitions}" help:"Partitions of the topics that are created (default: ${default})."`
	Replicas   int16 `type:"replicas" placeholder:"N" default:"${replicas}" help:"Replicas of each partition; -1 is what the cluster does by itself (default: ${default})."`
	clusterFlags
}

// spec is what the flags say, of these levels and names.
func (f shapeFlags) spec(ladder levels.Ladder, names levels.Names) admin.Spec {
	return admin.Spec{
		Ladder: ladder, Names: names, Partitions: f.Partitions, Replicas: f.Replicas,
		Profile: f.Profile, OutageBudget: f.OutageBudget,
	}
}

// errToDo makes the exit code of a plan that is not empty.
var errToDo = errors.New("there is something to do")

type planCmd struct {
	topicFlags
	shapeFlags `set:"replicas=-1"`
}

// Run prints what provision would do, and what else differs. Nothing is changed.
func (c *planCmd) Run(ctx context.Context, con *console, config *cli, parsed *kong.Context) error {
	spec := c.spec(c.Levels, c.Prefix)
	if err := checkSpec(spec); err != nil {
		return err
	}
	return c.ask(ctx, func(cl *kgo.Client) error {
		known := findInstalled(ctx, cl, spec, config.given(parsed))
		if err := known.mayCreate(ctx, cl); err != nil {
			return err
		}
		known.goesBy(con, spec)
		steps, err := admin.Plan(ctx, cl, known.spec)
		if len(steps) == 0 { // the cluster did not answer
			return err
		}
		if err := errors.Join(c.print(con.out, steps), err); err != nil {
			return err
		}
		if steps.ToDo() {
			return loggedError{errToDo}
		}
		return nil
	})
}

// checkSpec finds flags that do not go together. What it says begins with the
// name of the one that is wrong.
func checkSpec(spec admin.Spec) error {
	if err := spec.Check(); err != nil {
		return usagef("--%w", err)
	}
	return nil
}

// planReport is a plan for programs.
type planReport struct {
	ToDo   bool        `json:"to_do"`
	Topics admin.Steps `json:"topics"`
}

func (c *planCmd) print(w io.Writer, steps admin.Steps) error {
	if c.json() {
		return printJSON(w, planReport{steps.ToDo(), steps})
	}
	t := newTable(w, table.Row{"Topic", "Action", "Setting", "Is", "Want", "Risk"})
	for _, s := range steps {
		t.AppendRows(planRows(s))
	}
	t.Render()
	printCommands(w, steps)
	return nil
}

// planRows are a line for each drift, and one where there is none.
func planRows(s admin.Step) (rows []table.Row) {
	why := s.Note
	if s.Err != nil {
		why = s.Err.Error()
	}
	if why != "" || len(s.Drifts) == 0 {
		rows = append(rows, table.Row{s.Topic, s.Action.String(), "", "", "", why})
	}
	for _, d := range s.Drifts {
		action := s.Action.String()
		if d.Fix == "" {
			action = admin.ActionNone.String()
		}
		rows = append(rows, table.Row{s.Topic, action, d.Setting, d.Got, d.Want, risk(d)})
	}
	return rows
}

// risk returns what may come of a drift, and of fixing it.
func risk(d admin.Drift) string {
	text := d.Risk
	if d.Unsafe {
		text = "UNSAFE: " + text
	}
	if d.Caution != "" {
		text += "; before fixing it: " + d.Caution
	}
	return text
}

// printCommands prints what does the plan: delayd itself where it can, and Kafka's
// own tools for all of it.
func printCommands(w io.Writer, steps admin.Steps) {
	if !steps.ToDo() {
		if steps.Err() == nil {
			fmt.Fprintln(w, "\nnothing to do")
		}
		return
	}
	create, fix := false, false
	var commands []string
	for _, s := range steps {
		commands = append(commands, s.Commands...)
		create = create || s.Action == admin.ActionCreate
		for _, d := range s.Drifts {
			fix = fix || d.Safe
		}
	}
	switch {
	case fix:
		fmt.Fprintln(w, "\n\"delayd admin provision --apply-config\", with the same flags, creates what is missing and fixes what is safe to fix.")
	case create:
		fmt.Fprintln(w, "\n\"delayd admin provision\", with the same flags, creates what is missing.")
	}
	if len(commands) > 0 {
		fmt.Fprintln(w, "With Kafka's own tools, all of it:")
	}
	for _, line := range commands {
		printLine(w, "%s", line)
	}
}

// parseBudget reads a delay, and takes a bare 0 for none.
func parseBudget(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	d, err := levels.ParseDelay(s)
	if err != nil {
		return 0, fmt.Errorf("%w, or 0 to keep everything", err)
	}
	return d, nil
}
