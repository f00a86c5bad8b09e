package admin

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// TestParkedTargets reads what is parked in steps: each look knows all that earlier ones
// read, and the last records of a partition that it has not reached.
func TestParkedTargets(t *testing.T) {
	t.Parallel()
	cl := writer(t, fake(t).ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	at := time.UnixMilli(1_700_000_000_000).UTC()
	park := func(targets ...string) {
		t.Helper()
		for i, target := range targets {
			rec := &kgo.Record{Topic: "delay.parked", Timestamp: at.Add(time.Duration(i) * time.Second)}
			if target != "" {
				rec.Headers = h(levels.HeaderTarget, target)
			}
			if err := cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := NewParkedTargets(cl, spec.Names)
	p.step, p.tail = 3, 1
	look := func(want ParkedView) {
		t.Helper()
		got, err := p.Look(t.Context())
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v; parked (-want +got):\n%s", err, diff)
		}
	}
	after := func(i int) time.Time { return at.Add(time.Duration(i) * time.Second) }
	orders, mails, hidden, last := "orders", "mails", "hidden", "last"

	park("done", "orders", "mails", "orders", "", "hidden", "orders", "last")
	commit(t, cl, "delay.forwarder", "delay.parked", 0, 1)
	look(ParkedView{[]ParkedTarget{{&orders, 2, after(1)}, {&last, 1, after(7)}, {&mails, 1, after(2)}}, 3})
	look(ParkedView{[]ParkedTarget{{&orders, 3, after(1)}, {nil, 1, after(4)}, {&hidden, 1, after(5)}, {&last, 1, after(7)}, {&mails, 1, after(2)}}, 0})
	// What is delivered is forgotten, record by record.
	commit(t, cl, "delay.forwarder", "delay.parked", 0, 4)
	look(ParkedView{[]ParkedTarget{{nil, 1, after(4)}, {&hidden, 1, after(5)}, {&last, 1, after(7)}, {&orders, 1, after(6)}}, 0})
	// Memory is bounded: beyond that only the end is read.
	p.limit = 5
	park("mails", "mails", "mails", "orders")
	look(ParkedView{[]ParkedTarget{{&orders, 2, after(3)}, {nil, 1, after(4)}, {&hidden, 1, after(5)}, {&last, 1, after(7)}, {&mails, 1, at}}, 2})
	// Delivered beyond what was read.
	commit(t, cl, "delay.forwarder", "delay.parked", 0, 11)
	look(ParkedView{[]ParkedTarget{{&orders, 1, after(3)}}, 0})
	commit(t, cl, "delay.forwarder", "delay.parked", 0, 12)
	look(ParkedView{[]ParkedTarget{}, 0})
	if len(p.targets) != 0 {
		t.Errorf("%d names are kept of targets without records", len(p.targets))
	}
}
