package admin

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/offsets"
	"github.com/delayd-io/delayd/internal/rawbatch"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/internal/scan"
	"github.com/delayd-io/delayd/levels"
)

// unreadable is a batch of n records that the client cannot decode, though brokers
// accept it: the checksum of the lz4 frame is wrong.
func unreadable(n int) *kmsg.RecordBatch {
	var recs []*kgo.Record
	for i := range n {
		recs = append(recs, &kgo.Record{Key: []byte("k"), Value: fmt.Append(nil, "unreadable ", i)})
	}
	return rawbatch.Corrupt(rawbatch.New(kgo.CodecLz4, recs...))
}

// puts produces a raw batch and returns where its first record is.
func puts(t *testing.T, cl *kgo.Client, topic string, partition int32, b *kmsg.RecordBatch) Place {
	t.Helper()
	offset, err := rawbatch.Produce(t.Context(), cl, topic, partition, rawbatch.Seal(b))
	if err != nil {
		t.Fatal(err)
	}
	return Place{topic, partition, offset}
}

// toldOf returns what is committed for the service of a partition, as "OFFSET METADATA".
func toldOf(t *testing.T, cl *kgo.Client, at Place) string {
	t.Helper()
	told, err := kadm.NewClient(cl).FetchOffsetsForTopics(t.Context(), "delay.skipped", at.Topic)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	o, _ := told.Lookup(at.Topic, at.Partition)
	return fmt.Sprintf("%d %s", o.At, o.Metadata)
}

func letterOf(t *testing.T, cl *kgo.Client, spec Spec, at Place) *kgo.Record {
	t.Helper()
	rec, err := scan.At(t.Context(), cl, offsets.Partition{Topic: spec.Names.Dead(), Partition: at.Partition}, at.Offset)
	if err != nil {
		t.Fatalf("no dead letter at %v: %v", at, err)
	}
	return rec
}

// headerOf returns what a record says under a key; "" for nothing.
func headerOf(rec *kgo.Record, key string) string {
	value, _ := record.Last(rec.Headers, key)
	return string(value)
}

func TestSkip(t *testing.T) {
	t.Parallel()
	for _, topic := range []string{"delay.inbox", "delay.level.5s", "delay.level.7s", "delay.parked"} {
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			cl, spec := skipWorld(t)
			if topic == "delay.level.7s" { // retired
				if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 4, 1, nil, topic); err != nil {
					t.Fatal(err)
				}
			}
			puts(t, cl, topic, 1, rawbatch.New(kgo.CodecNone, &kgo.Record{Value: []byte("good")}))
			at := puts(t, cl, topic, 1, unreadable(3))
			puts(t, cl, topic, 1, rawbatch.New(kgo.CodecNone, &kgo.Record{Value: []byte("good")}))
			s, err := NewSkip(t.Context(), cl, spec.Names, at)
			if err != nil {
				t.Fatal(err)
			}
			if s.First != 1 || s.Last != 3 || s.Records != 3 || s.Codec != "lz4" || !strings.Contains(s.Fault, "checksum") {
				t.Errorf("%+v", s)
			}
			if got := toldOf(t, cl, at); got != "" {
				t.Errorf("skipped by looking: %s", got)
			}
			if err := s.Do(t.Context(), cl); err != nil {
				t.Fatal(err)
			}
			if got := toldOf(t, cl, at); got != "4 skip 1" {
				t.Errorf("told %q, want 4 skip 1", got)
			}
			if len(s.Letters) != 1 || s.Bare != 0 {
				t.Fatalf("letters %v, %d bare", s.Letters, s.Bare)
			}
			letter := letterOf(t, cl, spec, s.Letters[0])
			want := rawbatch.Seal(unreadable(3))
			copy(want, letter.Value[:8]) // the broker sets the offset and the epoch
			copy(want[12:16], letter.Value[12:16])
			if !bytes.Equal(letter.Value, want) {
				t.Errorf("the letter has %d bytes, want the batch", len(letter.Value))
			}
			if headerOf(letter, levels.HeaderError) != string(levels.Unreadable) || headerOf(letter, levels.HeaderOrigin) != at.String() ||
				!strings.Contains(headerOf(letter, levels.HeaderErrorDetail), s.Fault) {
				t.Errorf("letter %v", letter.Headers)
			}
			if _, err := NewSkip(t.Context(), cl, spec.Names, at); err == nil || !strings.Contains(err.Error(), "it is skipped already") {
				t.Errorf("again: %v", err)
			}
			// The group that tells it is no other owner of the level.
			if _, err := Ensure(t.Context(), cl, spec); err != nil {
				t.Errorf("the service would not start: %v", err)
			}
		})
	}
}

// skipWorld is a cluster with the service's topics.
func skipWorld(t *testing.T) (*kgo.Client, Spec) {
	t.Helper()
	cl, spec := writer(t, fake(t).ListenAddrs()), small(t)
	everything(t, cl, spec)
	return cl, spec
}

// Every way of being unreadable is found, and named.
func TestSkipFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	cl, spec := skipWorld(t)
	good := func(codec kgo.CompressionCodecType) *kmsg.RecordBatch {
		return rawbatch.New(codec, &kgo.Record{Value: bytes.Repeat([]byte("v"), 100)})
	}
	claiming := func(records int32) *kmsg.RecordBatch {
		b := good(kgo.CodecNone)
		b.NumRecords, b.LastOffsetDelta = records, records-1
		return b
	}
	for name, tc := range map[string]struct {
		batch *kmsg.RecordBatch
		want  string
	}{
		"gzip":          {rawbatch.Corrupt(good(kgo.CodecGzip)), "decompress: unexpected EOF"},
		"snappy":        {rawbatch.Corrupt(good(kgo.CodecSnappy)), "decompress: s2: corrupt input"},
		"lz4":           {rawbatch.Corrupt(good(kgo.CodecLz4)), "decompress: lz4: invalid frame checksum"},
		"zstd":          {rawbatch.Corrupt(good(kgo.CodecZstd)), "decompress: "},
		"none":          {rawbatch.Corrupt(good(kgo.CodecNone)), "its header claims 1 records, and record 1 is cut off or malformed"},
		"too many":      {claiming(3), "its header claims 3 records, and record 2 is cut off or malformed"},
		"a bomb":        {rawbatch.Bomb(kgo.CodecZstd, 300<<20), "decompress: a batch takes more than 20 MiB of memory"},
		"gzip bomb":     {rawbatch.Bomb(kgo.CodecGzip, 300<<20), "decompress: a batch takes more than 20 MiB of memory"},
		"headers":       {rawbatch.HeaderFlood(kgo.CodecZstd, 10_000_000), "decompress: a batch takes more than 20 MiB of memory"},
		"records":       {many(1_100_000), "decompress: a batch takes more than 20 MiB of memory"},
		"large, but ok": {rawbatch.Bomb(kgo.CodecZstd, 16<<20), ""},
		"many, but ok":  {rawbatch.HeaderFlood(kgo.CodecZstd, 100_000), ""},
		"good":          {good(kgo.CodecZstd), ""},
	} {
		s, err := NewSkip(t.Context(), cl, spec.Names, puts(t, cl, "delay.inbox", 0, tc.batch))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !strings.HasPrefix(s.Fault, tc.want) || tc.want == "" && s.Fault != "" {
			t.Errorf("%s: %q, want %q", name, s.Fault, tc.want)
		}
	}
}

// many is a batch of that many empty records.
func many(n int) *kmsg.RecordBatch {
	recs := make([]*kgo.Record, n)
	for i := range recs {
		recs[i] = new(kgo.Record)
	}
	return rawbatch.New(kgo.CodecZstd, recs...)
}

func TestSkipRefuses(t *testing.T) {
	t.Parallel()
	cl, spec := skipWorld(t)
	for range 2 {
		puts(t, cl, "delay.inbox", 0, unreadable(2))
		puts(t, cl, "delay.level.5s", 0, unreadable(2))
	}
	commit(t, cl, "delay.router", "delay.inbox", 0, 1)
	commit(t, cl, "delay.forwarder", "delay.level.5s", 0, 2)
	for at, want := range map[string]string{
		"delay.dead/0/0":      "delay.dead/0/0: the service does not read topic delay.dead; it reads delay.inbox, delay.level.* and delay.parked",
		"orders/0/0":          "orders/0/0: the service does not read topic orders; it reads delay.inbox, delay.level.* and delay.parked",
		"delay.level.60s/0/0": "delay.level.60s/0/0: the service does not read topic delay.level.60s; it reads delay.inbox, delay.level.* and delay.parked",
		"delay.inbox/4/0":     "delay.inbox/4/0: topic delay.inbox has 4 partitions",
		"delay.level.2h/0/0":  "delay.level.2h/0/0: topic delay.level.2h does not exist",
		"delay.inbox/0/4":     "delay.inbox/0/4: no record is there: delay.inbox/0 has the offsets from 0 up to before 4",
		"delay.parked/0/0":    "delay.parked/0/0: no record is there: delay.parked/0 has the offsets from 0 up to before 0",
		"delay.inbox/0/0":     "delay.inbox/0/0: it is handled already: the commit of group delay.router is 1",
		"delay.level.5s/0/1":  "delay.level.5s/0/1: it is handled already: the commit of group delay.forwarder is 2",
		"delay.inbox/0/1":     "",
		"delay.inbox/0/3":     "",
		"delay.level.5s/0/2":  "",
	} {
		p, ok := parsePlace(at)
		if !ok {
			t.Fatal(at)
		}
		_, err := NewSkip(t.Context(), cl, spec.Names, p)
		if got := fmt.Sprint(err); got != want && (want != "" || err != nil) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// A batch that can be decoded is a dead letter for each record, as the service makes it.
func TestSkipWhatCanBeDecoded(t *testing.T) {
	t.Parallel()
	cl, spec := skipWorld(t)
	accepted := time.UnixMilli(1_700_000_000_000)
	rec := func(value string, more ...string) *kgo.Record {
		return &kgo.Record{Key: []byte("k"), Value: []byte(value), Timestamp: accepted, Headers: h(append([]string{"delay-target", "orders"}, more...)...)}
	}
	hop := record.Hop(rec("hopped"), "", levels.Facts{ID: "mine", Granted: "5s", Accepted: 1, Due: 2})
	parked := record.Parked(rec("parked"), "", levels.Facts{ID: "mine", Granted: "5s", Accepted: 1, Due: 2, Topic: "orders", Partition: levels.ByKey, Origin: "delay.level.5s/0/7"})
	for topic, tc := range map[string]struct {
		recs []*kgo.Record
		skip int64 // records of the batch in front of the place
		want []string
	}{
		"delay.inbox": {[]*kgo.Record{rec("one"), rec("two"), rec("three")}, 1, []string{
			"k two delay.inbox/0/1 delay.inbox-0-1-1700000000000", "k three delay.inbox/0/2 delay.inbox-0-2-1700000000000"}},
		"delay.level.5s": {[]*kgo.Record{hop, rec("direct", "delay-id", "own")}, 0, []string{
			"k hopped delay.level.5s/0/0 mine", "k direct delay.level.5s/0/1 own"}},
		"delay.parked": {[]*kgo.Record{parked, rec("by somebody")}, 0, []string{
			"k parked delay.level.5s/0/7 mine", "k by somebody delay.parked/0/1 delay.parked-0-1-1700000000000"}},
	} {
		at := puts(t, cl, topic, 0, rawbatch.New(kgo.CodecGzip, tc.recs...))
		at.Offset += tc.skip
		s, err := NewSkip(t.Context(), cl, spec.Names, at)
		if err != nil || s.Fault != "" {
			t.Fatalf("%s: %+v, %v", topic, s, err)
		}
		if err := s.Do(t.Context(), cl); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, at := range s.Letters {
			l := letterOf(t, cl, spec, at)
			if headerOf(l, levels.HeaderError) != string(levels.Skipped) || headerOf(l, levels.HeaderTarget) != "orders" {
				t.Errorf("%s: %+v", topic, l)
			}
			got = append(got, fmt.Sprintf("%s %s %s %s", l.Key, l.Value, headerOf(l, levels.HeaderOrigin), headerOf(l, levels.HeaderID)))
		}
		slices.Sort(got)
		slices.Sort(tc.want)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: letters (-want +got):\n%s", topic, diff)
		}
		if want := fmt.Sprintf("%d skip %d", len(tc.recs), tc.skip); toldOf(t, cl, at) != want {
			t.Errorf("%s: told %q, want %q", topic, toldOf(t, cl, at), want)
		}
	}
}

// What the topic of dead letters does not take is named by its length and checksum.
func TestSkipWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	cl, spec := skipWorld(t)
	small := "4000"
	if _, err := kadm.NewClient(cl).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &small}}, "delay.dead"); err != nil {
		t.Fatal(err)
	}
	large := rawbatch.Corrupt(rawbatch.New(kgo.CodecNone, &kgo.Record{Value: random(5000)}))
	s, err := NewSkip(t.Context(), cl, spec.Names, puts(t, cl, "delay.inbox", 0, large))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Do(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	l := letterOf(t, cl, spec, s.Letters[0])
	detail := headerOf(l, levels.HeaderErrorDetail)
	if want := fmt.Sprintf("delay.dead does not take it: its value has %d bytes, sha256 %s", s.Bytes, s.SHA256); s.Bare != 1 || l.Value != nil || !strings.HasSuffix(detail, want) {
		t.Errorf("%d bare, value %v, detail %s\nwant …%s", s.Bare, l.Value, detail, want)
	}
	flood := rawbatch.New(kgo.CodecGzip, &kgo.Record{Value: []byte("fits"), Headers: h("large", strings.Repeat("x", 5000))}, &kgo.Record{Value: []byte("fits")})
	if s, err = NewSkip(t.Context(), cl, spec.Names, puts(t, cl, "delay.inbox", 0, flood)); err != nil {
		t.Fatal(err)
	}
	if err := s.Do(t.Context(), cl); err != nil || s.Bare != 1 || len(s.Letters) != 2 {
		t.Errorf("letters %v, %d bare, %v", s.Letters, s.Bare, err)
	}
}

// random returns bytes that do not compress.
func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	return b
}
