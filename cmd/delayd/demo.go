package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/cmd/delayd/internal/embedded"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
)

type demoCmd struct {
	outputFlags
	logFlags `set:"log_level=error"`
}

const (
	demoTarget = "demo.orders"
	// demoPatience is how long after it is due a record may arrive before the
	// demo has failed.
	demoPatience = 15 * time.Second
	// demoStart bounds the start of the service.
	demoStart = 15 * time.Second
)

// demoRecords are what is sent: whole levels, delays in between, which are
// rounded, level numbers as in RocketMQ, and no delay at all.
var demoRecords = []struct{ delay, value string }{
	{"10s", "ten seconds"},
	{"8s", "eight seconds: 10s is the nearest level"},
	{"3", "level number 3, which is 10s"},
	{"5s", "five seconds"},
	{"4s", "four seconds: 5s is the nearest level"},
	{"2", "level number 2, which is 5s"},
	{"1s", "one second"},
	{"1500ms", "a second and a half: 1s is the nearest level"},
	{"1", "level number 1, which is 1s"},
	{"0", "no delay"},
}

// Run shows the whole thing in one process.
//
//	producer ─▶ delay.inbox ─▶ router ─▶ delay.level.… ─▶ forwarder ─▶ demo.orders ─▶ consumer
func (c *demoCmd) Run(ctx context.Context, con *console) error {
	log := c.logger(con.err)
	broker, err := embedded.Start(embedded.Config{Addr: "127.0.0.1:0", Log: log})
	if err != nil {
		return err
	}
	defer broker.Close()

	// The service ends with the demo, and the demo with the service.
	ctx, cancel := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	s := newDemoService(broker.Addr(), log)
	go func() {
		defer close(stopped)
		if err := s.run(ctx); err != nil {
			cancel(err)
		}
	}()
	defer func() {
		cancel(nil)
		<-stopped
	}()

	err = c.show(ctx, con, log, s, broker.Addr())
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return fmt.Errorf("demo: %w", cause) // the service's error, or the interrupt
	}
	return err
}

// newDemoService is the service with the defaults of "delayd serve".
func newDemoService(broker string, log zerolog.Logger) *service {
	s := &service{
		brokers:  []string{broker},
		instance: "demo",
		log:      log,
		registry: prometheus.NewRegistry(),
		ready:    new(readiness),
	}
	s.Levels = levels.Default()
	s.Prefix = levels.Names{Prefix: levels.DefaultPrefix}
	s.MissingTargetWait, s.GiveUp, s.PurgeAfter = forwarder.DefaultMissingTargetWait, forwarder.DefaultGiveUp, forwarder.PurgeOff
	s.Partitions = 1 // a demo needs no more
	s.ready.not("starting")
	return s
}

// show sends the records and prints them as they arrive.
func (c *demoCmd) show(ctx context.Context, con *console, log zerolog.Logger, s *service, broker string) error {
	cl, err := clientFlags{Brokers: []string{broker}}.connectTo(log,
		kgo.ConsumeTopics(demoTarget), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 1, nil, demoTarget); err != nil {
		return fmt.Errorf("create topic %s: %w", demoTarget, err)
	}
	c.say(con, "In this process: a Kafka broker in memory, the delay service, a producer and a consumer.")
	if err := s.ready.wait(ctx, demoStart); err != nil {
		return fmt.Errorf("the service was not ready after %v: %w", demoStart, err)
	}
	longest, err := c.send(ctx, cl, s)
	if err != nil {
		return err
	}
	c.say(con, "Sent %s to %s with a delay-level each, for the topic %s. The last is due in %s.\n",
		plural(len(demoRecords), "record"), s.Prefix.Inbox(), demoTarget, levels.FormatDelay(longest))
	return c.receive(ctx, con, cl, longest+demoPatience)
}

// say prints a line for people.
func (c *demoCmd) say(con *console, format string, args ...any) {
	if !c.json() {
		fmt.Fprintf(con.out, format+"\n", args...)
	}
}

// send sends every record to the inbox, and returns the longest delay among them.
func (c *demoCmd) send(ctx context.Context, cl *kgo.Client, s *service) (longest time.Duration, err error) {
	records := make([]*kgo.Record, len(demoRecords))
	for i, r := range demoRecords {
		request, err := levels.ParseRequest(r.delay)
		if err != nil {
			return 0, err
		}
		level, _ := s.Levels.Grant(request, s.Rounding)
		longest = max(longest, level.Delay)
		records[i] = &kgo.Record{
			Topic:   s.Prefix.Inbox(),
			Key:     fmt.Appendf(nil, "order-%d", i+1),
			Value:   []byte(r.value),
			Headers: inboxHeaders(kgo.RecordHeader{Key: levels.HeaderLevel, Value: []byte(r.delay)}, demoTarget),
		}
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return 0, fmt.Errorf("send to %s: %w", s.Prefix.Inbox(), err)
	}
	return longest, nil
}

// receive prints every record once, and fails if one is still missing after
// patience.
func (c *demoCmd) receive(ctx context.Context, con *console, cl *kgo.Client, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seen := make(map[string]bool)
	latest := int64(0)
	for len(seen) < len(demoRecords) {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d records arrived within %v", len(seen), len(demoRecords), patience)
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s: %w", demoTarget, err)
		}
		for rec := range fetches.RecordsAll() {
			a := newArrival(rec, time.Now())
			if a.Key == nil || a.LateMs == nil || seen[a.ID] {
				continue // at least once: a duplicate may come
			}
			seen[a.ID] = true
			latest = max(latest, *a.LateMs)
			if err := c.print(con, a); err != nil {
				return err
			}
		}
	}
	c.say(con, "\nAll %s arrived; the latest was %d ms late.", plural(len(seen), "record"), latest)
	return nil
}

func (c *demoCmd) print(con *console, a arrival) error {
	if c.json() {
		return printJSON(con.out, a)
	}
	_, err := fmt.Fprintf(con.out, "%s  asked %-6s level %-4s late %3d ms  %-8s  %s\n",
		time.Now().Format("15:04:05.000"), a.Requested, a.Level, *a.LateMs, *a.Key, *a.Value)
	return err
}
