package target

import (
	"testing"
	"time"

	"github.com/delayd-io/delayd/levels"
)

func TestTooLate(t *testing.T) {
	const due = 1_700_000_000_123
	at := func(late time.Duration) time.Time { return time.UnixMilli(due).Add(late) }
	for _, c := range []struct {
		maxLate, late time.Duration
		want          string
	}{
		{0, 1000 * time.Hour, ""},
		{time.Minute, -time.Hour, ""},
		{time.Minute, time.Minute, ""},
		{time.Minute, time.Minute + time.Millisecond, "due at 2023-11-14T22:13:20.123Z, and not delivered 1m0.001s later; --max-late is 1m0s"},
	} {
		r := TooLate(c.maxLate, due, at(c.late))
		if r == nil && c.want != "" || r != nil && (r.Detail != c.want || r.Code != levels.TooLate) {
			t.Errorf("%v late with a bound of %v: %+v, want %q", c.late, c.maxLate, r, c.want)
		}
	}
}
