package forwarder

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// FuzzLevelRecord reads headers from bytes, keys and values between zeros: anyone
// who may write to a level's topic chooses them. Whatever they are, the record waits
// no longer than its level, and goes to an allowed target or is a dead letter. It
// keeps what is not ours, and can be parked and found again.
func FuzzLevelRecord(f *testing.F) {
	for _, seed := range []string{
		"delay-target\x00orders",
		"delay-target\x00orders\x00delay-hop-due\x001\x00delay-hop-accepted\x000\x00delay-hop-granted\x0010s\x00delay-hop-id\x00x",
		"delay-target\x00orders\x00delay-hop-due\x004070908800000\x00delay-hop-accepted\x009223372036854775807\x00delay-hop-granted\x001s\x00delay-hop-id\x00x",
		"delay-target\x00orders\x00delay-hop-due\x00-9223372036854775808",
		"delay-target\x00orders\x00delay-partition\x007\x00delay-granted\x00forged\x00delay-id\x00a",
		"delay-target\x00__consumer_offsets\x00delay-hop-target\x00orders\x00delay-hop-partition\x0077",
		"delay-target\x00delay.level.10s\x00delay-error\x00none\x00a\x00\xff",
		"delay-target",
	} {
		f.Add([]byte(seed), int64(1_700_000_000_000), true)
		f.Add([]byte(seed), int64(-1), false)
	}
	w := ten()
	w.targets = &record.Targets{Names: levels.Names{Prefix: levels.DefaultPrefix}, Deny: []string{"secret*"}}
	f.Fuzz(func(t *testing.T, encoded []byte, stamp int64, stamped bool) {
		var headers []kgo.RecordHeader
		for pair := range slices.Chunk(bytes.Split(encoded, []byte{0}), 2) {
			h := kgo.RecordHeader{Key: string(pair[0])}
			if len(pair) == 2 {
				h.Value = pair[1]
			}
			headers = append(headers, h)
		}
		rec := newRecord(time.UnixMilli(stamp), stamped, headers...)
		due, free := w.Due(rec, at)
		bound := rec.Timestamp
		if !stamped && (at.Before(bound) || stamp == -1) {
			bound = at
		}
		if free {
			bound = bound.Add(w.ladder.First().Delay)
		}
		if due.After(bound.Add(w.delay + cut)) {
			t.Fatalf("due at %v, bound %v", due, bound)
		}
		facts, _ := w.facts(rec, record.Read(rec.Headers), due, at)
		if facts.Due < 0 || facts.Accepted < 0 || !w.known[facts.Granted] && facts.Granted != levels.GrantedExact {
			t.Fatalf("facts %+v", facts)
		}
		topic, partition, refusal := w.targets.Resolve(record.Read(rec.Headers))
		if refusal != nil {
			dead := record.Dead(rec, "delay.dead", facts, *refusal, 0)
			code, _ := record.Last(dead.Headers, levels.HeaderError)
			if string(code) != string(refusal.Code) || refusal.Code == "" || refusal.Detail == "" {
				t.Fatalf("refused as %+v, dead as %q", refusal, code)
			}
			return
		}
		if w.targets.Names.Owns(topic) || levels.CheckTopic(topic) != nil || partition < levels.ByKey {
			t.Fatalf("delivered to %q/%d", topic, partition)
		}
		facts.Topic, facts.Partition = topic, partition
		final := record.Final(rec, facts)
		for _, h := range final.Headers {
			if len(h.Key) >= len(record.KeyPrefix) && h.Key[:len(record.KeyPrefix)] == record.KeyPrefix || h.Key == levels.HeaderTarget {
				t.Fatalf("%s is delivered", h.Key)
			}
		}
		src, back, err := record.Unpark(record.Parked(rec, "delay.parked", facts))
		if err != nil || back.Topic != topic || back.Partition != partition || back.Due != facts.Due {
			t.Fatalf("parked %+v, unparked %+v, %v", facts, back, err)
		}
		again := record.Final(src, back)
		if !slices.EqualFunc(final.Headers, again.Headers, func(a, b kgo.RecordHeader) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }) {
			t.Fatalf("delivered with %q, after it was parked with %q", final.Headers, again.Headers)
		}
	})
}
