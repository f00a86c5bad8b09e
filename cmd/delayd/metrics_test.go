package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/delaydprom"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/levels"
)

// metric is what is said of one in docs/metrics.md.
type metric struct {
	name, kind, help string
	labels           []string
}

// registered is all that a service registers, without a cluster.
func registered(t *testing.T) *prometheus.Registry {
	t.Helper()
	ready := new(readiness)
	ready.not("starting")
	reg, ours := newRegistry(ready, levels.DefaultPrefix)
	s := &service{registry: ours, log: zerolog.Nop()}
	hooks := newClientMetrics(s.registry, zerolog.Nop())
	cl, err := kgo.NewClient(kgo.WithHooks(hooks))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	hooks.OnBrokerThrottle(kgo.BrokerMetadata{}, 0, false) // has the histogram be there
	metrics.New(delaydprom.Registry(s.registry)).Expect(levels.Default())
	newWatch(s)
	s.registry.MustRegister(delaydprom.Collector(admin.NewCollector(cl, s.spec(), s.log)))
	return reg
}

// described is how client_golang prints what a metric is, which it does not tell in
// any other way.
var described = regexp.MustCompile(`^Desc\{fqName: ("[^"]+"), help: ("(?:[^"\\]|\\.)*"),.* constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// list is the metrics that are ours, sorted by name, of a registry. What Go and the
// operating system say of a process is known to every Prometheus.
func list(t *testing.T, reg *prometheus.Registry) []metric {
	t.Helper()
	kinds := make(map[string]dto.MetricType)
	for name, family := range gathered(t, reg) {
		kinds[name] = family.GetType()
	}
	descs := make(chan *prometheus.Desc)
	go func() { reg.Describe(descs); close(descs) }()
	var all []metric
	for desc := range descs {
		parts := described.FindStringSubmatch(desc.String())
		if parts == nil {
			t.Fatalf("cannot read %s", desc)
		}
		m := metric{name: unquoted(t, parts[1]), help: unquoted(t, parts[2]), labels: labelNames(parts[3], parts[4])}
		if !strings.HasPrefix(m.name, "delayd_") {
			continue
		}
		kind, seen := kinds[m.name]
		switch {
		case seen:
			m.kind = strings.ToLower(kind.String())
		case strings.HasSuffix(m.name, "_total"):
			m.kind = "counter"
		default:
			m.kind = "gauge" // nothing of it before a cluster is there; histograms are expected
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b metric) int { return cmp.Compare(a.name, b.name) })
	return all
}

func unquoted(t *testing.T, s string) string {
	t.Helper()
	text, err := strconv.Unquote(s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// labelNames takes the constant labels as name="value" and the variable ones as names.
func labelNames(constant, variable string) (names []string) {
	for _, l := range strings.FieldsFunc(constant+","+variable, func(r rune) bool { return r == ',' }) {
		name, _, _ := strings.Cut(l, "=")
		names = append(names, name)
	}
	return names
}

func gathered(t *testing.T, reg prometheus.Gatherer) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]*dto.MetricFamily, len(families))
	for _, f := range families {
		byName[f.GetName()] = f
	}
	return byName
}

// generated separates what people wrote in docs/metrics.md from what the test writes.
const generated = "<!-- From here on generated, by: go test ./cmd/delayd -run TestMetricsReference -update -->\n"

// metricsTable is the generated part of docs/metrics.md.
func metricsTable(all []metric) string {
	b := new(strings.Builder)
	table := func(title, text string, of func(metric) bool) {
		fmt.Fprintf(b, "\n## %s\n\n%s\n\n| metric | type | labels | what it is |\n|---|---|---|---|\n", title, text)
		for _, m := range all {
			if of(m) {
				labels := ""
				if own := slices.DeleteFunc(slices.Clone(m.labels), func(l string) bool { return l == prefixLabel }); len(own) > 0 {
					labels = "`" + strings.Join(own, "`, `") + "`"
				}
				fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, labels, m.help)
			}
		}
	}
	client := func(m metric) bool { return strings.HasPrefix(m.name, clientNamespace+"_") }
	table("Every metric", "All of them have the label `prefix` too, which is that of `--prefix`. Besides these there are Go's own (`go_…`) and the process's (`process_…`).",
		func(m metric) bool { return !client(m) })
	table("The Kafka client's metrics", "Of franz-go, added up over the clients of the process.", client)
	return b.String()
}

// TestMetricsReference: docs/metrics.md lists what the code registers. To write it:
//
//	go test ./cmd/delayd -run TestMetricsReference -update
func TestMetricsReference(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "metrics.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	written, got, ok := strings.Cut(string(text), generated)
	if !ok {
		t.Fatalf("%s has no line %s", file, generated)
	}
	want := metricsTable(list(t, registered(t)))
	if *update {
		if err := os.WriteFile(file, []byte(written+generated+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s is out of date; run: go test ./cmd/delayd -run TestMetricsReference -update\n(-want +got):\n%s", file, diff)
	}
}

// TestMetricsFollowConventions: those of Prometheus, as promlint knows them.
func TestMetricsFollowConventions(t *testing.T) {
	t.Parallel()
	problems, err := testutil.GatherAndLint(registered(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestMetricsOfAService: what is scraped of a running service is what the reference
// says, in kind and labels.
func TestMetricsOfAService(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	succeed(t, "", "send", "--brokers", s.broker, "--to", "orders", "--delay", "1s", "a record, so that more is counted")
	families := scrapeWith(t, s, "delayd_lease_age_seconds", "delayd_kafka_produce_bytes_total")
	byName := make(map[string]metric)
	for _, m := range list(t, registered(t)) {
		byName[m.name] = m
	}
	for name, family := range families {
		if !strings.HasPrefix(name, "delayd_") {
			continue
		}
		m, ok := byName[name]
		if !ok {
			t.Errorf("%s is scraped and not in the reference", name)
			continue
		}
		if kind := strings.ToLower(family.GetType().String()); kind != m.kind {
			t.Errorf("%s is a %s, the reference says %s", name, kind, m.kind)
		}
		var labels []string
		for _, l := range family.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		if diff := gocmp.Diff(slices.Sorted(slices.Values(m.labels)), slices.Sorted(slices.Values(labels))); diff != "" {
			t.Errorf("labels of %s (-reference +scraped):\n%s", name, diff)
		}
	}
	for name := range byName { // what counts faults has nothing to say here
		if families[name] == nil && !strings.Contains(name, "error") && !strings.Contains(name, "purge") &&
			name != "delayd_paused" && name != "delayd_kafka_disconnects_total" && name != "delayd_kafka_request_throttled_seconds" {
			t.Errorf("%s is in the reference and not scraped", name)
		}
	}
}

// scrapeWith scrapes until metrics are there that appear after a second or so.
func scrapeWith(t *testing.T, s *server, names ...string) map[string]*dto.MetricFamily {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(patience)
	for {
		families := scrape(t, s.url)
		if !slices.ContainsFunc(names, func(name string) bool { return families[name] == nil }) {
			return families
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("not all of %v are scraped\n%s", names, s.err)
		}
	}
}

// scrape reads the metrics of a running service.
func scrape(t *testing.T, url string) map[string]*dto.MetricFamily {
	t.Helper()
	_, body := get(t, url+"/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}
