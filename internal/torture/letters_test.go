package main

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// A dead letter that is sent again, corrected, comes to its target once and whole,
// and each thing that can be wrong with that is seen.
func TestLetterSentAgain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		want verdict // beside what is sent, and the letter
		run  func(c *cluster, out kgo.Record)
	}{
		"arrives":   {verdict{}, func(c *cluster, out kgo.Record) { c.arrive(out) }},
		"is lost":   {verdict{Lost: 1}, func(*cluster, kgo.Record) {}},
		"duplicate": {verdict{Twice: 1}, func(c *cluster, out kgo.Record) { c.arrive(out, out) }},
		"is altered": {verdict{Altered: 1}, func(c *cluster, out kgo.Record) {
			out.Value = out.Value[:len(out.Value)-1]
			c.arrive(out)
		}},
		"is misplaced": {verdict{Misplaced: 1}, func(c *cluster, out kgo.Record) { out.Topic += "x"; c.arrive(out) }},
		"is renamed":   {verdict{Renamed: 1}, func(c *cluster, out kgo.Record) { set(&out, levels.HeaderID, "other"); c.arrive(out) }},
		"is early":     {verdict{Early: 1}, func(c *cluster, out kgo.Record) { c.clock -= 2; c.arrive(out) }},
		"is dead again": {verdict{Dead: 1, Lost: 1}, func(c *cluster, out kgo.Record) {
			c.arrive(*record.Dead(&out, c.mix.names.Dead(), levels.Facts{}, levels.Refusal{Code: levels.BadLevel}, 1))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.history.letters = func(_ *recipe, code levels.Code) bool { return code == levels.UnknownTopic }
			dead := c.die(levels.UnknownTopic, nil)
			id := c.pick(0, plain) // that of the dead letter
			if !c.history.sendingAgain(id) || c.history.sendingAgain(id) {
				t.Fatal("a dead letter is to be sent again once")
			}
			r := c.mix.recipe(id)
			in := c.append(*c.mix.correct(&r, dead))
			c.history.observe(in)
			c.at(id, in)
			tc.run(c, c.outgoing(id, in))
			tc.want.Sent, tc.want.Arrived, tc.want.Letters = 1, 1, 1
			got := c.history.verdict()
			examples := got.Examples
			got.Examples = nil
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n%s", diff, strings.Join(examples, "\n"))
			}
		})
	}
}

// What a dead letter says of its origin is checked.
func TestLetterOrigin(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{"delay.inbox/0/7", ""} {
		c := newCluster(t)
		c.mix.alter = func(r *recipe, _ *rand.Rand) { r.dead = levels.BadLevel }
		c.die(levels.BadLevel, func(rec *kgo.Record) { set(rec, levels.HeaderOrigin, origin) })
		if v := c.history.verdict(); v.Mislabelled != 1 {
			t.Errorf("origin %q: %+v", origin, v)
		}
	}
}

// A record that fills a batch fills it to the byte, before it is a dead letter and
// when it is sent again.
func TestFill(t *testing.T) {
	t.Parallel()
	m := testMix()
	m.haven = "mails"
	for id := range int64(50) {
		r := m.recipe(id)
		m.fill(&r, nil)
		if n := m.batchBytes(&r); n != inboxLimit {
			t.Fatalf("record %d: %d bytes, want %d: %+v", id, n, inboxLimit, r)
		}
		m.alter = m.fill
		again := m.correct(&r, record.Dead(m.record(&r), "dead", levels.Facts{}, levels.Refusal{Code: levels.TooLarge}, 1))
		if n := recordBatchBytes(again); n > inboxLimit {
			t.Fatalf("record %d: %d bytes when it is sent again, want at most %d", id, n, inboxLimit)
		}
	}
}
