package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// planOf runs a plan and returns its exit code and report.
func planOf(t *testing.T, args ...string) (int, planned) {
	t.Helper()
	code, stdout, stderr := runDelayd(t, "", append([]string{"admin", "plan", "-o", "json"}, args...)...)
	if stderr != "" {
		t.Fatalf("plan %q: %s", args, stderr)
	}
	return code, decode[planned](t, stdout)[0]
}

// planned is what a script reads of a plan.
type planned struct {
	ToDo   bool `json:"to_do"`
	Topics []struct {
		Topic, Action, Error string
		Commands             []string
		Drifts               []struct {
			Setting, Got, Want, Risk, Fix string
			Safe, Unsafe                  bool
		}
	}
}

func (p planned) actions() (list []string) {
	for _, s := range p.Topics {
		list = append(list, s.Topic+" "+s.Action)
	}
	return list
}

// A plan, a provision that applies it, and a plan that has nothing to do: told
// apart by the exit code alone.
func TestPlanAndApply(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	compact(t, broker, "delay.level.1s")
	args := []string{"--brokers", broker, "--levels", "1s", "--partitions", "1"}

	code, plan := planOf(t, args...)
	want := []string{"delay.inbox create", "delay.level.1s update", "delay.parked create", "delay.dead create", "delay.control create", "delay.cancel create"}
	if diff := cmp.Diff(want, plan.actions()); diff != "" || code != exitToDo || !plan.ToDo {
		t.Errorf("exit code %d, to do %v, actions (-want +got):\n%s", code, plan.ToDo, diff)
	}
	drift := plan.Topics[1].Drifts[0]
	if drift.Setting != "cleanup.policy" || !drift.Unsafe || !drift.Safe ||
		!strings.HasSuffix(drift.Fix, " --entity-name delay.level.1s --add-config cleanup.policy=delete,retention.ms=-1") {
		t.Errorf("drift %+v", drift)
	}

	out := succeed(t, "", append([]string{"admin", "provision", "--apply-config"}, args...)...)
	if !strings.Contains(out, "delay.level.1s  updated  set cleanup.policy=delete retention.ms=-1 ") || strings.Count(out, "created") != 5 {
		t.Errorf("provision:\n%s", out)
	}
	code, plan = planOf(t, args...)
	if code != exitOK || plan.ToDo {
		t.Errorf("afterwards: exit code %d, %+v", code, plan)
	}
	code, stdout, stderr := runDelayd(t, "", append([]string{"admin", "plan"}, args...)...)
	if code != exitOK || stderr != "" || !strings.HasSuffix(stdout, "delay.cancel    none\n\nnothing to do\n") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

// A plan for people: what each drift risks, and the commands. Nothing but the
// report is printed: that there is something to do is no error.
func TestPlanForPeople(t *testing.T) {
	t.Parallel()
	broker := startBroker(t)
	args := []string{"--brokers", broker, "--levels", "1s", "--partitions"}
	succeed(t, "", append(append([]string{"admin", "provision"}, args...), "2")...)
	code, stdout, stderr := runDelayd(t, "", append(append([]string{"admin", "plan"}, args...), "3")...)
	if code != exitToDo || stderr != "" {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	for _, want := range []string{
		"TOPIC           ACTION  SETTING     IS  WANT  RISK\n",
		"delay.inbox     update  partitions  2   3     fewer processes can share its work; before fixing it: keys move to other partitions, ",
		"delay.dead      none\n",
		"\nWith Kafka's own tools, all of it:\nkafka-topics.sh --bootstrap-server " + broker + " --alter --topic delay.inbox --partitions 3\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "delayd admin provision") { // it adds no partitions
		t.Errorf("provision is said to do it:\n%s", stdout)
	}
}

// Flags that do not go together are found before any cluster is asked.
func TestTopicFlagsThatDoNotFit(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"admin plan --profile azure", "delayd: --profile: \"azure\": write apache, msk-serverless, confluent or redpanda\n\"delayd admin plan --help\" says what is allowed\n"},
		{"admin plan --outage-budget soon", "delayd: --outage-budget: \"soon\": does not begin with a number; write a duration such as 10s, 1m30s, 2h or 1d, or 0 to keep everything\n\"delayd admin plan --help\" says what is allowed\n"},
		{"admin provision --profile confluent --replicas 2", "delayd: --replicas must be 3 with profile confluent, got 2\n"},
		{"serve --brokers kafka:9092 --profile redpanda --outage-budget 1h", "delayd: --outage-budget must be at least 1d with profile redpanda, got 1h\n"},
		{"admin export --format terraform --replicas=-1", "delayd: --replicas: Terraform's provider Mongey/kafka needs a number, and a topic that is made by it cannot have the cluster's default; write 3, or how many there are to be\n"},
		{"admin export --format helm", "delayd: --format: \"helm\": write kafka-topics, strimzi or terraform\n\"delayd admin export --help\" says what is allowed\n"},
		{"admin export --producer shop", "delayd: --producer: principal \"shop\": write a type and a name, as in User:delayd\n"},
		{"admin export --format strimzi --service User:CN=delayd,O=us", "delayd: --service: principal User:CN=delayd,O=us: Strimzi names users by its own resources: write User: and a name of a-z, 0-9, \"-\" and \".\", as in User:delayd\n"},
		{"admin export --target a/b", "delayd: --target \"a/b\": '/' is not allowed; use letters a-z and A-Z, digits, \".\", \"_\" and \"-\"\n"},
		{"admin export --message-max-bytes=-1", "delayd: --message-max-bytes: \"-1\": write a number from 1 to 2147483647\n\"delayd admin export --help\" says what is allowed\n"},
	} {
		code, stdout, stderr := runDelayd(t, "", strings.Fields(tc.args)...)
		if code != exitUsage || stdout != "" {
			t.Errorf("%s: exit code %d, stdout %q", tc.args, code, stdout)
		}
		if diff := cmp.Diff(tc.want, stderr); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.args, diff)
		}
	}
}

// Every flag of the export has its effect; what it prints is tested where it is made.
func TestExport(t *testing.T) {
	t.Parallel()
	got := succeed(t, "", "admin", "export", "--levels", "1s", "--prefix", "shop", "--partitions", "2", "--replicas=-1", "--profile", "redpanda",
		"--outage-budget", "2d", "--brokers", "a:1,b:2", "--command-config", "me.properties", "--message-max-bytes", "2000000",
		"--service", "User:CN=delayd,O=us", "--provisioner", "User:ops", "--viewer", "User:wall", "--producer", "User:web", "--producer", "User:app", "--consumer", "User:app",
		"--target", "orders", "--target", "stock.*", "--group", "app", "--delivery", "exactly-once")
	path := filepath.Join("testdata", "export.golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got (write it anew with -update):\n%s", diff)
	}
}
