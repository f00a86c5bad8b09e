//go:build realkafka

package kafkatest

import (
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// javaClasses are the programs behind the scripts that docker-compose.yml runs in
// the apache/kafka image.
var javaClasses = map[string]string{
	"kafka-broker-api-versions.sh": "org.apache.kafka.tools.BrokerApiVersionsCommand",
	"kafka-topics.sh":              "org.apache.kafka.tools.TopicCommand",
}

// TestComposeSettingsRun runs a broker from the jars with the settings of
// docker-compose.yml and no others; only addresses and folders are moved to this
// machine. Then it runs the commands that the file runs beside it.
func TestComposeSettingsRun(t *testing.T) {
	project := loadCompose(t)
	kafka := service(t, project, "kafka")
	properties := kafkaProperties(kafka)
	local := localAddrs(t, properties["listeners"])
	for _, key := range []string{"listeners", "advertised.listeners", "controller.quorum.voters"} {
		properties[key] = local(properties[key])
	}
	dir := t.TempDir()
	properties["log.dirs"] = filepath.Join(dir, "data")
	id, err := strconv.ParseInt(properties["node.id"], 10, 32)
	if err != nil {
		t.Fatalf("KAFKA_NODE_ID: %v", err)
	}
	delayd := service(t, project, "delayd")
	addr := local(*delayd.Environment["DELAYD_BROKERS"])
	c, err := launch(t.Context(), []*node{{id: int32(id), addr: addr, dir: dir, properties: properties}})
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, c)

	runScript(t, kafka.HealthCheck.Test[1:], local)
	orders := service(t, project, "orders")
	runScript(t, orders.Command, local)
	runScript(t, orders.Command, local) // as on the second "docker compose up"

	// A consumer group and a transaction need the two topics whose defaults do not
	// fit on one node.
	cl := client(t, c, kgo.ConsumerGroup("compose"), kgo.TransactionalID("compose"))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t.Context(), t, cl, "one")
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if err := cl.PollFetches(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := kadm.NewClient(cl).FetchOffsets(t.Context(), "compose"); err != nil {
		t.Fatal(err)
	}
}

// localAddrs returns a function that moves every host:port of the container to a
// free port of this machine, the same one for the same port.
func localAddrs(t *testing.T, listeners string) func(string) string {
	t.Helper()
	hostPort := regexp.MustCompile(`(^|//|@)([a-z.]*):(\d+)`)
	found := hostPort.FindAllStringSubmatch(listeners, -1)
	free, err := freeAddrs(len(found))
	if err != nil {
		t.Fatal(err)
	}
	byPort := map[string]string{}
	for i, f := range found {
		byPort[f[3]] = free[i]
	}
	return func(s string) string {
		return hostPort.ReplaceAllStringFunc(s, func(addr string) string {
			f := hostPort.FindStringSubmatch(addr)
			if byPort[f[3]] == "" {
				t.Fatalf("docker-compose.yml: %s names port %s, which is not one of %s", s, f[3], listeners)
			}
			return f[1] + byPort[f[3]]
		})
	}
}

// runScript runs the Java program behind a script of the apache/kafka image.
func runScript(t *testing.T, command []string, local func(string) string) {
	t.Helper()
	class := javaClasses[path.Base(command[0])]
	if class == "" {
		t.Fatalf("docker-compose.yml runs %s, which this test does not know", command[0])
	}
	args := []string{"-cp", JarsClasspath(t), class}
	for _, arg := range command[1:] {
		args = append(args, local(arg))
	}
	if out, err := exec.CommandContext(t.Context(), "java", args...).CombinedOutput(); err != nil {
		t.Errorf("%q: %v\n%s", command, err, out)
	}
}
