package harness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// readyWithin is how long a delayd may take to say whether it is ready.
const readyWithin = time.Second

// Ready asks the delayd that listens on addr whether it is ready. The error is what it
// waits for, or that it does not answer.
func Ready(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	resp, err := get(ctx, addr, "/readyz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	why, _ := io.ReadAll(resp.Body)
	return errors.New(cmp.Or(string(why), resp.Status))
}

// Metric asks the delayd that listens on addr for a metric, and returns the sum of its
// series that have the labels, and whether there is any series of it. A label is written
// NAME=VALUE, or NAME!=VALUE where the value must be another one.
func Metric(ctx context.Context, addr, metric string, labels ...string) (sum float64, found bool, err error) {
	resp, err := get(ctx, addr, "/metrics")
	if err != nil {
		return 0, false, err
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return 0, false, fmt.Errorf("read the metrics on %s: %w", addr, err)
	}
	for _, m := range families[metric].GetMetric() {
		if labelled(m, labels) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return sum, families[metric] != nil, nil
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

func get(ctx context.Context, addr, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true // no connection is left behind
	return http.DefaultClient.Do(req)
}
