package admin

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// scrapeTimeout is how long a scrape waits for the brokers. Prometheus gives
	// up after 10 s unless configured.
	scrapeTimeout = 5 * time.Second
	// scrapeAge is how old a count may be for a scrape: several Prometheuses, or
	// someone who reloads the page, cost the cluster one count.
	scrapeAge = time.Second
)

// Collector publishes what is on the topics, counted when it is scraped:
//
//	delayd_pending_records{level}  what waits to be handled; the inbox and the parked records
//	                               are the levels "inbox" and "parked"
//	delayd_overdue_records{level}  what should have been delivered by now; levels only
//	delayd_held_records{level}     what of it is behind a transaction that its producer has not
//	                               ended, and that nobody can read until the broker ends it
//	delayd_dead_records            dead letters; they are not pending
//	delayd_status_up               1, or 0 when the brokers could not be asked: the others are
//	                               missing then
//
// The numbers are the whole cluster's, so they are the same whichever process is
// scraped.
type Collector struct {
	cl   *kgo.Client
	spec Spec
	log  zerolog.Logger

	pending, overdue, held, dead, up *prometheus.Desc

	mu      sync.Mutex
	counted countings
	err     error
	at      time.Time // of counted and err; zero before the first scrape
}

// NewCollector returns a Collector that asks through cl. It logs when the brokers
// cannot be asked any more, and when they can again.
func NewCollector(cl *kgo.Client, spec Spec, log zerolog.Logger) *Collector {
	return &Collector{
		cl: cl, spec: spec, log: log,
		pending: prometheus.NewDesc("delayd_pending_records",
			"Records that wait to be delivered, to be routed (inbox) or to be tried again (parked).", []string{"level"}, nil),
		overdue: prometheus.NewDesc("delayd_overdue_records",
			"Records that should have been delivered by now.", []string{"level"}, nil),
		held: prometheus.NewDesc("delayd_held_records",
			"Pending records behind a producer's transaction that is not ended: nobody can read them yet.", []string{"level"}, nil),
		dead: prometheus.NewDesc("delayd_dead_records",
			"Records on the dead letters' topic.", nil, nil),
		up: prometheus.NewDesc("delayd_status_up",
			"Whether the records could be counted.", nil, nil),
	}
}

// Describe is part of prometheus.Collector.
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.pending
	descs <- c.overdue
	descs <- c.held
	descs <- c.dead
	descs <- c.up
}

// Collect is part of prometheus.Collector.
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value int64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), labels...)
	}
	counted, err := c.count()
	if err != nil {
		gauge(c.up, 0)
		return
	}
	gauge(c.up, 1)
	for _, t := range counted {
		switch t.kind {
		case inbox:
			gauge(c.pending, t.Pending, "inbox")
			gauge(c.held, t.Held, "inbox")
		case level:
			gauge(c.pending, t.Pending, t.Level)
			gauge(c.overdue, t.Overdue, t.Level)
			gauge(c.held, t.Held, t.Level)
		case parked:
			gauge(c.pending, t.Pending, "parked")
		case dead:
			gauge(c.dead, t.Pending)
		}
	}
}

// count counts, or returns what was counted less than scrapeAge ago.
func (c *Collector) count() (countings, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < scrapeAge {
		return c.counted, c.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	counted, err := count(ctx, c.cl, c.spec, time.Now())
	switch {
	case err != nil && c.err == nil:
		c.log.Warn().Err(err).Msg("counting pending records")
	case err == nil && c.err != nil:
		c.log.Info().Msg("counting pending records works again")
	}
	c.counted, c.err, c.at = counted, err, time.Now()
	return counted, err
}
