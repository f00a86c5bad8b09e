package conformance

import (
	"context"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

var promQL = parser.NewParser(parser.Options{})

// alerts are the rules of deploy/prometheus/alerts.yml, checked as promtool does.
func alerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	file := filepath.Join(deployFolder, "prometheus", "alerts.yml")
	groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, promQL, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Fatal(err)
	}
	var rules []rulefmt.Rule
	for _, g := range groups.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

// scraped is series in promtool's notation, one a line, a value every scrapeEvery.
type scraped string

const scrapeEvery = 15 * time.Second

// Querier is part of storage.Queryable.
func (s scraped) Querier(mint, maxt int64) (storage.Querier, error) {
	return querier{s, mint, maxt}, nil
}

type querier struct {
	scraped
	mint, maxt int64
}

// Select is part of storage.Querier.
func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	set := &seriesSet{}
	for line := range strings.Lines(string(q.scraped)) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		series, values, err := promQL.ParseSeriesDesc(strings.TrimSpace(line))
		if err != nil {
			return storage.ErrSeriesSet(err)
		}
		if slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(series.Get(m.Name)) }) {
			continue
		}
		var samples []chunks.Sample
		for i, v := range values {
			if at := int64(i) * scrapeEvery.Milliseconds(); !v.Omitted && q.mint <= at && at <= q.maxt {
				samples = append(samples, sample{t: at, v: v.Value})
			}
		}
		set.all = append(set.all, storage.NewListSeries(series, samples))
	}
	slices.SortFunc(set.all, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return set
}

// LabelValues is part of storage.Querier; no rule asks for it.
func (querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// LabelNames is the same.
func (querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// Close is part of storage.Querier.
func (querier) Close() error { return nil }

// sample is a number at a time; of the rest of chunks.Sample nothing is asked.
type sample struct {
	chunks.Sample
	t int64
	v float64
}

func (s sample) T() int64                 { return s.t }
func (s sample) ST() int64                { return 0 }
func (s sample) F() float64               { return s.v }
func (s sample) Type() chunkenc.ValueType { return chunkenc.ValFloat }

// seriesSet is a storage.SeriesSet.
type seriesSet struct {
	all []storage.Series
	at  int // behind the one that At returns
}

func (s *seriesSet) Next() bool                        { s.at++; return s.at <= len(s.all) }
func (s *seriesSet) At() storage.Series                { return s.all[s.at-1] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// instant is the result of an expression at a time.
func instant(t *testing.T, expr string, series scraped, at time.Duration) promql.Vector {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1e6, Timeout: patience, Parser: promQL, EnableAtModifier: true, EnableNegativeOffset: true,
	})
	defer engine.Close()
	query, err := engine.NewInstantQuery(t.Context(), series, nil, expr, time.UnixMilli(at.Milliseconds()))
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	defer query.Close()
	vector, err := query.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return slices.Clone(vector)
}

// firing says for which labels a rule fires at a time: its expression has had a
// result at every evaluation since For before that.
func firing(t *testing.T, rule rulefmt.Rule, series scraped, at time.Duration) []string {
	t.Helper()
	var always []string
	for first, from := true, at-time.Duration(rule.For); from <= at; from += scrapeEvery {
		var now []string
		for _, s := range instant(t, rule.Expr, series, from) {
			now = append(now, s.Metric.DropReserved(func(name string) bool { return name == model.MetricNameLabel }).String())
		}
		if first {
			always, first = now, false
		}
		always = slices.DeleteFunc(always, func(l string) bool { return !slices.Contains(now, l) })
	}
	slices.Sort(always)
	return always
}

// TestAlerts: each alert fires on what it is for, and on nothing that is well.
func TestAlerts(t *testing.T) {
	t.Parallel()
	const at = time.Hour // of 240 scrapes
	well := func(lines ...string) scraped { return scraped(strings.Join(lines, "\n")) }
	rules, fired := alerts(t), make(map[string]bool)
	for _, tc := range []struct {
		alert  string
		series scraped
		want   []string
	}{
		{"DelaydDown", well(`up{job="delayd",instance="a"} 1x240`, `up{job="other",instance="a"} 0x240`), nil},
		{"DelaydDown", well(`up{job="delayd",instance="a"} 1x230 0x10`), []string{`{instance="a", job="delayd"}`}},
		{"DelaydDown", well(`up{job="delayd",instance="a"} 1x238 0x2`), nil}, // for half a minute
		{"DelaydDown", well(`up{job="delayd-shop",instance="a"} 0x240`), []string{`{instance="a", job="delayd-shop"}`}},
		{"DelaydAbsent", well( // an instance that is replaced by another
			`delayd_ready{job="delayd",prefix="shop",instance="a"} 1x100 _x140`, `delayd_ready{job="delayd",prefix="shop",instance="b"} _x100 1x140`,
		), nil},
		{"DelaydAbsent", well( // one installation of two
			`delayd_ready{job="delayd",prefix="shop",instance="a"} 1x100 _x140`, `delayd_ready{job="delayd",prefix="mail",instance="b"} 0x240`,
		), []string{`{job="delayd", prefix="shop"}`}},
		{"DelaydAbsent", well(`delayd_ready{job="delayd",prefix="shop",instance="a"} 1x100 _x140`), []string{`{job="delayd", prefix="shop"}`}},
		{"DelaydAbsent", well(`up{job="other",instance="a"} 1x240`), []string{`{}`}}, // there never was one
		{"DelaydNotReady", well(`delayd_ready{instance="a"} 1x240`, `delayd_ready{instance="b"} 0x240`), []string{`{instance="b"}`}},
		{"DelaydOverdue", well(
			`delayd_oldest_overdue_seconds{level="1m",instance="a"} 0.01x240`,
			`delayd_oldest_overdue_seconds{level="2m",instance="a"} 0x200 15+15x40`,
			`delayd_oldest_overdue_seconds{level="2m",instance="b"} 0x240`,
			`delayd_oldest_overdue_seconds{level="inbox",instance="a"} 0x200 15+15x40`,
			`delayd_oldest_overdue_seconds{level="parked",instance="a"} 3600x240`,
		), []string{`{level="2m"}`, `{level="inbox"}`}},
		{"DelaydOverdue", well( // a level that is paused, and one of another installation that is not
			`delayd_oldest_overdue_seconds{prefix="shop",level="1m",instance="a"} 0x200 15+15x40`, `delayd_paused{prefix="shop",level="1m",instance="a"} 1x240`,
			`delayd_oldest_overdue_seconds{prefix="shop",level="2m",instance="a"} 0x200 15+15x40`, `delayd_paused{prefix="shop",target="orders",instance="a"} 1x240`,
			`delayd_oldest_overdue_seconds{prefix="mail",level="1m",instance="b"} 0x200 15+15x40`,
		), []string{`{level="1m", prefix="mail"}`, `{level="2m", prefix="shop"}`}},
		{"DelaydStuck", well( // another installation delivers on its level of the same name, or has paused it
			`delayd_overdue_records{job="delayd",prefix="shop",level="1m"} 500x240`, `delayd_delivered_total{job="delayd",prefix="shop",level="1m"} 7x240`,
			`delayd_overdue_records{job="delayd",prefix="mail",level="1m"} 5x240`, `delayd_delivered_total{job="delayd",prefix="mail",level="1m"} 0+10x240`,
			`delayd_overdue_records{job="delayd",prefix="news",level="1m"} 5x240`, `delayd_paused{job="delayd",prefix="news",level="1m"} 1x240`,
		), []string{`{job="delayd", level="1m", prefix="shop"}`}},
		{"DelaydStuck", well( // 1m moves, 2m does not, 3m has nothing to do, of 4m nobody tells
			`delayd_overdue_records{level="1m"} 5x240`, `delayd_delivered_total{level="1m"} 0+10x240`,
			`delayd_overdue_records{level="2m"} 5x240`, `delayd_delivered_total{level="2m"} 7x240`,
			`delayd_overdue_records{level="3m"} 0x240`, `delayd_delivered_total{level="3m"} 7x240`,
			`delayd_overdue_records{level="4m"} 5x240`,
		), []string{`{level="2m"}`, `{level="4m"}`}},
		{"DelaydLate", well(
			`delayd_lateness_seconds_bucket{level="1m",le="0.5"} 0+98x240`, `delayd_lateness_seconds_bucket{level="1m",le="5"} 0+100x240`, `delayd_lateness_seconds_bucket{level="1m",le="+Inf"} 0+100x240`,
			`delayd_lateness_seconds_bucket{level="2m",le="0.5"} 0+100x240`, `delayd_lateness_seconds_bucket{level="2m",le="5"} 0+100x240`, `delayd_lateness_seconds_bucket{level="2m",le="+Inf"} 0+100x240`,
		), []string{`{level="1m"}`}},
		{"DelaydDataLoss", well(`delayd_lost_offsets_total{instance="a"} 7x240`), nil},
		{"DelaydDataLoss", well(`delayd_lost_offsets_total{instance="a"} 0x230 7x10`), []string{`{instance="a"}`}},
		{"DelaydTopicsUnsafe", well(`delayd_topics_unsafe 0x240`), nil},
		{"DelaydTopicsUnsafe", well(`delayd_topics_unsafe 0x239 1`), []string{`{}`}},
		{"DelaydTopicsDrifted", well(`delayd_topics_drifted 0x230 1x10`), nil},
		{"DelaydTopicsDrifted", well(`delayd_topics_drifted 1x240`), []string{`{}`}},
		{"DelaydDeadLetters", well(`delayd_dead_letters_total{code="bad-level"} 0x230 1x10`, `delayd_dead_letters_total{code="gave-up"} 3x240`), []string{`{code="bad-level"}`}},
		{"DelaydCancelsFull", well( // one installation of two, of which each instance says the same
			`delayd_cancels_outstanding{job="delayd",prefix="shop",instance="a"} 790x200 801x40`, `delayd_cancels_max{job="delayd",prefix="shop",instance="a"} 1000x240`,
			`delayd_cancels_outstanding{job="delayd",prefix="shop",instance="b"} 790x200 801x40`, `delayd_cancels_max{job="delayd",prefix="shop",instance="b"} 1000x240`,
			`delayd_cancels_outstanding{job="delayd",prefix="mail",instance="a"} 801x240`, `delayd_cancels_max{job="delayd",prefix="mail",instance="a"} 2000x240`,
			`delayd_dead_letters_total{job="delayd",prefix="mail",code="too-many-cancels"} 7x240`,
		), []string{`{job="delayd", prefix="shop"}`}},
		{"DelaydCancelsFull", well( // several routers can exceed the bound, and one of them refuses
			`delayd_cancels_outstanding{prefix="shop"} 100x240`, `delayd_cancels_max{prefix="shop"} 1000x240`,
			`delayd_dead_letters_total{prefix="shop",code="too-many-cancels"} 0x230 1x10`, `delayd_dead_letters_total{prefix="mail",code="bad-cancel"} 0x230 1x10`,
		), []string{`{prefix="shop"}`}},
		{"DelaydCancelsFull", well(`delayd_cancels_max{prefix="shop"} 1000x240`), nil}, // no topic for them
		{"DelaydTargetUnavailable", well(`delayd_unavailable_targets 0x238 1x2`), nil},
		{"DelaydTargetUnavailable", well(`delayd_unavailable_targets 0x200 1x40`), []string{`{}`}},
		{"DelaydParked", well(`delayd_pending_records{level="parked"} 0x200 1x40`, `delayd_pending_records{level="1m"} 1x240`), nil},
		{"DelaydParked", well(`delayd_pending_records{level="parked"} 0x100 1x140`), []string{`{}`}},
		{"DelaydParked", well( // for a target that is paused, and for another reason where a level is
			`delayd_pending_records{prefix="shop",level="parked"} 1x240`, `delayd_paused{prefix="shop",target="orders"} 1x240`,
			`delayd_pending_records{prefix="mail",level="parked"} 1x240`, `delayd_paused{prefix="mail",level="1m"} 1x240`,
		), []string{`{prefix="mail"}`}},
		{"DelaydLeaseOld", well(`delayd_lease_age_seconds{group="r"} 0.1x240`, `delayd_lease_age_seconds{group="f"} 0.1x230 4x10`), []string{`{group="f"}`}},
		{"DelaydClockSkew", well(`delayd_clock_skew_seconds{group="r"} -0.2x240`, `delayd_clock_skew_seconds{group="f"} 0.01x240`), []string{`{group="r"}`}},
		{"DelaydPurgeFails", well(`delayd_purge_errors_total{topic="a"} 3x240`, `delayd_purge_errors_total{topic="b"} 0+1x240`), []string{`{topic="b"}`}},
		{"DelaydHeld", well(`delayd_held_records{level="1m"} 1x240`, `delayd_held_records{level="2m"} 0x230 1x10`), []string{`{level="1m"}`}},
		{"DelaydCountsStale", well(`delayd_status_up{instance="a"} 1x240`, `delayd_status_up{instance="b"} 1x200 0x40`), []string{`{instance="b"}`}},
		{"DelaydThrottled", well( // a second, or a hundredth of one, at every scrape
			`delayd_kafka_request_throttled_seconds_sum{instance="a",node_id="1"} 0+1x240`, `delayd_kafka_request_throttled_seconds_sum{instance="a",node_id="2"} 0+1x240`,
			`delayd_kafka_request_throttled_seconds_sum{instance="b",node_id="1"} 0+0.01x240`,
		), []string{`{instance="a"}`}},
	} {
		fired[tc.alert] = fired[tc.alert] || len(tc.want) > 0
		i := slices.IndexFunc(rules, func(r rulefmt.Rule) bool { return r.Alert == tc.alert })
		if i < 0 {
			t.Errorf("there is no alert %s", tc.alert)
			continue
		}
		if diff := gocmp.Diff(tc.want, firing(t, rules[i], tc.series, at)); diff != "" {
			t.Errorf("%s fires for (-want +got), with\n%s\n%s", tc.alert, tc.series, diff)
		}
	}
	for _, rule := range rules {
		if !fired[rule.Alert] {
			t.Errorf("no case has %s fire", rule.Alert)
		}
	}
}

// TestScalingQuery: KEDA scales by what is overdue, and not paused, of one installation.
func TestScalingQuery(t *testing.T) {
	t.Parallel()
	got := instant(t, expressions(t)["keda.yaml"][0], `
		delayd_overdue_records{job="delayd",prefix="delay",level="1m",instance="a"} 7x240
		delayd_overdue_records{job="delayd",prefix="delay",level="1m",instance="b"} 7x240
		delayd_overdue_records{job="delayd",prefix="delay",level="2m",instance="a"} 10x240
		delayd_overdue_records{job="delayd",prefix="delay",level="3m",instance="a"} 100x240
		delayd_paused{job="delayd",prefix="delay",level="3m",instance="a"} 1x240
		delayd_overdue_records{job="delayd",prefix="mail",level="1m",instance="a"} 1000x240
	`, time.Hour)
	if len(got) != 1 || got[0].F != 17 {
		t.Errorf("keda.yaml asks for %v, want 17", got)
	}
}

// TestAlertsAreExplained: docs/metrics.md has a row for each alert, and for no other.
func TestAlertsAreExplained(t *testing.T) {
	t.Parallel()
	var want []string
	for _, rule := range alerts(t) {
		want = append(want, rule.Alert)
		if rule.Annotations["summary"] == "" || rule.Labels["severity"] == "" {
			t.Errorf("%s has no summary or severity", rule.Alert)
		}
	}
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(Delayd[A-Za-z]+)` \\| [^|]+ \\| [^|]+ \\|$").FindAllStringSubmatch(readFile(t, "../../docs/metrics.md"), -1) {
		got = append(got, row[1])
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("docs/metrics.md explains (-alerts +explained):\n%s", diff)
	}
}
