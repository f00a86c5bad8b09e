package consume

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A client leaves out the records of aborted transactions by a list that the broker sends
// with them. The list of Apache Kafka (seen in 4.3.0) can lack transactions: a replica
// that catches up notes beside an aborted transaction a last stable offset behind a later
// one's start, and once it leads it stops its search at that entry. So the lanes check the
// transactions' markers as well.

// open is the transactions whose markers have not been read, by their producer ids.
type open map[int64]openTransaction

// openTransaction is what was read of one.
type openTransaction struct {
	first   int64 // offset
	records int
}

// note adds a record of a transaction.
func (o *open) note(rec *kgo.Record) {
	t, ok := (*o)[rec.ProducerID]
	if !ok {
		if *o == nil {
			*o = make(open)
		}
		t.first = rec.Offset
	}
	t.records++
	(*o)[rec.ProducerID] = t
}

// end takes the transaction out that a marker ends. aborted is true where there was one
// and the marker aborts it. Any other record ends none.
func (o open) end(marker *kgo.Record) (t openTransaction, aborted bool) {
	if !marker.Attrs.IsControl() {
		return t, false
	}
	t, ok := o[marker.ProducerID]
	delete(o, marker.ProducerID)
	return t, ok && abortMarker(marker.Key)
}

// abortMarker reports whether the key of a control record says that it aborts (KIP-98).
func abortMarker(key []byte) bool {
	const typeAt, abort = 2, 0
	return len(key) >= typeAt+2 && binary.BigEndian.Uint16(key[typeAt:]) == abort
}

// abort marks the records of a producer from an offset on as handled that were not sent. It
// returns how many they are, and what they took of the pool.
func (q *dueQueue) abort(producer, from int64) (n int, bytes int64) {
	for i := len(q.works) - 1; i >= q.next && q.works[i].offset >= from; i-- {
		w := q.works[i]
		if w.state == waiting && w.Record.ProducerID == producer && w.Record.Attrs.IsTransactional() {
			n, bytes = n+1, bytes+w.bytes
			w.state, w.Record, w.bytes = done, nil, 0
		}
	}
	return n, bytes
}
