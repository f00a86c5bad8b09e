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
	if len(last) != 2 {
		t.Fatalf("%d results of retired topics, want 2: %v", len(last), last)
	}
	if last[0].Topic != "delay.level.3s" || last[0].Outcome != Existed {
		t.Errorf("got %+v, want delay.level.3s existed", last[0])
	}
	if last[1].Topic != "delay.level.7s" || last[1].Outcome != Drifted || !strings.Contains(last[1].Detail, "would delete records before they are delivered") {
		t.Errorf("got %+v, want delay.level.7s drifted for its retention", last[1])
	}
}
