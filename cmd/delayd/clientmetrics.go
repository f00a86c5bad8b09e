package main

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
)

// clientMetrics are franz-go's own metrics, summed over the clients of the
// process. kprom registers its metrics once for every client that it is hooked
// into, which fails for the second: here the first client registers them and all
// of them count into the same.
type clientMetrics struct {
	*kprom.Metrics
	once sync.Once

	log zerolog.Logger

	mu        sync.Mutex
	clients   map[*kgo.Client]struct{} // open ones
	throttled time.Duration            // asked for by brokers since it was warned of
	warned    time.Time
}

// A quota is warned of once brokers make the clients wait for throttledFor in all, at
// most once in throttledEvery. Brokers ask for some milliseconds without need.
const (
	throttledFor   = time.Second
	throttledEvery = time.Minute
)

const clientNamespace = "delayd_kafka"

func newClientMetrics(reg prometheus.Registerer, log zerolog.Logger) *clientMetrics {
	m := &clientMetrics{
		log: log,
		// How long a quota holds requests up is the one histogram that is worth its series.
		Metrics: kprom.NewMetrics(clientNamespace, kprom.Registerer(counted{reg}), kprom.Histograms(kprom.RequestThrottled)),
		clients: make(map[*kgo.Client]struct{}),
	}
	m.gauge(reg, "buffered_produce_records", "Records buffered to be produced.", (*kgo.Client).BufferedProduceRecords)
	m.gauge(reg, "buffered_produce_bytes", "Bytes buffered to be produced.", (*kgo.Client).BufferedProduceBytes)
	m.gauge(reg, "buffered_fetch_records", "Records fetched and not yet polled.", (*kgo.Client).BufferedFetchRecords)
	m.gauge(reg, "buffered_fetch_bytes", "Bytes fetched and not yet polled.", (*kgo.Client).BufferedFetchBytes)
	return m
}

// gauge registers a gauge that adds up what of says over the open clients.
func (m *clientMetrics) gauge(reg prometheus.Registerer, name, help string, of func(*kgo.Client) int64) {
	opts := prometheus.GaugeOpts{Namespace: clientNamespace, Name: name, Help: help}
	reg.MustRegister(prometheus.NewGaugeFunc(opts, func() float64 {
		m.mu.Lock()
		defer m.mu.Unlock()
		var sum int64
		for cl := range m.clients {
			sum += of(cl)
		}
		return float64(sum)
	}))
}

// OnNewClient implements kgo.HookNewClient.
func (m *clientMetrics) OnNewClient(cl *kgo.Client) {
	m.once.Do(func() { m.Metrics.OnNewClient(cl) })
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clients[cl] = struct{}{}
}

// OnClientClosed implements kgo.HookClientClosed. The counters stay: they are
// those of the process.
func (m *clientMetrics) OnClientClosed(cl *kgo.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.clients, cl)
}

// OnBrokerThrottle implements kgo.HookBrokerThrottle.
func (m *clientMetrics) OnBrokerThrottle(broker kgo.BrokerMetadata, wait time.Duration, after bool) {
	m.Metrics.OnBrokerThrottle(broker, wait, after)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.throttled += wait; m.throttled < throttledFor || now.Sub(m.warned) < throttledEvery {
		return
	}
	m.log.Warn().Int32("broker", broker.NodeID).Dur("in_all_ms", m.throttled).
		Msgf("the broker makes this client wait %v: a quota of its user or client id; raise it, or expect late deliveries", wait)
	m.throttled, m.warned = 0, now
}

// counted registers those of kprom's metrics that have something to say. Its gauges
// know the first client only; the others that it leaves out are not counted unless
// asked for, which costs time for every batch.
type counted struct{ prometheus.Registerer }

// uncounted are those that would stay empty.
var uncounted = []string{
	"write_wait_seconds", "write_time_seconds", "read_wait_seconds", "read_time_seconds", "request_duration_e2e_seconds",
	"produce_compressed_bytes_total", "produce_batches_total", "produce_records_total",
	"fetch_compressed_bytes_total", "fetch_batches_total", "fetch_records_total",
}

func (r counted) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if _, ok := c.(prometheus.GaugeFunc); !ok && !isUncounted(c) {
			r.Registerer.MustRegister(c)
		}
	}
}

// isUncounted goes by the printed form: client_golang tells a name in no other way.
func isUncounted(c prometheus.Collector) bool {
	descs := make(chan *prometheus.Desc, 1)
	c.Describe(descs)
	desc := (<-descs).String()
	return slices.ContainsFunc(uncounted, func(name string) bool {
		return strings.Contains(desc, strconv.Quote(clientNamespace+"_"+name))
	})
}
