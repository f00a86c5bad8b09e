package admin

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/offsets"
)

// DueWithin is how many records that are not due yet become due soon, counted from
// offsets as what is overdue is. Each of the counts has those of the one before.
type DueWithin struct {
	Minute     int64 `json:"1m"`
	TenMinutes int64 `json:"10m"`
	Hour       int64 `json:"1h"`
}

// horizons are the fields of a DueWithin and how far they look.
func (d *DueWithin) horizons() map[time.Duration]*int64 {
	return map[time.Duration]*int64{time.Minute: &d.Minute, 10 * time.Minute: &d.TenMinutes, time.Hour: &d.Hour}
}

// ahead is what of a level's partition is not due yet: from the first such record up
// to the end.
type ahead struct {
	where     offsets.Partition
	from, end int64
}

// findDueWithin counts what becomes due soon on each level. All that is on a shorter
// level than that becomes due; only of the others is anything looked up.
func (list countings) findDueWithin(ctx context.Context, cl *kgo.Client, now time.Time) error {
	for horizon := range new(DueWithin).horizons() {
		long := func(c *counting) bool { return c.delay >= horizon }
		times := make(map[offsets.Partition]int64)
		for _, c := range list {
			for _, a := range c.ahead {
				if long(c) && a.from < a.end {
					times[a.where] = now.Add(horizon - c.delay).UnixMilli()
				}
			}
		}
		found, err := offsets.List(ctx, cl, times)
		if err != nil {
			return err
		}
		for _, c := range list {
			if c.kind != level {
				continue
			}
			if c.DueWithin == nil {
				c.DueWithin = new(DueWithin)
			}
			for _, a := range c.ahead {
				upTo := a.end
				if f, ok := found[a.where]; ok && long(c) && f.Offset != offsets.None {
					upTo = min(upTo, f.Offset)
				}
				*c.DueWithin.horizons()[horizon] += max(0, upTo-a.from)
			}
		}
	}
	return nil
}
