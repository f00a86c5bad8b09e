package forwarder

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/internal/metrics"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

var written = []kgo.RecordHeader{
	{Key: "trace", Value: []byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")},
	{Key: levels.HeaderTarget, Value: []byte("orders")},
}

// BenchmarkDue is the calculation of when a record is due: written straight to the
// level, and routed.
func BenchmarkDue(b *testing.B) {
	direct := newRecord(at, true, written...)
	routed := record.Hop(direct, "delay.level.10s", levels.Facts{
		ID: "delay.inbox-0-1-1700000000000", Due: at.UnixMilli() + 9000, Accepted: at.UnixMilli() - 1000, Granted: "10s",
	})
	routed.Timestamp, routed.Attrs = direct.Timestamp, direct.Attrs
	for name, rec := range map[string]*kgo.Record{"direct": direct, "routed": routed} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			w := ten()
			for b.Loop() {
				w.Due(rec, at)
			}
		})
	}
}

// BenchmarkNeverCancelled is what cancels cost a record without an id of its own, while nothing
// is cancelled: when it is read, and when it is due.
func BenchmarkNeverCancelled(b *testing.B) {
	rec := record.Hop(newRecord(at, true, written...), "delay.level.10s", levels.Facts{
		ID: "delay.inbox-0-1-1700000000000", Due: at.UnixMilli() + 9000, Accepted: at.UnixMilli() - 1000, Granted: "10s",
	})
	cfg := DefaultConfig()
	w := ten()
	s := &screen{cancels: newCancels(&cfg, metrics.New(nil)), worker: w}
	work := &consume.Work{Record: rec, Due: at}
	b.ReportAllocs()
	for b.Loop() {
		s.saw(rec, at)
		if s.Decide(work, consume.Screened{}) != consume.Handle {
			b.Fatal("it is held")
		}
	}
}

// BenchmarkResolve is all that is decided about a record when it is due, but for
// the record that is delivered (BenchmarkFinal of internal/deliver).
func BenchmarkResolve(b *testing.B) {
	rec := newRecord(at, true, written...)
	w := ten()
	w.targets = &record.Targets{Names: levels.Names{Prefix: levels.DefaultPrefix}}
	b.ReportAllocs()
	for b.Loop() {
		headers := record.Read(rec.Headers)
		w.facts(rec, headers, at.Add(10*time.Second), at)
		if _, _, refusal := w.targets.Resolve(headers); refusal != nil {
			b.Fatal(refusal)
		}
	}
}
