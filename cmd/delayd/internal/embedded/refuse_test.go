package embedded

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/rawbatch"
)

// TestHarmfulBatchesAreRefused: no batch ends the broker, or keeps what is written
// behind it from being read, also after a restart.
func TestHarmfulBatchesAreRefused(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	b := start(t, dir)
	defer func() { closeBroker(t, b) }()
	cl := client(t, b)
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, 1, -1, nil, "in"); err != nil {
		t.Fatal(err)
	}
	id, epoch, err := cl.ProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, harm := range map[string]func(*kmsg.RecordBatch){
		"stamped by a broker": func(b *kmsg.RecordBatch) { b.Attributes |= 1 << 3 },
		"in a transaction of nobody": func(b *kmsg.RecordBatch) {
			b.Attributes |= transactional
			b.ProducerID, b.ProducerEpoch, b.FirstSequence = id, epoch, 0
		},
		"a transaction's marker":      func(b *kmsg.RecordBatch) { b.Attributes |= 1 << 5 },
		"an attribute that is none":   func(b *kmsg.RecordBatch) { b.Attributes |= 1 << 14 },
		"fewer records than none":     func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = -5, -6 },
		"no record":                   func(b *kmsg.RecordBatch) { b.NumRecords, b.LastOffsetDelta = 0, -1 },
		"a record longer than itself": func(b *kmsg.RecordBatch) { b.Records = append(binary.AppendVarint(nil, 1000), b.Records[1:]...) },
		"a record of negative length": func(b *kmsg.RecordBatch) { b.Records = append(binary.AppendVarint(nil, -60), b.Records[1:]...) },
	} {
		batch := rawbatch.New(kgo.CodecNone, &kgo.Record{Value: []byte("harm")})
		harm(batch)
		if _, err := rawbatch.Produce(ctx, cl, "in", 0, rawbatch.Seal(batch)); !errors.Is(err, kerr.CorruptMessage) {
			t.Errorf("%s: %v, want %v", name, err, kerr.CorruptMessage)
		}
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "in", Value: []byte("good")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.ListOffsetsAfterMilli(ctx, 1, "in"); err != nil { // decodes what is there
		t.Error(err)
	}
	closeBroker(t, b)
	b = start(t, dir)
	if got := values(t, b, "in", 1); got[0] != "good" {
		t.Errorf("read %q", got)
	}
}
