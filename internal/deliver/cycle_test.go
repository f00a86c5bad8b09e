package deliver

import (
	"testing"
	"time"
)

// TestCycleKeeps: what is parked goes together, whatever its partitions and targets,
// until one target fails. Then each partition has transactions of its own, and each target
// of the one that failed, behind a rest, until none rests any more.
func TestCycleKeeps(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	of := func(source, topic string) *item {
		return &item{trial: &trial{source: source}, facts: Facts{Topic: topic}}
	}
	c := &cycle{kind: again, resting: make(map[any]*rest)}
	begun := newTransaction()
	check := func(when string, at time.Time, it *item, in *transaction, want bool) {
		t.Helper()
		if got := c.keeps(in, it, at); got != want {
			t.Errorf("%s: the record for %s of %v waits: %t, want %t", when, it.facts.Topic, it.trial.source, got, want)
		}
	}
	check("nothing is begun", now, of("a", "orders"), begun, false)
	begun.items = append(begun.items, of("a", "orders"))
	check("all is well", now, of("a", "orders"), begun, false)
	check("all is well", now, of("a", "mails"), begun, false)
	check("all is well", now, of("b", "orders"), begun, false)
	c.rest("a", now)
	check("another has failed", now, of("b", "orders"), newTransaction(), false)
	begunByOther := newTransaction()
	begunByOther.items = append(begunByOther.items, of("c", "orders"))
	check("another has failed", now, of("b", "orders"), begunByOther, true)
	check("one has failed just now", now, of("a", "orders"), newTransaction(), true)
	rested := now.Add(backoffMin)
	check("one has failed before", rested, of("a", "orders"), begun, false)
	check("one has failed before", rested, of("a", "mails"), begun, true)
	c.kind = direct
	check("nothing is parked", rested, of("b", "mails"), begun, false)
}
