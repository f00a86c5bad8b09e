//go:build realkafka

package endtoend

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/process"
	"github.com/delayd-io/delayd/levels"
)

const (
	walkLevels = "5s 1m"
	// walkPatience is how long a sign is waited for.
	walkPatience = 90 * time.Second
	// walkHeals is in what time all is well again: brokers answer again after the wait
	// that a quota imposes.
	walkHeals = 3 * time.Minute
)

// breakage is something that goes wrong while the service runs, and where an operator
// sees it: expressions for what status prints, what /readyz and /metrics answer, and what
// is logged. "": it is not to be seen there.
type breakage struct {
	what                        string
	begin, fix                  func(w *walk)
	status, ready, metrics, log string
}

// walk is a service on a secured cluster that was provisioned from the export alone.
type walk struct {
	*secured
	instance
	http   string
	orders string // a target
}

// instance is a running delayd, and what it has logged.
type instance struct {
	cmd *exec.Cmd
	log *lockedBuffer
}

// TestWalk breaks a running service in the ways that operators meet, and measures after
// how long status, /readyz, the metrics and the log show it. A sign that does not come is
// an error. It takes a quarter of an hour: set WALK to 1, or to an expression for
// some of them, to run it.
func TestWalk(t *testing.T) {
	if os.Getenv("WALK") == "" {
		t.Skip("WALK is not set")
	}
	w := newWalk(t)
	fmt.Println("| broken | `status` | `/readyz` | metrics | log |\n|---|---|---|---|---|")
	for _, b := range breakages() {
		if only := os.Getenv("WALK"); only != "1" && !regexp.MustCompile(only).MatchString(b.what) {
			continue
		}
		w.try(b)
	}
}

func newWalk(t *testing.T) *walk {
	w := &walk{secured: newSecured(t, "delayd", "ops", "wall", "sender"), orders: "orders"}
	addrs, err := process.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	w.http = addrs[0]
	if w.spec.Ladder, err = levels.Parse(walkLevels); err != nil {
		t.Fatal(err)
	}
	w.make("orders", "mails")
	script, errs, err := w.run("admin", "export", "--levels", walkLevels, "--partitions", "4", "--replicas", "1", "--brokers", strings.Join(w.kafka.Brokers(), ","),
		"--service", "User:delayd", "--provisioner", "User:ops", "--viewer", "User:wall", "--producer", "User:sender",
		"--target", "orders", "--target", "mails", "--target", "gone")
	if err != nil {
		t.Fatalf("export: %v\n%s", err, errs)
	}
	w.script(script)
	w.serve()
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			t.Logf("delayd said:\n%s", w.log)
		}
	})
	return w
}

// start starts another delayd.
func (w *walk) start(args ...string) instance {
	w.Helper()
	i := instance{log: new(lockedBuffer)}
	i.cmd = exec.Command(program, append(append([]string{"serve", "--instance", "one", "--levels", walkLevels, "--no-provision"}, args...), w.flags("delayd")...)...)
	i.cmd.Stderr = i.log
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := i.cmd.Start(); err != nil {
		w.Fatal(err)
	}
	return i
}

// serve starts the service, and waits until it is ready.
func (w *walk) serve() {
	w.Helper()
	w.instance = w.start("--http", w.http)
	w.eventually("delayd is ready", func() bool { return strings.HasPrefix(w.get("/readyz"), "200") })
}

func (w *walk) stop() {
	w.cmd.Process.Signal(syscall.SIGTERM)
	w.cmd.Wait()
}

// get is what the service answers on a path: the status code, then the body.
func (w *walk) get(path string) string {
	ctx, cancel := context.WithTimeout(w.Context(), 5*time.Second)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.http+path, nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "no answer"
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

// status is what the viewer sees, and the exit code.
func (w *walk) status() string {
	out, errs, err := w.command("wall", "admin", "status")
	return fmt.Sprintf("%s%s%v", out, errs, err)
}

// try breaks something, waits for its signs, fixes it, and prints a line.
func (w *walk) try(b breakage) {
	w.Helper()
	sources := []struct {
		sign string
		look func() string
	}{
		{b.status, w.status},
		{b.ready, func() string { return w.get("/readyz") }},
		{b.metrics, func() string { return w.get("/metrics") }},
		{b.log, nil},
	}
	logs, from := w.log, len(w.log.String())
	begun := time.Now()
	b.begin(w)
	if w.log != logs {
		logs, from = w.log, 0 // it was started again
	}
	sources[3].look = func() string { return logs.String()[from:] }
	cells := make([]string, len(sources))
	for left := len(sources); left > 0 && time.Since(begun) < walkPatience; {
		left = 0
		for i, source := range sources {
			if source.sign == "" || cells[i] != "" {
				continue
			}
			if found := regexp.MustCompile(source.sign).FindString(source.look()); found != "" {
				cells[i] = fmt.Sprintf("%.0f s: `%s`", time.Since(begun).Seconds(), strings.TrimSpace(found))
				continue
			}
			left++
		}
		time.Sleep(200 * time.Millisecond)
	}
	for i, source := range sources {
		if source.sign != "" && cells[i] == "" {
			w.Errorf("%s: not to be seen: %s\n%s", b.what, source.sign, source.look())
		}
		cells[i] = cmp.Or(cells[i], "–")
	}
	fmt.Printf("| %s | %s |\n", b.what, strings.Join(cells, " | "))
	if b.fix != nil {
		b.fix(w)
	}
	well := func() bool {
		return strings.HasPrefix(w.get("/readyz"), "200") && !unwell.MatchString(w.get("/metrics"))
	}
	for fixed := time.Now(); !well(); time.Sleep(time.Second) {
		if time.Since(fixed) > walkHeals {
			w.Fatalf("%s: fixed, and not well after %v", b.what, walkHeals)
		}
	}
}

// unwell are the metrics of what lasts as long as something is wrong.
var unwell = regexp.MustCompile(`(?m)^delayd_(topics_unsafe|topics_drifted|unavailable_targets|paused)\S* [1-9]`)

// set sets a topic's configuration.
func (w *walk) set(topic string, keyValues ...string) {
	w.Helper()
	var alter []kadm.AlterConfig
	for i := 0; i < len(keyValues); i += 2 {
		alter = append(alter, kadm.AlterConfig{Name: keyValues[i], Value: &keyValues[i+1]})
	}
	resp, err := w.adm.AlterTopicConfigs(w.Context(), alter, topic)
	if err == nil {
		_, err = resp.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		w.Errorf("set %v of %s: %v", keyValues, topic, err)
	}
}

// provision creates and fixes the topics, as the operator.
func (w *walk) provision() {
	w.Helper()
	if out, errs, err := w.command("ops", "admin", "provision", "--apply-config", "--levels", walkLevels, "--partitions", "4", "--replicas", "1"); err != nil {
		w.Errorf("provision: %v\n%s%s", err, out, errs)
	}
}

// admin has the operator run a command.
func (w *walk) admin(args ...string) {
	w.Helper()
	if out, errs, err := w.command("ops", append([]string{"admin"}, args...)...); err != nil {
		w.Errorf("%v: %v\n%s%s", args, err, out, errs)
	}
}

// delay sends n records that wait.
func (w *walk) delay(n int, target, delay string, size int) {
	w.Helper()
	recs := make([]*kgo.Record, n)
	for i := range recs {
		value := make([]byte, size)
		rand.Read(value) // nothing compresses it
		recs[i] = w.inbox(delay, target, string(value))
		recs[i].Key = []byte(fmt.Sprint(i))
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.Brokers()...)) // one that knows no topic that was deleted
	if err != nil {
		w.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(w.Context(), recs...).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

func (w *walk) delete(topics ...string) {
	w.Helper()
	resp, err := w.adm.DeleteTopics(w.Context(), topics...)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		w.Errorf("delete %v: %v", topics, err)
	}
}

// look reads a topic in a group of somebody else.
func (w *walk) look(group, topic string) {
	w.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.Brokers()...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		w.Fatal(err)
	}
	defer cl.Close()
	cl.PollFetches(w.Context())
	if err := cl.CommitUncommittedOffsets(w.Context()); err != nil {
		w.Error(err)
	}
}

// quota limits what the service may write, in bytes a second; 0 takes that back.
func (w *walk) quota(rate float64) {
	w.Helper()
	user := "delayd"
	name := "producer_byte_rate"
	_, err := w.adm.AlterClientQuotas(w.Context(), []kadm.AlterClientQuotaEntry{{
		Entity: kadm.ClientQuotaEntity{{Type: "user", Name: &user}},
		Ops:    []kadm.AlterClientQuotaOp{{Key: name, Value: rate, Remove: rate == 0}},
	}})
	if err != nil {
		w.Error(err)
	}
}

// breakages are in an order in which none hides another.
func breakages() []breakage {
	var n levels.Names
	n.Prefix = levels.DefaultPrefix
	level, minute := n.LevelPrefix()+"5s", n.LevelPrefix()+"1m"
	write := admin.Right{Resource: kmsg.ACLResourceTypeTopic, Name: "orders", Operation: kmsg.ACLOperationWrite}
	drift := func(what, topic, key, value, status, metrics, log string) breakage {
		return breakage{
			what: what, begin: func(w *walk) { w.set(topic, key, value) },
			status: status, metrics: metrics, log: log, fix: (*walk).provision,
		}
	}
	return []breakage{{
		what: "a target paused",
		begin: func(w *walk) {
			w.admin("pause", "--target", "orders", "--reason", "migration")
			w.delay(3, "orders", "5s", 10)
		},
		status: `paused: target orders, for \S+: migration`, metrics: `delayd_paused\{.*target="orders"\} 1`, log: `"reason":"migration".*target paused`,
		fix: func(w *walk) { w.admin("resume", "--target", "orders") },
	}, {
		what: "`delay.control` deleted and made again, with a target paused",
		begin: func(w *walk) {
			w.admin("pause", "--target", "orders")
			w.eventually("it is paused", func() bool { return strings.Contains(w.get("/metrics"), `target="orders"} 1`) })
			w.delete(n.Control())
			time.Sleep(3 * time.Second)
			w.provision()
		},
		log: `"name":"orders"[^\n]*target resumed`,
	}, {
		what:   "a level paused",
		begin:  func(w *walk) { w.admin("pause", "--level", "5s"); w.delay(3, "orders", "5s", 10) },
		status: `paused: level 5s, for \S+`, metrics: `delayd_paused\{level="5s".*\} 1`, log: `level paused`,
		fix: func(w *walk) { w.admin("resume", "--level", "5s") },
	}, {
		what:   "a target deleted",
		begin:  func(w *walk) { w.delete("mails"); w.delay(3, "mails", "5s", 10) },
		status: `parked +4 +3`, metrics: `delayd_unavailable_targets\S* 1`, log: `"error":"UNKNOWN_TOPIC_OR_PARTITION.*target unavailable`,
		fix: func(w *walk) { w.make("mails") },
	}, {
		what:    "a typo in the target",
		begin:   func(w *walk) { w.delay(3, "oders", "5s", 10) },
		status:  `dead +1 +3`, // it may not see which topics there are
		metrics: `delayd_dead_letters_total\{code="not-authorized".*\} 3`, log: `dead letter: deliver to oders[^"]*`,
	}, {
		what:   "WRITE on a target revoked",
		begin:  func(w *walk) { w.revoke("delayd", write); w.delay(3, w.orders, "5s", 10) },
		status: `parked +4 +3`, metrics: `delayd_unavailable_targets\S* 1`, log: `grant WRITE on topic orders to this user`,
		fix: func(w *walk) { w.grant("delayd", write) },
	}, {
		what:   "`max.message.bytes=2000` on a target",
		begin:  func(w *walk) { w.set("orders", "max.message.bytes", "2000"); w.delay(1, "orders", "5s", 5000) },
		status: `dead +1 +4`, metrics: `delayd_dead_letters_total\{code="too-large".*\} 1`, log: `dead letter: deliver to orders: MESSAGE_TOO_LARGE[^"]*`,
		fix: func(w *walk) { w.set("orders", "max.message.bytes", "1048588") },
	}, {
		what:   "a quota of 2,000 bytes a second",
		begin:  func(w *walk) { w.quota(2000); w.delay(150, "orders", "5s", 1000) },
		status: `oldest overdue: \S+|oldest waits for \S+`, metrics: `delayd_kafka_request_throttled_seconds_sum\S* [1-9]\S*`, log: `the broker makes this client wait[^"]*`,
		fix: func(w *walk) { w.quota(0); time.Sleep(30 * time.Second) },
	},
		drift("`retention.ms=60000` on a level", minute, "retention.ms", "60000", `retention.ms=60000[^,;\n]*`, `delayd_topics_unsafe\S* 1`, `"error".*retention.ms=60000`),
		drift("`CreateTime` on a level", level, "message.timestamp.type", "CreateTime", `CreateTime[^,;\n]*`, `delayd_topics_(unsafe|drifted)\S* 1`, `CreateTime, want LogAppendTime`),
		drift("`max.message.bytes` of a level lowered", level, "max.message.bytes", "1000", `max.message.bytes=1000[^,;\n]*`, `delayd_topics_(unsafe|drifted)\S* 1`, `max.message.bytes=1000`),
		drift("`cleanup.policy=delete` on `delay.control`", n.Control(), "cleanup.policy", "delete", `what is paused is forgotten[^,;\n]*`, `delayd_topics_(unsafe|drifted)\S* 1`, `what is paused is forgotten`),
		{
			what: "`delay.dead` deleted, then a record that dies",
			begin: func(w *walk) {
				w.delete(n.Dead())
				w.delay(1, "orders", "soon", 10)
			},
			status: `delay.dead: it does not exist`, ready: `503[^\n]*`, metrics: `delayd_topics_unsafe\S* 1`, log: `"topic":"delay.dead"[^\n]*`,
			fix: (*walk).provision,
		}, {
			what:   "a level deleted, with records pending",
			begin:  func(w *walk) { w.delay(4, "orders", "1m", 10); time.Sleep(3 * time.Second); w.delete(minute) },
			status: `delay.level.1m: it does not exist`, metrics: `delayd_topics_unsafe\S* 1`, log: `topic was deleted: what was pending in it is gone`,
			ready: `503[^\n]*delay.level.1m[^\n]*`,
			fix:   (*walk).provision,
		}, {
			what:   "the inbox deleted",
			begin:  func(w *walk) { w.delete(n.Inbox()) },
			status: `delay.inbox: it does not exist`, metrics: `delayd_topics_unsafe\S* 1`, log: `"topic":"delay.inbox"[^\n]*topic was deleted`,
			ready: `503[^\n]*delay.inbox[^\n]*`,
			fix:   (*walk).provision,
		}, {
			what: "the inbox made again with the broker's defaults",
			begin: func(w *walk) {
				w.delete(n.Inbox())
				w.eventually("the inbox is made again", func() bool {
					resp, err := w.adm.CreateTopic(w.Context(), 4, 1, nil, n.Inbox())
					return err == nil && resp.Err == nil
				})
			},
			status: `delay.inbox: retention.ms=604800000[^;]*`, metrics: `delayd_topics_(unsafe|drifted)\S* 1`, log: `retention.ms=604800000`,
			fix: (*walk).provision,
		}, {
			what: "a console consumer on a level",
			begin: func(w *walk) {
				for _, user := range []string{"delayd", "wall"} { // who may not see a group does not know of it
					w.grant(user, admin.Right{Resource: kmsg.ACLResourceTypeGroup, Name: "console-4711", Operation: kmsg.ACLOperationDescribe})
				}
				w.delay(4, "orders", "5s", 10)
				w.look("console-4711", level)
			},
			status: `group console-4711 has committed offsets on it`, metrics: `delayd_topics_(unsafe|drifted)\S* 1`, log: `group console-4711`,
			fix: func(w *walk) {
				w.stop()
				w.serve() // it starts all the same
				if _, err := w.adm.DeleteGroup(w.Context(), "console-4711"); err != nil {
					w.Error(err)
				}
			},
		}, {
			what: "records of a level deleted by another tool",
			begin: func(w *walk) {
				w.delay(8, "orders", "1m", 10)
				time.Sleep(3 * time.Second)
				w.stop()
				ends, err := w.adm.ListEndOffsets(w.Context(), minute)
				if err == nil {
					_, err = w.adm.DeleteRecords(w.Context(), ends.Offsets())
				}
				if err != nil {
					w.Error(err)
				}
				w.serve()
			},
			metrics: `delayd_lost_offsets_total\S* [1-9]`, log: `offsets that were never delivered are gone from the topic`,
		}, {
			what: "offsets set forward while it was stopped",
			begin: func(w *walk) {
				w.delay(6, "orders", "1m", 10)
				time.Sleep(3 * time.Second)
				w.stop()
				w.eventually("the offsets are set", func() bool { // static members leave after their session
					ends, err := w.adm.ListEndOffsets(w.Context(), minute)
					return err == nil && w.adm.CommitAllOffsets(w.Context(), n.ForwarderGroup(), ends.Offsets()) == nil
				})
				w.serve()
			},
			log: `offsets were committed by another program`,
		}, {
			what: "both groups deleted while it was stopped",
			begin: func(w *walk) {
				w.delay(6, "orders", "1m", 10)
				time.Sleep(3 * time.Second)
				w.stop()
				w.eventually("the groups are deleted", func() bool { // the same
					resp, err := w.adm.DeleteGroups(w.Context(), n.ForwarderGroup(), n.RouterGroup())
					return err == nil && resp.Error() == nil
				})
				w.serve()
			},
			log: `the group has no offsets for partitions that hold records`,
		}, {
			what: "a second instance with the same id",
			begin: func(w *walk) {
				first := w.instance
				w.instance = w.start("--http", "off")
				first.cmd.Wait()
				if code := first.cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(first.log.String(), "another process uses the instance id") {
					w.Errorf("the first ended with %d", code)
				}
				w.log = first.log
			},
			ready: `no answer`, log: `another process uses the instance id`,
			fix: func(w *walk) { w.stop(); w.serve() },
		}, {
			what:  "no instance",
			begin: func(w *walk) { w.stop() },
			// Static members are members until their session is over.
			status: `no process is a member of group [^,]*`, ready: `no answer`,
			fix: (*walk).serve,
		}, {
			what: "the broker stopped",
			begin: func(w *walk) {
				if err := w.kafka.Kill(0); err != nil {
					w.Fatal(err)
				}
			},
			status: `no answer from \S+`, ready: `503[^\n]*`, metrics: `delayd_ready\S* 0`, log: `partitions lost`,
			fix: func(w *walk) {
				if err := w.kafka.Start(w.Context(), 0); err != nil {
					w.Fatal(err)
				}
			},
		}}
}
