//go:build realkafka

package conformance

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/kafkatest"
	"github.com/delayd-io/delayd/internal/process"
)

// javaClasses are the programs behind the scripts that docker-compose.yml runs in
// the apache/kafka image.
var javaClasses = map[string]string{
	"kafka-broker-api-versions.sh": "org.apache.kafka.tools.BrokerApiVersionsCommand",
	"kafka-topics.sh":              "org.apache.kafka.tools.TopicCommand",
}

// testLimit bounds everything that the test asks of its programs.
const testLimit = 90 * time.Second

// TestComposeRuns runs docker-compose.yml by hand: first a broker from the jars
// with the file's settings and no others. Then the file's commands and health
// checks run in its order, until the consumer has printed what the producer sent.
// Only addresses and folders are moved to this machine.
func TestComposeRuns(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	project := loadCompose(t)
	kafka, orders, delayd := service(t, project, "kafka"), service(t, project, "orders"), service(t, project, "delayd")
	local := localAddrs(t, append(strings.Split(kafkaProperties(kafka)["listeners"], ","), "//:8080")...)

	c := startComposeKafka(t, kafka, local, local(*delayd.Environment["DELAYD_BROKERS"]))
	runScript(ctx, t, kafka.HealthCheck.Test[1:], local)
	runScript(ctx, t, orders.Command, local)
	runScript(ctx, t, orders.Command, local) // as on the second "docker compose up"

	binary := filepath.Join(t.TempDir(), "delayd")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "../../cmd/delayd").CombinedOutput(); err != nil {
		t.Fatalf("build delayd: %v\n%s", err, out)
	}
	command := func(s types.ServiceConfig, args ...string) *exec.Cmd {
		moved := make([]string, len(args)) // args are the file's, and used more than once
		for i, arg := range args {
			moved[i] = local(arg)
		}
		cmd := exec.CommandContext(ctx, binary, moved...)
		cmd.Env = append(os.Environ(), "DELAYD_BROKERS="+local(*s.Environment["DELAYD_BROKERS"]))
		return cmd
	}
	serve := command(delayd, delayd.Command...)
	run(t, serve)
	for command(delayd, delayd.HealthCheck.Test[2:]...).Run() != nil {
		if ctx.Err() != nil {
			t.Fatal("delayd: its health check does not pass")
		}
	}
	consumer, producer := service(t, project, "consumer"), service(t, project, "producer")
	tail := command(consumer, consumer.Command...)
	printed, err := tail.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	run(t, tail)
	if out, err := command(producer, producer.Command...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", producer.Command, err, out)
	}
	awaitLines(t, printed, "order 1", "order 2", "order 3")

	// A transaction needs a topic whose defaults do not fit on one node; the
	// groups of delayd have needed the other one.
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...), kgo.TransactionalID("compose"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("one")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}

// startComposeKafka runs a broker with the settings of the kafka service.
func startComposeKafka(t *testing.T, kafka types.ServiceConfig, local func(string) string, addr string) *kafkatest.Cluster {
	t.Helper()
	dir, properties := t.TempDir(), kafkaProperties(kafka)
	for _, key := range []string{"listeners", "advertised.listeners", "controller.quorum.voters"} {
		properties[key] = local(properties[key])
	}
	properties["log.dirs"] = filepath.Join(dir, "data")
	id, err := strconv.ParseInt(properties["node.id"], 10, 32)
	if err != nil {
		t.Fatalf("KAFKA_NODE_ID: %v", err)
	}
	return kafkatest.StartBroker(t, int32(id), addr, dir, properties)
}

// localAddrs returns a function that moves every host:port in a text to a free
// port of this machine, the same one for the same port. Listeners are all that
// anything may connect to.
func localAddrs(t *testing.T, listeners ...string) func(string) string {
	t.Helper()
	free, err := process.FreeAddrs(len(listeners))
	if err != nil {
		t.Fatal(err)
	}
	byPort := map[string]string{}
	for i, l := range listeners {
		byPort[l[strings.LastIndexByte(l, ':')+1:]] = free[i]
	}
	hostPort := regexp.MustCompile(`(^|//|@)([a-z0-9.]*):(\d+)`)
	return func(s string) string {
		return hostPort.ReplaceAllStringFunc(s, func(addr string) string {
			f := hostPort.FindStringSubmatch(addr)
			if byPort[f[3]] == "" {
				t.Fatalf("docker-compose.yml: %s names port %s, but nothing listens there: %q", s, f[3], listeners)
			}
			return f[1] + byPort[f[3]]
		})
	}
}

// runScript runs the Java program behind a script of the apache/kafka image.
func runScript(ctx context.Context, t *testing.T, command []string, local func(string) string) {
	t.Helper()
	class := javaClasses[path.Base(command[0])]
	if class == "" {
		t.Fatalf("docker-compose.yml runs %s, which this test does not know", command[0])
	}
	args := []string{"-cp", kafkatest.JarsClasspath(t), class}
	for _, arg := range command[1:] {
		args = append(args, local(arg))
	}
	if out, err := exec.CommandContext(ctx, "java", args...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
}

// run starts a program that runs until the test is over.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stderr = t.Output()
	p, err := process.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
}

// awaitLines reads until each of the wanted texts stood in a line of its own.
func awaitLines(t *testing.T, r io.Reader, want ...string) {
	t.Helper()
	var got []string
	for lines := bufio.NewScanner(r); len(want) > 0; {
		if !lines.Scan() {
			t.Fatalf("printed %q, still missing %q", got, want)
		}
		got = append(got, lines.Text())
		want = slices.DeleteFunc(want, func(w string) bool { return strings.Contains(lines.Text(), w) })
	}
	for _, line := range got {
		t.Log(line)
	}
}
