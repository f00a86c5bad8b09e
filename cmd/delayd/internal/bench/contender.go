package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/delayd-io/delayd/internal/harness"
	"github.com/delayd-io/delayd/internal/process"
	"github.com/delayd-io/delayd/levels"
)

const (
	// startWait is how long a contender may take until it is ready: a group's
	// first join alone takes three seconds on a broker with Kafka's defaults.
	startWait = time.Minute
	// readyEvery is how often the service is asked whether it is ready.
	readyEvery = 20 * time.Millisecond
	// instance names the service in its groups, the same after a kill.
	instance = "bench"
)

// contender is who is measured in one run: a process, and after a kill the next
// one, with what all of them have used.
type contender struct {
	kind    Kind
	program string
	environ []string // beside ours; see Config
	args    []string
	http    string // where the service listens; "" before it is started, and for yardsticks
	*child
	used  time.Duration // CPU time of those that were killed
	peaks float64       // the greatest peak of theirs, in MiB
}

// contender is how someone is started on a stage.
func (b *bench) contender(s *stage, kind Kind) *contender {
	c := &contender{kind: kind, program: b.Program, environ: b.Environ}
	if kind == Delayd {
		c.args = b.serveArgs(s)
	} else {
		c.args = b.yardstickArgs(s, kind)
	}
	return c
}

func (b *bench) serveArgs(s *stage) []string {
	args := []string{
		"serve", "--brokers", strings.Join(b.Brokers, ","), "--prefix", s.names.Prefix,
		"--instance", instance, "--log-level", "error",
		"--levels", b.ladder.String(), "--partitions", strconv.Itoa(int(b.Load.Partitions)),
	}
	if s.sick { // that a target does not exist is to be no reason for dead letters
		args = append(args, "--missing-target-wait", "0")
	}
	if b.Delivery != levels.AtLeastOnce {
		args = append(args, "--delivery", b.Delivery.String())
	}
	if b.Cancels > 0 {
		args = append(args, "--max-cancels", strconv.Itoa(b.maxCancels()))
	}
	return append(args, b.ServeArgs...)
}

func (b *bench) yardstickArgs(s *stage, kind Kind) []string {
	args := []string{
		"bench-contender", string(kind), "--brokers", strings.Join(b.Brokers, ","),
		"--to", s.targets[0], "--group", s.group(),
	}
	for _, level := range b.Load.Levels {
		args = append(args, "--from", s.source(level))
		if kind != Copy {
			args = append(args, "--delay", level.String())
		}
	}
	return args
}

// start starts the process.
func (c *contender) start(ctx context.Context) error {
	args := c.args
	if c.kind == Delayd {
		addrs, err := process.FreeAddrs(1)
		if err != nil {
			return err
		}
		c.http = addrs[0]
		args = append(args[:len(args):len(args)], "--http", c.http)
	}
	var err error
	c.child, err = startChild(ctx, c.environ, c.program, args...)
	return err
}

// restart ends the process by kill -9 and starts the next.
func (c *contender) restart(ctx context.Context) error {
	c.Kill()
	c.used += c.child.cpu()
	c.peaks = max(c.peaks, c.child.peakMiB())
	return c.start(ctx)
}

// startReady starts the process and returns when it can do its work.
func (c *contender) startReady(ctx context.Context) error {
	if err := c.start(ctx); err != nil {
		return err
	}
	return c.awaitReady(ctx)
}

// end ends the process, if there is one.
func (c *contender) end() {
	if c.child != nil {
		c.stop()
	}
}

func (c *contender) cpu() time.Duration { return c.used + c.child.cpu() }
func (c *contender) peakMiB() float64   { return max(c.peaks, c.child.peakMiB()) }

// awaitReady returns when the process can do its work.
func (c *contender) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startWait,
		fmt.Errorf("%s: not ready after %v\n%s", c.kind, startWait, &c.lines))
	defer cancel()
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		select {
		case <-c.ready:
			return nil
		case <-c.Done():
			return c.fault()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if c.http != "" && harness.Ready(ctx, c.http) == nil {
				return nil
			}
		}
	}
}
