//go:build synctests

package cancel

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/internal/record"
)

// TestMarksRead: all marks are known that were written before Read was called, also those of
// new partitions. Read does not wait for what the topic does not have any more. A topic that is
// not there is none to wait for.
func TestMarksRead(t *testing.T) {
	fakekafka.Run(t, fakekafka.Config{Partitions: 2, Topics: []string{"marks"}}, marksRead)
}

func marksRead(t *testing.T, env *fakekafka.Env) {
	env.Connect(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	now, n := time.Now().UnixMilli(), 0
	write := func(partition int32) {
		t.Helper()
		n++
		mark := Mark{Name: NameOf(fmt.Append(nil, n), []byte("k")), At: now, Partition: partition, Offset: int64(n)}
		if err := env.Client.ProduceSync(ctx, &kgo.Record{Topic: "marks", Partition: partition, Value: []byte(mark.String())}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	m := NewMarks("marks", time.Hour, nopLog, nopGauge, env.Opts()...)
	defer m.Start(ctx)()
	none := NewMarks("none", time.Hour, nopLog, nopGauge, env.Opts()...)
	defer none.Start(ctx)()
	read := func() {
		t.Helper()
		if ok, err := m.Read(ctx, false); !ok || err != nil {
			t.Fatalf("read: %v, %v", ok, err)
		}
		if got := m.Len(); got != int64(n) {
			t.Fatalf("%d marks, want %d", got, n)
		}
	}
	read()
	for range 50 {
		write(0)
		write(1)
	}
	read()
	if _, err := env.Admin.UpdatePartitions(ctx, 3, "marks"); err != nil {
		t.Fatal(err)
	}
	env.Client.ForceMetadataRefresh()
	time.Sleep(100 * time.Millisecond)
	write(2)
	read()
	if ok, err := none.Read(ctx, false); ok || err != nil {
		t.Errorf("a topic that is not there: %v, %v", ok, err)
	}

	deleted := kadm.Offsets{}
	deleted.Add(kadm.Offset{Topic: "marks", Partition: 0, At: 50})
	if _, err := env.Admin.DeleteRecords(ctx, deleted); err != nil {
		t.Fatal(err)
	}
	m.progress.advance(map[int32]int64{0: 10}) // as if it had lagged
	read()
	s := record.Subject{ID: []byte("7"), Key: []byte("k"), Accepted: now - 1}
	if !m.Hit(&s) {
		t.Error("a mark that was read hits nothing")
	}
	m.purge(time.Now().Add(2 * time.Hour))
	if m.Len() != 0 {
		t.Errorf("%d marks after all were purged", m.Len())
	}
}
