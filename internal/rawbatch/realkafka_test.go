//go:build realkafka

package rawbatch_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/kafkatest"
	"github.com/delayd-io/delayd/internal/rawbatch"
)

// TestWhatKafkaAccepts records which batches a broker stores though the client cannot
// decode them within reason. The topic is as the service creates its own.
func TestWhatKafkaAccepts(t *testing.T) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafkatest.Start(t).Brokers()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	stamped, keeps := "LogAppendTime", "producer"
	settings := map[string]*string{"message.timestamp.type": &stamped, "compression.type": &keeps}
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, settings, topic); err != nil {
		t.Fatal(err)
	}
	two := func(codec kgo.CompressionCodecType) *kmsg.RecordBatch {
		return rawbatch.New(codec, &kgo.Record{Value: []byte("one")}, &kgo.Record{Value: []byte("two")})
	}
	claiming := func(codec kgo.CompressionCodecType, n int32) *kmsg.RecordBatch {
		b := two(codec)
		b.NumRecords, b.LastOffsetDelta = n, n-1
		return b
	}
	batches := map[string]*kmsg.RecordBatch{
		"gzip, bomb": rawbatch.Bomb(kgo.CodecGzip, 300<<20), "lz4, bomb": rawbatch.Bomb(kgo.CodecLz4, 200<<20), "zstd, bomb": rawbatch.Bomb(kgo.CodecZstd, 300<<20),
		"zstd, headers": rawbatch.HeaderFlood(kgo.CodecZstd, 10_000_000),
	}
	accepted := map[string]bool{
		"gzip, bomb": true, "lz4, bomb": true, "zstd, bomb": true, "zstd, headers": true, "lz4, corrupt": true,
	}
	for name, codec := range codecs {
		batches[name], accepted[name] = two(codec), true
		batches[name+", corrupt"] = rawbatch.Corrupt(two(codec))
		batches[name+", one too many"] = claiming(codec, 3)
		batches[name+", one too few"] = claiming(codec, 1)
	}
	for _, name := range slices.Sorted(maps.Keys(batches)) {
		_, err := rawbatch.Produce(t.Context(), cl, topic, 0, rawbatch.Seal(batches[name]))
		if (err == nil) != accepted[name] {
			t.Errorf("%s: %v, accepted should be %t", name, err, accepted[name])
		}
	}
}
