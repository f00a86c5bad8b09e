//go:build realkafka

package endtoend

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// committed reads what is committed on topic until n different values are there,
// and then whether there is more. at is called with how many there are.
func (c *cluster) committed(topic string, n int, at func(int)) []*kgo.Record {
	c.Helper()
	cl := c.newClient(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer cl.Close()
	enough := count(n)
	var got []*kgo.Record
	read := func(within time.Duration, over func() bool) {
		ctx, cancel := context.WithTimeout(c.Context(), within)
		defer cancel()
		for !over() && ctx.Err() == nil {
			got = append(got, cl.PollFetches(ctx).Records()...)
			at(len(got))
		}
	}
	read(2*patience, func() bool { return enough(got) })
	read(5*time.Second, func() bool { return false })
	return got
}

// exactlyOnce reports what was lost, duplicated or out of order.
func (c *cluster) exactlyOnce(n int, got []*kgo.Record) {
	c.Helper()
	if twice := c.outcome(n, got); twice > 0 {
		c.Errorf("%d were delivered twice", twice)
	}
}

// serveExactly starts an instance that delivers exactly once.
func (c *cluster) serveExactly(instance string) *delayd {
	c.Helper()
	return c.serve("--delivery", "exactly-once", "--instance", instance)
}

// kill ends delayd by kill -9.
func (d *delayd) kill() {
	d.Process.Kill()
	d.Wait()
}

// TestExactlyOnceKill kills delayd in the middle of a release, and starts it again.
func TestExactlyOnceKill(t *testing.T) {
	const records, kills = 100_000, 5
	c := newCluster(t, "exactly-kill")
	c.fill(records, "exactly-kill")
	d := c.serveExactly("one")
	killed := 0
	got := c.committed("exactly-kill", records, func(n int) {
		if killed < kills && n > (killed+1)*records/(kills+1) {
			killed++
			d.kill()
			d = c.serveExactly("one")
		}
	})
	if killed != kills {
		t.Errorf("%d kills, want %d", killed, kills)
	}
	c.exactlyOnce(records, got)
}

// TestExactlyOnceKillUnderLoad kills delayd again and again while records come
// through the inbox, some of them for a target that is there only later.
func TestExactlyOnceKillUnderLoad(t *testing.T) {
	const records, kills = 10_000, 6
	c := newCluster(t, "exactly-load")
	d := c.serveExactly("one")
	c.eventually("the topics are there", func() bool {
		topics, err := c.adm.ListTopics(t.Context(), c.names.Inbox(), c.names.Level(levels.Level{Delay: time.Second}))
		return err == nil && topics.Error() == nil
	})
	sent := make(chan struct{})
	go func() { // a steady load of 500 a second
		defer close(sent)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; i < records && t.Context().Err() == nil; <-tick.C {
			for range 5 {
				c.client.Produce(t.Context(), &kgo.Record{
					Topic: c.names.Inbox(), Partition: -1, Key: []byte(strconv.Itoa(i % 100)), Value: []byte(strconv.Itoa(i)),
					Headers: headers(levels.HeaderLevel, "1s", levels.HeaderTarget, "exactly-load"),
				}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
				})
				i++
			}
		}
	}()
	killed := 0
	got := c.committed("exactly-load", records, func(n int) {
		if killed < kills && n > (killed+1)*records/(kills+1) {
			killed++
			d.kill()
			d = c.serveExactly("one")
		}
	})
	<-sent
	if killed != kills {
		t.Errorf("%d kills, want %d", killed, kills)
	}
	c.exactlyOnce(records, got)
}

// TestExactlyOnceFrozen freezes an instance in the middle of a release for longer
// than its session, while another one is there, and lets it go on.
func TestExactlyOnceFrozen(t *testing.T) {
	const records = 300_000
	c := newCluster(t, "exactly-frozen")
	c.fill(records, "exactly-frozen")
	one := c.serveExactly("one")
	c.serveExactly("two")
	frozen := false
	got := c.committed("exactly-frozen", records, func(n int) {
		if !frozen && n > records/5 {
			frozen = true
			one.Process.Signal(syscall.SIGSTOP)
			time.AfterFunc(consume.SessionTimeout+4*time.Second, func() { one.Process.Signal(syscall.SIGCONT) })
		}
	})
	if !frozen {
		t.Error("nothing was frozen")
	}
	c.exactlyOnce(records, got)
}

// TestExactlyOnceTerminate ends delayd properly in the middle of a release, and
// starts it again.
func TestExactlyOnceTerminate(t *testing.T) {
	const records = 200_000
	c := newCluster(t, "exactly-terminate")
	c.fill(records, "exactly-terminate")
	d := c.serveExactly("one")
	ended := false
	got := c.committed("exactly-terminate", records, func(n int) {
		if !ended && n > records/3 {
			ended = true
			c.terminate(d)
			c.serveExactly("one")
		}
	})
	c.exactlyOnce(records, got)
}

// TestExactlyOnceHostileSizes sends a record of 5 MB, a few KB compressed, to a
// target that takes it and to one that does not. It sends a thousand records for
// invented names, too, between records for a healthy target.
func TestExactlyOnceHostileSizes(t *testing.T) {
	c := newCluster(t, "exactly-large", "exactly-small")
	limit := "600"
	if _, err := c.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, "exactly-small"); err != nil {
		t.Fatal(err)
	}
	c.serveExactly("one")
	c.eventually("the topics are there", func() bool {
		topics, err := c.adm.ListTopics(t.Context(), c.names.Inbox(), c.names.Dead())
		return err == nil && topics.Error() == nil
	})
	cl := c.newClient(kgo.ProducerBatchMaxBytes(1<<27), kgo.BrokerMaxWriteBytes(1<<28), kgo.ProducerBatchCompression(kgo.GzipCompression()))
	defer cl.Close()
	send := func(target string, value string) {
		t.Helper()
		err := cl.ProduceSync(t.Context(), &kgo.Record{
			Topic: c.names.Inbox(), Value: []byte(value), Headers: headers(levels.HeaderLevel, "1s", levels.HeaderTarget, target),
		}).FirstErr()
		if err != nil {
			t.Fatal(err)
		}
	}
	large := strings.Repeat("x", 5_000_000)
	send("exactly-large", "1")
	send("exactly-large", large)
	send("exactly-small", large)
	const invented = 1000
	for i := range invented {
		cl.Produce(t.Context(), &kgo.Record{
			Topic: c.names.Inbox(), Value: []byte(strconv.Itoa(i)),
			Headers: headers(levels.HeaderLevel, "1s", levels.HeaderTarget, "invented-"+strconv.Itoa(i)),
		}, nil)
	}
	send("exactly-large", "2")
	got := c.committed("exactly-large", 3, func(int) {})
	if len(got) != 3 || !slices.ContainsFunc(got, func(r *kgo.Record) bool { return string(r.Value) == large }) {
		t.Errorf("%d arrived, want three with the large one", len(got))
	}
	sizes := make(map[string]int)
	for _, rec := range c.committed(c.names.Dead(), invented+1, func(int) {}) {
		code, _ := record.Last(rec.Headers, levels.HeaderError)
		left, _ := record.Last(rec.Headers, levels.HeaderValueLength)
		if len(rec.Value) < 10 {
			sizes[string(code)+" "+string(left)]++
		} else {
			sizes[string(code)+" whole "+strconv.Itoa(len(rec.Value))]++
		}
	}
	want := map[string]int{"too-large whole 5000000": 1, string(levels.UnknownTopic) + " ": invented}
	if !maps.Equal(sizes, want) {
		t.Errorf("dead letters %v, want %v", sizes, want)
	}
}
