package conformance

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	deployFolder = "../../deploy"
	metricsPage  = "../../docs/metrics.md"
)

// patience bounds what a query may take. It only matters where a test fails.
const patience = time.Minute

// metric is a row of the tables of docs/metrics.md, which cmd/delayd's TestMetricsReference
// compares with what a service registers.
type metric struct {
	name, kind string
	labels     []string
}

// documented are the metrics of a service, by name; those of a histogram's series too.
func documented(t *testing.T) map[string]metric {
	t.Helper()
	known := make(map[string]metric)
	for _, row := range regexp.MustCompile("(?m)^\\| `(delayd_[a-z_]+)` \\| ([a-z]+) \\| ([^|]*) \\|").FindAllStringSubmatch(readFile(t, metricsPage), -1) {
		m := metric{name: row[1], kind: row[2], labels: []string{"prefix"}}
		for _, label := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[3], -1) {
			m.labels = append(m.labels, label[1])
		}
		known[m.name] = m
		if m.kind == "histogram" {
			known[m.name+"_bucket"] = metric{labels: append([]string{"le"}, m.labels...)}
			known[m.name+"_sum"] = metric{labels: m.labels}
		}
	}
	if len(known) == 0 {
		t.Fatalf("%s has no table of metrics", strings.TrimPrefix(metricsPage, "../../"))
	}
	return known
}
