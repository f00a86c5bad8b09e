package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
)

// crashDir is set for the child process that TestKillLosesNothing kills.
const crashDir = "DELAYD_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := produceForEver(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func start(t *testing.T, dir string) *Broker {
	t.Helper()
	b, err := Start(Config{Addr: "127.0.0.1:0", DataDir: dir, Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func client(t *testing.T, b *Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(connect.Options([]string{b.Addr()}, "test", zerolog.Nop()), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func closeBroker(t *testing.T, b *Broker) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// values reads the whole of partition 0 of a topic.
func values(t *testing.T, b *Broker, topic string, want int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cl := client(t, b, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	var got []string
	for len(got) < want {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s after %d of %d records: %v", topic, len(got), want, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	return got
}

func TestRestartKeepsRecordsTopicsAndOffsets(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()

	b := start(t, dir)
	cl := client(t, b)
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, 1, -1, map[string]*string{"retention.ms": kadm.StringPtr("-1")}, "delay.level.5s"); err != nil {
		t.Fatal(err)
	}
	want := []string{"a", "b", "c"}
	for _, v := range want {
		rec := &kgo.Record{Topic: "delay.level.5s", Key: []byte("k"), Value: []byte(v)}
		if err := cl.ProduceSync(ctx, rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	var commit kadm.Offsets
	commit.AddOffset("delay.level.5s", 0, 2, -1)
	if err := adm.CommitAllOffsets(ctx, "delay.forwarder", commit); err != nil {
		t.Fatal(err)
	}
	cl.Close()
	closeBroker(t, b)

	b = start(t, dir)
	defer closeBroker(t, b)
	if diff := cmp.Diff(want, values(t, b, "delay.level.5s", len(want))); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	adm = kadm.NewClient(client(t, b))
	offsets, err := adm.FetchOffsets(ctx, "delay.forwarder")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := offsets.Lookup("delay.level.5s", 0); got.At != 2 {
		t.Errorf("committed offset %d, want 2", got.At)
	}
	configs, err := adm.DescribeTopicConfigs(ctx, "delay.level.5s")
	if err != nil {
		t.Fatal(err)
	}
	rc, err := configs.On("delay.level.5s", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range rc.Configs {
		if c.Key == "retention.ms" && c.MaybeValue() != "-1" {
			t.Errorf("retention.ms is %s, want -1", c.MaybeValue())
		}
	}
	if embedded, err := connect.IsEmbedded(ctx, client(t, b)); err != nil || !embedded {
		t.Errorf("embedded %v, %v after a restart; want true", embedded, err)
	}
}

func TestSecondProcessOnADirectoryIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, dir)
	_, err := Start(Config{Addr: "127.0.0.1:0", DataDir: dir, Log: zerolog.Nop()})
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("error %v, want ErrInUse", err)
	}
	want := "embedded broker: data directory " + dir +
		" is in use by another process; stop that process or name another directory with --data"
	if err.Error() != want {
		t.Errorf("message\n%s\nwant\n%s", err, want)
	}
	closeBroker(t, first)
	closeBroker(t, start(t, dir)) // free again
}

func TestAddressTakenIsSaidAndFreesTheDirectory(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir := t.TempDir()
	_, err = Start(Config{Addr: ln.Addr().String(), DataDir: dir, Log: zerolog.Nop()})
	if err == nil || !strings.Contains(err.Error(), "--brokers "+ln.Addr().String()) {
		t.Fatalf("error %v, want one that names --brokers %s", err, ln.Addr())
	}
	closeBroker(t, start(t, dir))
}

func TestOtherHostsAreRefused(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"0.0.0.0:19092":   `embedded broker: address "0.0.0.0:19092": it has no access control, so it listens on this host only; use 127.0.0.1:19092`,
		":19092":          `embedded broker: address ":19092": it has no access control, so it listens on this host only; use 127.0.0.1:19092`,
		"example.org:1":   `embedded broker: address "example.org:1": it has no access control, so it listens on this host only; use 127.0.0.1:19092`,
		"127.0.0.1":       `embedded broker: address "127.0.0.1": address 127.0.0.1: missing port in address`,
		"127.0.0.1:70000": `start the embedded broker: listen tcp: address 70000: invalid port; if that is another delayd, use it with --brokers 127.0.0.1:70000, else listen elsewhere with --embedded-addr`,
	} {
		b, err := Start(Config{Addr: addr, Log: zerolog.Nop()})
		if err == nil {
			closeBroker(t, b)
			t.Errorf("%s: started, want an error", addr)
			continue
		}
		if err.Error() != want {
			t.Errorf("%s: message\n%s\nwant\n%s", addr, err, want)
		}
	}
}

func TestTopicsAppearWhenAClientMayCreateThem(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := start(t, "")
	defer closeBroker(t, b)

	adm := kadm.NewClient(client(t, b))
	if topics, err := adm.ListTopics(ctx, "orders"); err != nil || topics.Has("orders") {
		t.Fatalf("topics %v, %v; asking alone must not create", topics.Names(), err)
	}
	cl := client(t, b, kgo.AllowAutoTopicCreation())
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	topics, err := kadm.NewClient(client(t, b)).ListTopics(ctx, "orders") // the first client still remembers "none"
	if err != nil {
		t.Fatal(err)
	}
	if got := len(topics["orders"].Partitions); got != Partitions {
		t.Errorf("orders has %d partitions, want %d", got, Partitions)
	}
}

// produceForEver is the child process of TestKillLosesNothing: it says its
// broker's every acknowledgement on standard output until it is killed.
func produceForEver(dir string) error {
	b, err := Start(Config{Addr: "127.0.0.1:0", DataDir: dir, Log: zerolog.Nop()})
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	adm := kadm.NewClient(cl)
	for i := 0; ; i++ {
		rec := &kgo.Record{Topic: "orders", Value: []byte(strconv.Itoa(i))}
		if err := cl.ProduceSync(context.Background(), rec).FirstErr(); err != nil {
			return err
		}
		var commit kadm.Offsets
		commit.AddOffset("orders", 0, int64(i+1), -1)
		if err := adm.CommitAllOffsets(context.Background(), "delay.forwarder", commit); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

func TestKillLosesNothing(t *testing.T) {
	t.Parallel()
	const enough = 200
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), crashDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	acked := -1
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if acked, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(err)
		}
		if acked == enough {
			_ = child.Process.Kill() // SIGKILL; what the pipe still holds is read too
		}
	}
	_ = child.Wait() // "signal: killed"
	if acked < enough {
		t.Fatalf("the child stopped by itself after %d records", acked+1)
	}

	b := start(t, dir)
	defer closeBroker(t, b)
	got := values(t, b, "orders", acked+1)
	for i, v := range got[:acked+1] {
		if v != strconv.Itoa(i) {
			t.Fatalf("record %d of %d acknowledged ones is %q", i, acked+1, v)
		}
	}
	offsets, err := kadm.NewClient(client(t, b)).FetchOffsets(t.Context(), "delay.forwarder")
	if err != nil {
		t.Fatal(err)
	}
	if commit, _ := offsets.Lookup("orders", 0); commit.At < int64(acked+1) {
		t.Errorf("committed offset %d, want at least %d", commit.At, acked+1)
	}
}

// Records are in the data directory: nobody but its user reads it.
func TestDataIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := start(t, dir)
	cl := client(t, b, kgo.AllowAutoTopicCreation())
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("one")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	closeBroker(t, b)
	files := 0
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		files++
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || files < 3 {
		t.Errorf("%d files: %v", files, err)
	}
}
