//go:build realkafka

package endtoend

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/delayd-io/delayd/internal/kafkatest"
)

// kafkaTools are Kafka's own tools by the names that lines for people have.
var kafkaTools = map[string]string{
	"kafka-topics.sh":  "org.apache.kafka.tools.TopicCommand",
	"kafka-acls.sh":    "org.apache.kafka.tools.AclCommand",
	"kafka-configs.sh": "kafka.admin.ConfigCommand",
}

// script runs lines for a shell as a person would, with Kafka's own tools.
func (s *secured) script(text string) {
	s.Helper()
	bin, lines := s.TempDir(), filepath.Join(s.TempDir(), "lines")
	for name, class := range kafkaTools {
		stub := fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' %s \"$#\" \"$@\" >> %s\n", class, lines)
		if err := os.WriteFile(filepath.Join(bin, name), []byte(stub), 0o755); err != nil {
			s.Fatal(err)
		}
	}
	sh := exec.CommandContext(s.Context(), "sh", s.file("export.sh", text))
	sh.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := sh.CombinedOutput(); err != nil || len(out) > 0 {
		s.Fatalf("%v\n%s%s", err, out, text)
	}
	java := exec.CommandContext(s.Context(), "java", "-cp", kafkatest.JarsClasspath(s.T), "testdata/Tools.java", lines)
	if out, err := java.CombinedOutput(); err != nil || strings.Contains(string(out), "Error while executing") {
		s.Fatalf("%v\n%s", err, out)
	}
}

// plan is the exit code of a plan that a user makes, and all that it prints.
func (s *secured) plan(user string, args ...string) (code int, report string) {
	s.Helper()
	out, errs, err := s.run(append(append([]string{"admin", "plan", "-o", "json"}, args...), s.flags(user)...)...)
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		s.Fatal(err)
	}
	return code, out + errs
}

// TestExportProvisionsASecuredCluster: someone who has nothing but the output of
// the export makes the topics and the rights of a cluster on which nobody may do
// anything. Then there is nothing to do, and a record goes all the way.
func TestExportProvisionsASecuredCluster(t *testing.T) {
	s := newSecured(t, "delayd", "ops", "wall", "sender", "reader")
	s.make("orders")
	topics := []string{"--levels", "1s 5s", "--partitions", "1"}
	if code, out := s.plan("ops", topics...); code != 1 || !strings.Contains(out, "grant DESCRIBE on topic delay.inbox to this user") {
		t.Errorf("plan with no rights: exit code %d\n%s", code, out)
	}

	script, errs, err := s.run(append([]string{"admin", "export", "--replicas", "1", "--brokers", strings.Join(s.kafka.Brokers(), ","),
		"--service", "User:delayd", "--provisioner", "User:ops", "--viewer", "User:wall",
		"--producer", "User:sender", "--consumer", "User:reader",
		"--target", "orders", "--group", "reader"}, topics...)...)
	if err != nil {
		t.Fatalf("export: %v\n%s", err, errs)
	}
	s.script(script)

	var report string
	s.eventually("there is nothing to do", func() bool { // what was granted last may take a moment
		code, out := s.plan("ops", topics...)
		report = out
		return code == 0
	})
	if !strings.Contains(report, `"to_do":false`) {
		t.Errorf("plan: %s", report)
	}
	if code, report := s.plan("wall", topics...); code != 0 {
		t.Errorf("plan by the viewer: exit code %d\n%s", code, report)
	}
	if out, errs, err := s.run(append([]string{"admin", "status", "--levels", "1s 5s"}, s.flags("wall")...)...); err != nil || strings.Contains(out, "grant ") {
		t.Errorf("status by the viewer: %v\n%s%s", err, out, errs)
	}

	d := new(delayd)
	d.Cmd = exec.CommandContext(t.Context(), program, append(append([]string{"serve", "--http", "off", "--instance", "one"}, topics...), s.flags("delayd")...)...)
	d.Stderr = &d.log
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		d.Process.Kill()
		d.Wait()
		if t.Failed() {
			t.Logf("delayd said:\n%s", &d.log)
		}
	}()
	for _, via := range []string{"inbox", "level"} {
		args := append([]string{"send", "--to", "orders", "--delay", "1s", "--via", via, "hello"}, s.flags("sender")...)
		if via == "level" {
			args = append(args, "--levels", "1s 5s")
		}
		if out, errs, err := s.run(args...); err != nil {
			t.Fatalf("send: %v\n%s%s", err, out, errs)
		}
	}
	s.read("reader", "reader", "orders", 2)
	d.Process.Signal(os.Interrupt)
	if err := d.Wait(); err != nil {
		t.Errorf("delayd after an interrupt: %v", err)
	}
	if strings.Contains(d.log.String(), "grant ") {
		t.Errorf("delayd asks for more:\n%s", &d.log)
	}

	s.fixByHand(topics)
}

// fixByHand breaks a topic and fixes it with the commands of the plan, then breaks
// it again and lets provision fix it.
func (s *secured) fixByHand(topics []string) {
	s.Helper()
	broken := map[string]string{"retention.ms": "1000", "max.message.bytes": "1000", "segment.ms": "86400000"}
	breakIt := func() string {
		var alter []kadm.AlterConfig
		for key, value := range broken {
			alter = append(alter, kadm.AlterConfig{Name: key, Value: &value})
		}
		if _, err := s.adm.AlterTopicConfigs(s.Context(), alter, "delay.level.5s"); err != nil {
			s.Fatal(err)
		}
		var report string
		s.eventually("the plan sees what is broken", func() (seen bool) {
			code, out := s.plan("ops", topics...)
			report = out
			return code == 2 && strings.Count(out, `"setting"`) == len(broken)
		})
		return report
	}
	nothing := func() bool { code, _ := s.plan("ops", topics...); return code == 0 }

	var plan struct{ Topics []struct{ Commands []string } }
	if err := json.Unmarshal([]byte(breakIt()), &plan); err != nil {
		s.Fatal(err)
	}
	var lines strings.Builder
	for _, t := range plan.Topics {
		for _, line := range t.Commands {
			fmt.Fprintln(&lines, strings.ReplaceAll(line, strings.Join(s.kafka.Secure().SASL, ","), strings.Join(s.kafka.Brokers(), ",")))
		}
	}
	s.script(lines.String())
	s.eventually("the commands of the plan have fixed it", nothing)

	breakIt()
	out, errs, err := s.run(append(append([]string{"admin", "provision", "--apply-config"}, topics...), s.flags("ops")...)...)
	if err != nil || strings.Count(out, "updated") != 1 {
		s.Errorf("provision: %v\n%s%s", err, out, errs)
	}
	s.eventually("provision has fixed it", nothing)
}
