package lane

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ahead is what was handled of a partition behind the first record that was not:
// records that overtook it. A commit cannot pass them, so the one by which a
// partition is handed over tells of them in its metadata, and the next owner does
// not handle them again. After a crash they are part of what comes twice.
type ahead struct {
	from    int64  // the offset of the first bit: what is committed
	handled []byte // a bit for each offset
	// epoch is the latest under which one of them was written. What stands there
	// from a later one is another record: the log had been cut off.
	epoch int32
}

// maxAhead is how many offsets behind the commit are told of. It keeps the metadata
// below Kafka's bound for it (offset.metadata.max.bytes, 4096), marks included.
const maxAhead = 16 << 10

// aheadWord stands in the metadata before what an ahead is written as.
const aheadWord = "ahead"

func (a *ahead) add(offset int64, epoch int32) {
	i := offset - a.from
	if i < 0 || i >= maxAhead {
		return
	}
	for int64(len(a.handled)) <= i/8 {
		a.handled = append(a.handled, 0)
	}
	a.handled[i/8] |= 1 << (i % 8)
	a.epoch = max(a.epoch, epoch)
}

func (a *ahead) has(offset int64) bool {
	i := offset - a.from
	return i >= 0 && i < 8*int64(len(a.handled)) && a.handled[i/8]&(1<<(i%8)) != 0
}

// below is how many of the handled offsets are below one.
func (a *ahead) below(offset int64) (n int64) {
	for i, b := range a.handled {
		for bit := range 8 {
			if b&(1<<bit) != 0 && a.from+int64(8*i+bit) < offset {
				n++
			}
		}
	}
	return n
}

// covers says whether a record was handled.
func (a *ahead) covers(rec *kgo.Record) bool {
	return a.has(rec.Offset) && rec.LeaderEpoch <= a.epoch
}

// behind adds what old tells of offsets from one on.
func (a *ahead) behind(old *ahead, offset int64) {
	for end := old.from + 8*int64(len(old.handled)); offset < end; offset++ {
		if old.has(offset) {
			a.add(offset, old.epoch)
		}
	}
}

// format writes a for a commit's metadata, "" where nothing was handled.
func (a *ahead) format() string {
	if len(a.handled) == 0 {
		return ""
	}
	return aheadWord + " " + strconv.Itoa(int(a.epoch)) + " " + base64.RawStdEncoding.EncodeToString(a.handled)
}

// parseAhead reads what format wrote, from the metadata of the commit of an offset;
// anything else gives nothing.
func parseAhead(meta string, committed int64) ahead {
	words := strings.Fields(meta)
	for i, word := range words {
		if word != aheadWord || len(words) != i+3 {
			continue
		}
		epoch, err1 := strconv.ParseInt(words[i+1], 10, 32)
		handled, err2 := base64.RawStdEncoding.DecodeString(words[i+2])
		if err1 == nil && err2 == nil {
			return ahead{from: committed, handled: handled, epoch: int32(epoch)}
		}
	}
	return ahead{}
}
