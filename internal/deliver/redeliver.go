package deliver

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/control"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// destination is what a batch of parked records knows of their target. Most have the same.
type destination struct {
	topic   string
	refusal *Refusal
	resumed time.Time // when a pause of it ended
}

// Redeliver adds a parked record, to be sent to its target again. The batch holds no
// others. A record that Parked did not make becomes a dead letter, and so does one whose
// target is not allowed: others may have write access to the parked topic, and the
// configuration may have changed.
func (b *Batch) Redeliver(owner Owner, parked *kgo.Record, targets *record.Targets) {
	b.kind = again
	if len(b.sources) == cap(b.sources) {
		b.sources = make([]kgo.Record, 0, cap(b.items))
	}
	b.sources = append(b.sources, kgo.Record{})
	src := &b.sources[len(b.sources)-1]
	h := record.Read(parked.Headers)
	f, err := record.UnparkInto(parked, h, src, b.target.topic)
	if err != nil {
		b.DeadLetter(owner, parked, Facts{Partition: ByKey}, Refusal{Code: levels.Rejected, Detail: err.Error()})
		return
	}
	if f.Topic != b.target.topic {
		b.target = destination{f.Topic, targets.Check(f.Topic), b.o.resumed(f.Topic)}
	}
	if b.target.refusal != nil {
		b.DeadLetter(owner, src, f, *b.target.refusal)
		return
	}
	it := b.deliver(owner, src, h, f)
	it.since = time.UnixMilli(f.Since)
	if b.target.resumed.After(it.since) {
		it.since = b.target.resumed
	}
}

// resumed returns when the last pause of a target ended. The failures of its parked
// records count from then on.
func (o *Outbox) resumed(topic string) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pauses.Resumed(control.Target, topic)
}
