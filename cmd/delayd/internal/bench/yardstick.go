package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// YardstickConfig is what a yardstick works on.
type YardstickConfig struct {
	Opts []kgo.Opt
	// From are the topics to read, and Delays how long the records of each
	// wait; the copy has no delays.
	From   []string
	Delays []time.Duration
	To     string
	Group  string // of the copy and the naive service
	// Ready is called once, when it has its partitions.
	Ready func()
}

// RunYardstick runs a yardstick until ctx ends.
func RunYardstick(ctx context.Context, kind Kind, cfg YardstickConfig) error {
	run := map[Kind]func(context.Context, YardstickConfig) error{Copy: runCopy, Loop: runLane, Naive: runNaive}[kind]
	if run == nil {
		return fmt.Errorf("run yardstick %q: there is none of that name; use %s, %s or %s", kind, Copy, Loop, Naive)
	}
	if kind != Copy && len(cfg.From) != len(cfg.Delays) {
		return fmt.Errorf("run yardstick %s: %d topics and %d delays; give a --delay for each --from", kind, len(cfg.From), len(cfg.Delays))
	}
	err := run(ctx, cfg)
	if ctx.Err() != nil {
		return nil // it was asked to end
	}
	return err
}

// groupOf are the options of a member of the yardstick's group, which starts at
// the first record.
func groupOf(cfg YardstickConfig) []kgo.Opt {
	var once sync.Once
	return []kgo.Opt{
		kgo.ConsumerGroup(cfg.Group), kgo.ConsumeTopics(cfg.From...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { once.Do(cfg.Ready) }),
	}
}

// fetchFault is the first error of a poll, nil where it only ended with ctx.
func fetchFault(ctx context.Context, fetches kgo.Fetches) error {
	if ctx.Err() != nil {
		return nil
	}
	return fetches.Err()
}

// withAccepted is the headers of a record and the one that says when a broker
// took it.
func withAccepted(rec *kgo.Record) []kgo.RecordHeader {
	accepted := strconv.AppendInt(nil, rec.Timestamp.UnixMilli(), 10)
	return append(rec.Headers[:len(rec.Headers):len(rec.Headers)], kgo.RecordHeader{Key: levels.HeaderAccepted, Value: accepted})
}
