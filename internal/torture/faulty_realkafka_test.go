//go:build realkafka

package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// The faults of a forwarder. Each is a mistake that is easily made.
const (
	sound            = "none"
	commitsSent      = "commits before the acknowledgement"
	commitsPolled    = "commits what was polled"
	noLease          = "runs without the lease"
	drops            = "drops one"
	swaps            = "reorders two"
	strips           = "strips a header"
	flips            = "changes a byte"
	hurries          = "delivers one early"
	readsUncommitted = "delivers aborted records"
)

const (
	// lease is how old the last commit may be while records are delivered.
	lease = consume.SessionTimeout / 2
	// lingering is how long the one that commits before the acknowledgement gathers
	// records, as a producer does by default.
	lingering   = 50 * time.Millisecond
	commitEvery = 50 * time.Millisecond
	// faultyOneIn is how many records there are for one that something is done to.
	faultyOneIn = 500
)

// faulty is a router or a forwarder as small as one can be that keeps its promises,
// but for its fault.
type faulty struct {
	fault  string
	client *kgo.Client
	policy router.Policy

	mu     sync.Mutex // guards all below
	parts  map[string]*part
	proved time.Time // when the last good commit was begun
	n      int       // records that were delivered
}

// part is a partition that is ours.
type part struct {
	topic   string
	n       int32
	gone    bool
	waiting []*waiting // in the order of their offsets
	queues  map[string]chan *waiting
}

// waiting is a record on its way.
type waiting struct {
	part   *part
	in     *kgo.Record
	out    *kgo.Record // nil: nothing is to be delivered
	hop    bool        // out is for a level's topic
	due    time.Time
	passed bool // the commit may pass it
}

// forwardWith is the program: it returns the exit code.
func forwardWith(fault string, args []string) int {
	var brokers, prefix, ladder, addr, instance string
	flags := flag.NewFlagSet("faulty", flag.ExitOnError)
	flags.StringVar(&brokers, "brokers", "", "")
	flags.StringVar(&prefix, "prefix", "", "")
	flags.StringVar(&ladder, "levels", "", "")
	flags.StringVar(&addr, "http", "", "")
	flags.StringVar(&instance, "instance", "", "")
	_ = flags.Int("partitions", 0, "") // the topics are there
	_ = flags.Parse(args)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	l, err := levels.Parse(ladder)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	names := levels.Names{Prefix: prefix}
	var topics []string
	for l := range l.All() {
		topics = append(topics, names.Level(l))
	}
	go http.ListenAndServe(addr, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // ends with the program
	g, ctx := errgroup.WithContext(ctx)
	for group, topics := range map[string][]string{names.RouterGroup(): {names.Inbox()}, names.ForwarderGroup(): topics} {
		f := &faulty{fault: fault, policy: router.Policy{Ladder: l, Names: names}, parts: make(map[string]*part)}
		g.Go(func() error { return f.run(ctx, strings.Split(brokers, ","), group, topics, instance) })
	}
	if err := g.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitViolated
	}
	return exitOK
}

func (f *faulty) run(ctx context.Context, brokers []string, group string, topics []string, instance string) (err error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(brokers...), kgo.ConsumerGroup(group), kgo.InstanceID(instance), kgo.ConsumeTopics(topics...),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.SessionTimeout(consume.SessionTimeout), kgo.HeartbeatInterval(consume.HeartbeatInterval),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(250 * time.Millisecond), kgo.ProducerLinger(0), kgo.RecordPartitioner(record.Partitioner()),
		kgo.OnPartitionsRevoked(f.revoked), kgo.OnPartitionsLost(f.lost),
	}
	if f.fault != readsUncommitted {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if f.fault == commitsSent {
		opts = append(opts, kgo.ProducerLinger(lingering))
	}
	f.client, err = kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer f.client.Close()
	go f.commitLoop(ctx)
	for ctx.Err() == nil {
		fetches := f.client.PollFetches(ctx)
		fetches.EachRecord(f.take)
		f.client.AllowRebalance()
	}
	f.mu.Lock()
	for _, p := range f.parts {
		p.gone = true
	}
	f.mu.Unlock()
	_ = f.client.Flush(context.Background())
	f.commit(context.Background())
	return nil
}

// take queues a record behind those of its level and partition.
func (f *faulty) take(rec *kgo.Record) {
	w := &waiting{in: rec}
	level := f.prepare(w)
	f.mu.Lock()
	defer f.mu.Unlock()
	key := fmt.Sprintf("%s/%d", rec.Topic, rec.Partition)
	p := f.parts[key]
	if p == nil {
		p = &part{topic: rec.Topic, n: rec.Partition, queues: make(map[string]chan *waiting)}
		f.parts[key] = p
	}
	w.part, w.passed = p, w.out == nil || f.fault == commitsPolled
	p.waiting = append(p.waiting, w)
	if w.out == nil {
		return
	}
	if p.queues[level] == nil {
		p.queues[level] = make(chan *waiting, 1<<20)
		go f.forward(p.queues[level]) // ends with the program
	}
	p.queues[level] <- w
}

// prepare makes what is to be delivered, or put where it waits, and returns the queue.
func (f *faulty) prepare(w *waiting) (queue string) {
	delay, isLevel := f.policy.Names.LevelDelay(w.in.Topic)
	if !isLevel {
		d := f.policy.Decide(w.in, w.in.Timestamp)
		switch d.Kind {
		case router.Dead:
		case router.ToLevel:
			w.out, w.hop = d.Record, true
		default:
			w.out = record.Final(w.in, d.Facts)
		}
		return ""
	}
	topic, partition, refusal := (&record.Targets{Names: f.policy.Names}).Resolve(record.Read(w.in.Headers))
	if refusal != nil {
		return ""
	}
	due := w.in.Timestamp.Add(delay + time.Millisecond).UnixMilli()
	facts, routed := record.ReadHop(w.in.Headers)
	if !routed {
		facts = levels.Facts{Accepted: w.in.Timestamp.UnixMilli(), Due: due, Granted: levels.FormatDelay(delay)}
	}
	facts.Topic, facts.Partition, facts.Due = topic, partition, min(facts.Due, due)
	w.out, w.due = record.Final(w.in, facts), time.UnixMilli(facts.Due)
	return facts.Granted
}

// forward delivers the records of a queue when they are due.
func (f *faulty) forward(queue chan *waiting) {
	var held *waiting // by the one that reorders: until another of its key has gone
	for w := range queue {
		due := w.due
		if f.fault == hurries && !w.hop && f.chosen() {
			due = due.Add(-500 * time.Millisecond)
		}
		time.Sleep(time.Until(due))
		for f.fault != noLease && !f.leased() {
			time.Sleep(10 * time.Millisecond)
		}
		if f.fault == swaps && held == nil && len(w.in.Key) > 0 {
			held = w
			continue
		}
		f.send(w)
		if held != nil && bytes.Equal(held.in.Key, w.in.Key) && held.out.Topic == w.out.Topic {
			f.send(held)
			held = nil
		}
	}
}

// chosen reports whether the fault is to happen to a record.
func (f *faulty) chosen() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	return f.n%faultyOneIn == 0
}

func (f *faulty) leased() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.proved) < lease
}

// send delivers a record whose partition is still ours.
func (f *faulty) send(w *waiting) {
	f.mu.Lock()
	gone := w.part.gone
	f.mu.Unlock()
	if gone {
		return
	}
	switch {
	case w.hop: // it is still to be delivered
	case f.fault == drops && f.chosen():
		f.pass(w)
		return
	case f.fault == strips && len(w.out.Headers) > 4 && f.chosen():
		w.out.Headers = w.out.Headers[1:]
	case f.fault == flips && len(w.out.Value) > 0 && f.chosen():
		w.out.Value = slices.Clone(w.out.Value)
		w.out.Value[len(w.out.Value)-1] ^= 1
	}
	if f.fault == commitsSent {
		f.pass(w)
	}
	f.client.Produce(context.Background(), w.out, func(_ *kgo.Record, err error) {
		if err == nil {
			f.pass(w)
		}
	})
}

func (f *faulty) pass(w *waiting) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.passed = true
}

func (f *faulty) commitLoop(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(commitEvery)
		f.commit(ctx)
	}
}

// commit commits what has passed of each partition, without a gap.
func (f *faulty) commit(ctx context.Context) {
	begun := time.Now()
	offsets := make(map[string]map[int32]kgo.EpochOffset)
	f.mu.Lock()
	for _, p := range f.parts {
		n := 0
		for n < len(p.waiting) && p.waiting[n].passed {
			n++
		}
		if n == 0 {
			continue
		}
		if offsets[p.topic] == nil {
			offsets[p.topic] = make(map[int32]kgo.EpochOffset)
		}
		last := p.waiting[n-1].in
		offsets[p.topic][p.n] = kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1}
		p.waiting = p.waiting[n-1:] // the last stays, to be committed again when nothing is new
	}
	f.mu.Unlock()
	if len(offsets) == 0 {
		// Nothing has been delivered yet: that the group is joined has to do.
		if _, generation := f.client.GroupMetadata(); generation >= 0 {
			f.prove(begun)
		}
		return
	}
	if committed(ctx, f.client, offsets) {
		f.prove(begun)
	}
}

func (f *faulty) prove(begun time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.proved = begun
}

// revoked hands partitions over.
func (f *faulty) revoked(ctx context.Context, _ *kgo.Client, gone map[string][]int32) {
	f.leave(gone)
	_ = f.client.Flush(ctx)
	f.commit(ctx)
	f.forget(gone)
}

// lost drops partitions that are another member's already.
func (f *faulty) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	f.leave(gone)
	f.forget(gone)
}

func (f *faulty) leave(gone map[string][]int32) {
	f.each(gone, func(key string) {
		if p := f.parts[key]; p != nil {
			p.gone = true
		}
	})
}

func (f *faulty) forget(gone map[string][]int32) {
	f.each(gone, func(key string) { delete(f.parts, key) })
}

func (f *faulty) each(gone map[string][]int32, do func(key string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for topic, ns := range gone {
		for _, n := range ns {
			do(fmt.Sprintf("%s/%d", topic, n))
		}
	}
}

// committed commits offsets, and reports whether the broker has taken all of them.
func committed(ctx context.Context, cl *kgo.Client, offsets map[string]map[int32]kgo.EpochOffset) bool {
	all := false
	cl.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		all = err == nil
		if resp == nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				all = all && p.ErrorCode == 0
			}
		}
	})
	return all
}
