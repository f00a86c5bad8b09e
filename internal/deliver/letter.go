package deliver

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// Revived is the headers of a dead letter without what [Dead] put on of its death:
// those of the record as it was, request included. Its id stays, by which a consumer
// recognises it.
func Revived(letter *kgo.Record) []kgo.RecordHeader {
	return Without(letter.Headers, levels.HeaderError, levels.HeaderErrorDetail, levels.HeaderOrigin, levels.HeaderAttempts)
}

// Without is a fresh slice of the headers that have none of the keys.
func Without(h []kgo.RecordHeader, keys ...string) []kgo.RecordHeader {
	kept := make([]kgo.RecordHeader, 0, len(h))
next:
	for _, header := range h {
		for _, key := range keys {
			if header.Key == key {
				continue next
			}
		}
		kept = append(kept, header)
	}
	return kept
}

// shrink makes a dead letter smaller that its topic refused for its size. It returns
// false where it is no smaller than before.
func (o *Outbox) shrink(it *item) bool { return false }
