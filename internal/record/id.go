package record

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// OriginID is the id that a record gets which brought none: where and when it
// was first accepted. It names one record, and every duplicate of a delivery
// carries the same. The time tells a record from the one with its offset on a
// topic that was deleted and made again.
func OriginID(rec *kgo.Record, acceptedMs int64) string {
	var room [maxPlace + maxNumber]byte
	return string(appendOriginID(room[:0], rec, acceptedMs))
}

// maxAccepted is the last millisecond of the year 9999: a later time is none.
var maxAccepted = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() - 1

// ParseOriginID is the inverse of [OriginID]. ok is false for any other id; an id that a
// producer made can look like one.
func ParseOriginID(id string) (topic string, partition int32, offset, acceptedMs int64, ok bool) {
	var numbers [3]int64
	topic = id
	for i := range numbers {
		at := strings.LastIndexByte(topic, '-')
		if at < 0 {
			return "", 0, 0, 0, false
		}
		limit := [...]int64{maxAccepted, math.MaxInt64, math.MaxInt32}[i]
		if numbers[i], ok = parseNumber([]byte(topic[at+1:]), limit); !ok {
			return "", 0, 0, 0, false
		}
		topic = topic[:at]
	}
	rec := kgo.Record{Topic: topic, Partition: int32(numbers[2]), Offset: numbers[1]}
	if levels.CheckTopic(topic) != nil || OriginID(&rec, numbers[0]) != id {
		return "", 0, 0, 0, false // as with a zero in front of a number
	}
	return topic, rec.Partition, rec.Offset, numbers[0], true
}

// DeliveredID returns the id that a record which waits is delivered with, by the rule of
// [Final]. src is that record, h its headers, and f what is known of it.
func (h *Headers) DeliveredID(src *kgo.Record, f *levels.Facts) string {
	if id, own := h.OwnID(); own {
		return string(id)
	}
	return string(appendID(f, nil, src))
}

// HasID reports whether a record that waits is delivered with an id, or is the one that
// the id names by where it was first accepted.
func (h *Headers) HasID(src *kgo.Record, f *levels.Facts, id []byte) bool {
	if has, own := h.OwnID(); own && bytes.Equal(has, id) {
		return true
	}
	var room [maxPlace + maxNumber]byte
	return bytes.Equal(appendID(f, room[:0], src), id)
}

func appendOriginID(b []byte, rec *kgo.Record, acceptedMs int64) []byte {
	b = append(appendPlace(b, rec, '-'), '-')
	return strconv.AppendInt(b, acceptedMs, 10)
}

// Origin is where a record was read, as topic/partition/offset.
func Origin(rec *kgo.Record) string {
	var room [maxPlace]byte
	return string(appendPlace(room[:0], rec, '/'))
}

// maxNumber is how long an int64 in decimal can be; maxPlace is about how long a
// place can be, with a topic of at most 249 bytes. Longer ones are slower, not wrong.
const (
	maxNumber = 20
	maxPlace  = 249 + 2*(1+maxNumber)
)

func appendPlace(b []byte, rec *kgo.Record, separator byte) []byte {
	b = append(b, rec.Topic...)
	b = append(b, separator)
	b = strconv.AppendInt(b, int64(rec.Partition), 10)
	b = append(b, separator)
	return strconv.AppendInt(b, rec.Offset, 10)
}

// appendID is the id of the record that f is about, which was read as src.
func appendID(f *levels.Facts, b []byte, src *kgo.Record) []byte {
	if f.ID != "" {
		return append(b, f.ID...)
	}
	return appendOriginID(b, src, f.Accepted)
}

// OriginOf returns where the record that f is about was first read. src is that record
// as it was read just now.
func OriginOf(f *levels.Facts, src *kgo.Record) string {
	if f.Origin != "" {
		return f.Origin
	}
	return Origin(src)
}

// idSize is how long an id can be.
func idSize(src *kgo.Record, f *levels.Facts) int {
	if f.ID != "" {
		return len(f.ID)
	}
	return len(src.Topic) + idNumbers
}

// idNumbers is how much of an id is not the topic: a partition, an offset, a time,
// and what stands between them, at their longest.
const idNumbers = 3 * (1 + maxNumber)
