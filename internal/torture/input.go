package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/levels"
)

// calmLimits are those of rows whose records are odd, and where nothing breaks:
// what is odd must not be felt by its neighbours.
var calmLimits = limits{worst: 2 * time.Second}

// inputRows send what nobody should send, among what everybody does.
var inputRows = []row{
	{
		name: "poison", matrix: 22,
		about:      "one record in ten has no target, a target or level that is none, or is huge",
		deliveries: bothDeliveries,
		load:       func(m *mix) { m.alter = oneIn(10, poisons...) },
		resend:     true,
		limits:     calmLimits,
		run:        untilLoadIsOver,
	},
	{
		name: "poison-flood", matrix: 22,
		about:      "100,000 records in a row that cannot be delivered, among those that can",
		deliveries: bothDeliveries,
		rate:       10_000,
		records:    floodFrom + flood + floodFrom,
		load: func(m *mix) {
			m.transactional = false // they are slow, and a flood is not
			poison := oneIn(1, poisons[:cheapPoisons]...)
			m.alter = func(c *recipe, r *rand.Rand) {
				if c.id >= floodFrom && c.id < floodFrom+flood {
					poison(c, r)
				}
			}
		},
		least:  time.Minute, // the number of records ends it sooner
		resend: true,
		limits: limits{worst: 10 * time.Second},
		run:    untilLoadIsOver,
	},
	{
		name: "forged-due", matrix: 22,
		about:      "one record in five says of itself when it is due, as only the router may: in 1970 or 2099; nobody believes it",
		deliveries: bothDeliveries,
		load: func(m *mix) {
			m.alter = oneIn(5, func(c *recipe, r *rand.Rand) {
				c.hopDue = []string{"0", "1", "-1", "4070908800000", "9223372036854775807", "9223372036854775808", "soon"}[r.IntN(7)]
			})
		},
		limits: calmLimits,
		run:    untilLoadIsOver,
	},
	{
		name: "odd-targets", matrix: 22,
		about:      "names of 249 letters and of 250, with control characters, and one that collides with a topic's in a broker's metrics",
		deliveries: bothDeliveries,
		flags:      []string{"--missing-target-wait", "2s"},
		load: func(m *mix) {
			m.targets = []string{"orders", "mails", "a.b", strings.Repeat("t", maxTopicName)}
			m.alter = oneIn(10, func(c *recipe, r *rand.Rand) {
				c.to, c.dead = oddTargets[r.IntN(len(oddTargets))], levels.IllegalTarget
				if c.to == "a_b" {
					c.dead = levels.UnknownTopic
				}
			})
		},
		resend: true,
		limits: calmLimits,
		run:    untilLoadIsOver,
	},
	{
		name: "largest", matrix: 22,
		about:      "batches of exactly max.message.bytes, and records with 10,000 headers",
		deliveries: bothDeliveries,
		topics:     map[string]map[string]string{"large": {maxMessageBytes: strconv.Itoa(2 * inboxLimit)}},
		load: func(m *mix) {
			m.targets, m.haven = []string{"orders", "refunds", "large"}, "large"
			m.alter = oneIn(500, m.fill, func(c *recipe, _ *rand.Rand) { c.crowd = 10_000 })
		},
		resend: true,
		limits: limits{worst: 5 * time.Second},
		run:    untilLoadIsOver,
	},
	{
		name:       "compressed-large",
		about:      "values of 1.5 and 5 MB of one letter, which are some KB on their way",
		deliveries: bothDeliveries,
		confined:   true,
		topics:     map[string]map[string]string{broken: {maxMessageBytes: "3000"}},
		load: func(m *mix) {
			m.targets, m.gzip, m.haven = withBroken, true, "orders"
			large := oneIn(1000, func(c *recipe, r *rand.Rand) {
				c.way, c.nullValue, c.padding, c.letters = viaInbox, false, 0, []int{1_500_000, 5_000_000}[r.IntN(2)]
			})
			m.alter = func(c *recipe, r *rand.Rand) {
				large(c, r)
				if c.padding == longPadding {
					c.padding = padding
				}
			}
		},
		// How small it gets is for delayd to say: then the broker has the last word.
		letters: func(c *recipe, code levels.Code) bool {
			return withBroken[c.target] == broken && c.letters > 0 && code == levels.TooLarge
		},
		resend: true,
		limits: calmLimits,
		run:    untilLoadIsOver,
	},
	{
		name: "loop", matrix: 37,
		about:      "one record in ten has a topic of delayd's own or of Kafka's as its target",
		deliveries: bothDeliveries,
		load: func(m *mix) {
			m.alter = oneIn(10, func(c *recipe, r *rand.Rand) {
				own := []string{m.names.Inbox(), m.names.Parked(), m.names.Dead(), "delay.level.9h", "__consumer_offsets", "__transaction_state"}
				for _, l := range m.levels {
					own = append(own, m.names.Level(l))
				}
				c.to, c.dead = own[r.IntN(len(own))], levels.ForbiddenTarget
			})
		},
		resend: true,
		limits: calmLimits,
		run:    untilLoadIsOver,
		after:  noGrowth,
	},
}

const (
	// flood is how many records in a row cannot be delivered, after floodFrom that
	// can and before as many again.
	flood     = 100_000
	floodFrom = 10_000
	// maxTopicName is the longest name that Kafka takes.
	maxTopicName = 249

	maxMessageBytes = "max.message.bytes"
)

// oddTargets are names that no topic has: all but the last are none.
var oddTargets = []string{
	strings.Repeat("t", maxTopicName+1), ".", "..", "or ders", "or\x00ders", "or\nders", "orders\x7f", "\u202eorders", "börse", "\xff\xfe", "a_b",
}

// oneIn alters one record in n, in one of several ways.
func oneIn(n int, ways ...func(*recipe, *rand.Rand)) func(*recipe, *rand.Rand) {
	return func(c *recipe, r *rand.Rand) {
		if r.IntN(n) == 0 {
			ways[r.IntN(len(ways))](c, r)
		}
	}
}

// cheapPoisons is how many of the poisons, from the first, are small and refused
// without asking a broker.
const cheapPoisons = 4

// poisons are what can be wrong with a record, and what looks as if it were.
var poisons = []func(*recipe, *rand.Rand){
	func(c *recipe, _ *rand.Rand) { c.unaddressed, c.dead = true, levels.NoTarget },
	func(c *recipe, r *rand.Rand) {
		c.to, c.dead = oddTargets[r.IntN(len(oddTargets)-1)], levels.IllegalTarget
	},
	func(c *recipe, r *rand.Rand) {
		c.way, c.dead = viaInbox, levels.BadLevel
		c.asked = []string{"soon", "-5s", "+5s", " 5s", "5s ", "5", "5 s", "1e3s", "٣s", "\x00", "1234567890", "999999999d"}[r.IntN(12)]
		if c.asked == "5" {
			c.asked = "5.0" // a number that is not whole
		}
	},
	func(c *recipe, r *rand.Rand) {
		c.partition, c.dead = byKey, levels.BadPartition
		c.askedPartition = []string{"-1", "one", "1.0", "2147483648", "99999999999999999999"}[r.IntN(5)]
	},
	func(c *recipe, _ *rand.Rand) {
		c.partition, c.askedPartition, c.dead = byKey, strconv.Itoa(targetPartitions), levels.BadPartition
	},
	func(c *recipe, _ *rand.Rand) { c.crowd = 1000 },
	func(c *recipe, _ *rand.Rand) { c.nullValue, c.key = true, nullKey },
	func(c *recipe, _ *rand.Rand) { c.padding, c.nullValue, c.key, c.partition = -1, false, emptyKey, byKey },
	func(c *recipe, r *rand.Rand) {
		if r.IntN(10) == 0 {
			c.nullValue, c.padding = false, 1_000_000
		}
	},
}

// fill has a record fill a batch of exactly max.message.bytes. What is put on for
// its consumer does not fit any more, unless its target takes more than Kafka's
// default.
func (m *mix) fill(c *recipe, _ *rand.Rand) {
	// An id of its own, and the level as we would write it: so it is as large when it
	// is sent again.
	c.way, c.ownID, c.nullValue, c.spelling, c.padding = viaInbox, true, false, 0, 0
	// Near enough that a length takes as many bytes as in the end.
	c.padding = inboxLimit - 2*m.batchBytes(c)
	c.padding += inboxLimit - m.batchBytes(c)
	if m.target(c) != m.haven {
		c.dead = levels.TooLarge
	}
}

// batchBytes is how large the batch of a record alone is.
func (m *mix) batchBytes(c *recipe) int { return recordBatchBytes(m.record(c)) }

func recordBatchBytes(rec *kgo.Record) int {
	const overhead = 61 // of a batch without records
	r := kmsg.Record{Key: rec.Key, Value: rec.Value}
	for _, h := range rec.Headers {
		r.Headers = append(r.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
	}
	// The length is not part of itself, and one byte so far.
	r.Length = int32(len(r.AppendTo(nil)) - 1)
	return overhead + len(r.AppendTo(nil))
}

// untilLoadIsOver breaks nothing: what is sent is enough.
func untilLoadIsOver(ctx context.Context, w *world) error {
	select {
	case <-w.loadOver:
	case <-ctx.Done():
	}
	return nil
}

// noGrowth sees to it that nothing went round: nobody has accepted a record twice,
// and nothing was parked.
func noGrowth(ctx context.Context, w *world) error {
	if n := w.history.verdict().Resent; n > 0 {
		w.violated("%d records were accepted more than once: they went round", n)
	}
	ends, err := w.admin.ListEndOffsets(ctx, w.names.Parked())
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("find the end of %s: %w", w.names.Parked(), err)
	}
	for _, o := range ends[w.names.Parked()] {
		if o.Offset > 0 {
			w.violated("%d records were parked on %s/%d", o.Offset, o.Topic, o.Partition)
		}
	}
	return nil
}
