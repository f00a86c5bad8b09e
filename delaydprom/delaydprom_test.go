package delaydprom

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/router"
	"github.com/delayd-io/delayd/telemetry"
)

// source is a telemetry.Source that never changes.
type source []telemetry.Family

func (s source) Gather() []telemetry.Family { return s }

func (s source) Describe() []telemetry.Family {
	list := slices.Clone(s)
	for i := range list {
		list[i].Series = nil
	}
	return list
}

// TestCollector: what a source gathers is what is scraped, with labels, and with buckets.
func TestCollector(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(Collector(source{
		{Name: "records_total", Help: "Records.", Kind: telemetry.Counter, Labels: []string{"level"}, Series: []telemetry.Series{
			{Values: []string{"1m"}, Value: 3}, {Values: []string{"5s"}, Value: 2},
		}},
		{Name: "open", Help: "Open ones.", Kind: telemetry.Gauge, Series: []telemetry.Series{{Value: -1}}},
		{Name: "late_seconds", Help: "Lateness.", Kind: telemetry.Histogram, Labels: []string{"level"}, Series: []telemetry.Series{
			{Values: []string{"5s"}, Count: 4, Sum: 9, Buckets: []telemetry.Bucket{{Upper: 1, Count: 1}, {Upper: 5, Count: 3}}},
		}},
		{Name: "none", Help: "Nothing yet.", Kind: telemetry.Gauge},
	}))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got = append(got, fmt.Sprint(f.GetName(), " ", strings.ToLower(f.GetType().String()), ": ", f.GetHelp(), " ", strings.ReplaceAll(m.String(), "  ", " ")))
		}
	}
	want := []string{
		`late_seconds histogram: Lateness. label:{name:"level" value:"5s"} histogram:{sample_count:4 sample_sum:9 ` +
			`bucket:{cumulative_count:1 upper_bound:1} bucket:{cumulative_count:3 upper_bound:5}}`,
		`open gauge: Open ones. gauge:{value:-1}`,
		`records_total counter: Records. label:{name:"level" value:"1m"} counter:{value:3}`,
		`records_total counter: Records. label:{name:"level" value:"5s"} counter:{value:2}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRegistry: a router and a forwarder count together in one registry, with labels too, and
// a second forwarder takes labels that differ.
func TestRegistry(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	labelled := func(name string) telemetry.Registry {
		return Registry(prometheus.WrapRegistererWith(prometheus.Labels{"prefix": name}, reg))
	}
	brokers := kgo.SeedBrokers("localhost:9092")
	for _, name := range []string{"a", "b"} {
		rc, fc := router.DefaultConfig(), forwarder.DefaultConfig()
		rc.Metrics, fc.Metrics = labelled(name), labelled(name)
		if _, err := router.New(rc, brokers); err != nil {
			t.Fatal(err)
		}
		if _, err := forwarder.New(fc, brokers); err != nil {
			t.Fatal(err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "delayd_send_retries_total" && len(f.GetMetric()) != 2 {
			t.Errorf("%d series of %s, want 2", len(f.GetMetric()), f.GetName())
		}
	}
	if len(families) == 0 || Registry(nil) != nil {
		t.Error("nothing is registered, or a registry without one of Prometheus")
	}
}

// TestForeignMetrics: a registry that holds a name of ours with other labels, or as
// another kind of metric, is an error of New, and stays as it was.
func TestForeignMetrics(t *testing.T) {
	for name, foreign := range map[string]prometheus.Collector{
		"labels": prometheus.NewCounterVec(prometheus.CounterOpts{Name: "delayd_dead_letters_total", Help: "h"}, []string{"other"}),
		"kind": prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "delayd_dead_letters_total", Help: "Records written to the dead letters."}, []string{"code"}),
	} {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			registry.MustRegister(foreign)
			rc, fc := router.DefaultConfig(), forwarder.DefaultConfig()
			rc.Metrics, fc.Metrics = Registry(registry), Registry(registry)
			brokers := kgo.SeedBrokers("localhost:9092")
			_, err := router.New(rc, brokers)
			saysWhy(t, err, "register metrics", "WrapRegistererWith")
			_, err = forwarder.New(fc, brokers)
			saysWhy(t, err, "register metrics", "WrapRegistererWith")
			registry.Unregister(foreign)
			families, err := registry.Gather()
			if err != nil || len(families) > 0 {
				t.Errorf("%d metrics are left (%v)", len(families), err)
			}
		})
	}
}

func saysWhy(t *testing.T, err error, want ...string) {
	t.Helper()
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("error %v does not say %q", err, w)
		}
	}
}
