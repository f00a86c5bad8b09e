package control

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/levels"
)

const topic = "delay.control"

// cluster is a broker with the topic.
func cluster(t *testing.T) kgo.Opt {
	t.Helper()
	return kgo.SeedBrokers(fakekafka.Start(t, kfake.SeedTopics(1, topic)).ListenAddrs()...)
}

func client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func write(t *testing.T, cl *kgo.Client, key, value string) {
	t.Helper()
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// transact writes in a transaction of id, which end ends.
func transact(t *testing.T, at kgo.Opt, id, key, value string) (end func(kgo.TransactionEndTry)) {
	t.Helper()
	cl := client(t, at, kgo.TransactionalID(id))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	write(t, cl, key, value)
	return func(how kgo.TransactionEndTry) {
		t.Helper()
		if err := cl.EndTransaction(t.Context(), how); err != nil {
			t.Fatal(err)
		}
	}
}

const paused, resumed = `{"paused":true}`, `{"paused":false}`

// pausedNow reads what is paused.
func pausedNow(t *testing.T, at kgo.Opt) string {
	t.Helper()
	state, err := Read(t.Context(), topic, at)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for k, s := range maps.All(state) {
		if s.Paused {
			words = append(words, k.String())
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// TestTransactions: what was aborted pauses nothing, what was committed does, a
// transaction that is left open hides nothing, and a marker at the end is an end.
func TestTransactions(t *testing.T) {
	t.Parallel()
	at := cluster(t)
	plain := client(t, at)
	commit, abort := transact(t, at, "c", "target/committed", paused), transact(t, at, "a", "target/aborted", paused)
	transact(t, at, "o", "target/open", paused)
	write(t, plain, "target/behind", paused)
	write(t, plain, "target/committed", resumed) // behind it, so that this counts
	commit(kgo.TryCommit)
	abort(kgo.TryAbort)
	if got, want := pausedNow(t, at), "target/behind"; got != want {
		t.Errorf("paused: %s, want %s", got, want)
	}
	transact(t, at, "c2", "target/committed", paused)(kgo.TryCommit)
	if got, want := pausedNow(t, at), "target/behind target/committed"; got != want {
		t.Errorf("paused: %s, want %s", got, want)
	}
}

// TestKeysOfOthers: records with other keys say nothing of what is paused, and are no
// fault; neither do delivered ones. One that cannot be read is named, and changes nothing.
func TestKeysOfOthers(t *testing.T) {
	t.Parallel()
	r := newReplay()
	for i, rec := range []*kgo.Record{
		{Key: []byte("target/orders"), Value: []byte(paused)}, {Key: []byte("ladder/1"), Value: []byte("[")}, {Key: nil}, {Key: []byte("level/")},
		{Key: []byte("level/5s"), Value: []byte(paused), Headers: []kgo.RecordHeader{{Key: levels.HeaderGranted, Value: []byte("0s")}}},
	} {
		rec.Offset = int64(i)
		if err := r.take(rec); err != nil {
			t.Errorf("%q: %v", rec.Key, err)
		}
	}
	bad := &kgo.Record{Topic: topic, Offset: 9, Key: []byte("target/orders"), Value: []byte("no")}
	if err := r.take(bad); err == nil || !strings.HasPrefix(err.Error(), "record delay.control/0/9: ") {
		t.Errorf("error %v", err)
	}
	if state := r.snapshot(); len(state) != 1 || !state.Paused(Target, "orders") {
		t.Errorf("state %v", state)
	}
}

// TestManyKeys: what loading costs goes by the records, not by their square.
func TestManyKeys(t *testing.T) {
	const n, most = 5000, 20 << 20 // bytes; a copy for each record takes a gigabyte
	r := newReplay()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range n {
		if err := r.take(&kgo.Record{Offset: int64(i), Key: fmt.Appendf(nil, "target/t%d", i), Value: []byte(paused)}); err != nil {
			t.Fatal(err)
		}
	}
	state := r.snapshot()
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; len(state) != n || got > most {
		t.Errorf("%d keys, %d bytes allocated, want %d and at most %d", len(state), got, n, most)
	}
}
