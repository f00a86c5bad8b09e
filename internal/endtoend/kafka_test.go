//go:build realkafka

package endtoend

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/kafkatest"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// broker is the one Apache Kafka that the tests of this package share, each
// under a prefix of its own.
var broker *kafkatest.Cluster

// program is the delayd binary.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "delayd-endtoend-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "delayd")
		if out, err := exec.Command("go", "build", "-o", program, "github.com/delayd-io/delayd/cmd/delayd").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build delayd: %v\n%s", err, out)
			return 1
		}
		broker, err = kafkatest.Launch(context.Background(), dir, kafkatest.Config{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer broker.Close()
		return m.Run()
	}())
}

// patience bounds every wait of these tests; none of them measures time.
const patience = time.Minute

// cluster is a prefix on the broker, with a client.
type cluster struct {
	*testing.T
	names  levels.Names
	client *kgo.Client
	adm    *kadm.Client
}

// newCluster makes targets on the broker, stamped by it, with four partitions.
func newCluster(t *testing.T, targets ...string) *cluster {
	t.Helper()
	c := &cluster{T: t, names: levels.Names{Prefix: "delay-" + strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-")}}
	c.client = c.newClient(kgo.RecordPartitioner(record.Partitioner()))
	c.adm = kadm.NewClient(c.client)
	stamped := "LogAppendTime"
	if len(targets) == 0 {
		return c
	}
	created, err := c.adm.CreateTopics(t.Context(), 4, 1, map[string]*string{"message.timestamp.type": &stamped}, targets...)
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) newClient(opts ...kgo.Opt) *kgo.Client {
	c.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(broker.Brokers()...)}, opts...)...)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(cl.Close)
	return cl
}

// delayd is a running `delayd serve`.
type delayd struct {
	*exec.Cmd
	log bytes.Buffer
}

// serve starts delayd on the cluster's prefix.
func (c *cluster) serve(args ...string) *delayd {
	c.Helper()
	d := new(delayd)
	d.Cmd = exec.Command(program, append([]string{
		"serve", "--brokers", strings.Join(broker.Brokers(), ","), "--prefix", c.names.Prefix,
		"--http", "off", "--instance", "one", "--levels", "1s 5s 10s",
	}, args...)...)
	d.Stderr = &d.log
	d.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.Start(); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		d.Process.Kill()
		d.Wait()
		if c.Failed() {
			c.Logf("delayd said:\n%s", d.log.String())
		}
	})
	return d
}

// terminate ends delayd as an operator does, and wants exit code 0.
func (c *cluster) terminate(d *delayd) {
	c.Helper()
	d.Process.Signal(syscall.SIGTERM)
	if err := d.Wait(); err != nil {
		c.Errorf("delayd after SIGTERM: %v", err)
	}
}

func (c *cluster) send(recs ...*kgo.Record) {
	c.Helper()
	if err := c.client.ProduceSync(c.Context(), recs...).FirstErr(); err != nil {
		c.Fatal(err)
	}
}

func headers(kv ...string) []kgo.RecordHeader {
	var hs []kgo.RecordHeader
	for i := 0; i < len(kv); i += 2 {
		hs = append(hs, kgo.RecordHeader{Key: kv[i], Value: []byte(kv[i+1])})
	}
	return hs
}

// receive reads topic from its start until enough says so or nothing came for a
// while.
func (c *cluster) receive(topic string, enough func([]*kgo.Record) bool) []*kgo.Record {
	c.Helper()
	cl := c.newClient(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	var recs []*kgo.Record
	for !enough(recs) && ctx.Err() == nil {
		recs = append(recs, cl.PollFetches(ctx).Records()...)
	}
	return recs
}

// count is enough when there are n different values.
func count(n int) func([]*kgo.Record) bool {
	seen, at := make(map[string]bool), 0
	return func(recs []*kgo.Record) bool {
		for ; at < len(recs); at++ {
			seen[string(recs[at].Value)] = true
		}
		return len(seen) >= n
	}
}

// eventually waits until ok.
func (c *cluster) eventually(what string, ok func() bool) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func (c *cluster) status() admin.Status {
	c.Helper()
	ladder, err := levels.Parse("1s 5s 10s")
	if err != nil {
		c.Fatal(err)
	}
	s, err := admin.Inspect(c.Context(), c.client, admin.Spec{Ladder: ladder, Names: c.names}, time.Now())
	if err != nil {
		c.Fatal(err)
	}
	return s
}

// early reports records that the broker has appended to their target before
// they were due: both times are its own.
func (c *cluster) early(recs []*kgo.Record) {
	c.Helper()
	for _, r := range recs {
		accepted, err1 := number(r, levels.HeaderAccepted)
		granted, _ := record.Last(r.Headers, levels.HeaderGranted)
		d, err2 := levels.ParseDelay(string(granted))
		if err1 != nil || err2 != nil {
			c.Fatalf("headers of %q: %v", r.Value, r.Headers)
		}
		if waited := r.Timestamp.UnixMilli() - accepted; waited < d.Milliseconds() {
			c.Errorf("%q waited %d ms of %v", r.Value, waited, d)
		}
	}
}

func number(r *kgo.Record, key string) (int64, error) {
	v, _ := record.Last(r.Headers, key)
	return strconv.ParseInt(string(v), 10, 64)
}

// TestContract sends records in every way there is and looks at what arrives.
func TestContract(t *testing.T) {
	c := newCluster(t, "contract")
	c.serve()
	inbox, level := c.names.Inbox(), c.names.Level(levels.Level{Delay: time.Second})
	user := []kgo.RecordHeader{{Key: "a", Value: []byte{0, 255}}, {Key: "a"}, {Key: "delay-x", Value: []byte("1")}}
	request := func(value string, kv ...string) *kgo.Record {
		return &kgo.Record{
			Topic: inbox, Partition: -1, Key: []byte("k\x00"), Value: []byte(value),
			Headers: append(headers(append(kv, levels.HeaderTarget, "contract")...), user...),
		}
	}
	null := request("", levels.HeaderLevel, "1s", levels.HeaderPartition, "3")
	null.Key, null.Value = nil, nil
	direct := request("direct")
	direct.Topic = level
	c.eventually("the topics are there", func() bool {
		topics, err := c.adm.ListTopics(t.Context(), inbox, level)
		return err == nil && topics.Error() == nil
	})
	c.send(request("at once", levels.HeaderLevel, "0"), request("number", levels.HeaderLevel, "2"),
		request("rounded", levels.HeaderLevel, "6s"), request("id", levels.HeaderLevel, "1s", levels.HeaderID, "mine"),
		null, direct)
	got := c.receive("contract", count(6))
	if len(got) != 6 {
		t.Fatalf("%d records arrived, want 6", len(got))
	}
	c.early(got)
	granted := map[string]string{"at once": "0s", "number": "5s", "rounded": "5s", "id": "1s", "": "1s", "direct": "1s"}
	requested := map[string]string{"at once": "0", "number": "2", "rounded": "6s", "id": "1s", "": "1s", "direct": ""}
	for _, r := range got {
		v := string(r.Value)
		if g, _ := record.Last(r.Headers, levels.HeaderGranted); string(g) != granted[v] {
			t.Errorf("%q: granted %s, want %s", v, g, granted[v])
		}
		if q, _ := record.Last(r.Headers, levels.HeaderRequested); string(q) != requested[v] {
			t.Errorf("%q: requested %s, want %s", v, q, requested[v])
		}
		if v == "" && (r.Key != nil || r.Value != nil || r.Partition != 3) {
			t.Errorf("null record: key %v, value %v, partition %d", r.Key, r.Value, r.Partition)
		}
		if v != "" && string(r.Key) != "k\x00" {
			t.Errorf("%q: key %q", v, r.Key)
		}
		id, _ := record.Last(r.Headers, levels.HeaderID)
		if len(id) == 0 || v == "id" && string(id) != "mine" {
			t.Errorf("%q: id %q", v, id)
		}
		if !slices.EqualFunc(r.Headers[:len(user)], user, func(a, b kgo.RecordHeader) bool {
			return a.Key == b.Key && bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil)
		}) {
			t.Errorf("%q: headers %v do not begin with %v", v, r.Headers, user)
		}
	}
}

// TestPurge deletes behind the commit, and never what another group has not read.
func TestPurge(t *testing.T) {
	c := newCluster(t, "purge")
	d := c.serve("--purge-after", "0", "--partitions", "1")
	level := c.names.Level(levels.Level{Delay: time.Second})
	c.eventually("the topic is there", func() bool {
		topics, err := c.adm.ListTopics(t.Context(), level)
		return err == nil && topics.Error() == nil
	})
	send := func(n int) {
		for i := range n {
			c.send(&kgo.Record{Topic: level, Partition: -1, Value: []byte(strconv.Itoa(i)), Headers: headers(levels.HeaderTarget, "purge")})
		}
	}
	start := func() int64 {
		starts, err := c.adm.ListStartOffsets(t.Context(), level)
		if err != nil {
			t.Fatal(err)
		}
		o, _ := starts.Lookup(level, 0)
		return o.Offset
	}
	send(10)
	c.eventually("the log starts at 10", func() bool { return start() == 10 })

	// Somebody else reads the level topic, and is at 12.
	other := make(kadm.Offsets)
	other.AddOffset(level, 0, 12, -1)
	if err := c.adm.CommitAllOffsets(t.Context(), "auditor", other); err != nil {
		t.Fatal(err)
	}
	send(10)
	c.eventually("all are delivered", func() bool { return c.status().Levels[0].Pending == 0 })
	c.eventually("the log starts at 12", func() bool { return start() == 12 })
	c.terminate(d)
	if s := start(); s != 12 {
		t.Errorf("the log starts at %d: beyond the commit of another group, 12", s)
	}
	// The group that has looked is reported, and keeps nobody from starting.
	d = c.serve()
	send(1)
	c.eventually("it delivers", func() bool { return c.status().Levels[0].Pending == 0 })
	c.terminate(d)
	if !strings.Contains(d.log.String(), "auditor") {
		t.Errorf("the log does not name the other group:\n%s", d.log.String())
	}
}

// TestProducersTransactions delivers what was committed and nothing that was
// aborted, after which nothing is pending.
func TestProducersTransactions(t *testing.T) {
	c := newCluster(t, "transactions")
	c.serve()
	inbox, level := c.names.Inbox(), c.names.Level(levels.Level{Delay: time.Second})
	c.eventually("the topics are there", func() bool {
		topics, err := c.adm.ListTopics(t.Context(), inbox, level)
		return err == nil && topics.Error() == nil
	})
	cl := c.newClient(kgo.TransactionalID(c.names.Prefix))
	const transactions = 10
	for i := range transactions {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		value := []byte(strconv.Itoa(i))
		if err := cl.ProduceSync(t.Context(),
			&kgo.Record{Topic: inbox, Value: append([]byte("inbox "), value...), Headers: headers(levels.HeaderLevel, "1s", levels.HeaderTarget, "transactions")},
			&kgo.Record{Topic: level, Value: append([]byte("direct "), value...), Headers: headers(levels.HeaderTarget, "transactions")},
		).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(t.Context(), kgo.TransactionEndTry(i%2 == 0)); err != nil {
			t.Fatal(err)
		}
	}
	got := c.receive("transactions", count(transactions))
	if len(got) != transactions {
		t.Errorf("%d records arrived, want %d", len(got), transactions)
	}
	c.early(got)
	for _, r := range got {
		if n := r.Value[len(r.Value)-1] - '0'; n%2 == 1 {
			t.Errorf("%s was aborted, and arrived", r.Value)
		}
	}
	c.eventually("nothing is pending", func() bool {
		s := c.status()
		return s.Inbox.Pending == 0 && s.Levels[0].Pending == 0
	})
}

// release fills the level 1s with n records while nobody serves.
func (c *cluster) fill(n int, target string) {
	c.Helper()
	if out, err := exec.Command(program, "admin", "provision", "--brokers", broker.Brokers()[0], "--prefix", c.names.Prefix,
		"--levels", "1s 5s 10s").CombinedOutput(); err != nil {
		c.Fatalf("provision: %v\n%s", err, out)
	}
	level := c.names.Level(levels.Level{Delay: time.Second})
	for i := range n {
		c.client.Produce(c.Context(), &kgo.Record{
			Topic: level, Partition: -1, Key: []byte(strconv.Itoa(i % 100)), Value: []byte(strconv.Itoa(i)),
			Headers: headers(levels.HeaderTarget, target),
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				c.Error(err)
			}
		})
	}
	if err := c.client.Flush(c.Context()); err != nil {
		c.Fatal(err)
	}
}

// outcome is what a reader of the target makes of a release of n records.
func (c *cluster) outcome(n int, got []*kgo.Record) (twice int) {
	c.Helper()
	seen := make([]int, n)
	last := make(map[string]int)
	for _, r := range got {
		v, err := strconv.Atoi(string(r.Value))
		if err != nil {
			c.Fatal(err)
		}
		if seen[v]++; seen[v] > 1 {
			twice++
			continue
		}
		if key := string(r.Key); v < last[key] {
			c.Errorf("key %s: %d arrived for the first time after %d", key, v, last[key])
		} else {
			last[key] = v
		}
	}
	if lost := slices.Index(seen, 0); lost >= 0 {
		c.Errorf("record %d, at least, is lost: %d of %d arrived", lost, len(got)-twice, n)
	}
	c.early(got)
	return twice
}

// uncommittedMost is what a crash may deliver twice (design: twice 10,000).
const uncommittedMost = 20_000

// TestKill kills delayd in the middle of a release, and starts it again.
func TestKill(t *testing.T) {
	const records = 300_000
	c := newCluster(t, "kill")
	c.fill(records, "kill")
	kills := 0
	d := c.serve()
	cl := c.newClient(kgo.ConsumeTopics("kill"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	enough := count(records)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []*kgo.Record
	for !enough(got) && ctx.Err() == nil {
		got = append(got, cl.PollFetches(ctx).Records()...)
		if kills < 3 && len(got) > (kills+1)*records/5 {
			d.Process.Kill()
			d.Wait()
			kills++
			d = c.serve()
		}
	}
	twice := c.outcome(records, got)
	t.Logf("%d kills in a release of %d: %d delivered twice", kills, records, twice)
	if kills != 3 {
		t.Errorf("%d kills, want 3", kills)
	}
	if twice > kills*uncommittedMost {
		t.Errorf("%d delivered twice over %d kills, want at most %d each", twice, kills, uncommittedMost)
	}
}

// TestTerminate ends delayd properly in the middle of a release: there are no
// duplicates.
func TestTerminate(t *testing.T) {
	const records = 300_000
	c := newCluster(t, "terminate")
	c.fill(records, "terminate")
	d := c.serve()
	c.receive("terminate", count(records/3))
	c.terminate(d)
	c.serve()
	got := c.receive("terminate", count(records))
	if twice := c.outcome(records, got); twice > 0 {
		t.Errorf("%d delivered twice", twice)
	}
}

// TestLarge sends records around the limit of what their target takes, each way
// in, between small ones with their key: what fits arrives, in order, and what does
// not is a dead letter. It looks at what is on the target, not at what was
// acknowledged.
func TestLarge(t *testing.T) {
	const limit = 1048588 // Kafka's default of max.message.bytes
	c := newCluster(t, "large")
	c.serve()
	inbox, level := c.names.Inbox(), c.names.Level(levels.Level{Delay: time.Second})
	c.eventually("the topics are there", func() bool {
		topics, err := c.adm.ListTopics(t.Context(), inbox, level)
		return err == nil && topics.Error() == nil
	})
	big := c.newClient(kgo.ProducerBatchMaxBytes(limit), kgo.ProducerBatchCompression(kgo.NoCompression()))
	random := make([]byte, limit)
	rand.NewChaCha8([32]byte{}).Read(random)
	for _, way := range []struct {
		topic   string
		headers []kgo.RecordHeader
	}{
		{inbox, headers(levels.HeaderLevel, "0")},
		{inbox, headers(levels.HeaderLevel, "1s")},
		{level, nil},
	} {
		var want []string
		sizes := []int{1, 1_048_000, 1, 1, 900_000, 1, 1_048_350, 1, 1_048_300, 1, 1, 1}
		for i, size := range sizes {
			value := append([]byte(fmt.Sprint(way.topic, len(way.headers), " ", i, " ")), random[:size]...)
			err := big.ProduceSync(t.Context(), &kgo.Record{
				Topic: way.topic, Key: []byte("k"), Value: value,
				Headers: append(slices.Clone(way.headers), headers(levels.HeaderTarget, "large")...),
			}).FirstErr()
			if err != nil {
				continue // the way in is full before the target is
			}
			want = append(want, string(value))
			if i == 0 {
				// It makes a batch of its own, the first on its way, which a
				// broker can mistake a later one for.
				c.receive("large", func(recs []*kgo.Record) bool {
					return slices.ContainsFunc(recs, func(r *kgo.Record) bool { return bytes.Equal(r.Value, value) })
				})
			}
		}
		mine := func(recs []*kgo.Record) (values []string) {
			for _, r := range recs {
				if slices.Contains(want, string(r.Value)) {
					values = append(values, string(r.Value))
				}
			}
			return values
		}
		arrived := c.receive("large", func(recs []*kgo.Record) bool {
			n := len(mine(recs))
			return n == len(want) || n > 0 && mine(recs)[n-1] == want[len(want)-1] // the last one is small
		})
		got := mine(arrived)
		var lost []string
		at := 0
		for _, w := range want {
			if at < len(got) && got[at] == w {
				at++
			} else {
				lost = append(lost, w)
			}
		}
		if at != len(got) {
			t.Errorf("%s: %d arrived, %d of them in order", way.topic, len(got), at)
		}
		if len(lost) == 0 {
			continue
		}
		dead := c.receive(c.names.Dead(), func(recs []*kgo.Record) bool { return len(mine(recs)) >= len(lost) })
		if died := mine(dead); !slices.Equal(died, lost) {
			t.Errorf("%s: %d neither arrived nor are dead letters", way.topic, len(lost)-len(died))
		}
		for _, w := range lost {
			if len(w) < 1_000_000 {
				t.Errorf("%s: a record of %d bytes is a dead letter", way.topic, len(w))
			}
		}
	}
}
