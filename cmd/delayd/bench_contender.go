package main

import (
	"context"
	"fmt"
	"time"

	"github.com/delayd-io/delayd/cmd/delayd/internal/bench"
	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/security"
)

// benchContenderCmd is a yardstick of "delayd bench", which runs each in a
// process of its own as it runs the service.
type benchContenderCmd struct {
	Kind    bench.Kind `arg:"" help:"copy, loop or naive."`
	Brokers brokerList `required:"" placeholder:"HOST:PORT,..." help:"Kafka brokers to start from."`
	securityFlags
	From  []string        `required:"" sep:"none" placeholder:"TOPIC" help:"A topic to read; repeatable."`
	Delay []time.Duration `sep:"none" placeholder:"D" help:"How long the records of each topic wait."`
	To    string          `required:"" type:"topic" placeholder:"TOPIC" help:"The topic to write."`
	Group string          `required:"" placeholder:"GROUP" help:"The group to read in."`
}

// Run runs until ctx ends, and says on a line of its own when it has begun.
func (c *benchContenderCmd) Run(ctx context.Context, con *console) error {
	log := logFlags{LogLevel: "error", LogFormat: "auto"}.logger(con.err)
	secure, err := c.secure(log, security.DialTimeout)
	if err != nil {
		return err
	}
	return bench.RunYardstick(ctx, c.Kind, bench.YardstickConfig{
		Opts: append(connect.Options(c.Brokers, "delayd-bench-"+string(c.Kind), log), secure...),
		From: c.From, Delays: c.Delay, To: c.To, Group: c.Group,
		Ready: func() { fmt.Fprintln(con.out, bench.ReadyLine) },
	})
}
