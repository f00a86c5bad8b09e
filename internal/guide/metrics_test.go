//go:build synctests

package guide

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"

	"github.com/delayd-io/delayd/delaydprom"
	"github.com/delayd-io/delayd/delaydtest"
	"github.com/delayd-io/delayd/forwarder"
)

// clientMetrics are kprom's for all clients that it is hooked into. kprom registers its
// metrics for every client, which fails for the second.
type clientMetrics struct {
	*kprom.Metrics
	once sync.Once
}

func (m *clientMetrics) OnNewClient(cl *kgo.Client) {
	m.once.Do(func() { m.Metrics.OnNewClient(cl) })
}

// OnClientClosed keeps the metrics registered: other clients count into them.
func (*clientMetrics) OnClientClosed(*kgo.Client) {}

func newMeasured(reg prometheus.Registerer, opts ...kgo.Opt) (*forwarder.Forwarder, error) {
	cfg := forwarder.DefaultConfig()
	cfg.Metrics = delaydprom.Registry(reg)
	hooks := &clientMetrics{Metrics: kprom.NewMetrics("kafka", kprom.Registerer(reg))}
	return forwarder.New(cfg, append(opts, kgo.WithHooks(hooks))...)
}

// TestMetrics: a forwarder counts deliveries and requests in one registry.
func TestMetrics(t *testing.T) {
	delaydtest.Run(t, delaydtest.Config{Topics: []string{"reminders"}}, func(t *testing.T, env *delaydtest.Env) {
		reg := prometheus.NewRegistry()
		f, err := newMeasured(reg, env.Opts()...)
		if err != nil {
			t.Fatal(err)
		}
		stop := env.Start(f)
		env.Produce(direct("delay.level.5s", "reminders"))
		env.Records("reminders", 1, time.Minute)
		stop()
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		values := make(map[string]float64)
		for _, family := range families {
			for _, m := range family.GetMetric() {
				values[family.GetName()] += m.GetCounter().GetValue()
			}
		}
		if values["delayd_delivered_total"] != 1 {
			t.Errorf("delayd_delivered_total is %v, want 1", values["delayd_delivered_total"])
		}
		if values["kafka_write_bytes_total"] == 0 {
			t.Error("kafka_write_bytes_total is 0")
		}
	})
}

// direct is a record for a level that goes to target.
func direct(level, target string) *kgo.Record {
	return &kgo.Record{Topic: level, Key: []byte("order-1"), Headers: []kgo.RecordHeader{{Key: "delay-target", Value: []byte(target)}}}
}

// TestRefusedMetrics: kprom's own hooks are refused with what to do, where they would panic.
func TestRefusedMetrics(t *testing.T) {
	_, err := forwarder.New(forwarder.DefaultConfig(), kgo.WithHooks(kprom.NewMetrics("kafka")))
	if err == nil || !strings.Contains(err.Error(), "*kprom.Metrics") || !strings.Contains(err.Error(), "docs/go.md") {
		t.Errorf("error %v, want one that names the hook and docs/go.md", err)
	}
}
