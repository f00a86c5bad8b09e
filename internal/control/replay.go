package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/levels"
)

// replay is what the topic says, as far as it has been read. It is fed all records with
// the markers of transactions, and judges by itself what was committed: to a client
// that reads committed records an open transaction hides every pause after it. A marker
// or an aborted record at the end looks like an end that never comes.
type replay struct {
	state State
	open  map[int64][]*kgo.Record // of transactions that have not ended, by producer id
}

func newReplay() *replay {
	return &replay{make(State), make(map[int64][]*kgo.Record)}
}

// snapshot returns the state, which does not change any more.
func (r *replay) snapshot() State { return maps.Clone(r.state) }

// take applies the record that follows, or the records of the transaction that it ends.
// Its error names records that pause nothing although they have a key that could.
func (r *replay) take(rec *kgo.Record) error {
	switch {
	case rec.Attrs.IsControl():
		records := r.open[rec.ProducerID]
		delete(r.open, rec.ProducerID)
		var marker kmsg.ControlRecordKey
		if err := marker.ReadFrom(rec.Key); err != nil || marker.Type != kmsg.ControlRecordKeyTypeCommit {
			return nil
		}
		var errs []error
		for _, rec := range records {
			errs = append(errs, r.apply(rec))
		}
		return errors.Join(errs...)
	case rec.Attrs.IsTransactional():
		r.open[rec.ProducerID] = append(r.open[rec.ProducerID], rec)
		return nil
	}
	return r.apply(rec)
}

// apply notes what a record says, unless a later one has said otherwise. A tombstone
// resumes. Keys of other kinds are for others, and what a delay service has delivered
// here is no operator's word.
func (r *replay) apply(rec *kgo.Record) error {
	k, ok := parseKey(string(rec.Key))
	if !ok || r.state[k].offset > rec.Offset || slices.ContainsFunc(rec.Headers, delivered) {
		return nil
	}
	var sw Switch
	if rec.Value != nil {
		if err := json.Unmarshal(rec.Value, &sw); err != nil {
			return fmt.Errorf("record %s/%d/%d: %w", rec.Topic, rec.Partition, rec.Offset, err)
		}
	}
	sw.At, sw.offset = rec.Timestamp, rec.Offset
	r.state[k] = sw
	return nil
}

// delivered reports whether a header is one that each delivered record has.
func delivered(h kgo.RecordHeader) bool { return h.Key == levels.HeaderGranted }
