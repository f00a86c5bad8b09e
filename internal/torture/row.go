package main

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/delayd-io/delayd/levels"
)

// delivery is the guarantee that delayd is started with.
type delivery string

const (
	atLeastOnce delivery = "at-least-once"
	exactlyOnce delivery = "exactly-once"
)

// bothDeliveries are the modes of most rows.
var bothDeliveries = []delivery{atLeastOnce, exactlyOnce}

// twicePerCrash is what one crash of one instance may deliver twice at least
// once: twice the records between two commits.
const twicePerCrash = 20_000

// row is a kind of fault: what is broken and how, and what may come of it.
type row struct {
	name string
	// matrix is the row's number in the list of faults, 0 for none.
	matrix int
	// about says in one sentence what goes wrong.
	about string
	// nodes is how many brokers there are, 1 (also for 0) or 3, of which every topic
	// then has a replica on each and two have to have a record.
	nodes int
	// proxied puts delayd behind proxies; see [world.proxies].
	proxied bool
	// disk has the broker's data on a file system of its own with this many bytes, 0 for
	// none; see [world.disk]. For one node only.
	disk int64
	// secured has delayd log in, with no more rights than it needs.
	secured bool
	// clocked gives the brokers a clock that can be set; see [world.clock]. ahead is by
	// how much it is ahead of this host's when they start.
	clocked bool
	ahead   time.Duration
	// properties are settings of every broker.
	properties map[string]string
	deliveries []delivery
	// instances are the delayd that run when run is called; nil is "one".
	instances []string
	// direct are those of them that go past the proxies.
	direct []string
	// flags and env are for every delayd beside what it needs.
	flags, env []string
	// under is a command that starts every delayd; its program and arguments follow.
	under []string
	// confined limits the memory of every delayd to what is promised; see [world.hard].
	confined bool
	// output is the file that every delayd writes its log to; "" is one of its own.
	output string
	// restarts starts a delayd again that ends by itself, as a service manager does.
	// Otherwise that is a violation.
	restarts bool
	// load changes what is sent, nil for nothing.
	load func(*mix)
	// rate is how many records a second there are at least, and records how many
	// are sent at most; 0 is as the flags say.
	rate    int
	records int64
	// topics are settings of targets, by name, and absent the targets that are not
	// there when the row begins. partitions is how many the service's topics have,
	// 0 for delayd's default.
	topics     map[string]map[string]string
	absent     []string
	partitions int32
	// apart are the targets whose records may be as late as limits.drain says.
	apart []string
	// letters says which dead letters are no surprise beside those that the recipe
	// asks for, nil for none; and resend has every dead letter read back in the
	// end, sent again with a corrected request, and waited for.
	letters func(c *recipe, code levels.Code) bool
	resend  bool
	// least is how long the row's load has to last at least.
	least time.Duration
	// backlog is a row that sends --backlog records, however long that takes.
	backlog bool
	// named is a row that only runs where --row asks for it: it takes long, or needs
	// what has to be given.
	named  bool
	limits limits
	// before looks at what there is when all delayd are ready and nothing has been
	// sent; nil is nothing.
	before func(ctx context.Context, w *world) error
	// run does the damage while the load is on, and returns when it is fixed. What
	// is still frozen, cut or down then is fixed for it. ctx ends when the run is
	// abandoned; the load's own end is [world.loadOver].
	run func(ctx context.Context, w *world) error
	// after looks at what is left when all has arrived, before delayd is stopped; nil
	// is nothing.
	after func(ctx context.Context, w *world) error
}

// runs reports whether the row is for a delivery; "" is delayd's default.
func (r *row) runs(d delivery) bool { return slices.Contains(r.deliveries, cmp.Or(d, atLeastOnce)) }

// limits are what a fault may cost.
type limits struct {
	// twice is how many duplicates there may be in all beside those of crashes, at
	// least once only.
	twice int64
	// uncommitted is how much of the load one crash may deliver twice, at most
	// twicePerCrash records; 0 is those.
	uncommitted time.Duration
	// worst is how late a record may be at most.
	worst time.Duration
	// warmUp is how long records may arrive later than that at first.
	warmUp time.Duration
	// late and recover: so long after a fault has ended, no record is more than late
	// late any more. A late of 0 is lateByDefault.
	late, recover time.Duration
	// last is how long after the end of the last fault a record may be more than late
	// late; 0 is no limit.
	last time.Duration
	// drain is how long after the last fault records of targets that stand apart may
	// be more than late late.
	drain time.Duration
	// unordered says that partitions are added, which gives keys other ones.
	unordered bool
}

// echo is how long after a fault it can be heard again: what the router took late
// stands after records that were written straight to its level in the meantime.
// It is as late as the router was when the longest level is over.
const echo = 5 * time.Second

// lateByDefault is when a record counts as late for the time until recovery.
const lateByDefault = 250 * time.Millisecond

func (l limits) lateLimit() time.Duration {
	if l.late == 0 {
		return lateByDefault
	}
	return l.late
}

// perCrash is what one crash may deliver twice under a load of that many records a
// second.
func (l limits) perCrash(rate int) int64 {
	if l.uncommitted == 0 {
		return twicePerCrash
	}
	return min(twicePerCrash, int64(float64(rate)*l.uncommitted.Seconds()))
}

// rows are all there are, in the order of their list. Each family of faults adds
// its own.
func rows() []row {
	return slices.Concat(calmRows, processRows, scaleRows, singleRows, clockRows, memoryRows,
		brokerRows, networkRows, inputRows, unreadableRows, inventedRows, targetRows, refusingRows, outageRows, topicRows, recreateRows, rightsRows, stormRows, exactRows, cancelRows)
}

// findRows returns the rows whose names match one of the patterns, as path.Match
// reads them, and where there are no patterns all that need not be asked for.
func findRows(patterns []string) ([]row, error) {
	if len(patterns) == 0 {
		return slices.DeleteFunc(rows(), func(r row) bool { return r.named }), nil
	}
	var found []row
	used := make([]bool, len(patterns))
	for _, r := range rows() {
		taken := false
		for i, p := range patterns {
			ok, err := path.Match(p, r.name)
			if err != nil {
				return nil, fmt.Errorf("--row %q: %w; write a name, in which * is any text", p, err)
			}
			used[i], taken = used[i] || ok, taken || ok
		}
		if taken {
			found = append(found, r)
		}
	}
	if i := slices.Index(used, false); i >= 0 {
		return nil, fmt.Errorf("--row %q: there is none; --list shows all", patterns[i])
	}
	return found, nil
}

// violations says what of a run is not allowed, in words; none where all is well.
func (r *row) violations(res *result) []string {
	v := &res.verdict
	var bad []string
	no := func(n int64, what string) {
		if n > 0 {
			bad = append(bad, fmt.Sprintf("%d %s", n, what))
		}
	}
	no(v.Lost, "lost")
	no(v.Parked, "still parked")
	no(v.Pending, "still pending")
	no(v.Early, "early")
	if !r.limits.unordered {
		no(v.Reordered, "reordered within their key")
	}
	no(v.Altered, "altered")
	no(v.Misplaced, "on the wrong topic or partition")
	no(v.Mislabelled, "with delay headers that are not true")
	no(v.Renamed, "with another id than they should have")
	no(v.Unaborted, "delivered though aborted")
	no(v.Dead, "dead letters that nobody expected")
	no(v.Strange, "that nobody has sent")
	if v.Sent == 0 {
		bad = append(bad, "nothing was sent")
	}
	allowed := r.limits.twice + int64(res.Crashes)*r.limits.perCrash(res.Rate)
	if res.Delivery == exactlyOnce {
		allowed = 0
	}
	if allowed += res.Rewound; v.Twice > allowed {
		bad = append(bad, fmt.Sprintf("%d delivered twice, at most %d allowed after %d crashes", v.Twice, allowed, res.Crashes))
	}
	worst := res.Worst
	if r.limits.warmUp > 0 {
		worst = worstFrom(res.worst, r.limits.warmUp)
	}
	if r.limits.worst > 0 && worst > r.limits.worst {
		bad = append(bad, fmt.Sprintf("%v late at worst, at most %v allowed", worst, r.limits.worst))
	}
	if r.limits.recover > 0 && res.Recovered > r.limits.recover {
		bad = append(bad, fmt.Sprintf("still more than %v late %v after a fault, allowed until %v after it",
			r.limits.lateLimit(), res.Recovered.Round(time.Millisecond), r.limits.recover))
	}
	if r.limits.last > 0 && res.RecoveredLast > r.limits.last {
		bad = append(bad, fmt.Sprintf("recovered only %v after the last fault, at most %v allowed",
			res.RecoveredLast.Round(time.Millisecond), r.limits.last))
	}
	if res.Drained > r.limits.drain {
		bad = append(bad, fmt.Sprintf("records of %v still more than %v late %v after the last fault, allowed until %v after it",
			r.apart, r.limits.lateLimit(), res.Drained.Round(time.Millisecond), r.limits.drain))
	}
	return bad
}
