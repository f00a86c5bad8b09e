package admin

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/telemetry"
)

const (
	// scrapeTimeout is how long a scrape waits for the brokers. Prometheus gives up
	// after 10 s unless configured. A count may take longer: in franz-go a request
	// waits for its connection. A broker that is cut off holds that up for tens of
	// seconds, whatever the request's own context says.
	scrapeTimeout = 5 * time.Second
	// scrapeAge is how old a count may be for a scrape: several Prometheuses, or
	// someone who reloads the page, cost the cluster one count.
	scrapeAge = time.Second
)

// Collector is a [telemetry.Source] of what is on the topics, counted when it is scraped.
// delaydprom.Collector brings it to Prometheus:
//
//	delayd_pending_records{level}     what waits to be handled; the inbox and the parked records
//	                                  are the levels "inbox" and "parked"
//	delayd_overdue_records{level}     what is due and not delivered yet; levels only
//	delayd_due_within_records{level,within}
//	                                  what is not due yet and becomes due in the next 1m, 10m or 1h;
//	                                  each has those of the one before
//	delayd_held_records{level}        what of it is behind a transaction that its producer has not
//	                                  ended, and that nobody can read until the broker ends it
//	delayd_dead_records               dead letters; they are not pending
//	delayd_cancels_outstanding        cancels and replacements that count against Spec.MaxCancels; not
//	                                  there while they can't be counted
//	delayd_cancels_max                Spec.MaxCancels; not there where that is 0
//	delayd_status_up                  1, or 0 when not all brokers answered in time: the others
//	                                  are those of the last time then
//	delayd_status_age_seconds         how old they are
//
// Nothing but delayd_status_up and delayd_cancels_max is there before the brokers have answered once. The
// numbers are the whole cluster's, so they are the same whichever process is scraped.
type Collector struct {
	cl   *kgo.Client
	spec Spec
	log  zerolog.Logger

	ctx   context.Context // ends with Close
	close context.CancelFunc
	wg    sync.WaitGroup

	mu       sync.Mutex
	counted  countings     // the last time that all could be counted
	cancels  *int64        // outstanding then; nil: not known
	at       time.Time     // of counted; zero before
	err      error         // of the last try
	tried    time.Time     // when that ended
	underway chan struct{} // closed when the count that is under way ends; nil: none is
}

// NewCollector returns a Collector that asks through cl. It logs when the brokers
// cannot be asked any more, and when they can again. Close ends it.
func NewCollector(cl *kgo.Client, spec Spec, log zerolog.Logger) *Collector {
	ctx, stop := context.WithCancel(context.Background())
	return &Collector{
		ctx: ctx, close: stop,
		cl: cl, spec: spec, log: log,
	}
}

// The metrics of a Collector, in the order of families.
const (
	pendingRecords = iota
	overdueRecords
	dueWithin
	heldRecords
	deadRecords
	cancelsOutstanding
	cancelsMax
	statusUp
	statusAge
)

// Describe implements [telemetry.Source].
func (*Collector) Describe() []telemetry.Family {
	family := func(name, help string, labels ...string) telemetry.Family {
		return telemetry.Family{Name: name, Help: help, Kind: telemetry.Gauge, Labels: labels}
	}
	return []telemetry.Family{
		pendingRecords: family("delayd_pending_records",
			"Records that wait to be delivered, to be routed (inbox) or to be tried again (parked).", "level"),
		overdueRecords: family("delayd_overdue_records",
			"Records that are due and not delivered yet.", "level"),
		dueWithin: family("delayd_due_within_records",
			"Records that are not due yet and become due in the next 1m, 10m or 1h; each has those of the one before.", "level", "within"),
		heldRecords: family("delayd_held_records",
			"Pending records behind a producer's transaction that is not ended: nobody can read them yet.", "level"),
		deadRecords: family("delayd_dead_records",
			"Records on the dead letters' topic."),
		cancelsOutstanding: family("delayd_cancels_outstanding",
			"Cancels and replacements that count against --max-cancels. More than that are refused."),
		cancelsMax: family("delayd_cancels_max",
			"How many cancels and replacements may be outstanding: --max-cancels."),
		statusUp: family("delayd_status_up",
			"Whether the records could be counted just now, in time for this scrape."),
		statusAge: family("delayd_status_age_seconds",
			"How long ago the records were counted: what is pending, overdue, due, held and dead is from then."),
	}
}

// Gather implements [telemetry.Source]. It waits for the brokers for five seconds at most.
func (c *Collector) Gather() []telemetry.Family {
	all := c.Describe()
	gauge := func(of int, value int64, labels ...string) {
		all[of].Series = append(all[of].Series, telemetry.Series{Values: labels, Value: float64(value)})
	}
	counted, cancels, at, up := c.latest()
	if c.spec.MaxCancels > 0 {
		gauge(cancelsMax, c.spec.MaxCancels)
	}
	if up {
		gauge(statusUp, 1)
	} else {
		gauge(statusUp, 0)
	}
	if at.IsZero() {
		return all
	}
	all[statusAge].Series = []telemetry.Series{{Value: time.Since(at).Seconds()}}
	if cancels != nil {
		gauge(cancelsOutstanding, *cancels)
	}
	for _, t := range counted {
		switch t.kind {
		case inbox:
			gauge(pendingRecords, t.Pending, metrics.Inbox)
			gauge(heldRecords, t.Held, metrics.Inbox)
		case level:
			gauge(pendingRecords, t.Pending, t.Level)
			gauge(overdueRecords, t.Overdue, t.Level)
			for horizon, n := range t.DueWithin.horizons() {
				gauge(dueWithin, *n, t.Level, levels.FormatDelay(horizon))
			}
			gauge(heldRecords, t.Held, t.Level)
		case parked:
			gauge(pendingRecords, t.Pending, metrics.Parked)
		case dead:
			gauge(deadRecords, t.Pending)
		}
	}
	return all
}

// Close ends a count that is under way. What the client waits for ends no sooner than
// the client: close that first.
func (c *Collector) Close() {
	c.close()
	c.wg.Wait()
}

// latest has the records counted, unless they were less than scrapeAge ago, and waits
// for that no longer than scrapeTimeout. It returns the last complete count, the cancels that
// were outstanding then, when that was, and whether it is the present one.
func (c *Collector) latest() (counted countings, cancels *int64, at time.Time, up bool) {
	if underway := c.start(); underway != nil {
		timer := time.NewTimer(scrapeTimeout)
		defer timer.Stop()
		select {
		case <-underway:
		case <-timer.C:
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counted, c.cancels, c.at, c.underway == nil && c.err == nil
}

// start starts a count where one is wanted and none is under way. It returns what is
// closed when the one that is under way ends, nil where none is.
func (c *Collector) start() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.underway == nil && c.ctx.Err() == nil && (c.tried.IsZero() || time.Since(c.tried) >= scrapeAge) {
		c.underway = make(chan struct{})
		c.wg.Go(c.count)
	}
	return c.underway
}

// count counts, and lets those know who wait for it.
func (c *Collector) count() {
	ctx, cancel := context.WithTimeout(c.ctx, scrapeTimeout)
	defer cancel()
	now := time.Now()
	counted, err := count(ctx, c.cl, c.spec, now)
	if err == nil {
		err = counted.findDueWithin(ctx, c.cl, now)
	}
	var cancels *int64
	if err == nil { // the topic may be missing, or the right to it, and all else be there
		if n, err := cancelsPending(ctx, c.cl, c.spec); err == nil {
			cancels = &n
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ctx.Err() != nil: // closed: nobody asks any more
	case err != nil && c.err == nil:
		c.log.Warn().Err(err).Msg("counting pending records")
	case err == nil && c.err != nil:
		c.log.Info().Msg("counting pending records works again")
	}
	if err == nil {
		c.counted, c.cancels, c.at = counted, cancels, now
	}
	c.err, c.tried = err, time.Now()
	close(c.underway)
	c.underway = nil
}
