package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What shows that something was broken: a fault that nobody felt proves nothing.

// ask sends a request to a broker on delayd's way, by a connection of its own, and
// says how long the answer took. The request and the answer are about size bytes
// long.
func (w *world) ask(ctx context.Context, node int, size int) (time.Duration, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.proxies.addrs()[node]), kgo.RequestRetries(0))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none; nil would ask for all
	const name = 200                           // bytes of a topic that there is not
	for i := range size / name {
		topic := fmt.Sprintf("%0*d", name, i)
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &topic})
	}
	begun := time.Now()
	_, err = cl.SeedBrokers()[0].Request(ctx, req)
	return time.Since(begun), err
}

// unreachable notes a violation where a broker answers on delayd's way within some
// time, which is waited for.
func (w *world) unreachable(ctx context.Context, node int, within time.Duration) {
	asking, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if took, err := w.ask(asking, node, 0); err == nil {
		w.violated("broker %d answered on delayd's way after %v, though it was cut off", node, took)
	}
}

// slow notes a violation where a broker answers a request of a size on delayd's way
// sooner than what was broken allows.
func (w *world) slow(ctx context.Context, node, size int, least time.Duration) error {
	took, err := w.ask(ctx, node, size)
	if err == nil && took < least {
		w.violated("broker %d answered on delayd's way after %v, want %v at least", node, took, least)
	}
	return err
}

// count adds up the series of one of an instance's metrics that have the labels,
// written as NAME=VALUE; a label written NAME!=VALUE must have another value. A
// metric that is not there counts 0.
func (i *instance) count(ctx context.Context, metric string, labels ...string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.http+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("metrics of delayd %s: %w", i.name, err)
	}
	sum := 0.0
	for _, m := range families[metric].GetMetric() {
		if labelled(m, labels) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum, nil
}

func labelled(m *dto.Metric, labels []string) bool {
	has := make(map[string]string)
	for _, l := range m.GetLabel() {
		has[l.GetName()] = l.GetValue()
	}
	for _, l := range labels {
		name, value, _ := strings.Cut(l, "=")
		name, not := strings.CutSuffix(name, "!")
		if (has[name] == value) == not {
			return false
		}
	}
	return true
}

// count is that of a delayd by its name.
func (w *world) count(ctx context.Context, name, metric string, labels ...string) (float64, error) {
	i, err := w.instance(name)
	if err != nil {
		return 0, err
	}
	return i.count(ctx, metric, labels...)
}
