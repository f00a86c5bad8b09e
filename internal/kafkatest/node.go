//go:build unix

package kafkatest

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/process"
)

const (
	startLimit = 60 * time.Second // for a node to answer; 3 s on a quiet machine
	stopLimit  = 60 * time.Second // for a node to end by itself
	pollEvery  = 100 * time.Millisecond
	pollLimit  = 2 * time.Second // for one answer
	logTail    = 40              // lines of a node's log that an error shows
)

//go:embed log4j2.properties
var log4j2 []byte

// node is one Kafka process: broker and controller.
type node struct {
	id         int32  // Kafka's node.id
	addr       string // where clients connect
	dir        string // its files: settings, log, and unless set otherwise its data
	properties map[string]string
	formatArgs []string // more of them
	env        []string // beside our own
	// Set by launch.
	java, jars string
	program    *process.Program
}

func (n *node) logFile() string    { return filepath.Join(n.dir, "kafka.log") }
func (n *node) serverFile() string { return filepath.Join(n.dir, "server.properties") }
func (n *node) log4jFile() string  { return filepath.Join(n.dir, "log4j2.properties") }

// format writes the node's files and prepares its data folder.
func (n *node) format(ctx context.Context, clusterID string) error {
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return fmt.Errorf("format kafka node %d: %w", n.id, err)
	}
	err := errors.Join(
		os.WriteFile(n.serverFile(), encodeProperties(n.properties), 0o644),
		os.WriteFile(n.log4jFile(), log4j2, 0o644))
	if err != nil {
		return fmt.Errorf("format kafka node %d: %w", n.id, err)
	}
	args := append([]string{"format", "-t", clusterID, "-c", n.serverFile()}, n.formatArgs...)
	cmd := exec.CommandContext(ctx, n.java, n.javaArgs("kafka.tools.StorageTool", args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format kafka node %d: %w (Kafka needs Java 17 or later)\n%s", n.id, err, out)
	}
	return nil
}

// javaArgs is for small, short-lived machines: a small heap, a collector without
// threads of its own, and no time spent on the second compiler.
func (n *node) javaArgs(class string, args ...string) []string {
	return append([]string{
		"-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dlog4j2.configurationFile=" + n.log4jFile(),
		"-cp", classpath(n.jars), class,
	}, args...)
}

// awaitReady returns when the node answers and knows of all the given node ids.
func (n *node) awaitReady(ctx context.Context, ids ...int32) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	proc := n.program.Last()
	client, err := kgo.NewClient(kgo.SeedBrokers(n.addr))
	if err != nil {
		return fmt.Errorf("ask kafka node %d: %w", n.id, err)
	}
	defer client.Close()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		err := n.knows(ctx, client, ids)
		if err == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-proc.Done():
			return fmt.Errorf("kafka node %d ended while it started: %w; its log %s ends with\n%s", n.id, proc.Err(), n.logFile(), n.tail())
		case <-ctx.Done():
			return fmt.Errorf("wait for kafka node %d on %s: %w (last: %v); its log %s ends with\n%s", n.id, n.addr, context.Cause(ctx), err, n.logFile(), n.tail())
		}
	}
}

// knows asks the node itself, never another one that it names, for the cluster's
// live brokers.
func (n *node) knows(ctx context.Context, client *kgo.Client, ids []int32) error {
	ctx, cancel := context.WithTimeout(ctx, pollLimit)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none; nil would ask for all
	resp, err := client.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return err
	}
	for _, id := range ids {
		known := slices.ContainsFunc(resp.(*kmsg.MetadataResponse).Brokers, func(b kmsg.MetadataResponseBroker) bool { return b.NodeID == id })
		if !known {
			return fmt.Errorf("node %d does not know of node %d yet", n.id, id)
		}
	}
	return nil
}

// stop asks the node to hand over and end, and waits until it has.
func (n *node) stop() error {
	proc, err := n.program.Signal(syscall.SIGTERM)
	if err != nil {
		return err
	}
	if !proc.EndsWithin(stopLimit) {
		return fmt.Errorf("stop kafka node %d: still running after %v; its log %s ends with\n%s", n.id, stopLimit, n.logFile(), n.tail())
	}
	return nil
}

// tail returns the last lines of the node's log.
func (n *node) tail() string {
	log, err := os.ReadFile(n.logFile())
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-logTail):], []byte("\n")))
}
