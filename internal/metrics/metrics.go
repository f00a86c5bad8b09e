// Package metrics holds the counters that the router and the forwarder keep.
//
// What is pending and overdue is not counted here: it is read from offsets
// (package admin), so that it is exact whichever instance is asked.
package metrics

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/delayd-io/delayd/levels"
)

// Metrics are the counters of one process. Every method can be called from any
// goroutine.
type Metrics struct {
	Routed      *prometheus.CounterVec // by level
	Delivered   *prometheus.CounterVec // by level
	Dead        *prometheus.CounterVec // by code
	Parked      *prometheus.CounterVec // by level
	Clamped     *prometheus.CounterVec // by level that was granted
	Steps       *prometheus.CounterVec // by level
	Cancelled   *prometheus.CounterVec // by level
	Retried     prometheus.Counter
	Lateness    *prometheus.HistogramVec // by level
	Rounding    *prometheus.HistogramVec // by level that was granted
	RouterLag   prometheus.Gauge
	Unavailable prometheus.Gauge
	// CancelsPending is how many marks the process keeps.
	CancelsPending prometheus.Gauge
	Paused         *prometheus.GaugeVec // by level or target: see Pause
	LeaseAge       *prometheus.GaugeVec // by group
	Skew           *prometheus.GaugeVec // by group

	// What the lanes of this process hold, by level.
	Assigned, Queued, InFlight, Overdue *prometheus.GaugeVec

	Stalled *prometheus.GaugeVec // by topic

	Purged    *prometheus.CounterVec
	PurgeFail *prometheus.CounterVec
	DataLoss  prometheus.Counter

	Transactions *prometheus.CounterVec // by how they ended

	levels map[string]deliveries // of the levels that are expected; read only
}

// deliveries are the series of one level that count every record: looking them up
// by their label would cost more than the counting.
type deliveries struct {
	delivered, parked prometheus.Counter
	lateness          prometheus.Observer
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
func New(reg prometheus.Registerer) *Metrics {
	m, err := Register(reg)
	if err != nil {
		panic(err)
	}
	return m
}

// Register returns the metrics, registered with reg. A nil reg counts without
// publishing, for programs that embed delayd and do not ask for metrics. It returns an
// error, and leaves nothing in reg, where reg holds one of the names as something else.
func Register(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		Routed: vec("delayd_routed_total", "Records that the router put on a level topic or delivered at once.", "level"),
		Delivered: vec("delayd_delivered_total",
			"Records delivered to their target and acknowledged.", "level"),
		Dead:    vec("delayd_dead_letters_total", "Records written to the dead letters.", "code"),
		Parked:  vec("delayd_parked_total", "Records set aside because their target could not be written.", "level"),
		Clamped: vec("delayd_clamped_total", "Requests above the last level that were shortened to it.", "level"),
		Steps: vec("delayd_steps_total",
			"Records on their way to an exact time that were put on a level.", "level"),
		Retried: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "delayd_send_retries_total", Help: "Records sent again after a refused or unclear answer."}),
		Lateness: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "delayd_lateness_seconds",
			Help:    "Time from a record's due time to the acknowledgement of its delivery.",
			Buckets: latenessBuckets,
		}, []string{"level"}),
		Rounding: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "delayd_rounding_error_seconds",
			Help:    "How far the granted level is from the delay that was asked for.",
			Buckets: roundingBuckets,
		}, []string{"level"}),
		RouterLag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "delayd_router_lag_seconds", Help: "Age of the record that the router handled last."}),
		Cancelled: vec("delayd_cancelled_total", "Records that were cancelled or replaced, and dropped when they were due.", "level"),
		CancelsPending: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "delayd_cancels_pending", Help: "Cancels and replacements that this instance keeps, because records may wait that they are meant for."}),
		Unavailable: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "delayd_unavailable_targets", Help: "Targets whose records are being parked, other than those that are paused."}),
		Paused: prometheus.NewGaugeVec(prometheus.GaugeOpts{
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
		DataLoss: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "delayd_lost_offsets_total", Help: "Offsets that a broker no longer had when they were still to be delivered."}),
	}
	m.Transactions = vec("delayd_transactions_total",
		"Transactions of exactly-once delivery, by outcome: committed or aborted.", "outcome")
	for _, outcome := range []string{Committed, Aborted} {
		m.Transactions.WithLabelValues(outcome)
	}
	if reg == nil {
		return m, nil
	}
	r := &registration{reg: reg}
	m.Routed, m.Delivered, m.Dead = register(r, m.Routed), register(r, m.Delivered), register(r, m.Dead)
	m.Parked, m.Clamped, m.Retried = register(r, m.Parked), register(r, m.Clamped), register(r, m.Retried)
	m.Lateness, m.Rounding, m.RouterLag = register(r, m.Lateness), register(r, m.Rounding), register(r, m.RouterLag)
	m.Unavailable, m.LeaseAge, m.Skew = register(r, m.Unavailable), register(r, m.LeaseAge), register(r, m.Skew)
	m.Assigned, m.Queued = register(r, m.Assigned), register(r, m.Queued)
	m.InFlight, m.Overdue = register(r, m.InFlight), register(r, m.Overdue)
	m.Stalled, m.Paused = register(r, m.Stalled), register(r, m.Paused)
	m.Purged, m.PurgeFail = register(r, m.Purged), register(r, m.PurgeFail)
	m.Steps = register(r, m.Steps)
	m.Cancelled, m.CancelsPending = register(r, m.Cancelled), register(r, m.CancelsPending)
	m.DataLoss, m.Transactions = register(r, m.DataLoss), register(r, m.Transactions)
	if r.err != nil {
		for _, c := range r.added {
			reg.Unregister(c)
		}
		return nil, r.err
	}
	return m, nil
}

// registration is the metrics on their way into a registry.
type registration struct {
	reg   prometheus.Registerer
	added []prometheus.Collector
	err   error // the first
}

// register returns c, or the collector that is registered in its place: a
// router and a forwarder in one program count together.
func register[C prometheus.Collector](r *registration, c C) C {
	if r.err != nil {
		return c
	}
	err := r.reg.Register(c)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if same, ok := already.ExistingCollector.(C); ok {
			return same
		}
	}
	if err != nil {
		r.err = fmt.Errorf("register metrics: %w; give delayd a registry of its own, or labels by prometheus.WrapRegistererWith", err)
		return c
	}
	r.added = append(r.added, c)
	return c
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

func vec(name, help, label string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
}

func gauges(name, help, label string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{label})
}
