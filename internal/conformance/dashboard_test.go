package conformance

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// grafana is what we know of a dashboard.
type grafana struct {
	UID, Title    string
	SchemaVersion int
	Panels        []panel
	Templating    struct {
		List []struct{ Name, Type, Definition string }
	}
}

type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr, LegendFormat, RefID string }
	FieldConfig struct {
		Defaults struct{ Unit string }
	}
}

func dashboard(t *testing.T) grafana {
	t.Helper()
	var g grafana
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(deployFolder, "grafana", "delayd.json"))), &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// substituted is an expression of a dashboard as Grafana sends it.
var substituted = strings.NewReplacer("$job", "delayd", "$prefix", "delay", "$level", ".*", "$__rate_interval", "1m")

// expressions are those of the dashboard, the alerts and the scaling example, by what
// they belong to.
func expressions(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for _, p := range dashboard(t).Panels {
		for _, target := range p.Targets {
			name := "panel " + p.Title
			all[name] = append(all[name], substituted.Replace(target.Expr))
		}
	}
	for _, rule := range alerts(t) {
		all["alert "+rule.Alert] = []string{rule.Expr}
	}
	query := regexp.MustCompile(`(?m)^ *query: (.*)$`).FindStringSubmatch(readFile(t, filepath.Join(deployFolder, "kubernetes", "keda.yaml")))
	if query == nil {
		t.Fatal("keda.yaml has no query")
	}
	all["keda.yaml"] = []string{query[1]}
	return all
}

// TestExpressionsAskForWhatThereIs: every metric and every label that an alert, a panel
// or the scaling example goes by is one that a service has.
func TestExpressionsAskForWhatThereIs(t *testing.T) {
	t.Parallel()
	known := documented(t)
	known["up"], known["process_resident_memory_bytes"] = metric{}, metric{}
	scraping := []string{"job", "instance", model.MetricNameLabel} // Prometheus adds them
	for of, list := range expressions(t) {
		for _, text := range list {
			expr, err := promQL.ParseExpr(text)
			if err != nil {
				t.Errorf("%s: %v in %s", of, err, text)
				continue
			}
			var labels []string // of all metrics of the expression
			parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
				s, ok := node.(*parser.VectorSelector)
				if !ok {
					return nil
				}
				own, ok := known[s.Name]
				if !ok {
					t.Errorf("%s: there is no metric %s", of, s.Name)
				}
				for _, m := range s.LabelMatchers {
					if !slices.Contains(own.labels, m.Name) && !slices.Contains(scraping, m.Name) {
						t.Errorf("%s: %s has no label %s", of, s.Name, m.Name)
					}
				}
				labels = append(labels, own.labels...)
				return nil
			})
			parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
				if a, ok := node.(*parser.AggregateExpr); ok {
					for _, name := range a.Grouping {
						if !slices.Contains(labels, name) && !slices.Contains(scraping, name) {
							t.Errorf("%s: nothing has a label %s to group by", of, name)
						}
					}
				}
				return nil
			})
		}
	}
}

// TestMetricsThatAreNamedExist: in the dashboard's texts, the alerts', and the docs.
func TestMetricsThatAreNamedExist(t *testing.T) {
	t.Parallel()
	known := documented(t)
	files := []string{"../../README.md"}
	for _, pattern := range []string{"../../docs/*.md", deployFolder + "/prometheus/*", deployFolder + "/grafana/*.json", deployFolder + "/kubernetes/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v %v", pattern, found, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		for _, name := range regexp.MustCompile(`\bdelayd_[a-z0-9_]*[a-z0-9]`).FindAllString(readFile(t, file), -1) {
			if _, ok := known[name]; !ok {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
	}
}

// TestDashboard: what Grafana would show wrongly without a word.
func TestDashboard(t *testing.T) {
	t.Parallel()
	g := dashboard(t)
	if g.UID != "delayd" || g.Title == "" || g.SchemaVersion == 0 {
		t.Errorf("dashboard %q %q, schema %d", g.UID, g.Title, g.SchemaVersion)
	}
	const width = 24
	taken := make(map[[2]int]string) // places of the grid, by column and row
	ids := make(map[int]bool)
	for _, p := range g.Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" {
			t.Errorf("panel %d %q: no id of its own, or no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.GridPos.X+p.GridPos.W > width {
			t.Errorf("%s is wider than the page", p.Title)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				place := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := taken[place]; other != "" {
					t.Fatalf("%s lies on %s", p.Title, other)
				}
				taken[place] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "" {
			t.Errorf("%s shows nothing, or in no unit", p.Title)
		}
		variable := regexp.MustCompile(`\$(\w+)`)
		for _, target := range p.Targets {
			for _, v := range variable.FindAllStringSubmatch(target.Expr, -1) {
				if v[1] != "__rate_interval" && !g.has(v[1]) {
					t.Errorf("%s: there is no variable %s", p.Title, v[0])
				}
			}
		}
	}
}

func (g *grafana) has(variable string) bool {
	for _, v := range g.Templating.List {
		if v.Name == variable {
			return true
		}
	}
	return false
}
