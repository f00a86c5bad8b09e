package main

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
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

	mu      sync.Mutex
	clients map[*kgo.Client]struct{} // open ones, guarded by mu
}

const clientNamespace = "delayd_kafka"

func newClientMetrics(reg prometheus.Registerer) *clientMetrics {
	m := &clientMetrics{
		Metrics: kprom.NewMetrics(clientNamespace, kprom.Registerer(withoutGaugeFuncs{reg})),
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

// withoutGaugeFuncs leaves out kprom's gauges, which know the first client only.
type withoutGaugeFuncs struct{ prometheus.Registerer }

func (r withoutGaugeFuncs) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if _, ok := c.(prometheus.GaugeFunc); !ok {
			r.Registerer.MustRegister(c)
		}
	}
}
