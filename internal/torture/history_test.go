package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

func testMix() *mix {
	l, err := levels.Parse(ladder)
	if err != nil {
		panic(err)
	}
	return &mix{
		run: "01234567", seed: 7, names: levels.Names{Prefix: "delay"}, levels: slices.Collect(l.All()),
		targets: targets, targetPar: targetPartitions, keys: 20, producers: 4, transactional: true,
	}
}

// cluster is a made-up one: it takes records, and hands them on as delayd does
// when all is well.
type cluster struct {
	*testing.T
	mix     *mix
	history *history
	clock   int64 // Unix milliseconds
	offsets map[string]int64
}

func newCluster(t *testing.T) *cluster {
	begun := time.UnixMilli(1_700_000_000_000)
	m := testMix()
	return &cluster{T: t, mix: m, history: newHistory(m, begun), clock: begun.UnixMilli(), offsets: make(map[string]int64)}
}

// append puts a record on its topic and partition, as of now.
func (c *cluster) append(rec kgo.Record) *kgo.Record {
	place := fmt.Sprintf("%s/%d", rec.Topic, rec.Partition)
	rec.Offset = c.offsets[place]
	c.offsets[place]++
	rec.Timestamp = time.UnixMilli(c.clock)
	return &rec
}

// accept takes the record of a number, and says so to its producer.
func (c *cluster) accept(id int64) *kgo.Record {
	in := c.write(id)
	c.history.observe(in)
	return in
}

// write has a broker take a record, which no reader has seen yet.
func (c *cluster) write(id int64) *kgo.Record {
	r := c.mix.recipe(id)
	rec := *c.mix.record(&r)
	rec.Partition = 0
	in := c.append(rec)
	o := acked
	if r.aborted {
		o = aborted
	}
	c.history.sent(id, o)
	return in
}

// outgoing is what delayd makes of it.
func (c *cluster) outgoing(id int64, in *kgo.Record) kgo.Record {
	r := c.mix.recipe(id)
	accepted := in.Timestamp.UnixMilli()
	out := record.Final(in, levels.Facts{
		Topic: c.mix.target(&r), Partition: r.partition, Accepted: accepted, Due: c.due(&r, in),
		Granted: r.granted(), ID: record.OriginID(in, accepted),
	})
	if out.Partition == byKey && r.key != nullKey {
		out.Partition = keyPartition(out, targetPartitions)
	}
	out.Partition = max(out.Partition, 0)
	return *out
}

// due is when a record is due.
func (c *cluster) due(r *recipe, in *kgo.Record) int64 {
	accepted := in.Timestamp.UnixMilli()
	if r.ask == byLevel {
		return r.dueMs(accepted)
	}
	text, _ := record.Last(in.Headers, levels.HeaderUntil)
	until, _ := readUntil(text)
	return r.exactDue(accepted, until)
}

// at sets the clock to when a record is due.
func (c *cluster) at(id int64, in *kgo.Record) {
	r := c.mix.recipe(id)
	c.clock = c.due(&r, in)
}

// pick is the first number from a start on whose record is as wanted.
func (c *cluster) pick(from int64, want func(r recipe) bool) int64 {
	for id := from; ; id++ {
		if want(c.mix.recipe(id)) {
			return id
		}
	}
}

func plain(r recipe) bool {
	return !r.aborted && r.key > emptyKey && r.level.Delay > 0 && !r.nullValue && r.padding > 0 && r.partition == byKey
}

// What goes well is no violation, whatever the records are.
func TestHistoryOfGoodRun(t *testing.T) {
	t.Parallel()
	goodRun(t, newCluster(t))
}

func TestHistoryOfGoodRunWithExactDelays(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.mix.alter = exactly
	begun := time.Now() // delay-until is the producers' time
	c.history, c.clock = newHistory(c.mix, begun), begun.UnixMilli()
	goodRun(t, c)
}

func goodRun(t *testing.T, c *cluster) {
	t.Helper()
	const n = 20_000
	var sent, abortedOnes int64
	for id := range int64(n) {
		in := c.accept(id)
		if c.mix.recipe(id).aborted {
			abortedOnes++
			continue
		}
		sent++
		before := c.clock
		c.at(id, in)
		c.history.observe(c.append(c.outgoing(id, in)))
		c.clock = before + 1
	}
	got := c.history.verdict()
	want := verdict{Sent: sent, Aborted: abortedOnes, Arrived: sent}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if missing, _ := c.history.waitingFor(); missing != 0 || abortedOnes == 0 {
		t.Errorf("%d missing, %d aborted", missing, abortedOnes)
	}
}

// Each kind of violation is seen, and taken for no other.
func TestHistoryOfBadRuns(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		want verdict
		run  func(c *cluster)
	}{
		"lost": {verdict{Sent: 1, Lost: 1}, func(c *cluster) { c.accept(c.pick(0, plain)) }},
		"nobody knows whether it was sent, and it did not come": {verdict{Maybe: 1}, func(c *cluster) {
			c.history.sent(c.pick(0, plain), maybe)
		}},
		"nobody knows whether it was sent, and it came": {verdict{Maybe: 1, Arrived: 1}, func(c *cluster) {
			id := c.pick(0, plain)
			in := c.accept(id)
			c.history.counts.Sent, c.history.missing = 0, 0
			c.history.sent(id, maybe)
			c.at(id, in)
			c.history.observe(c.append(c.outgoing(id, in)))
		}},
		"twice": {verdict{Sent: 1, Arrived: 1, Twice: 2}, func(c *cluster) {
			id := c.pick(0, plain)
			in := c.accept(id)
			c.at(id, in)
			for range 3 {
				c.history.observe(c.append(c.outgoing(id, in)))
			}
		}},
		"twice, with another id": {verdict{Sent: 1, Arrived: 1, Twice: 1, Renamed: 1}, func(c *cluster) {
			id := c.pick(0, plain)
			in := c.accept(id)
			c.at(id, in)
			out := c.outgoing(id, in)
			c.history.observe(c.append(out))
			set(&out, levels.HeaderID, "other")
			c.history.observe(c.append(out))
		}},
		"sent twice by its producer": {verdict{Sent: 1, Arrived: 1, Resent: 1}, func(c *cluster) {
			id := c.pick(0, plain)
			in := c.accept(id)
			r := c.mix.recipe(id)
			again := *c.mix.record(&r)
			again.Partition = 0
			second := c.append(again)
			c.history.observe(second)
			c.at(id, in)
			c.history.observe(c.append(c.outgoing(id, in)))
			c.history.observe(c.append(c.outgoing(id, second)))
		}},
		"named after another place": {verdict{Sent: 1, Arrived: 1, Renamed: 1}, func(c *cluster) {
			c.one(func(out *kgo.Record) { set(out, levels.HeaderID, "other") })
		}},
		"early": {verdict{Sent: 1, Arrived: 1, Early: 1}, func(c *cluster) {
			id := c.pick(0, plain)
			in := c.accept(id)
			r := c.mix.recipe(id)
			c.clock += r.level.Delay.Milliseconds() - 1
			c.history.observe(c.append(c.outgoing(id, in)))
		}},
		"early by no more than a clock was set": {verdict{Sent: 1, Arrived: 1, Forgiven: 1}, func(c *cluster) {
			c.history.forgive(time.Millisecond)
			id := c.pick(0, plain)
			in := c.accept(id)
			r := c.mix.recipe(id)
			c.clock += r.level.Delay.Milliseconds() - 1
			c.history.observe(c.append(c.outgoing(id, in)))
		}},
		"early by more than a clock was set": {verdict{Sent: 1, Arrived: 1, Early: 1}, func(c *cluster) {
			c.history.forgive(time.Millisecond)
			id := c.pick(0, plain)
			in := c.accept(id)
			r := c.mix.recipe(id)
			c.clock += r.level.Delay.Milliseconds() - 2
			c.history.observe(c.append(c.outgoing(id, in)))
		}},
		"early, by an acceptance that is not true": {verdict{Sent: 1, Arrived: 1, Early: 1, Mislabelled: 1}, func(c *cluster) {
			id := c.pick(0, plain)
			in := c.accept(id)
			r := c.mix.recipe(id)
			out := c.outgoing(id, in)
			accepted := in.Timestamp.UnixMilli() - 500
			set(&out, levels.HeaderAccepted, strconv.FormatInt(accepted, 10))
			set(&out, levels.HeaderDue, strconv.FormatInt(r.dueMs(accepted), 10))
			c.history.begun = c.history.begun.Add(-time.Minute)
			c.history.entries[id].accepted += int32(time.Minute.Milliseconds())
			c.clock = r.dueMs(accepted)
			c.history.observe(c.append(out))
		}},
		"early, at an exact time": {verdict{Sent: 1, Arrived: 1, Early: 1}, func(c *cluster) {
			c.exact(func(c *cluster, _ *kgo.Record) { c.clock-- })
		}},
		"at the next exact time": {verdict{Sent: 1, Arrived: 1}, func(c *cluster) {
			c.exact(func(c *cluster, _ *kgo.Record) { c.clock++ })
		}},
		"exact, and due at another time": {verdict{Sent: 1, Arrived: 1, Mislabelled: 1}, func(c *cluster) {
			c.exact(func(_ *cluster, out *kgo.Record) { set(out, levels.HeaderDue, "1") })
		}},
		"exact, and granted a level": {verdict{Sent: 1, Arrived: 1, Mislabelled: 1}, func(c *cluster) {
			c.exact(func(_ *cluster, out *kgo.Record) { set(out, levels.HeaderGranted, "1s") })
		}},
		"exact, for another time than was asked for": {verdict{Sent: 1, Arrived: 1, Mislabelled: 1}, func(c *cluster) {
			c.exact(func(c *cluster, out *kgo.Record) {
				c.clock += 10_000
				set(out, levels.HeaderDue, strconv.FormatInt(c.clock, 10))
				set(out, levels.HeaderRequested, strconv.FormatInt(c.clock, 10))
			})
		}},
		"due at another time": {verdict{Sent: 1, Arrived: 1, Mislabelled: 1}, func(c *cluster) {
			c.one(func(out *kgo.Record) { set(out, levels.HeaderDue, "1") })
		}},
		"granted another level": {verdict{Sent: 1, Arrived: 1, Mislabelled: 1}, func(c *cluster) {
			c.one(func(out *kgo.Record) { set(out, levels.HeaderGranted, "7s") })
		}},
		"reordered": {verdict{Sent: 2, Arrived: 2, Reordered: 1}, func(c *cluster) {
			c.two(func(first, second kgo.Record) { c.arrive(second, first) })
		}},
		"a duplicate is not reordered": {verdict{Sent: 2, Arrived: 2, Twice: 1}, func(c *cluster) {
			c.two(func(first, second kgo.Record) { c.arrive(first, second, first) })
		}},
		"key changed":      {verdict{Sent: 1, Arrived: 1, Altered: 1, Misplaced: 1}, func(c *cluster) { c.one(func(out *kgo.Record) { out.Key = []byte("other") }) }},
		"value changed":    {verdict{Sent: 1, Arrived: 1, Altered: 1}, func(c *cluster) { c.one(func(out *kgo.Record) { out.Value[len(out.Value)-1]++ }) }},
		"header taken off": {verdict{Sent: 1, Arrived: 1, Altered: 1}, func(c *cluster) { c.one(func(out *kgo.Record) { out.Headers = out.Headers[1:] }) }},
		"headers swapped": {verdict{Sent: 1, Arrived: 1, Altered: 1}, func(c *cluster) {
			c.one(func(out *kgo.Record) { out.Headers[0], out.Headers[1] = out.Headers[1], out.Headers[0] })
		}},
		"header null instead of empty": {verdict{Sent: 1, Arrived: 1, Altered: 1}, func(c *cluster) {
			id := c.pick(0, func(r recipe) bool {
				own := c.mix.headers(&r)
				return plain(r) && len(own) > 0 && own[0].Value != nil && len(own[0].Value) == 0
			})
			in := c.accept(id)
			c.at(id, in)
			out := c.outgoing(id, in)
			out.Headers[0].Value = nil
			c.history.observe(c.append(out))
		}},
		"request left on": {verdict{Sent: 1, Arrived: 1, Altered: 1}, func(c *cluster) {
			c.one(func(out *kgo.Record) { set(out, levels.HeaderTarget, out.Topic) })
		}},
		"empty value instead of null": {verdict{Sent: 1, Arrived: 1, Altered: 1}, func(c *cluster) {
			id := c.pick(0, func(r recipe) bool { return !r.aborted && r.nullValue })
			in := c.accept(id)
			c.at(id, in)
			out := c.outgoing(id, in)
			out.Value = []byte{}
			c.history.observe(c.append(out))
		}},
		"wrong topic":     {verdict{Sent: 1, Arrived: 1, Misplaced: 1}, func(c *cluster) { c.one(func(out *kgo.Record) { out.Topic += "x" }) }},
		"wrong partition": {verdict{Sent: 1, Arrived: 1, Misplaced: 1}, func(c *cluster) { c.one(func(out *kgo.Record) { out.Partition++ }) }},
		"a partition of the target that has grown": {verdict{Sent: 1, Arrived: 1}, func(c *cluster) {
			for _, target := range targets {
				c.history.grown(target, 64)
			}
			c.one(func(out *kgo.Record) { out.Partition = keyPartition(out, 64) })
		}},
		"delivered though aborted": {verdict{Aborted: 1, Arrived: 1, Unaborted: 1}, func(c *cluster) {
			id := c.pick(0, func(r recipe) bool { return r.aborted })
			in := c.accept(id)
			c.at(id, in)
			c.history.observe(c.append(c.outgoing(id, in)))
		}},
		"dead letter": {verdict{Sent: 1, Arrived: 1, Dead: 1}, func(c *cluster) { c.die(levels.UnknownTopic, nil) }},
		"dead letter that a row expects": {verdict{Sent: 1, Arrived: 1, Letters: 1}, func(c *cluster) {
			c.history.letters = func(_ *recipe, code levels.Code) bool { return code == levels.UnknownTopic }
			c.die(levels.UnknownTopic, nil)
		}},
		"dead letter that is not what was sent": {verdict{Sent: 1, Arrived: 1, Dead: 1, Altered: 1}, func(c *cluster) {
			c.die(levels.UnknownTopic, func(rec *kgo.Record) { rec.Key = nil })
		}},
		"delivered instead of a dead letter": {verdict{Sent: 1, Arrived: 1, Misplaced: 1}, func(c *cluster) {
			c.mix.alter = func(r *recipe, _ *rand.Rand) { r.dead = levels.BadLevel }
			c.one(func(*kgo.Record) {})
		}},
		"nobody sent it": {verdict{Strange: 2, Arrived: 1}, func(c *cluster) {
			id := c.pick(0, plain)
			r := c.mix.recipe(id)
			in := c.append(*c.mix.record(&r))
			c.at(id, in)
			c.history.observe(c.append(c.outgoing(id, in)))
			c.history.observe(c.append(kgo.Record{Topic: "orders", Value: []byte("something else")}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			tc.run(c)
			got := c.history.verdict()
			examples := got.Examples
			got.Examples = nil
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n%s", diff, strings.Join(examples, "\n"))
			}
		})
	}
}

// one delivers one record that has headers of its own, altered.
func (c *cluster) one(alter func(*kgo.Record)) {
	id := c.pick(0, func(r recipe) bool {
		own := c.mix.headers(&r)
		return plain(r) && !r.ownID && len(own) > 1 && own[0].Key != own[1].Key
	})
	in := c.accept(id)
	c.at(id, in)
	out := c.outgoing(id, in)
	alter(&out)
	c.history.observe(c.append(out))
}

// exact delivers one record that asks for an exact time, altered.
func (c *cluster) exact(alter func(*cluster, *kgo.Record)) {
	c.mix.alter = exactly
	begun := time.Now()
	c.history, c.clock = newHistory(c.mix, begun), begun.UnixMilli()
	id := c.pick(0, func(r recipe) bool { return !r.aborted && r.ask == delayUntil && r.rest > 0 })
	in := c.accept(id)
	c.at(id, in)
	out := c.outgoing(id, in)
	alter(c, &out)
	c.history.observe(c.append(out))
}

// two accepts two records of one lane, and hands over what delayd makes of them
// when both are due.
func (c *cluster) two(deliver func(first, second kgo.Record)) {
	a := c.pick(0, plain)
	lane := func(r recipe) int { n, _ := c.mix.lane(&r); return n }
	b := c.pick(a+1, func(r recipe) bool { return plain(r) && lane(r) == lane(c.mix.recipe(a)) })
	first, second := c.accept(a), c.accept(b)
	c.at(b, second)
	deliver(c.outgoing(a, first), c.outgoing(b, second))
}

func (c *cluster) arrive(recs ...kgo.Record) {
	for _, rec := range recs {
		c.history.observe(c.append(rec))
	}
}

// die makes a record a dead letter, altered.
func (c *cluster) die(code levels.Code, alter func(*kgo.Record)) *kgo.Record {
	id := c.pick(0, plain)
	in := c.accept(id)
	dead := record.Dead(in, c.mix.names.Dead(), levels.Facts{Accepted: in.Timestamp.UnixMilli()}, levels.Refusal{Code: code, Detail: "why"}, 1)
	if alter != nil {
		alter(dead)
	}
	c.history.observe(c.append(*dead))
	return dead
}

// set replaces a header, or appends it.
func set(rec *kgo.Record, key, value string) {
	rec.Headers = slices.Clone(rec.Headers)
	for i := range rec.Headers {
		if rec.Headers[i].Key == key {
			rec.Headers[i].Value = []byte(value)
			return
		}
	}
	rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
}

// The mix has all that the contract speaks of.
func TestMix(t *testing.T) {
	t.Parallel()
	m := testMix()
	seen := make(map[string]int)
	for id := range int64(20_000) {
		r := m.recipe(id)
		rec := m.record(&r)
		if got, ok := m.number(rec); !ok || got != id {
			t.Fatalf("record %d reads as %d, %v", id, got, ok)
		}
		again := m.record(&r)
		if diff := compare(rec.Key, rec.Value, rec.Headers, again, again.Headers); diff != "" {
			t.Fatalf("record %d differs when it is built again: %s", id, diff)
		}
		note := func(ok bool, what string) {
			if ok {
				seen[what]++
			}
		}
		note(rec.Key == nil, "null key")
		note(rec.Key != nil && len(rec.Key) == 0, "empty key")
		note(rec.Value == nil, "null value")
		note(rec.Value != nil && len(rec.Value) == 0, "empty value")
		note(len(rec.Value) > longPadding, "long value")
		note(r.aborted, "aborted")
		note(r.partition != byKey, "partition")
		note(r.ownID, "own id")
		note(r.level.Delay == 0, "at once")
		note(r.way == straight, "straight")
		keys := make(map[string]bool)
		for _, h := range m.headers(&r) {
			note(keys[h.Key], "repeated header")
			note(h.Value == nil, "null header")
			note(h.Value != nil && len(h.Value) == 0, "empty header")
			note(h.Key == "", "header without a key")
			keys[h.Key] = true
		}
		if r.aborted && r.producer != m.producers-1 || r.level.Delay == 0 && r.way == straight {
			t.Fatalf("record %d cannot be: %+v", id, r)
		}
	}
	for _, what := range []string{"null key", "empty key", "null value", "empty value", "long value", "aborted", "partition", "own id",
		"at once", "straight", "repeated header", "null header", "empty header", "header without a key"} {
		if seen[what] < 10 {
			t.Errorf("%s: %d of 20,000", what, seen[what])
		}
	}
}

// The clocks of producers are as wrong as the mix says, both ways.
func TestProducerClocks(t *testing.T) {
	t.Parallel()
	m := testMix()
	m.skew = time.Hour
	for id, want := range []time.Duration{time.Hour, -time.Hour, time.Hour, -time.Hour} {
		r := m.recipe(int64(id))
		before := time.Now()
		got := m.record(&r).Timestamp.Add(-want)
		if got.Before(before) || got.After(time.Now()) {
			t.Errorf("record %d: its producer's clock is not %v ahead", id, want)
		}
	}
}
