package main

import (
	"context"
	"errors"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
)

// topicFlags are the flags of the commands that look after the topics.
type topicFlags struct {
	clientFlags
	nameFlags
	ladderFlags
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
	Partitions int32 `type:"partitions" placeholder:"N" default:"${partitions}" help:"Partitions of the topics that are created (default: ${default})."`
	Replicas   int16 `type:"replicas" placeholder:"N" default:"-1" help:"Replicas of each partition; -1 is what the cluster does by itself (default: ${default})."`
}

// Run creates what is missing and prints what became of each topic. It fails
// where a topic is still missing, or would lose records.
func (c *provisionCmd) Run(ctx context.Context, con *console) error {
	spec := admin.Spec{Ladder: c.Levels, Names: c.Prefix, Partitions: c.Partitions, Replicas: c.Replicas}
	return c.ask(ctx, func(cl *kgo.Client) error {
		results, err := admin.Ensure(ctx, cl, spec)
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
