//go:build realkafka

package endtoend

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/kafkatest"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// TestKafkaClockBehind has a broker half a minute behind, and a forwarder that is
// restarted while records wait: none is early by the broker's clock, and the probes
// leave nothing that is parked or dead.
func TestKafkaClockBehind(t *testing.T) {
	clock, err := kafkatest.NewClock(t.TempDir())
	if err == nil {
		err = clock.Set(-30 * time.Second)
	}
	if err != nil {
		t.Fatal(err)
	}
	kafka, err := kafkatest.Launch(t.Context(), t.TempDir(), kafkatest.Config{Env: clock.Env()})
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka.Brokers()...), kgo.RecordPartitioner(record.Partitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ladder, err := levels.Parse("10s")
	if err != nil {
		t.Fatal(err)
	}
	cfg := forwarder.DefaultConfig()
	cfg.Ladder, cfg.Log = ladder, zerolog.New(zerolog.NewTestWriter(t))
	if _, err := admin.Ensure(t.Context(), cl, admin.Spec{Ladder: ladder, Names: cfg.Names, Partitions: 2, Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	adm, stamped := kadm.NewClient(cl), "LogAppendTime"
	if _, err := adm.CreateTopics(t.Context(), 1, 1, map[string]*string{"message.timestamp.type": &stamped}, "orders"); err != nil {
		t.Fatal(err)
	}
	const records = 40
	for i := range records / 2 {
		sendSoon(t, cl, i)
	}
	for i := range 3 {
		f, err := forwarder.New(cfg, kgo.SeedBrokers(kafka.Brokers()...))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			close(ended)
		}()
		for f.Ready() != nil {
			time.Sleep(50 * time.Millisecond)
		}
		if i < 2 {
			for j := range records / 4 {
				sendSoon(t, cl, records/2+i*records/4+j)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			ended <- nil
		}
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(kafka.Brokers()...), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for seen := 0; seen < records; {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d came", seen, records)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			seen++
			due, _ := record.Last(rec.Headers, levels.HeaderDue)
			ms, err := strconv.ParseInt(string(due), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			late := rec.Timestamp.Sub(time.UnixMilli(ms))
			t.Logf("%s: %v late", rec.Value, late)
			if late < 0 {
				t.Errorf("%s: early by %v", rec.Value, -late)
			}
		})
	}
	ends, err := adm.ListEndOffsets(t.Context(), cfg.Names.Dead(), cfg.Names.Parked())
	if err != nil {
		t.Fatal(err)
	}
	marks := int64(0)
	ends.Each(func(end kadm.ListedOffset) {
		if end.Topic == cfg.Names.Dead() && end.Offset > 0 {
			t.Errorf("%d dead letters", end.Offset)
		} else {
			marks += end.Offset
		}
	})
	if marks < 1 || marks > 3 { // one that is stopped soon may not have come to it
		t.Errorf("%d records came to the parked topic, want one mark for each start", marks)
	}
}

func sendSoon(t *testing.T, cl *kgo.Client, i int) {
	t.Helper()
	value := strconv.Itoa(i)
	if err := cl.ProduceSync(t.Context(), &kgo.Record{
		Topic: "delay.level.10s", Partition: -1, Key: []byte(value), Value: []byte(value),
		Headers: headers(levels.HeaderTarget, "orders"),
	}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}
