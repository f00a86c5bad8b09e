//go:build synctests

package admin

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The newest record is stamped before we look: it bounds the difference of the
// clocks from one side, and an old one says nothing.
func TestClockByTheNewestRecord(t *testing.T) {
	onVirtualTime(t, func(t *testing.T, broker *kfake.Cluster, cl *kgo.Client) {
		spec := small(t)
		everything(t, cl, spec)
		if c := inspect(t, cl, spec, time.Now()).Clock; c != nil {
			t.Errorf("with no record: %+v", c)
		}
		for _, ahead := range []time.Duration{-time.Hour, -time.Second, 3 * time.Second} { // the broker's clock
			appendAt(t, cl, "delay.level.1m", 2, time.Now().Add(ahead))
			c := inspect(t, cl, spec, time.Now()).Clock
			switch {
			case ahead < -newestAge:
				if c != nil {
					t.Errorf("by a record of %v: %+v", ahead, c)
				}
			case c == nil || c.Least != nil || c.Most.Round(time.Millisecond) != -ahead || c.Source != SourceNewestRecord:
				t.Errorf("by a record of %v: %+v", ahead, c)
			}
		}
	})
}
