//go:build realkafka

package endtoend

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/admin/deadletter"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// TestOperator resends and purges while the service runs, as users that have the
// rights that are listed and no others.
func TestOperator(t *testing.T) {
	s := newSecured(t, "delayd", "reader", "resender", "purger")
	ladder, err := levels.Parse("1s 5s 1h")
	if err != nil {
		t.Fatal(err)
	}
	s.spec.Ladder = ladder
	s.make("orders")
	if _, err := admin.Ensure(t.Context(), s.root, s.spec); err != nil {
		t.Fatal(err)
	}
	access := admin.Access{Targets: []string{"orders"}}
	s.grant("delayd", s.spec.Rights(access, admin.RoleRouter, admin.RoleForwarder)...)
	s.grant("reader", s.spec.Rights(access, admin.RoleRecordReader)...)
	s.grant("resender", s.spec.Rights(access, admin.RoleResender)...)
	s.grant("purger", s.spec.Rights(access, admin.RolePurger)...)
	workers := []*worker{{start: func(log zerolog.Logger) (interface{ Run(context.Context) error }, error) {
		cfg := router.DefaultConfig()
		cfg.Ladder, cfg.Log = s.spec.Ladder, log
		return router.New(cfg, s.opts("delayd", log)...)
	}}, {start: func(log zerolog.Logger) (interface{ Run(context.Context) error }, error) {
		cfg := forwarder.DefaultConfig()
		cfg.Ladder, cfg.Log = s.spec.Ladder, log
		return forwarder.New(cfg, s.opts("delayd", log)...)
	}}}
	for _, w := range workers {
		w.run()
		defer w.stop()
	}
	resendOnKafka(s.in(t))
	missingRightsOfOperators(s.in(t))
	purgeOnKafka(s.in(t), workers[1])
}

// command runs a command as a user.
func (s *secured) command(user string, args ...string) (stdout, stderr string, err error) {
	s.Helper()
	return s.run(append(args, s.flags(user)...)...)
}

// resendOnKafka sends letters again by processes that are killed, and by two at the
// same time. In the end each has come once.
func resendOnKafka(s *secured) {
	const letters = 2000 // several transactions
	got := s.watch("orders")
	recs := make([]*kgo.Record, letters)
	for i := range recs {
		recs[i] = s.inbox("soon", "orders", fmt.Sprint("letter ", i))
	}
	s.send(recs...)
	s.eventually("all are dead letters", func() bool {
		ends, err := s.adm.ListEndOffsets(s.Context(), s.spec.Names.Dead())
		o, _ := ends.Lookup(s.spec.Names.Dead(), 0)
		return err == nil && o.Offset >= letters
	})
	out, errs, err := s.command("reader", "admin", "dead", "list", "-n", "2", "--code", "bad-level")
	if err != nil || strings.Count(out, "bad-level") != 2 || !strings.Contains(errs, "there are more") {
		s.Fatalf("dead list: %v\n%s%s", err, out, errs)
	}

	resend := append([]string{"admin", "dead", "resend", "--level", "0", "-o", "json"}, s.flags("resender")...)
	for range 2 {
		cmd := exec.CommandContext(s.Context(), program, resend...)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			s.Fatal(err)
		}
		// The first transaction is committed by then, and the next is under way.
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() && !strings.Contains(lines.Text(), `"outcome":"sent"`) {
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		s.Logf("killed when %d had come", got.count("orders"))
	}
	ended := make(chan string, 2)
	for range cap(ended) {
		go func() { // both are waited for
			_, errs, err := s.run(resend...)
			if err != nil && !strings.Contains(errs, deadletter.ErrOvertaken.Error()) && !strings.Contains(errs, "it is not known whether") {
				s.Errorf("resend: %v\n%s", err, errs)
			}
			ended <- errs
		}()
	}
	s.Logf("two at once:\n%s%s", <-ended, <-ended)
	if out, errs, err := s.run(resend...); err != nil {
		s.Fatalf("resend: %v\n%s%s", err, out, errs)
	}
	s.eventually("all have come", func() bool { return got.count("orders") >= letters })
	out, errs, err = s.command("resender", "admin", "dead", "resend", "--level", "0")
	if err != nil || !strings.Contains(errs, "sent: 0 letters\nleft alone, as they were sent before: 2000 letters;") {
		s.Errorf("once more: %v\n%s%s", err, out[:min(len(out), 1000)], errs)
	}
	s.send(s.inbox("0", "orders", "the last"))
	s.eventually("what was sent after them has come", func() bool { return len(got.where("the last")) > 0 })
	for i := range letters {
		if n := got.times("orders", fmt.Sprint("letter ", i)); n != 1 {
			s.Errorf("letter %d has come %d times", i, n)
		}
	}
}

// count is how many records came to a topic.
func (g *seen) count(topic string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.all[topic])
}

// times is how often a value came to a topic.
func (g *seen) times(topic, value string) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, v := range g.all[topic] {
		if v == value {
			n++
		}
	}
	return n
}

// missingRightsOfOperators takes each right of a role away: the command says which.
func missingRightsOfOperators(s *secured) {
	s.send(s.direct("orders", "something to purge"))
	for _, tc := range []struct {
		user     string
		role     admin.Role
		commands [][]string
	}{
		{"reader", admin.RoleRecordReader, [][]string{{"dead", "list"}, {"parked", "list"}, {"peek", "--level", "5s"}, {"find", "an-id"}}},
		{"resender", admin.RoleResender, [][]string{{"dead", "resend", "--again", "--offset", "0"}, {"dead", "resend", "--again", "--offset", "0", "--level", "0"}}},
		{"purger", admin.RolePurger, [][]string{{"purge", "--level", "5s", "--yes"}}},
	} {
		for _, right := range s.spec.Rights(admin.Access{}, tc.role) {
			if right.Optional {
				continue
			}
			if right.Prefixed && tc.role == admin.RoleResender {
				continue // no letter here was on a level
			}
			topic := s.spec.Names.LevelPrefix() + "5s"
			s.send(&kgo.Record{Topic: topic, Value: []byte("to be purged"), Headers: headers(levels.HeaderTarget, "orders")})
			s.revoke(tc.user, right)
			s.eventually(tc.user+" is asked for "+right.String(), func() bool {
				var said string
				for _, c := range tc.commands {
					_, errs, _ := s.command(tc.user, append([]string{"admin"}, c...)...)
					said += errs
				}
				if !asksFor(said, right) {
					s.send(&kgo.Record{Topic: topic, Value: []byte("to be purged"), Headers: headers(levels.HeaderTarget, "orders")})
				}
				return asksFor(said, right)
			})
			s.grant(tc.user, right)
		}
	}
}

// purgeOnKafka deletes what waits, which the forwarder has read ahead.
func purgeOnKafka(s *secured, forwarder *worker) {
	const pending = 300
	topic := s.spec.Names.LevelPrefix() + "1h"
	recs := make([]*kgo.Record, pending)
	for i := range recs {
		recs[i] = &kgo.Record{Topic: topic, Value: fmt.Append(nil, "pending ", i), Headers: headers(levels.HeaderTarget, "orders")}
	}
	s.send(recs...)
	out, errs, err := s.command("reader", "admin", "peek", "--level", "1h", "-n", "2")
	if err != nil || strings.Count(out, "orders") != 2 || !strings.Contains(out, "pending 0") {
		s.Errorf("peek: %v\n%s%s", err, out, errs)
	}
	out, errs, err = s.command("purger", "admin", "purge", "--level", "1h", "--dry-run")
	if err != nil || !strings.Contains(errs, "would be deleted, for good: 300 records of level 1h") {
		s.Errorf("dry run: %v\n%s%s", err, out, errs)
	}
	if _, errs, err = s.command("purger", "admin", "purge", "--level", "1h"); err == nil || !strings.Contains(errs, "write --yes") {
		s.Errorf("without anyone to ask: %v\n%s", err, errs)
	}
	out, errs, err = s.command("purger", "admin", "purge", "--level", "1h", "--yes")
	if err != nil || !strings.Contains(errs, "deleted: 300 records of level 1h") {
		s.Fatalf("purge: %v\n%s%s", err, out, errs)
	}
	committed := func() int64 {
		at, err := offsets.Committed(s.Context(), kadm.NewClient(s.root), s.spec.Names.ForwarderGroup())
		if err != nil {
			s.Fatal(err)
		}
		return at[offsets.Partition{Topic: topic}]
	}
	s.eventually("the forwarder has forgotten them", func() bool { return committed() == pending })
	if said := forwarder.said(); !strings.Contains(said, "an operator has deleted") || strings.Contains(said, "are gone from the topic") {
		s.Errorf("the log:\n%s", said)
	}

	// Without the right to know, it is reported as a loss, with the missing
	// right.
	forwarder.stop()
	forwarder.forget()
	rights := s.spec.Rights(admin.Access{}, admin.RoleForwarder)
	right := rights[slices.IndexFunc(rights, func(r admin.Right) bool { return r.Name == s.spec.Names.PurgedGroup() })]
	s.revoke("delayd", right) // in force by the time that the purge is over
	s.send(recs[:1]...)
	if _, errs, err = s.command("purger", "admin", "purge", "--level", "1h", "--yes"); err != nil {
		s.Fatalf("purge: %v\n%s", err, errs)
	}
	forwarder.run()
	defer func() {
		if s.Failed() {
			s.Logf("the log:\n%s", forwarder.said())
		}
	}()
	s.eventually("the loss is told", func() bool {
		said := forwarder.said()
		return strings.Contains(said, "are gone from the topic") && asksFor(said, right)
	})
	s.grant("delayd", right)
}
