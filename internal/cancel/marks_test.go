//go:build synctests

package cancel

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
)

// TestMarksRead: all marks are known that were written before Read was called, also those of
// new partitions. Read does not wait for what the topic does not have any more. A topic that is
// not there is none to wait for.
func TestMarksRead(t *testing.T) {
	synctest.Test(t, marksRead)
}

func marksRead(t *testing.T) {
	network := new(kfake.VirtualNetwork)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(network.Listen), kfake.Ports(9092), kfake.SeedTopics(2, "marks"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	at := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.Dialer(network.DialContext)}
	cl, err := kgo.NewClient(append(at, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	now, n := time.Now().UnixMilli(), 0
	write := func(partition int32) {
		t.Helper()
		n++
		mark := Mark{Name: NameOf(fmt.Append(nil, n), []byte("k")), At: now, Partition: partition, Offset: int64(n)}
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "marks", Partition: partition, Value: []byte(mark.String())}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	m := NewMarks("marks", time.Hour, nopLog, nopGauge, at...)
	defer m.Start(ctx)()
	none := NewMarks("none", time.Hour, nopLog, nopGauge, at...)
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
	if _, err := adm.UpdatePartitions(ctx, 3, "marks"); err != nil {
		t.Fatal(err)
	}
	cl.ForceMetadataRefresh()
	time.Sleep(100 * time.Millisecond)
	write(2)
	read()
	if ok, err := none.Read(ctx, false); ok || err != nil {
		t.Errorf("a topic that is not there: %v, %v", ok, err)
	}

	deleted := kadm.Offsets{}
	deleted.Add(kadm.Offset{Topic: "marks", Partition: 0, At: 50})
	if _, err := adm.DeleteRecords(ctx, deleted); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	m.next[0] = 10 // as if it had lagged
	m.mu.Unlock()
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
