package consume

import (
	"strconv"
	"strings"
	"time"
)

// seenMark says when the record at an offset was first fetched. The marks of
// what waits in a lane travel in the commit's metadata: on a CreateTime topic
// the wait is bounded from when a record was first seen, and without the marks
// every restart would start that wait again.
type seenMark struct {
	offset int64
	seen   time.Time
}

// maxMarks keeps the metadata far below Kafka's bound for it
// (offset.metadata.max.bytes, 4096).
const maxMarks = 16

const marksPrefix = "seen"

// formatMarks describes works: the first exactly, the rest by samples, and the
// last. It returns "" where the broker stamps the records. Markers of transactions
// are never seen.
func formatMarks(works []*Work) string {
	step := max(1, (len(works)+maxMarks-2)/(maxMarks-1))
	var b []byte
	var last *Work // to be marked, if nothing comes behind it
	for i, next := 0, 0; i < len(works); i++ {
		switch w := works[i]; {
		case w.seen.IsZero():
		case i < next:
			last = w
		default:
			b = appendMark(b, w)
			last, next = nil, i+step
		}
	}
	if last != nil {
		b = appendMark(b, last)
	}
	if b == nil {
		return ""
	}
	return marksPrefix + string(b)
}

func appendMark(b []byte, w *Work) []byte {
	b = append(b, ' ')
	b = strconv.AppendInt(b, w.offset, 10)
	b = append(b, '@')
	return strconv.AppendInt(b, w.seen.UnixMilli(), 10)
}

// parseMarks reads what formatMarks wrote; anything else, such as the metadata
// of another client, gives no marks.
func parseMarks(meta string) []seenMark {
	_, meta = cutIdentity(meta)
	meta, _, _ = strings.Cut(meta, aheadWord)
	words := strings.Fields(meta)
	if len(words) == 0 || words[0] != marksPrefix {
		return nil
	}
	var marks []seenMark
	for _, word := range words[1:] {
		offset, seen, ok := strings.Cut(word, "@")
		o, err1 := strconv.ParseInt(offset, 10, 64)
		ms, err2 := strconv.ParseInt(seen, 10, 64)
		if !ok || err1 != nil || err2 != nil {
			return nil
		}
		marks = append(marks, seenMark{o, time.UnixMilli(ms)})
	}
	return marks
}

// firstSeen returns when the record at offset was first fetched: as marked, or
// as the next mark behind it, which cannot be earlier, else now.
func firstSeen(marks []seenMark, offset int64, now time.Time) time.Time {
	for _, m := range marks {
		if m.offset >= offset && m.seen.Before(now) {
			return m.seen
		}
	}
	return now
}
