package main

import (
	"context"
	"errors"
	"io"

	"github.com/alecthomas/kong"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
)

// topicFlags are the flags of the commands that manage the topics.
type topicFlags struct {
	clientFlags
	nameFlags
	knownLadderFlags
	outputFlags
}

// ask calls do with a client of a cluster that has just answered.
func (f clientFlags) ask(ctx context.Context, do func(*kgo.Client) error) error {
	cl, err := f.connectTo(zerolog.Nop())
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := f.ping(ctx, cl); err != nil {
		return err
	}
	return do(cl)
}

type provisionCmd struct {
	topicFlags
	shapeFlags  `set:"replicas=-1"`
	ApplyConfig bool `help:"Set what differs on topics that exist, where that is safe: nothing is deleted, no limit made smaller, no partition added."`
}

// Run creates what is missing and prints what became of each topic. It fails
// where a topic is still missing, or would lose records.
func (c *provisionCmd) Run(ctx context.Context, con *console, config *cli, parsed *kong.Context) error {
	spec, bring := c.spec(c.Levels, c.Prefix), admin.Ensure
	if c.ApplyConfig {
		bring = admin.Apply
	}
	if err := checkSpec(spec); err != nil {
		return err
	}
	return c.ask(ctx, func(cl *kgo.Client) error {
		known := findInstalled(ctx, cl, spec, config.given(parsed))
		if err := known.mayCreate(ctx, cl); err != nil {
			return err
		}
		known.goesBy(con, spec)
		results, err := bring(ctx, cl, known.spec)
		if len(results) == 0 { // the cluster did not answer: nothing became of anything
			return err
		}
		return errors.Join(c.print(con.out, results), err)
	})
}

func (c *provisionCmd) print(w io.Writer, results admin.Results) error {
	if c.json() {
		return printJSON(w, results)
	}
	t := newTable(w, table.Row{"Topic", "Outcome", "Detail"})
	for _, r := range results {
		t.AppendRow(table.Row{r.Topic, r.Outcome, detail(r)})
	}
	t.Render()
	return nil
}

// detail is all there is to say of a topic, the reason of a failure first.
func detail(r admin.Result) string {
	switch {
	case r.Err == nil:
		return r.Detail
	case r.Detail == "":
		return r.Err.Error()
	}
	return r.Err.Error() + "; " + r.Detail
}
