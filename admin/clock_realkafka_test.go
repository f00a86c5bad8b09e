//go:build realkafka

package admin

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/kafkatest"
)

// TestClockOnKafka has a broker whose clock is wrong, and finds by how much with
// either source.
func TestClockOnKafka(t *testing.T) {
	clock, err := kafkatest.NewClock(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	kafka, err := kafkatest.Launch(t.Context(), t.TempDir(), kafkatest.Config{Env: clock.Env()})
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	cl, spec := client(t, kafka.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner())), small(t)
	everything(t, cl, spec)
	near := func(got, want time.Duration) bool { return (got - want).Abs() < 900*time.Millisecond }
	for _, behind := range []time.Duration{0, 30 * time.Second, -30 * time.Second} {
		if err := clock.Set(behind); err != nil {
			t.Fatal(err)
		}
		for { // the broker notices within a second or two
			c := inspect(t, cl, spec, time.Now()).Clock
			if c == nil || c.Source != SourceController || c.Least == nil {
				t.Fatalf("clock %+v", c)
			}
			if near(*c.Least, -behind) && near(c.Most, -behind) {
				t.Logf("the broker is ahead by %v: between %v and %v", behind, *c.Least, c.Most)
				break
			}
			if t.Context().Err() != nil {
				t.Fatalf("clock %+v, want %v", c, -behind)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if behind < 0 {
			continue // the newest record is still the one from before
		}
		appendAt(t, cl, "delay.level.1m", 0, time.Now())
		counted, err := count(t.Context(), cl, spec, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if c := counted.newestClock(t.Context(), cl); c == nil || !near(c.Most, -behind) || c.Least != nil {
			t.Errorf("the broker is ahead by %v: by the newest record %+v", behind, c)
		}
	}
}
