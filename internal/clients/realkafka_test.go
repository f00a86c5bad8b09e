//go:build realkafka

package clients

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/kafkatest"
	"github.com/delayd-io/delayd/internal/process"
	"github.com/delayd-io/delayd/levels"
)

// patience bounds every wait of these tests; none of them measures time.
const patience = 2 * time.Minute

// ladder has the levels that the tests and the docs' programs use.
const ladder = "1s 10s"

// broker is the one Apache Kafka of these tests, with delayd on it.
var broker *kafkatest.Cluster

func brokers() string { return strings.Join(broker.Brokers(), ",") }

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "delayd-clients-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		broker, err = kafkatest.Launch(context.Background(), dir, kafkatest.Config{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer broker.Close()
		stop, err := serve(dir)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		stop(code != 0)
		return code
	}())
}

// serve builds and starts delayd, and returns when its topics are there. stop
// shows what delayd said if something failed.
func serve(dir string) (stop func(failed bool), err error) {
	program := filepath.Join(dir, "delayd")
	if err := command(context.Background(), "", "go", "build", "-o", program, "github.com/delayd-io/delayd/cmd/delayd"); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "serve", "--brokers", brokers(), "--levels", ladder, "--http", "off", "--instance", "one")
	log := new(bytes.Buffer)
	cmd.Stderr = log
	delayd, err := process.Start(cmd)
	if err != nil {
		return nil, err
	}
	stop = func(failed bool) {
		delayd.Kill()
		if failed {
			fmt.Fprintf(os.Stderr, "delayd ended: %v; it said\n%s", delayd.Err(), log)
		}
	}
	if err := awaitTopics(); err != nil {
		stop(true)
		return nil, err
	}
	return stop, nil
}

// awaitTopics waits for what the programs write to.
func awaitTopics() error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker.Brokers()...))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		topics, err := kadm.NewClient(cl).ListTopics(ctx, "delay.inbox", "delay.level.1s", "delay.level.10s")
		if err == nil {
			err = topics.Error()
		}
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for delayd's topics: %w", err)
		}
	}
}

func newClient(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(broker.Brokers()...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func createTopic(t *testing.T, name string) { createTopicOf(t, name, 4) }

func createTopicOf(t *testing.T, name string, partitions int32) {
	t.Helper()
	created, err := kadm.NewClient(newClient(t)).CreateTopics(t.Context(), partitions, 1, nil, name)
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// readTopic reads topic from an offset until a record is the last one wanted, and
// fails the test when it does not come.
func readTopic(t *testing.T, topic string, from kgo.Offset, last func(*kgo.Record) bool) (complete bool) {
	t.Helper()
	cl := newClient(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(from))
	defer cl.Close()
	ctx := patient(t)
	for {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Errorf("read %s: %v", topic, err)
			return false
		}
		for r := range fetches.RecordsAll() {
			if last(r) {
				return true
			}
		}
	}
}

// appended returns what waits until the record with an id is on topic, committed
// or not.
func appended(t *testing.T, topic, id string) (wait func()) {
	since := time.Now().Add(-time.Minute).UnixMilli() // some are of other tests
	return func() {
		t.Helper()
		if !readTopic(t, topic, kgo.NewOffset().AfterMilli(since), func(r *kgo.Record) bool { return idOf(received(r)) == id }) {
			t.Fatalf("%s was not written to %s", id, topic)
		}
	}
}

// received is r as the programs print it.
func received(r *kgo.Record) record {
	rec := record{Topic: r.Topic, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		rec.Headers = append(rec.Headers, header{h.Key, h.Value})
	}
	return rec
}

func idOf(r record) string { return r.header(idHeader) }

func (r record) header(key string) string {
	for _, h := range slices.Backward(r.Headers) {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// TestClients sends all that can be tried with each client, both ways, and reads
// it with the same client and with franz-go.
func TestClients(t *testing.T) {
	sent := make(chan record, len(tools)*len(ways())*(len(codecs)+1)*len(features()))
	t.Run("client", func(t *testing.T) {
		for _, tool := range tools {
			t.Run(tool.name, func(t *testing.T) {
				t.Parallel()
				testClient(t, tool, tool.client(t), sent)
			})
		}
	})
	close(sent)
	if !t.Failed() {
		testWritten(t, sent)
	}
}

const (
	aborted   = "aborted"
	committed = "committed"
)

func testClient(t *testing.T, tool tool, c client, all chan<- record) {
	target := "records-" + tool.name
	createTopic(t, target)
	wanted := map[string]record{}
	send := func(codec, end string, recs []record) {
		c.send(t, codec, end, recs)
		for _, r := range recs {
			all <- r
			if end != "abort" {
				wanted[idOf(r)] = r
			}
		}
	}
	for _, codec := range codecs {
		if tool.can(codec) {
			send(codec, "", requests(tool, codec, target))
		}
	}
	if tool.can(transactions) {
		send("none", "abort", inTransaction(tool, target, aborted))
		send("none", "commit", inTransaction(tool, target, committed))
	}

	got := arrivals(t, target, wanted)
	want := make([]string, len(got))
	for i, r := range got {
		want[i] = c.print(r)
	}
	read := c.read(t, target, len(got))
	compare(t, "it read", read, want)
	testPlacement(t, tool, c)
}

// testPlacement sends keys to a target, straight and delayed: with the partitioner
// that the program sets, both are on the same partition. The number of partitions is
// no power of two, for which a wrong sign of a hash would not show.
func testPlacement(t *testing.T, tool tool, c client) {
	const keys, partitions = 20, 6
	target, level := "placed-"+tool.name, ways()[1]
	createTopicOf(t, target, partitions)
	var recs []record
	for i := range keys {
		key := fmt.Sprintf("customer-%d", i)
		r := record{Topic: target, Key: []byte(key), Value: []byte("placed"), Headers: []header{{idHeader, []byte("straight")}}}
		recs = append(recs, r, level.request(record{Key: r.Key, Value: r.Value}, target, "delayed"))
	}
	c.send(t, "none", "", recs)
	at := map[string]map[string]int32{"straight": {}, "delayed": {}}
	readTopic(t, target, kgo.NewOffset().AtStart(), func(r *kgo.Record) bool {
		at[idOf(received(r))][string(r.Key)] = r.Partition
		return len(at["straight"])+len(at["delayed"]) == 2*keys
	})
	if !maps.Equal(at["straight"], at["delayed"]) {
		t.Errorf("keys sent straight are on partitions %v, delayed ones on %v", at["straight"], at["delayed"])
	}
}

// requests are all tries of a client, both ways.
func requests(tool tool, codec, target string) (recs []record) {
	for _, w := range ways() {
		for _, try := range tries() {
			if tool.can(try.name) {
				recs = append(recs, w.request(try.record, target, id(tool.name, w.name, codec, try.name)))
			}
		}
	}
	return recs
}

// inTransaction are a record for each way. They have one key, so that what is
// aborted would arrive before what is committed later.
func inTransaction(tool tool, target, end string) (recs []record) {
	for _, w := range ways() {
		recs = append(recs, w.request(record{Key: []byte(transactions), Value: []byte(end)}, target, id(tool.name, w.name, end)))
	}
	return recs
}

func id(words ...string) string { return strings.Join(words, "/") }

// arrivals reads target until all that was sent has arrived, and looks at each.
func arrivals(t *testing.T, target string, sent map[string]record) (got []record) {
	t.Helper()
	missing := maps.Clone(sent)
	complete := readTopic(t, target, kgo.NewOffset().AtStart(), func(r *kgo.Record) bool {
		rec := received(r)
		got = append(got, rec)
		id := idOf(rec)
		if want, ok := missing[id]; ok {
			delete(missing, id)
			same(t, rec, want)
			waited(t, rec)
		} else {
			t.Errorf("%q arrived a second time, or was not to arrive", id)
		}
		return len(missing) == 0
	})
	if !complete {
		t.Fatalf("did not arrive: %q", slices.Sorted(maps.Keys(missing)))
	}
	return got
}

// same compares key, value and the user's headers with what was sent.
func same(t *testing.T, got, want record) {
	t.Helper()
	for _, r := range []*record{&got, &want} {
		r.Topic, r.Headers = "", withoutDelay(r.Headers)
	}
	if g, w := (pair{}).print(got), (pair{}).print(want); g != w {
		t.Errorf("%s: arrived as %s\nwant %s", idOf(want), abbreviated(g), abbreviated(w))
	}
}

// waited looks at the headers that say how long a record waited: its level, and
// the millisecond that Kafka cuts off its timestamps.
func waited(t *testing.T, r record) {
	t.Helper()
	checkWait(t, idOf(r), r.header(levels.HeaderDue), r.header(levels.HeaderAccepted), r.header(levels.HeaderGranted), levelDelay)
}

func checkWait(t *testing.T, what, due, accepted, granted string, want time.Duration) {
	t.Helper()
	d, err1 := strconv.ParseInt(due, 10, 64)
	a, err2 := strconv.ParseInt(accepted, 10, 64)
	if err1 != nil || err2 != nil || d-a != want.Milliseconds()+1 || granted != (levels.Level{Delay: want}).String() {
		t.Errorf("%s: due %q, accepted %q, granted %q; want %v", what, due, accepted, granted, want)
	}
}

// compare compares lines in any order.
func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if slices.Equal(got, want) {
		return
	}
	only := func(a, b []string) (rest []string) {
		for _, s := range a {
			if !slices.Contains(b, s) {
				rest = append(rest, abbreviated(s))
			}
		}
		return rest
	}
	t.Errorf("%s %d records, want %d\nit alone: %q\nmissing: %q", what, len(got), len(want), only(got, want), only(want, got))
}

// testWritten looks at what the clients wrote themselves: all of it was there to be
// delivered, what they aborted too, and what they were to compress is compressed.
func testWritten(t *testing.T, sent <-chan record) {
	t.Helper()
	byTopic := map[string]map[string]bool{}
	for r := range sent {
		if byTopic[r.Topic] == nil {
			byTopic[r.Topic] = map[string]bool{}
		}
		byTopic[r.Topic][idOf(r)] = true
	}
	for topic, missing := range byTopic {
		complete := readTopic(t, topic, kgo.NewOffset().AtStart(), func(r *kgo.Record) bool {
			id := idOf(received(r))
			if codec := codecs[r.Attrs.CompressionType()]; strings.HasSuffix(id, compressible) && missing[id] && !strings.Contains(id, "/"+codec+"/") {
				t.Errorf("%s: %q was written with codec %s", topic, id, codec)
			}
			delete(missing, id)
			return len(missing) == 0
		})
		if !complete {
			t.Errorf("%s: not written: %q", topic, slices.Sorted(maps.Keys(missing)))
		}
	}
}

// TestPrograms runs the programs that the docs show, all at once: each waits for
// ten seconds.
func TestPrograms(t *testing.T) {
	demos := maps.Clone(programsAlone)
	for _, tool := range tools {
		demos[tool.name] = func(t *testing.T, target string) *exec.Cmd { return tool.client(t).demo(t, target) }
	}
	runPrograms(t, demos, "orders-", func(target string) { createTopic(t, target) }, checkOrders)
}

// program is one of the docs' that writes to a target and reads from it.
type program = func(t *testing.T, target string) *exec.Cmd

// runPrograms runs programs all at once, by their names, each with a target that has its name
// behind prefix and that prepare has created. check looks at what each has printed.
func runPrograms(t *testing.T, all map[string]program, prefix string, prepare func(target string), check func(t *testing.T, name, out string)) {
	t.Helper()
	var ends []func()
	for name, start := range all {
		target := prefix + name
		prepare(target)
		cmd := start(t, target)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, func() {
			if err := cmd.Wait(); err != nil {
				t.Errorf("%s: %v\n%s", cmd, err, errs.String())
			}
			t.Logf("%s printed\n%s", name, out.String())
			check(t, name, out.String())
		})
	}
	for _, end := range ends {
		end()
	}
}

// exactPrograms are the docs' programs that send a third record, at an exact time.
var exactPrograms = []string{"kcat", "java", "python"}

// checkOrders looks at what a program printed of the records that it sent.
func checkOrders(t *testing.T, name, out string) {
	t.Helper()
	for key, value := range map[string]string{"order-1": "through the inbox", "order-2": "straight to a level"} {
		if line := printedOrder(t, name, out, key, value); line != "" {
			checkWait(t, name+": "+line, printedHeader(line, levels.HeaderDue), printedHeader(line, levels.HeaderAccepted),
				printedHeader(line, levels.HeaderGranted), 10*time.Second)
		}
	}
	if !slices.Contains(exactPrograms, name) {
		return
	}
	if line := printedOrder(t, name, out, "order-3", "at an exact time"); line != "" {
		checkUntil(t, name, line)
	}
}

// printedOrder is the line that a program printed of a record, "" where there is none.
func printedOrder(t *testing.T, name, out, key, value string) string {
	t.Helper()
	lines := slices.DeleteFunc(strings.Split(out, "\n"), func(line string) bool { return !strings.Contains(line, value) })
	if len(lines) != 1 || !strings.Contains(lines[0], key) {
		t.Errorf("%s printed %q of %s %q, want one line", name, lines, key, value)
		return ""
	}
	return lines[0]
}

// checkUntil checks that the record of a program which asks for an exact time was due
// then, and did not arrive before.
func checkUntil(t *testing.T, name, line string) {
	t.Helper()
	until, err := levels.ParseUntil(printedHeader(line, levels.HeaderRequested))
	if due := printedHeader(line, levels.HeaderDue); err != nil || due != strconv.FormatInt(until.UnixMilli(), 10) ||
		printedHeader(line, levels.HeaderGranted) != levels.GrantedExact {
		t.Errorf("%s: %s: due %q, want %v, exactly: %v", name, line, due, until, err)
		return
	}
	if complete := readTopic(t, "orders-"+name, kgo.NewOffset().AtStart(), func(r *kgo.Record) bool {
		if string(r.Key) == "order-3" && r.Timestamp.Before(until) {
			t.Errorf("%s: %s: arrived %v before that", name, line, until.Sub(r.Timestamp))
		}
		return string(r.Key) == "order-3"
	}); !complete {
		t.Errorf("%s: %s: is not on the target", name, line)
	}
}

// TestReadme runs the README's commands for kcat, as they stand there but for the
// broker's address, and for an end to reading.
func TestReadme(t *testing.T) {
	createTopic(t, "orders")
	commands := readmeCommands(t)
	sh := func(command string) string {
		return run(t, exec.CommandContext(patient(t), "sh", "-c", strings.ReplaceAll(command, "kafka:9092", brokers())), nil)
	}
	sh(commands[0])
	if got, want := sh(commands[1]+" -q -c 1"), "hello, later\n"; got != want {
		t.Errorf("%q printed %q, want %q", commands[1], got, want)
	}
}

// printedHeader finds a header in a line, in whatever way a client prints it.
func printedHeader(line, key string) string {
	m := regexp.MustCompile(regexp.QuoteMeta(key) + `[=:]([0-9a-zA-Z:.+-]+)`).FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	return m[1]
}
