package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	gopsutil "github.com/shirou/gopsutil/v4/process"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/delayd-io/delayd/levels"
)

const (
	// inventions is how many names there are that nobody has, one in every
	// inventedShare records.
	inventions    = 20_000
	inventedShare = 5
	inventedRate  = 4000
	// inventedLate is how late other records may be meanwhile.
	inventedLate = 500 * time.Millisecond
	// inventedWarmUp is how long there are none at first. A broker that was just started takes
	// up to a second for its first transactions, which the longest level shows last.
	inventedWarmUp = 8 * time.Second
	inventedFirst  = int64(inventedWarmUp / time.Second * inventedRate)
	// logLines is how many lines a second delayd may log in the long run.
	logLines = 20

	// idleFor is how long an idle delayd is watched, and idleWait how long after the
	// load it may take until it is as idle as before.
	idleFor  = 10 * time.Second
	idleWait = 2 * time.Minute
	// Of what an idle delayd does, so much more is no more than before: bytes a second,
	// and processors.
	idleTraffic   = 4 << 10
	idleProcessor = 0.02

	deniedPrefix  = "denied-"
	missingPrefix = "missing-"
)

// inventedRows ask for targets that nobody has, each a different one.
var inventedRows = []row{
	inventedRow("invented-targets", missingPrefix, "do not exist", levels.UnknownTopic),
	inventedRow("invented-targets-denied", deniedPrefix, "delayd may not use", levels.NotAuthorized),
}

func inventedRow(name, prefix, what string, code levels.Code) row {
	return row{
		name:       name,
		about:      fmt.Sprintf("%d different targets that %s, among those that are well", inventions, what),
		deliveries: bothDeliveries,
		confined:   true,
		rate:       inventedRate,
		least:      inventedWarmUp + inventions*inventedShare/inventedRate*time.Second*5/4,
		flags:      []string{"--missing-target-wait", "5s", "--give-up", "5s"},
		properties: map[string]string{
			"authorizer.class.name":          "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
			"allow.everyone.if.no.acl.found": "true",
		},
		load: func(m *mix) {
			m.transactional = false // then all are sent
			m.alter = func(c *recipe, _ *rand.Rand) {
				if c.id%inventedShare == 0 && c.id >= inventedFirst && c.id < inventedFirst+inventions*inventedShare {
					c.to, c.dead = fmt.Sprintf("%s%d", prefix, c.id), code
				}
			}
		},
		letters: func(c *recipe, code levels.Code) bool {
			return strings.HasPrefix(c.to, prefix) && (code == levels.UnknownTopic || code == levels.NotAuthorized)
		},
		limits: limits{worst: inventedLate, warmUp: inventedWarmUp},
		before: func(ctx context.Context, w *world) error {
			// Whoever may not even know of a topic does not learn that there is none.
			denied := kadm.NewACLs().Topics(deniedPrefix).ResourcePatternType(kadm.ACLPatternPrefixed).
				Deny("User:ANONYMOUS").DenyHosts("*").Operations(kadm.OpDescribe, kadm.OpWrite)
			if err := w.createACLs(ctx, denied); err != nil {
				return fmt.Errorf("deny targets: %w", err)
			}
			if err := sleep(ctx, idleFor); err != nil { // it has just started
				return err
			}
			var err error
			w.idle, err = w.idles(ctx, "one")
			return err
		},
		run: untilLoadIsOver,
		after: func(ctx context.Context, w *world) error {
			if err := w.idlesAgain(ctx, "one"); err != nil {
				return err
			}
			return w.logsLittle("one")
		},
	}
}

// effort is what a process does in a second.
type effort struct {
	traffic   float64 // bytes that are read and written
	processor float64 // processors
}

func (e effort) String() string {
	return fmt.Sprintf("%.1f kB/s and %.1f %% of a processor", e.traffic/1000, 100*e.processor)
}

// idles watches a delayd for a while.
func (w *world) idles(ctx context.Context, name string) (effort, error) {
	i, err := w.instance(name)
	if err != nil {
		return effort{}, err
	}
	before, err := spent(i.pid())
	if err != nil {
		return effort{}, err
	}
	begun := time.Now()
	if err := sleep(ctx, idleFor); err != nil {
		return effort{}, err
	}
	after, err := spent(i.pid())
	took := time.Since(begun).Seconds()
	return effort{(after.traffic - before.traffic) / took, (after.processor - before.processor) / took}, err
}

// spent is what a process has read, written and computed since it began.
func spent(pid int) (effort, error) {
	p, err := gopsutil.NewProcess(int32(pid))
	if err != nil {
		return effort{}, err
	}
	times, err := p.Times()
	if err != nil {
		return effort{}, err
	}
	// What goes by a connection is part of what the kernel counts here.
	counted, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return effort{}, err
	}
	var read, written float64
	if _, err := fmt.Sscanf(string(counted), "rchar: %g\nwchar: %g\n", &read, &written); err != nil {
		return effort{}, fmt.Errorf("read /proc/%d/io: %w", pid, err)
	}
	return effort{read + written, times.User + times.System}, nil
}

// idlesAgain waits until a delayd does no more than it did before anything was sent.
func (w *world) idlesAgain(ctx context.Context, name string) error {
	begun := time.Now()
	for {
		if i, err := w.instance(name); err != nil {
			return err
		} else if running, _ := i.running(); !running {
			return nil // a violation of its own
		}
		now, err := w.idles(ctx, name)
		if err != nil {
			return err
		}
		if now.traffic <= 2*w.idle.traffic+idleTraffic && now.processor <= 2*w.idle.processor+idleProcessor {
			w.measured("idle: %v, and %v before; so after %v", now, w.idle, time.Since(begun).Round(time.Second))
			return nil
		}
		if time.Since(begun) > idleWait {
			w.violated("idle, delayd %s still takes %v after %v, and took %v before", name, now, idleWait, w.idle)
			return nil
		}
	}
}

// logsLittle notes a violation where a delayd has logged more than its time allows.
func (w *world) logsLittle(name string) error {
	i, err := w.instance(name)
	if err != nil {
		return err
	}
	log, err := os.ReadFile(i.logFile)
	if err != nil {
		return err
	}
	lines, most := bytes.Count(log, []byte("\n")), int(logLines*time.Since(w.history.begun).Seconds())
	w.measured("delayd %s has logged %d lines, %d KiB", name, lines, len(log)>>10)
	if lines > most {
		w.violated("delayd %s has logged %d lines, at most %d allowed", name, lines, most)
	}
	return nil
}
