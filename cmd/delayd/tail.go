package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/printable"
	"github.com/delayd-io/delayd/levels"
)

type tailCmd struct {
	Topic     string `arg:"" type:"topic" help:"The topic to watch, usually a target; delay.dead shows why records ended there."`
	FromStart bool   `help:"Begin with the oldest record instead of the next one."`
	Count     int    `type:"count" short:"n" placeholder:"N" help:"End after N records; 0 is without end."`
	clientFlags
	outputFlags
	logFlags `set:"log_level=warn"`
}

// Help is shown by kong below the flags.
func (tailCmd) Help() string {
	return "How late a record was is its timestamp minus its delay-due header: the time between the due time " +
		"and the delivery, which does not depend on when this command reads it."
}

// topicWait is the pause between looks at a topic that does not exist yet.
const topicWait = 500 * time.Millisecond

// arrival is a record on a topic that is watched.
type arrival struct {
	Time      time.Time `json:"time"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Key       *string   `json:"key"`
	Value     *string   `json:"value"`
	Requested string    `json:"requested,omitempty"`
	Level     string    `json:"level,omitempty"`
	LateMs    *int64    `json:"late_ms,omitempty"` // absent without delay-due
	ID        string    `json:"id,omitempty"`
	Error     string    `json:"error,omitempty"`
	Detail    string    `json:"error_detail,omitempty"`
}

// Run prints records until there were enough or ctx ends.
func (c *tailCmd) Run(ctx context.Context, con *console) error {
	cl, err := c.open(ctx, con)
	if err != nil || cl == nil {
		return err
	}
	defer cl.Close()
	for printed := 0; c.Count == 0 || printed < c.Count; {
		fetches := cl.PollRecords(ctx, max(0, c.Count-printed))
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s: %w", c.Topic, connect.GrantTopic(err, connect.Read, c.Topic))
		}
		for rec := range fetches.RecordsAll() {
			if err := c.print(con, newArrival(rec, rec.Timestamp)); err != nil {
				return err
			}
			printed++
		}
	}
	return nil
}

// open returns a client that reads the topic from the right place on, and none
// where ctx ends before the topic exists.
func (c *tailCmd) open(ctx context.Context, con *console) (*kgo.Client, error) {
	look, err := c.connectTo(zerolog.Nop()) // its errors are returned
	if err != nil {
		return nil, err
	}
	defer look.Close()
	fromStart := c.FromStart
	_, exists, err := c.lookUp(ctx, look, c.Topic)
	if err == nil && !exists {
		con.note("topic %s does not exist yet; waiting for it", c.Topic)
		fromStart = true // whoever makes it writes the first record we are after
		exists, err = c.await(ctx, look)
	}
	if err != nil || !exists {
		return nil, err
	}
	at, err := places(ctx, kadm.NewClient(look), c.Topic, fromStart)
	if err != nil {
		return nil, err
	}
	cl, err := c.connectTo(c.logger(con.err), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.Topic: at}))
	if err == nil {
		con.note("watching %s (%s)", c.Topic, plural(len(at), "partition"))
	}
	return cl, err
}

// await looks for the topic until it exists or ctx ends.
func (c *tailCmd) await(ctx context.Context, cl *kgo.Client) (exists bool, err error) {
	tick := time.NewTicker(topicWait)
	defer tick.Stop()
	for err == nil && !exists {
		select {
		case <-ctx.Done():
			return false, nil
		case <-tick.C:
			_, exists, err = c.lookUp(ctx, cl, c.Topic)
		}
	}
	return exists, err
}

// places are the offsets to begin at. The end is asked of the brokers rather than
// left to the client, so that nothing is missed that is written once Run has said
// that it watches.
func places(ctx context.Context, cl *kadm.Client, topic string, fromStart bool) (map[int32]kgo.Offset, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	list := cl.ListEndOffsets
	if fromStart {
		list = cl.ListStartOffsets
	}
	listed, err := list(ctx, topic)
	if err = offsets.ListFault(listed, err); err != nil {
		return nil, fmt.Errorf("look up offsets of %s: %w", topic, err)
	}
	at := make(map[int32]kgo.Offset)
	listed.Each(func(o kadm.ListedOffset) { at[o.Partition] = kgo.NewOffset().At(o.Offset) })
	return at, nil
}

// newArrival reads what the service put on a record. at is the time to measure
// its lateness by.
func newArrival(rec *kgo.Record, at time.Time) arrival {
	a := arrival{
		Time:      rec.Timestamp.UTC(),
		Partition: rec.Partition,
		Offset:    rec.Offset,
		Key:       stringOf(rec.Key),
		Value:     stringOf(rec.Value),
	}
	for _, h := range rec.Headers { // the last one wins
		switch h.Key {
		case levels.HeaderGranted:
			a.Level = string(h.Value)
		case levels.HeaderRequested:
			a.Requested = string(h.Value)
		case levels.HeaderID:
			a.ID = string(h.Value)
		case levels.HeaderError:
			a.Error = string(h.Value)
		case levels.HeaderErrorDetail:
			a.Detail = string(h.Value)
		case levels.HeaderDue:
			if due, err := strconv.ParseInt(string(h.Value), 10, 64); err == nil {
				late := at.UnixMilli() - due
				a.LateMs = &late
			}
		}
	}
	return a
}

// stringOf is a key or a value, nil for null.
func stringOf(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

func (c *tailCmd) print(con *console, a arrival) error {
	if c.json() {
		return printJSON(con.out, a)
	}
	_, err := fmt.Fprintln(con.out, a)
	return err
}

// String is an arrival as people read it: time, level, lateness, key and value.
func (a arrival) String() string {
	key, value := "-", "(null)"
	if a.Key != nil {
		key = printable.Text(*a.Key)
	}
	if a.Value != nil {
		value = printable.Text(*a.Value)
	}
	late := "-"
	if a.LateMs != nil {
		late = strconv.FormatInt(*a.LateMs, 10) + "ms"
	}
	level := printable.Text(a.Level)
	if level == "" {
		level = "-"
	}
	line := fmt.Sprintf("%s  level %-4s late %-6s key %-10s %s", a.Time.Local().Format("15:04:05.000"), level, late, key, value)
	if a.Error != "" {
		line += fmt.Sprintf("  [dead, %s: %s]", printable.Text(a.Error), printable.Text(a.Detail))
	}
	return line
}
