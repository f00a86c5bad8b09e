//go:build realkafka

package endtoend

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/kafkatest"
	"github.com/delayd-io/delayd/internal/security"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// secured is an Apache Kafka that lets nobody do anything without a right, and
// root, who may do everything.
type secured struct {
	*testing.T
	kafka *kafkatest.Cluster
	spec  admin.Spec
	root  *kgo.Client
	adm   *kadm.Client
	dir   string
}

// newSecured starts one with users.
func newSecured(t *testing.T, users ...string) *secured {
	t.Helper()
	ladder, err := levels.Parse("1s 5s")
	if err != nil {
		t.Fatal(err)
	}
	s := &secured{
		T: t, dir: t.TempDir(), kafka: kafkatest.Start(t, kafkatest.Secured(users...)),
		spec: admin.Spec{Ladder: ladder, Names: levels.Names{Prefix: levels.DefaultPrefix}, Partitions: 1},
	}
	if s.root, err = kgo.NewClient(kgo.SeedBrokers(s.kafka.Brokers()...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.root.Close)
	s.adm = kadm.NewClient(s.root)
	return s
}

// in is the same for a part of the test.
func (s *secured) in(t *testing.T) *secured {
	part := *s
	part.T = t
	return &part
}

// security is how a user comes in: by SCRAM and TLS.
func (s *secured) security(user string) security.Config {
	s.Helper()
	at := s.kafka.Secure()
	return security.Config{
		TLS: true, CA: at.CA, SASL: security.ScramSHA512, User: user,
		PasswordFile: s.file(user+".password", at.Password(user)+"\n"),
	}
}

func (s *secured) file(name, content string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// opts are a user's options of a client.
func (s *secured) opts(user string, log zerolog.Logger) []kgo.Opt {
	s.Helper()
	secure, err := s.security(user).Options(log)
	if err != nil {
		s.Fatal(err)
	}
	return append(connect.Options(s.kafka.Secure().SASL, "test-"+user, log), secure...)
}

// flags are the same for a command.
func (s *secured) flags(user string) []string {
	sec := s.security(user)
	return []string{
		"--brokers", strings.Join(s.kafka.Secure().SASL, ","), "--tls", "--tls-ca", sec.CA,
		"--sasl", string(sec.SASL), "--sasl-user", user, "--sasl-password-file", sec.PasswordFile,
	}
}

// run runs a command to its end.
func (s *secured) run(args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func (s *secured) grant(user string, rights ...admin.Right) {
	s.Helper()
	req := kmsg.NewPtrCreateACLsRequest()
	for _, r := range rights {
		c := kmsg.NewCreateACLsRequestCreation()
		c.ResourceType, c.ResourceName, c.ResourcePatternType = r.Resource, r.Name, pattern(r)
		c.Principal, c.Host, c.Operation, c.PermissionType = "User:"+user, "*", r.Operation, kmsg.ACLPermissionTypeAllow
		req.Creations = append(req.Creations, c)
	}
	resp, err := req.RequestWith(s.Context(), s.root)
	if err != nil {
		s.Fatal(err)
	}
	for i, result := range resp.Results {
		if result.ErrorCode != 0 {
			s.Fatalf("grant %v to %s: %d %v", rights[i], user, result.ErrorCode, result.ErrorMessage)
		}
	}
}

func (s *secured) revoke(user string, r admin.Right) {
	s.Helper()
	req := kmsg.NewPtrDeleteACLsRequest()
	f := kmsg.NewDeleteACLsRequestFilter()
	principal := "User:" + user
	f.ResourceType, f.ResourceName, f.ResourcePatternType = r.Resource, &r.Name, pattern(r)
	f.Principal, f.Operation, f.PermissionType = &principal, r.Operation, kmsg.ACLPermissionTypeAllow
	req.Filters = append(req.Filters, f)
	resp, err := req.RequestWith(s.Context(), s.root)
	if err != nil || len(resp.Results) != 1 || len(resp.Results[0].MatchingACLs) != 1 {
		s.Fatalf("revoke %v from %s: %v, %+v", r, user, err, resp)
	}
}

func pattern(r admin.Right) kmsg.ACLResourcePatternType {
	if r.Prefixed {
		return kmsg.ACLResourcePatternTypePrefixed
	}
	return kmsg.ACLResourcePatternTypeLiteral
}

// names reports whether text asks for that right.
func asksFor(text string, r admin.Right) bool {
	return strings.Contains(text, "grant "+strings.TrimSuffix(r.String(), "*"))
}

func (s *secured) send(recs ...*kgo.Record) {
	s.Helper()
	if err := s.root.ProduceSync(s.Context(), recs...).FirstErr(); err != nil {
		s.Fatal(err)
	}
}

func (s *secured) inbox(delay, target, value string) *kgo.Record {
	return &kgo.Record{
		Topic: s.spec.Names.Inbox(), Value: []byte(value),
		Headers: headers(levels.HeaderLevel, delay, levels.HeaderTarget, target),
	}
}

func (s *secured) direct(target, value string) *kgo.Record {
	return &kgo.Record{Topic: s.spec.Names.LevelPrefix() + "1s", Value: []byte(value), Headers: headers(levels.HeaderTarget, target)}
}

// make makes targets. Those that are not there yet are sick as long as that is
// waited for.
func (s *secured) make(targets ...string) {
	s.Helper()
	created, err := s.adm.CreateTopics(s.Context(), 1, 1, nil, targets...)
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		s.Fatal(err)
	}
}

// seen collects the values that come to topics.
type seen struct {
	mu  sync.Mutex
	all map[string][]string // by topic
}

func (s *secured) watch(topics ...string) *seen {
	s.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.Brokers()...), kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(time.Second))
	if err != nil {
		s.Fatal(err)
	}
	got := &seen{all: make(map[string][]string)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			fetches := cl.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			got.mu.Lock()
			fetches.EachRecord(func(r *kgo.Record) { got.all[r.Topic] = append(got.all[r.Topic], string(r.Value)) })
			got.mu.Unlock()
		}
	}()
	s.Cleanup(func() { cl.Close(); <-done })
	return got
}

// where names the topics on which value arrived.
func (g *seen) where(value string) (topics []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for topic, values := range g.all {
		for _, v := range values {
			if v == value {
				topics = append(topics, topic)
			}
		}
	}
	return topics
}

func (s *secured) eventually(what string, ok func() bool) {
	s.Helper()
	(&cluster{T: s.T}).eventually(what, ok)
}

// TestLeastPrivilege: with the rights that are listed, and no others, everything
// works, and nothing in the log asks for more.
func TestLeastPrivilege(t *testing.T) {
	s := newSecured(t, "delayd", "maker", "viewer", "sender", "reader")
	s.make("orders", "nobody-may")
	access := admin.Access{Targets: []string{"orders", "sick"}, Group: "reader", ExactlyOnce: true}
	s.grant("delayd", s.spec.Rights(access, admin.ServiceRoles()...)...)
	s.grant("maker", s.spec.Rights(access, admin.RoleProvisioner)...)
	s.grant("sender", s.spec.Rights(access, admin.RoleProducer)...)
	s.grant("reader", s.spec.Rights(access, admin.RoleConsumer)...)
	s.grantByTool("viewer", s.spec.Rights(access, admin.RoleStatusReader))

	// Made by one who may do nothing else.
	ladder := []string{"--levels", "1s 5s"}
	out, errs, err := s.run(append(append([]string{"admin", "provision", "--partitions", "1"}, ladder...), s.flags("maker")...)...)
	if err != nil || strings.Count(out, "created") != 7 || strings.Contains(out+errs, "grant") {
		t.Fatalf("provision: %v\n%s%s", err, out, errs)
	}

	d := new(delayd)
	d.Cmd = exec.CommandContext(t.Context(), program, append(append([]string{
		"serve", "--http", "off", "--instance", "one", "--no-provision", "--purge-after", "0", "--partitions", "1",
		"--missing-target-wait", "0",
	}, ladder...), s.flags("delayd")...)...)
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

	all := s.watch("orders", "sick", "nobody-may", s.spec.Names.Dead())
	for _, via := range []string{"inbox", "level"} {
		for _, to := range []string{"orders", "sick", "nobody-may"} {
			args := append([]string{"send", "--to", to, "--delay", "1s", "--via", via, via + " to " + to}, s.flags("sender")...)
			if via == "level" {
				args = append(args, ladder...)
			}
			if out, errs, err := s.run(args...); err != nil {
				t.Fatalf("send: %v\n%s%s", err, out, errs)
			}
		}
	}
	s.send(s.inbox("soon", "orders", "bad"), s.inbox("0", "orders", "at once"))
	arrives := func(value, topic string) {
		t.Helper()
		s.eventually(value+" is on "+topic, func() bool { return len(all.where(value)) == 1 && all.where(value)[0] == topic })
	}
	arrives("at once", "orders")
	arrives("inbox to orders", "orders")
	arrives("level to orders", "orders")
	arrives("bad", s.spec.Names.Dead())

	// What is parked is delivered when its target is well, or may be written.
	s.eventually("records are parked", func() bool {
		ends, err := s.adm.ListEndOffsets(t.Context(), s.spec.Names.Parked())
		o, _ := ends.Lookup(s.spec.Names.Parked(), 0)
		return err == nil && o.Offset >= 4
	})
	s.make("sick")
	arrives("inbox to sick", "sick")
	arrives("level to sick", "sick")
	later := access
	later.Targets = []string{"nobody-may"}
	s.grant("delayd", s.spec.Rights(later, admin.ServiceRoles()...)...)
	arrives("inbox to nobody-may", "nobody-may")
	arrives("level to nobody-may", "nobody-may")

	// What is handled is deleted.
	for _, topic := range []string{s.spec.Names.Inbox(), s.spec.Names.LevelPrefix() + "1s", s.spec.Names.Parked()} {
		s.eventually(topic+" is purged", func() bool {
			starts, err1 := s.adm.ListStartOffsets(t.Context(), topic)
			ends, err2 := s.adm.ListEndOffsets(t.Context(), topic)
			from, _ := starts.Lookup(topic, 0)
			to, _ := ends.Lookup(topic, 0)
			return err1 == nil && err2 == nil && to.Offset > 0 && from.Offset == to.Offset
		})
	}

	// And seen by one who may only look.
	out, errs, err = s.run(append(append([]string{"admin", "status", "-o", "wide"}, ladder...), s.flags("viewer")...)...)
	if err != nil || !strings.Contains(out, "delay.level.5s") || strings.Contains(out, "unknown") {
		t.Errorf("status: %v\n%s%s", err, out, errs)
	}
	s.read("reader", access.Group, "orders", 3)
	s.transact("delayd", s.spec.Names.RouterGroup()+"-7", s.spec.Names.ForwarderGroup()+"-7")

	d.Process.Signal(os.Interrupt)
	if err := d.Wait(); err != nil {
		t.Errorf("delayd after an interrupt: %v", err)
	}
	for line := range strings.Lines(d.log.String()) {
		if strings.Contains(line, "grant ") && !strings.Contains(line, "nobody-may") {
			t.Errorf("delayd asks for more: %s", line)
		}
	}
}

// grantByTool grants as the commands say that are printed for people.
func (s *secured) grantByTool(user string, rights []admin.Right) {
	s.Helper()
	var script strings.Builder
	script.WriteString("set -e\n")
	for _, r := range rights[:2] { // a second each
		line := strings.TrimPrefix(r.Command(s.kafka.Brokers()[0], "User:"+user), "kafka-acls.sh ")
		fmt.Fprintf(&script, "java -cp '%s' org.apache.kafka.tools.AclCommand %s\n", kafkatest.JarsClasspath(s.T), line)
	}
	if out, err := exec.CommandContext(s.Context(), "sh", "-c", script.String()).CombinedOutput(); err != nil {
		s.Fatalf("%s%v\n%s", &script, err, out)
	}
	s.grant(user, rights[2:]...)
}

// read reads n records as a user, in a group.
func (s *secured) read(user, group, topic string, n int) {
	s.Helper()
	cl, err := kgo.NewClient(append(s.opts(user, zerolog.Nop()), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		s.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	for got := 0; got < n; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			s.Fatalf("read %s as %s: %v", topic, user, err)
		}
		got += fetches.NumRecords()
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		s.Errorf("commit as %s: %v", user, err)
	}
}

// transact begins a transaction under each of ids.
func (s *secured) transact(user string, ids ...string) {
	s.Helper()
	for _, id := range ids {
		cl, err := kgo.NewClient(append(s.opts(user, zerolog.Nop()), kgo.TransactionalID(id))...)
		if err != nil {
			s.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(s.Context(), patience)
		if _, _, err := cl.ProducerID(ctx); err != nil {
			s.Errorf("transactional id %s: %v", id, err)
		}
		cancel()
		cl.Close()
	}
}

// worker is a router or a forwarder that is started again whenever it ends, as a
// supervisor would.
type worker struct {
	start func(zerolog.Logger) (interface{ Run(context.Context) error }, error)

	mu     sync.Mutex
	log    bytes.Buffer // guarded by mu
	cancel context.CancelFunc
	done   chan struct{}
}

func (w *worker) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

// said is the log since the last forget.
func (w *worker) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func (w *worker) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log.Reset()
}

func (w *worker) run() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.done = cancel, make(chan struct{})
	log := zerolog.New(w).Level(zerolog.InfoLevel)
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			one, err := w.start(log)
			if err == nil {
				err = one.Run(ctx)
			}
			if err != nil {
				log.Error().Err(err).Msg("ended")
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
}

func (w *worker) stop() { w.cancel(); <-w.done }

// TestMissingRights takes each right of the router and of the forwarder away, while
// they run and at their start. Every time the log says what to grant, and when it is
// granted again everything is delivered, or is a dead letter where the right was
// the target's.
func TestMissingRights(t *testing.T) {
	s := newSecured(t, "router", "forwarder")
	s.make("orders")
	if _, err := admin.Ensure(t.Context(), s.root, s.spec); err != nil {
		t.Fatal(err)
	}
	access := admin.Access{Targets: []string{"orders", "sick", "ailing"}}
	rights := map[string][]admin.Right{
		"router":    s.spec.Rights(access, admin.RoleRouter),
		"forwarder": s.spec.Rights(access, admin.RoleForwarder),
	}
	for user, all := range rights {
		s.grant(user, all...)
	}
	workers := map[string]*worker{
		"router": {start: func(log zerolog.Logger) (interface{ Run(context.Context) error }, error) {
			cfg := router.DefaultConfig()
			cfg.Ladder, cfg.PurgeAfter, cfg.MissingTargetWait, cfg.Log = s.spec.Ladder, forwarder.PurgeAtOnce, forwarder.WaitForEver, log
			return router.New(cfg, s.opts("router", log)...)
		}},
		"forwarder": {start: func(log zerolog.Logger) (interface{ Run(context.Context) error }, error) {
			cfg := forwarder.DefaultConfig()
			cfg.Ladder, cfg.PurgeAfter, cfg.MissingTargetWait, cfg.Log = s.spec.Ladder, forwarder.PurgeAtOnce, forwarder.WaitForEver, log
			return forwarder.New(cfg, s.opts("forwarder", log)...)
		}},
	}
	for _, w := range workers {
		w.run()
		defer w.stop()
	}
	dead := s.spec.Names.Dead()
	all := s.watch("orders", "sick", "ailing", dead)

	// One target was sick, so that there is something parked to be purged; one stays
	// sick, so that there is always something parked.
	parkedRecords := func(n int64) {
		t.Helper()
		s.eventually(fmt.Sprint(n, " records were parked"), func() bool {
			ends, err := s.adm.ListEndOffsets(t.Context(), s.spec.Names.Parked())
			o, _ := ends.Lookup(s.spec.Names.Parked(), 0)
			return err == nil && o.Offset >= n
		})
	}
	s.send(s.direct("ailing", "ill"))
	parkedRecords(1)
	s.make("ailing")
	s.eventually("ailing is well", func() bool { return len(all.where("ill")) > 0 })
	s.send(s.direct("sick", "first"))
	parkedRecords(2)

	round := 0
	var parked []string
	for _, user := range []string{"router", "forwarder"} {
		for _, right := range rights[user] {
			if right.Name == "sick" || right.Name == "ailing" {
				continue // not written to while they are sick
			}
			if right.Name == s.spec.Names.PurgedGroup() {
				continue // only needed where records are gone: TestOperator
			}
			if right.Name == s.spec.Names.SkippedGroup() {
				continue // only needed where a batch cannot be read
			}
			if user == "router" && right.Name == s.spec.Names.Cancel() && right.Operation == kmsg.ACLOperationRead {
				continue // what it is for, WRITE includes
			}
			if right.Operation == kmsg.ACLOperationDescribeConfigs {
				continue // only exactly once asks for limits: here the broker's refusal says it
			}
			round++
			t.Run(user+" without "+right.String(), func(t *testing.T) {
				s := s.in(t)
				w := workers[user]
				w.forget()
				s.revoke(user, right)
				var values []string
				send := func(when string) {
					name := func(what string) string { return fmt.Sprintf("%d %s: %s", round, when, what) }
					some := []string{name("waits"), name("at once"), name("direct"), name("bad"), name("without a target"), name("with an id")}
					named, cancel := s.inbox("1s", "orders", some[5]), &kgo.Record{Topic: s.spec.Names.Inbox()}
					named.Headers = append(named.Headers, kgo.RecordHeader{Key: levels.HeaderID, Value: []byte(some[5])})
					cancel.Headers = []kgo.RecordHeader{{Key: levels.HeaderCancel, Value: []byte("nobody's")}}
					s.send(
						named, cancel,
						s.inbox("1s", "orders", some[0]), s.inbox("0", "orders", some[1]), s.direct("orders", some[2]),
						s.inbox("soon", "orders", some[3]), s.direct("", some[4]),
						s.inbox("0", "sick", name("sick at once")), s.direct("sick", name("sick")),
					)
					values, parked = append(values, some...), append(parked, name("sick at once"), name("sick"))
				}
				send("while it runs")
				if !waitFor(startedWithin, func() bool { return asksFor(w.said(), right) }) {
					w.stop() // some rights are only needed at the start, or for what is new
					w.run()
					send("at its start")
				}
				s.eventually("the log asks for "+right.String(), func() bool { return asksFor(w.said(), right) })
				s.grant(user, right)
				s.eventually("everything is delivered or dead", func() bool {
					for _, v := range values {
						if len(all.where(v)) == 0 {
							return false
						}
					}
					return true
				})
				for _, v := range values {
					for _, topic := range all.where(v) {
						mayDie := strings.HasSuffix(v, "bad") || strings.HasSuffix(v, "without a target") ||
							right.Name == "orders" && right.Operation == kmsg.ACLOperationWrite
						if topic == dead && !mayDie {
							t.Errorf("%q is a dead letter", v)
						}
					}
				}
				if t.Failed() {
					t.Logf("the log:\n%s", w.said())
				}
			})
		}
	}
	s.make("sick")
	for _, v := range append(parked, "first", "ill") {
		s.eventually(v+" is delivered", func() bool { return len(all.where(v)) > 0 })
	}
}

// startedWithin is how long a right may go without being missed before the worker
// is started again.
const startedWithin = 3 * time.Second

// waitFor reports whether ok holds within d.
func waitFor(d time.Duration, ok func() bool) bool {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}

// TestMissingRightsOfAdmins: those who create topics, and those who look, are told
// what they lack too.
func TestMissingRightsOfAdmins(t *testing.T) {
	s := newSecured(t, "maker", "viewer")
	made, seen := s.spec.Rights(admin.Access{}, admin.RoleProvisioner), s.spec.Rights(admin.Access{}, admin.RoleStatusReader)
	s.grant("maker", made...)
	s.grant("viewer", seen...)
	maker, viewer := s.client("maker"), s.client("viewer")
	for _, right := range made {
		if right.Resource == kmsg.ACLResourceTypeCluster {
			continue // nobody is told: Kafka's default is as good as known
		}
		s.revoke("maker", right)
		s.eventually("asked for "+right.String(), func() bool {
			if right.Operation == kmsg.ACLOperationCreate {
				s.deleteTopics()
			}
			results, _ := admin.Ensure(t.Context(), maker, s.spec)
			said := ""
			for _, r := range results {
				said += fmt.Sprintln(r.Detail, r.Err)
			}
			return asksFor(said, right)
		})
		s.grant("maker", right)
		s.eventually("all is well with "+right.String(), func() bool {
			results, err := admin.Ensure(t.Context(), maker, s.spec)
			return err == nil && !strings.Contains(fmt.Sprint(results), "grant")
		})
	}
	for _, right := range seen {
		if right.Name == s.spec.Names.Cancel() {
			continue // optional: without it cancels are not counted
		}
		s.revoke("viewer", right)
		s.eventually("asked for "+right.String(), func() bool {
			_, err := admin.Inspect(t.Context(), viewer, s.spec, time.Now())
			_, unknown := admin.Pauses(t.Context(), viewer, s.spec.Names)
			return asksFor(fmt.Sprint(err, unknown), right)
		})
		s.grant("viewer", right)
		s.eventually("all is seen with "+right.String(), func() bool {
			status, err := admin.Inspect(t.Context(), viewer, s.spec, time.Now())
			_, unknown := admin.Pauses(t.Context(), viewer, s.spec.Names)
			return err == nil && unknown == nil && len(status.Levels) == 2 && status.Levels[0].Partitions == 1
		})
	}
}

func (s *secured) client(user string) *kgo.Client {
	s.Helper()
	cl, err := kgo.NewClient(s.opts(user, zerolog.Nop())...)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(cl.Close)
	return cl
}

// deleteTopics deletes all of the service's topics.
func (s *secured) deleteTopics() {
	s.Helper()
	n := s.spec.Names
	if _, err := s.adm.DeleteTopics(s.Context(), n.Inbox(), n.Parked(), n.Dead(), n.Control(), n.Cancel(), n.LevelPrefix()+"1s", n.LevelPrefix()+"5s"); err != nil {
		s.Fatal(err)
	}
}

// TestWaysIn tries each way to log in that Kafka has, as one user: the rights are
// the same by all of them.
func TestWaysIn(t *testing.T) {
	s := newSecured(t, "viewer", "stranger")
	if _, err := admin.Ensure(t.Context(), s.root, s.spec); err != nil {
		t.Fatal(err)
	}
	s.grant("viewer", s.spec.Rights(admin.Access{}, admin.RoleStatusReader)...)
	at := s.kafka.Secure()
	sasl, mtls := strings.Join(at.SASL, ","), strings.Join(at.TLS, ",")
	password := s.file("password", at.Password("viewer"))
	wrong := s.file("wrong", at.Password("stranger"))
	token := s.file("token", at.Token("viewer")+"\n")
	for _, tc := range []struct {
		args []string
		want string // in the error; "" for none
	}{
		{[]string{"--brokers", sasl, "--sasl", "plain", "--sasl-user", "viewer", "--sasl-password-file", password}, ""},
		{[]string{"--brokers", sasl, "--sasl", "scram-sha-256", "--sasl-user", "viewer", "--sasl-password-file", password}, ""},
		{[]string{"--brokers", sasl, "--sasl", "scram-sha-512", "--sasl-user", "viewer", "--sasl-password-file", password}, ""},
		{[]string{"--brokers", sasl, "--sasl", "oauthbearer", "--sasl-token-file", token}, ""},
		{[]string{"--brokers", mtls, "--tls-cert", at.Cert("viewer"), "--tls-key", at.Cert("viewer")}, ""},

		{[]string{"--brokers", sasl, "--sasl", "plain", "--sasl-user", "viewer", "--sasl-password-file", wrong}, "the brokers refuse --sasl-user viewer with that password"},
		{[]string{"--brokers", sasl, "--sasl", "scram-sha-512", "--sasl-user", "viewer", "--sasl-password-file", wrong}, "the brokers refuse --sasl-user viewer with that password"},
		{[]string{"--brokers", sasl, "--sasl", "oauthbearer", "--sasl-token-file", wrong}, "the brokers refuse the token in --sasl-token-file"},
		{[]string{"--brokers", mtls, "--tls-cert", at.Cert("stranger"), "--tls-key", at.Cert("stranger")}, "grant DESCRIBE on "},
		{[]string{"--brokers", mtls}, "the brokers ask for a certificate; set --tls-cert and --tls-key"},
		{[]string{"--brokers", strings.Join(s.kafka.Brokers(), ",")}, "leave --tls out"},
	} {
		out, errs, err := s.run(append([]string{"admin", "status", "--levels", "1s 5s", "-o", "wide", "--tls", "--tls-ca", at.CA}, tc.args...)...)
		switch {
		case tc.want == "" && (err != nil || !strings.Contains(out, "delay.level.5s")):
			t.Errorf("%q: %v\n%s%s", tc.args, err, out, errs)
		case tc.want != "" && (err == nil || !strings.Contains(errs, tc.want)):
			t.Errorf("%q: %v, want %q\n%s%s", tc.args, err, tc.want, out, errs)
		}
		if said := out + errs; strings.Contains(said, at.Password("viewer")) || strings.Contains(said, at.Token("viewer")) || strings.Contains(said, at.Password("stranger")) {
			t.Errorf("%q: a secret is shown\n%s", tc.args, said)
		}
	}
	if out, errs, err := s.run("admin", "status", "--brokers", sasl); err == nil || !strings.Contains(errs, "set --tls or --sasl") {
		t.Errorf("in plain text: %v\n%s%s", err, out, errs)
	}
}
