package record

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

const (
	// MinLetterBytes is the least limit that Fit obeys. What it cannot leave out takes
	// less.
	MinLetterBytes = 4 << 10
	// maxCutValue bounds each header of a cut letter that says why and where it died.
	maxCutValue = 1 << 10
)

// deathKeys are the keys that Dead and Fit put on.
var deathKeys = []string{
	levels.HeaderError, levels.HeaderErrorDetail, levels.HeaderOrigin, levels.HeaderAttempts,
	levels.HeaderValueLength, levels.HeaderValueHash, levels.HeaderKeyLength, levels.HeaderKeyHash, levels.HeaderHeadersLeftOut,
}

// deadAdds is how many headers Dead puts on at most.
const deadAdds = 5

// Dead is the dead letter for src: key, value and all headers, the request
// included, so that it can be sent again, and behind them why and where it died.
// Only private headers are dropped, and those that an earlier death left are
// replaced. It is read from f.Origin, or from where src was where f has none.
func Dead(src *kgo.Record, topic string, f levels.Facts, r levels.Refusal, attempts int) *kgo.Record {
	headers := make([]kgo.RecordHeader, 0, len(src.Headers)+deadAdds)
	for _, h := range src.Headers {
		if !isHop(h.Key) && !slices.Contains(deathKeys, h.Key) {
			headers = append(headers, h)
		}
	}
	origin := OriginOf(&f, src)
	v := newValues(idSize(src, &f) + len(r.Code) + len(r.Detail) + len(origin) + maxNumber)
	if id, _ := Last(src.Headers, levels.HeaderID); len(id) == 0 && (f.ID != "" || f.Accepted != 0) {
		headers = add(headers, levels.HeaderID, v.id(src, &f))
	}
	headers = add(headers, levels.HeaderError, v.text(string(r.Code)))
	headers = add(headers, levels.HeaderErrorDetail, v.text(r.Detail))
	headers = add(headers, levels.HeaderOrigin, v.text(origin))
	headers = add(headers, levels.HeaderAttempts, v.number(int64(attempts)))
	return &kgo.Record{Topic: topic, Partition: levels.ByKey, Key: src.Key, Value: src.Value, Headers: headers}
}

// Revived returns the headers of a dead letter without those that [Dead] and [Fit] put
// on: those of the original record, request included. Its id stays, by which a consumer
// recognises it.
func Revived(letter *kgo.Record) []kgo.RecordHeader { return Without(letter.Headers, deathKeys...) }

// Without is a fresh slice of the headers that have none of the keys, also not misspelt.
func Without(h []kgo.RecordHeader, keys ...string) []kgo.RecordHeader {
	kept := make([]kgo.RecordHeader, 0, len(h))
	for _, header := range h {
		if meant, _ := meantKey(header.Key); !slices.Contains(keys, header.Key) && !slices.Contains(keys, meant) {
			kept = append(kept, header)
		}
	}
	return kept
}

// LeftOut returns what a dead letter leaves out of its record, as words for people; ""
// for nothing.
func LeftOut(letter *kgo.Record) string {
	var parts []string
	for _, part := range []struct{ key, format string }{
		{levels.HeaderValueLength, "the value (%d bytes)"},
		{levels.HeaderKeyLength, "the key (%d bytes)"},
		{levels.HeaderHeadersLeftOut, "headers (%d)"},
	} {
		if n, ok := lastNumber(letter.Headers, part.key); ok {
			parts = append(parts, fmt.Sprintf(part.format, n))
		}
	}
	return strings.Join(parts, ", ")
}

// Fit returns the dead letter, made by Dead, as a record whose batch takes at most
// limit bytes before compression, or MinLetterBytes where limit is less. It is whole
// where it fits. Otherwise the value is left out, and as long as that is not enough the
// longest of the record's headers and its key. Headers in deathKeys say what is left
// out and how long it was, and so does the reason.
func Fit(letter *kgo.Record, limit int64) *kgo.Record {
	limit = max(limit, MinLetterBytes)
	if BatchBytes(letter) <= limit {
		return letter
	}
	c := cut{limit: limit, key: letter.Key}
	c.split(letter.Headers)
	if len(letter.Value) > 0 {
		c.describe(levels.HeaderValueLength, levels.HeaderValueHash, letter.Value)
	} else {
		c.value = letter.Value
	}
	c.shorten()
	fits := &kgo.Record{Topic: letter.Topic, Partition: letter.Partition, Key: c.key, Value: c.value}
	fits.Headers = append(c.kept, c.death...)
	c.explain(fits)
	return fits
}

// cut is a letter that is being cut down.
type cut struct {
	limit   int64
	key     []byte
	value   []byte
	kept    []kgo.RecordHeader // of the record
	death   []kgo.RecordHeader // what says why and where it died
	headers int                // how many were left out
}

// split separates the record's headers from those of its death.
func (c *cut) split(h []kgo.RecordHeader) {
	for _, header := range h {
		switch i := slices.Index(deathKeys, header.Key); {
		case i < 0:
			c.kept = append(c.kept, header)
		default:
			n := min(len(header.Value), maxCutValue)
			c.death = add(c.death, header.Key, header.Value[:n:n])
		}
	}
}

// describe adds the length and the hash of what is left out.
func (c *cut) describe(length, hash string, what []byte) {
	sum := sha256.Sum256(what)
	c.death = add(c.death, length, strconv.AppendInt(nil, int64(len(what)), 10))
	c.death = add(c.death, hash, hex.AppendEncode(nil, sum[:]))
}

// cutRoom is what the headers take that say what is left out, with the words in the
// reason.
const cutRoom = 1 << 10

// shorten leaves out the longest of the headers and the key until the rest fits.
func (c *cut) shorten() {
	const key = -1
	size := BatchBytes(&kgo.Record{Key: c.key, Value: c.value, Headers: append(slices.Clone(c.kept), c.death...)}) + cutRoom
	length := func(i int) int {
		if i == key {
			return len(c.key)
		}
		return headerBytes(c.kept[i])
	}
	parts := make([]int, 0, len(c.kept)+1)
	for i := key; i < len(c.kept); i++ {
		parts = append(parts, i)
	}
	slices.SortStableFunc(parts, func(a, b int) int { return cmp.Compare(length(b), length(a)) })
	out := make(map[int]bool)
	for _, part := range parts {
		if size <= c.limit {
			break
		}
		size -= int64(length(part))
		if part != key {
			out[part] = true
		} else if len(c.key) > 0 {
			c.describe(levels.HeaderKeyLength, levels.HeaderKeyHash, c.key)
			c.key = nil
		}
	}
	kept := make([]kgo.RecordHeader, 0, len(c.kept)-len(out)+len(c.death)+1)
	for i, h := range c.kept {
		if !out[i] {
			kept = append(kept, h)
		}
	}
	c.kept, c.headers = kept, len(out)
	if c.headers > 0 {
		c.death = add(c.death, levels.HeaderHeadersLeftOut, strconv.AppendInt(nil, int64(c.headers), 10))
	}
}

// explain says in the reason what is left out.
func (c *cut) explain(letter *kgo.Record) {
	for i := range letter.Headers {
		if h := &letter.Headers[i]; h.Key == levels.HeaderErrorDetail {
			h.Value = fmt.Appendf(slices.Clone(h.Value), "; this letter leaves out %s, because %s takes at most %d bytes",
				LeftOut(letter), letter.Topic, c.limit)
		}
	}
}
