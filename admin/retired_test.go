package admin

import (
	"strings"
	"testing"
)

// TestRetiredTopicsAreVerified has two levels that are not in the ladder, one of them
// with a retention that is shorter than its wait, and a topic that is none.
func TestRetiredTopicsAreVerified(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t).ListenAddrs())
	create(t, cl, "delay.level.7s", 1, "retention.ms=1000")
	create(t, cl, "delay.level.3s", 1)
	create(t, cl, "delay.level.60s", 1)
	spec := small(t)
	results := everything(t, cl, spec)
	last := results[len(spec.topics()):]
	if len(last) != 3 {
		t.Fatalf("%d results of retired topics and strays, want 2 and 1: %v", len(last), last)
	}
	if last[0].Topic != "delay.level.3s" || last[0].Outcome != OutcomeExisted {
		t.Errorf("got %+v, want delay.level.3s existed", last[0])
	}
	if last[1].Topic != "delay.level.7s" || last[1].Outcome != OutcomeDrifted || !strings.Contains(last[1].Detail, "would delete records before they are delivered") {
		t.Errorf("got %+v, want delay.level.7s drifted for its retention", last[1])
	}
}

// TestStraysAreFound has topics that a broker made of misspelt names: plan and
// verification name each with the right one.
func TestStraysAreFound(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t).ListenAddrs())
	wants := map[string]string{
		"delay.level.60s":  "meant to be delay.level.1m; have its producers write there",
		"delay.level.1min": "meant to be delay.level.1m; have its producers write there",
		"delay.level.24h":  "meant to be delay.level.1d, which is no level of this ladder",
		"delay.level.3":    "no level is spelled so; have its producers write to a level's topic, as in delay.level.5s",
		"delay.levels.5s":  "meant to be delay.level.5s; have its producers write there",
		"Delay.Inbox":      "meant to be delay.inbox; have its producers write there",
	}
	for name := range wants {
		create(t, cl, name, 1)
	}
	create(t, cl, "orders", 1)
	spec := small(t)
	results := everything(t, cl, spec)[len(spec.topics()):]
	if len(results) != len(wants) {
		t.Errorf("%d results of strays, want %d: %v", len(results), len(wants), results)
	}
	for _, r := range results {
		if want := wants[r.Topic]; want == "" || r.Outcome != OutcomeDrifted || !strings.Contains(r.Detail, want) {
			t.Errorf("got %+v, want it drifted with %q", r, want)
		}
	}
	steps := planned(t, cl, spec)
	if !steps.ToDo() {
		t.Error("nothing to do")
	}
	for name, want := range wants {
		if s := step(t, steps, name); s.Action != ActionStray || !strings.Contains(s.Note, want) {
			t.Errorf("planned %+v, want a stray with %q", s, want)
		}
	}
}
