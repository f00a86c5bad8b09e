package record

import (
	"math"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// Last is the value of the last header with that key: the last one wins where a
// key is repeated. Keys are compared byte for byte.
func Last(h []kgo.RecordHeader, key string) (value []byte, ok bool) {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].Key == key {
			return h[i].Value, true
		}
	}
	return nil, false
}

func isHop(key string) bool { return strings.HasPrefix(key, KeyPrefix) }

// WithoutHop is a fresh slice of the headers that are not private, with room
// for more.
func WithoutHop(h []kgo.RecordHeader, more int) []kgo.RecordHeader {
	kept := make([]kgo.RecordHeader, 0, len(h)+more)
	for _, header := range h {
		if !isHop(header.Key) {
			kept = append(kept, header)
		}
	}
	return kept
}

// Number is the value of the last header with that key as a number from 0 to limit: digits
// and nothing else.
func Number(h []kgo.RecordHeader, key string, limit int64) (n int64, ok bool) {
	value, _ := Last(h, key)
	return parseNumber(value, limit)
}

func lastNumber(h []kgo.RecordHeader, key string) (int64, bool) {
	return Number(h, key, math.MaxInt64)
}

// parseNumber reads a number from 0 to limit: digits and nothing else.
func parseNumber(value []byte, limit int64) (int64, bool) {
	if len(value) == 0 {
		return 0, false
	}
	var n int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		digit := int64(c - '0')
		if n > (math.MaxInt64-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, n <= limit
}

func add(headers []kgo.RecordHeader, key string, value []byte) []kgo.RecordHeader {
	return append(headers, kgo.RecordHeader{Key: key, Value: value})
}

// values holds the values of the headers that are put on one record, one behind
// the other in one allocation.
type values struct{ buf []byte }

// newValues returns values with room for size bytes. More than that costs an
// allocation.
func newValues(size int) values { return values{make([]byte, 0, size)} }

func (v *values) text(s string) []byte {
	start := len(v.buf)
	v.buf = append(v.buf, s...)
	return v.since(start)
}

func (v *values) id(src *kgo.Record, f *levels.Facts) []byte {
	start := len(v.buf)
	v.buf = appendID(f, v.buf, src)
	return v.since(start)
}

func (v *values) number(n int64) []byte {
	start := len(v.buf)
	v.buf = strconv.AppendInt(v.buf, n, 10)
	return v.since(start)
}

// since is what was written last, without spare capacity: an append to it by
// whoever gets the header cannot reach the next one.
func (v *values) since(start int) []byte { return v.buf[start:len(v.buf):len(v.buf)] }
