package admin

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/rawbatch"
	"github.com/delayd-io/delayd/levels"
)

// transact writes a record to delay.inbox/0 in a transaction. A marker follows.
func transact(t *testing.T, cl *kgo.Client, end kgo.TransactionEndTry) {
	t.Helper()
	own, err := kgo.NewClient(append(cl.Opts(), kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if err := own.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := own.ProduceSync(t.Context(), &kgo.Record{Topic: "delay.inbox", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := own.EndTransaction(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

// hole writes n records without a key, which compaction deletes.
func hole(t *testing.T, cl *kgo.Client, n int) {
	t.Helper()
	recs := make([]*kgo.Record, n)
	for i := range recs {
		recs[i] = new(kgo.Record)
	}
	puts(t, cl, "delay.inbox", 0, rawbatch.New(kgo.CodecNone, recs...))
}

// deleteKeyless deletes from delay.inbox/0 what has no key, except the last batch.
func deleteKeyless(t *testing.T, broker *kfake.Cluster, cl *kgo.Client) {
	t.Helper()
	for _, policy := range []string{"compact", "delete"} {
		if _, err := kadm.NewClient(cl).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "cleanup.policy", Value: &policy}}, "delay.inbox"); err != nil {
			t.Fatal(err)
		}
		broker.Compact()
	}
}

// A service may stand at any offset between the last record that it has read and the
// batch. Each of them gets it past the batch.
func TestSkipReachesBack(t *testing.T) {
	t.Parallel()
	good := rawbatch.New(kgo.CodecNone, &kgo.Record{Key: []byte("k"), Value: []byte("good")})
	for name, tc := range map[string]struct {
		before   func(t *testing.T, cl *kgo.Client)
		from, at int64 // from which on there is no record, and the batch
	}{
		"at the start": {func(*testing.T, *kgo.Client) {}, 0, 0},
		"committed":    {func(t *testing.T, cl *kgo.Client) { transact(t, cl, kgo.TryCommit) }, 1, 2},
		"aborted":      {func(t *testing.T, cl *kgo.Client) { transact(t, cl, kgo.TryAbort) }, 0, 2},
		"aborted, committed": {func(t *testing.T, cl *kgo.Client) {
			transact(t, cl, kgo.TryAbort)
			transact(t, cl, kgo.TryCommit)
			transact(t, cl, kgo.TryAbort)
			transact(t, cl, kgo.TryAbort)
		}, 3, 8},
		"compacted": {func(t *testing.T, cl *kgo.Client) {
			puts(t, cl, "delay.inbox", 0, good)
			hole(t, cl, 500)
			hole(t, cl, 500)
		}, 1, 1001},
		"unreadable": {func(t *testing.T, cl *kgo.Client) { puts(t, cl, "delay.inbox", 0, unreadable(2)) }, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker := fake(t)
			cl, spec := writer(t, broker.ListenAddrs()), small(t)
			everything(t, cl, spec)
			tc.before(t, cl)
			bad := puts(t, cl, "delay.inbox", 0, unreadable(3))
			if name == "compacted" {
				deleteKeyless(t, broker, cl)
			}
			puts(t, cl, "delay.inbox", 0, good)
			want := fmt.Sprintf("%d skip %d", bad.Offset+3, tc.from)
			for _, at := range []int64{tc.from, (tc.from + bad.Offset) / 2, bad.Offset, bad.Offset + 1} {
				// An earlier commit does not reach back: the service stands below it.
				commitSkip(t, cl, bad.Offset+3, bad.Offset+1)
				s, err := NewSkip(t.Context(), cl, spec.Names, Place{"delay.inbox", 0, at})
				if err != nil {
					t.Fatalf("%d: %v", at, err)
				}
				if s.First != bad.Offset || s.First != tc.at || s.Fault == "" {
					t.Errorf("%d: %+v", at, s)
				}
				if err := s.Do(t.Context(), cl); err != nil {
					t.Fatal(err)
				}
				if got := toldOf(t, cl, bad); got != want {
					t.Errorf("%d: told %q, want %q", at, got, want)
				}
				if origin := headerOf(letterOf(t, cl, spec, s.Letters[0]), levels.HeaderOrigin); origin != bad.String() {
					t.Errorf("%d: the letter is from %s, want %v", at, origin, bad)
				}
				if _, err := NewSkip(t.Context(), cl, spec.Names, s.At); err == nil || !strings.Contains(err.Error(), "it is skipped already") {
					t.Errorf("%d again: %v", at, err)
				}
			}
		})
	}
}

func commitSkip(t *testing.T, cl *kgo.Client, to, from int64) {
	t.Helper()
	var told kadm.Offsets
	told.Add(kadm.Offset{Topic: "delay.inbox", At: to, LeaderEpoch: -1, Metadata: fmt.Sprint("skip ", from)})
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), "delay.skipped", told); err != nil {
		t.Fatal(err)
	}
}

// A skip of a later batch does not hide that the service stands at an earlier one.
func TestSkipOfAnEarlierBatch(t *testing.T) {
	t.Parallel()
	cl, spec := skipWorld(t)
	first, second := puts(t, cl, "delay.inbox", 0, unreadable(2)), puts(t, cl, "delay.inbox", 0, unreadable(2))
	for _, at := range []Place{second, first, second} {
		s, err := NewSkip(t.Context(), cl, spec.Names, at)
		if err == nil {
			err = s.Do(t.Context(), cl)
		}
		if err != nil {
			t.Fatalf("%v: %v", at, err)
		}
		if got, want := toldOf(t, cl, at), fmt.Sprintf("%d skip %d", at.Offset+2, at.Offset); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

// The service stands below what is left of the partition, or nothing but markers is left.
func TestSkipAtTheEdges(t *testing.T) {
	t.Parallel()
	cl, spec := skipWorld(t)
	puts(t, cl, "delay.inbox", 0, unreadable(4))
	bad := puts(t, cl, "delay.inbox", 0, unreadable(1))
	var below kadm.Offsets
	below.Add(kadm.Offset{Topic: "delay.inbox", At: bad.Offset})
	if _, err := kadm.NewClient(cl).DeleteRecords(t.Context(), below); err != nil {
		t.Fatal(err)
	}
	s, err := NewSkip(t.Context(), cl, spec.Names, Place{"delay.inbox", 0, 2})
	if err != nil || s.First != bad.Offset || s.from != 2 {
		t.Errorf("%+v: %v", s, err)
	}
	transact(t, cl, kgo.TryAbort)
	if _, err := NewSkip(t.Context(), cl, spec.Names, Place{"delay.inbox", 0, bad.Offset + 1}); fmt.Sprint(err) != "delay.inbox/0/5: no record is there, and none after it" {
		t.Error(err)
	}
}
