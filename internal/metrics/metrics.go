// Package metrics holds the counters that the router and the forwarder keep.
//
// What is pending and overdue is not counted here: it is read from offsets
// (package admin), so that it is exact whichever instance is asked.
package metrics

import (
	"fmt"
	"time"

	"github.com/delayd-io/delayd/internal/series"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/telemetry"
)

// Metrics are the counters of one process. Every method can be called from any
// goroutine.
type Metrics struct {
	Routed      *series.CounterVec // by level
	Delivered   *series.CounterVec // by level
	Dead        *series.CounterVec // by code
	Parked      *series.CounterVec // by level
	Clamped     *series.CounterVec // by level that was granted
	Steps       *series.CounterVec // by level
	Cancelled   *series.CounterVec // by level
	Retried     series.Counter
	Retries     series.Counter
	Lateness    *series.HistogramVec // by level
	Rounding    *series.HistogramVec // by level that was granted
	RouterLag   series.Gauge
	Unavailable series.Gauge
	// CancelsPending is how many marks the process keeps.
	CancelsPending series.Gauge
	Paused         *series.GaugeVec // by level or target: see Pause
	LeaseAge       *series.GaugeVec // by group
	Skew           *series.GaugeVec // by group

	// What the lanes of this process hold, by level.
	Assigned, Queued, InFlight, Overdue *series.GaugeVec

	Stalled *series.GaugeVec // by topic

	Purged    *series.CounterVec
	PurgeFail *series.CounterVec
	DataLoss  series.Counter

	Transactions *series.CounterVec // by how they ended

	all    []series.Collector    // what is published
	levels map[string]deliveries // of the levels that are expected; read only
}

// deliveries are the series of one level that count every record: looking them up
// by their label would cost more than the counting.
type deliveries struct {
	delivered, parked series.Counter
	lateness          series.Observer
}

// What the inbox and the parked records are called where levels are told apart.
const (
	Inbox  = "inbox"
	Parked = "parked"
)

// Other is what levels are called together that are not in the ladder: anyone who can
// write to the parked topic can name one.
const Other = "other"

// maxLateness is how late a delivery may be to be part of the histogram: above it the due
// time is forged, or its producer's clock was wrong.
const maxLateness = 30 * 24 * time.Hour

// The outcomes of transactions.
const (
	Committed = "committed"
	Aborted   = "aborted"
)

// latenessBuckets run from the millisecond that a delivery is aimed at to the
// minutes of an outage.
var latenessBuckets = []float64{
	.001, .002, .003, .005, .0075, .01, .015, .02, .03, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800,
}

// roundingBuckets cover what nearest-level rounding can move a delay by, in seconds.
var roundingBuckets = []float64{0, .5, 1, 5, 15, 30, 60, 300, 900, 1800, 3600}

// New is [Register] for a registry that holds nothing else, or nil: it panics where
// Register returns an error.
func New(reg telemetry.Registry) *Metrics {
	m, err := Register(reg)
	if err != nil {
		panic(err)
	}
	return m
}

// Register returns the metrics, registered with reg. A nil reg counts without
// publishing, for programs that embed delayd and do not ask for metrics. Where reg has
// them already, of a router in the same program for a forwarder, they count together. It
// returns an error, and leaves nothing in reg, where reg holds one of the names as
// something else.
func Register(reg telemetry.Registry) (*Metrics, error) {
	m := describe()
	if reg == nil {
		return m, nil
	}
	source, err := reg.Register(m)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	same, ok := source.(*Metrics)
	if !ok {
		return nil, fmt.Errorf("register metrics: the registry has other metrics of the same names, a %T", source)
	}
	shared := *same
	shared.levels = nil // each of them expects its own
	return &shared, nil
}

// describe makes all metrics.
func describe() *Metrics {
	m := &Metrics{
		Routed: vec("delayd_routed_total", "Records that the router put on a level topic or delivered at once.", "level"),
		Delivered: vec("delayd_delivered_total",
			"Records delivered to their target and acknowledged.", "level"),
		Dead:    vec("delayd_dead_letters_total", "Records written to the dead letters.", "code"),
		Parked:  vec("delayd_parked_total", "Records set aside because their target could not be written.", "level"),
		Clamped: vec("delayd_clamped_total", "Requests above the last level that were shortened to it.", "level"),
		Steps: vec("delayd_steps_total",
			"Records on their way to an exact time that were put on a level.", "level"),
		Retried: series.NewCounter(series.CounterOpts{
			Name: "delayd_send_retries_total", Help: "Records sent again after a refused or unclear answer."}),
		Retries: series.NewCounter(series.CounterOpts{
			Name: "delayd_retries_total", Help: "Records that a consumer failed and that wait for their next attempt."}),
		Lateness: series.NewHistogramVec(series.HistogramOpts{
			Name:    "delayd_lateness_seconds",
			Help:    "Time from a record's due time to the acknowledgement of its delivery.",
			Buckets: latenessBuckets,
		}, []string{"level"}),
		Rounding: series.NewHistogramVec(series.HistogramOpts{
			Name:    "delayd_rounding_error_seconds",
			Help:    "How far the granted level is from the delay that was asked for.",
			Buckets: roundingBuckets,
		}, []string{"level"}),
		RouterLag: series.NewGauge(series.GaugeOpts{
			Name: "delayd_router_lag_seconds", Help: "Age of the record that the router handled last."}),
		Cancelled: vec("delayd_cancelled_total", "Records that were cancelled or replaced, and dropped when they were due.", "level"),
		CancelsPending: series.NewGauge(series.GaugeOpts{
			Name: "delayd_cancels_pending", Help: "Cancels and replacements that this instance keeps, because records may wait that they are meant for."}),
		Unavailable: series.NewGauge(series.GaugeOpts{
			Name: "delayd_unavailable_targets", Help: "Targets whose records are being parked, other than those that are paused."}),
		Paused: series.NewGaugeVec(series.GaugeOpts{
			Name: "delayd_paused", Help: "1 for each level and each target that is paused; the other label is empty."}, []string{"level", "target"}),
		LeaseAge: gauges("delayd_lease_age_seconds", "Time since the last commit that proved membership.", "group"),
		Skew: gauges("delayd_clock_skew_seconds",
			"Estimate of this clock minus the brokers', the one that is furthest from zero.", "group"),
		Assigned: gauges("delayd_assigned_partitions",
			"Partitions that this instance holds.", "level"),
		Queued: gauges("delayd_queued_bytes",
			"Memory held by records that this instance has fetched and not handled.", "level"),
		InFlight: gauges("delayd_in_flight_records",
			"Records that this instance has sent and that are not acknowledged.", "level"),
		Overdue: gauges("delayd_oldest_overdue_seconds",
			"How long ago the oldest record that this instance holds was due; in the inbox and among the parked, how long it has been there.", "level"),
		Stalled: gauges("delayd_stalled_partitions",
			"Partitions that this instance holds and cannot read on, or whose topic is not there.", "topic"),
		Purged: vec("delayd_purged_records_total", "Offsets deleted behind the commit.", "topic"),
		PurgeFail: vec("delayd_purge_errors_total",
			"Purges that the broker refused; disk use grows while this rises.", "topic"),
		DataLoss: series.NewCounter(series.CounterOpts{
			Name: "delayd_lost_offsets_total", Help: "Offsets that a broker no longer had when they were still to be delivered."}),
	}
	m.Transactions = vec("delayd_transactions_total",
		"Transactions of exactly-once delivery, by outcome: committed or aborted.", "outcome")
	for _, outcome := range []string{Committed, Aborted} {
		m.Transactions.WithLabelValues(outcome)
	}
	r := new(registration)
	m.Routed, m.Delivered, m.Dead = register(r, m.Routed), register(r, m.Delivered), register(r, m.Dead)
	m.Parked, m.Clamped, m.Retried = register(r, m.Parked), register(r, m.Clamped), register(r, m.Retried)
	m.Lateness, m.Rounding, m.RouterLag = register(r, m.Lateness), register(r, m.Rounding), register(r, m.RouterLag)
	m.Unavailable, m.LeaseAge, m.Skew = register(r, m.Unavailable), register(r, m.LeaseAge), register(r, m.Skew)
	m.Assigned, m.Queued = register(r, m.Assigned), register(r, m.Queued)
	m.InFlight, m.Overdue = register(r, m.InFlight), register(r, m.Overdue)
	m.Stalled, m.Paused = register(r, m.Stalled), register(r, m.Paused)
	m.Purged, m.PurgeFail = register(r, m.Purged), register(r, m.PurgeFail)
	m.Steps, m.Retries = register(r, m.Steps), register(r, m.Retries)
	m.Cancelled, m.CancelsPending = register(r, m.Cancelled), register(r, m.CancelsPending)
	m.DataLoss, m.Transactions = register(r, m.DataLoss), register(r, m.Transactions)
	m.all = r.all
	return m
}

// registration is the metrics in their order.
type registration struct{ all []series.Collector }

// register puts c among them, and returns it.
func register[C series.Collector](r *registration, c C) C {
	r.all = append(r.all, c)
	return c
}

// Describe implements [telemetry.Source].
func (m *Metrics) Describe() []telemetry.Family {
	list := make([]telemetry.Family, len(m.all))
	for i, c := range m.all {
		list[i] = c.Describe()
	}
	return list
}

// Gather implements [telemetry.Source].
func (m *Metrics) Gather() []telemetry.Family {
	list := m.Describe()
	for i, c := range m.all {
		list[i].Series = c.Collect()
	}
	return list
}

// Expect has the series of levels and codes be there, at zero, before anything
// is counted, so that rates and alerts work from the first record on.
func (m *Metrics) Expect(ladder levels.Ladder) {
	m.levels = make(map[string]deliveries, ladder.Len()+1)
	for l := range ladder.All() {
		m.expectLevel(l.String())
		m.Steps.WithLabelValues(l.String())
	}
	m.expectLevel(levels.Level{}.String())
	m.Routed.WithLabelValues(levels.GrantedExact)
	m.levels[levels.GrantedExact] = m.deliveries(levels.GrantedExact)
	for _, code := range levels.Codes() {
		m.Dead.WithLabelValues(string(code))
	}
}

func (m *Metrics) expectLevel(name string) {
	m.Routed.WithLabelValues(name)
	m.Clamped.WithLabelValues(name)
	m.Rounding.WithLabelValues(name)
	m.levels[name] = m.deliveries(name)
	m.Cancelled.WithLabelValues(name)
}

func (m *Metrics) deliveries(level string) deliveries {
	return deliveries{m.Delivered.WithLabelValues(level), m.Parked.WithLabelValues(level), m.Lateness.WithLabelValues(level)}
}

// of returns the series of a level, expected or not.
func (m *Metrics) of(level string) deliveries {
	if d, ok := m.levels[level]; ok {
		return d
	}
	return m.deliveries(Other)
}

// Late records a delivery of level whose due time was due.
func (m *Metrics) Late(level string, due, now time.Time) {
	d := m.of(level)
	d.delivered.Inc()
	if late := now.Sub(due); late <= maxLateness {
		d.lateness.Observe(max(0, late.Seconds()))
	}
}

// Cancel records that a parked record of level was cancelled.
func (m *Metrics) Cancel(level string) {
	if _, ok := m.levels[level]; !ok {
		level = Other
	}
	m.Cancelled.WithLabelValues(level).Inc()
}

// Park records that a record of level was set aside.
func (m *Metrics) Park(level string) { m.of(level).parked.Inc() }

// Pause notes that a level or a target, one of the two, is paused, or no more.
func (m *Metrics) Pause(level, target string, on bool) {
	if on {
		m.Paused.WithLabelValues(level, target).Set(1)
	} else {
		m.Paused.DeleteLabelValues(level, target)
	}
}

func vec(name, help, label string) *series.CounterVec {
	return series.NewCounterVec(series.CounterOpts{Name: name, Help: help}, []string{label})
}

func gauges(name, help, label string) *series.GaugeVec {
	return series.NewGaugeVec(series.GaugeOpts{Name: name, Help: help}, []string{label})
}
