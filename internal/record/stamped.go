package record

import "github.com/twmb/franz-go/pkg/kgo"

// logAppendTime is the timestamp type of records that the broker stamped.
const logAppendTime = 1

// Stamped says whether a record's time is the broker's, of when it appended it
// (message.timestamp.type=LogAppendTime), and not its producer's.
func Stamped(rec *kgo.Record) bool { return rec.Attrs.TimestampType() == logAppendTime }

// Timeless reports whether a record has no time at all: its producer wrote none, as the
// oldest clients (message format 0) do, and the broker does not stamp it.
func Timeless(rec *kgo.Record) bool { return !Stamped(rec) && rec.Timestamp.UnixMilli() == -1 }
