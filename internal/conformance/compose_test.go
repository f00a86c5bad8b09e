package conformance

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/delayd-io/delayd/internal/kafkatest"
)

const (
	composeFile = "../../docker-compose.yml"
	dockerFile  = "../../Dockerfile"
	goWorkFile  = "../../go.work"
)

// loadCompose reads docker-compose.yml as docker compose does: it has to be
// complete, match the specification, and name nothing that is not there.
func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	// Profiles too: nothing is left out.
	options, err := cli.NewProjectOptions([]string{composeFile}, cli.WithName("delayd"), cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatalf("load docker-compose.yml: %v", err)
	}
	return project
}

func service(t *testing.T, project *types.Project, name string) types.ServiceConfig {
	t.Helper()
	s, err := project.GetService(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestComposeImagesArePinned(t *testing.T) {
	pinned := regexp.MustCompile(`:v?\d+\.\d+\.\d+$`)
	for name, s := range loadCompose(t).Services {
		if s.Build == nil && !pinned.MatchString(s.Image) {
			t.Errorf("service %s: image %q has no full version", name, s.Image)
		}
	}
}

// The Kafka that people try delayd on is the one that its tests run on.
func TestComposeRunsTheTestedKafka(t *testing.T) {
	if got, want := service(t, loadCompose(t), "kafka").Image, "apache/kafka:"+kafkatest.Version; got != want {
		t.Errorf("image of kafka: %s, want %s", got, want)
	}
}

func TestComposeHealth(t *testing.T) {
	project := loadCompose(t)
	for _, name := range []string{"kafka", "delayd"} {
		if check := service(t, project, name).HealthCheck; check == nil || check.Disable || len(check.Test) < 2 || check.Test[0] != "CMD" {
			t.Errorf("service %s: no health check that runs a program", name)
		}
	}
	// The cluster may be well while the service is not: delayd itself is asked.
	delayd := service(t, project, "delayd")
	asks, serves := delayd.HealthCheck.Test[2:], delayd.Command[slices.Index(delayd.Command, "--http"):]
	if !slices.Equal(asks, append([]string{"ready"}, serves...)) {
		t.Errorf("the health check of delayd is %q, and it serves with %q", asks, serves)
	}
	for _, want := range []struct{ service, on, condition string }{
		{"delayd", "kafka", types.ServiceConditionHealthy},
		{"orders", "kafka", types.ServiceConditionHealthy},
		{"consumer", "orders", types.ServiceConditionCompletedSuccessfully},
		{"producer", "delayd", types.ServiceConditionHealthy},
	} {
		if got := service(t, project, want.service).DependsOn[want.on].Condition; got != want.condition {
			t.Errorf("service %s waits for %s to be %q, want %q", want.service, want.on, got, want.condition)
		}
	}
}

// delayd is told to use the address that Kafka gives to the other services; any
// other one would work for the first answer and then lead nowhere.
func TestComposeBrokerAddress(t *testing.T) {
	project := loadCompose(t)
	advertised := kafkaProperties(service(t, project, "kafka"))["advertised.listeners"]
	for _, name := range []string{"delayd", "producer", "consumer"} {
		brokers := service(t, project, name).Environment["DELAYD_BROKERS"]
		if brokers == nil || !strings.Contains(advertised+",", "://"+*brokers+",") {
			t.Errorf("service %s: DELAYD_BROKERS is not one of Kafka's addresses %s", name, advertised)
		}
	}
}

// Records that wait must outlive the container.
func TestComposeKeepsKafkasData(t *testing.T) {
	kafka := service(t, loadCompose(t), "kafka")
	dataDir := kafkaProperties(kafka)["log.dirs"]
	for _, v := range kafka.Volumes {
		if v.Type == types.VolumeTypeVolume && v.Target == dataDir {
			return
		}
	}
	t.Errorf("Kafka's data in %q is not on a volume", dataDir)
}

// What is mounted from the repository is there: Docker would make an empty
// directory of it.
func TestComposeMountsWhatIsThere(t *testing.T) {
	mounted := 0
	for name, s := range loadCompose(t).Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			mounted++
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("service %s: %v", name, err)
			}
			if !v.ReadOnly {
				t.Errorf("service %s: may write to %s", name, v.Source)
			}
		}
	}
	if mounted == 0 {
		t.Error("nothing is mounted from the repository")
	}
}

// Who only tries delayd out does not fetch Prometheus and Grafana.
func TestComposeWatchesWhenAsked(t *testing.T) {
	for name, s := range loadCompose(t).Services {
		watches := name == "prometheus" || name == "grafana"
		if got := slices.Equal(s.Profiles, []string{"watch"}); got != watches {
			t.Errorf("service %s: profiles %v", name, s.Profiles)
		}
	}
}

// Prometheus asks delayd where it answers, and Grafana asks Prometheus.
func TestComposeWatchesDelayd(t *testing.T) {
	project := loadCompose(t)
	delayd := service(t, project, "delayd")
	_, port, _ := strings.Cut(delayd.Command[slices.Index(delayd.Command, "--http")+1], ":")
	if got, want := readFile(t, "../../deploy/prometheus/prometheus.yml"), "delayd:"+port; !strings.Contains(got, want) {
		t.Errorf("prometheus.yml does not name %s", want)
	}
	for _, rules := range regexp.MustCompile(`(?m)^\s*- *['"]?([\w./-]+\.ya?ml)['"]?`).FindAllStringSubmatch(readFile(t, "../../deploy/prometheus/prometheus.yml"), -1) {
		if !mounts(service(t, project, "prometheus"), path.Join("/etc/prometheus", rules[1])) {
			t.Errorf("prometheus.yml names %s, which is not mounted beside it", rules[1])
		}
	}

	source := readFile(t, "../../deploy/grafana/provisioning/datasources/prometheus.yml")
	if want := "url: http://prometheus:9090\n"; !strings.Contains(source, want) {
		t.Errorf("Grafana's data source has no %s", want)
	}
	dashboards := readFile(t, "../../deploy/grafana/provisioning/dashboards/delayd.yml")
	folder := regexp.MustCompile(`(?m)^\s*path: (\S+)$`).FindStringSubmatch(dashboards)
	if folder == nil || !mounts(service(t, project, "grafana"), folder[1]+"/delayd.json") {
		t.Errorf("the dashboard is not mounted where Grafana looks for dashboards: %q", folder)
	}
}

// mounts reports whether a service finds something of the repository at a path.
func mounts(s types.ServiceConfig, target string) bool {
	return slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Type == types.VolumeTypeBind && v.Target == target
	})
}

func TestDockerfile(t *testing.T) {
	text := readFile(t, dockerFile)
	stages := regexp.MustCompile(`(?m)^FROM `).Split(text, -1)
	final := stages[len(stages)-1]
	if len(stages) < 3 || !strings.HasPrefix(final, "scratch\n") {
		t.Error("the last stage is not an empty image that the binary is copied to")
	}
	if !strings.Contains(text, "CGO_ENABLED=0") {
		t.Error("the binary is not static: no CGO_ENABLED=0")
	}
	user := regexp.MustCompile(`(?m)^USER (\d+):(\d+)$`).FindStringSubmatch(final)
	if user == nil || user[1] == "0" || user[2] == "0" {
		t.Errorf("the last stage does not run as a user and group that are not root, by number: %q", user)
	}

	goVersion := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(readFile(t, goWorkFile))
	if goVersion == nil || !strings.Contains(text, "FROM golang:"+goVersion[1]+" AS build\n") {
		t.Errorf("the build stage is not on go.work's Go version %q", goVersion)
	}
}

// kafkaProperties returns the broker's settings as the apache/kafka image makes
// them of its environment: KAFKA_LOG_DIRS is log.dirs, two underscores stand for
// one, three for a dash.
func kafkaProperties(s types.ServiceConfig) map[string]string {
	replace := strings.NewReplacer("___", "-", "__", "_", "_", ".")
	p := map[string]string{}
	for name, value := range s.Environment {
		if setting, ok := strings.CutPrefix(name, "KAFKA_"); ok && value != nil {
			p[replace.Replace(strings.ToLower(setting))] = *value
		}
	}
	return p
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
