package consume

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ahead is what was handled of a partition behind the first record that was not:
// records that overtook it. A commit cannot pass them, so each commit lists them in its
// metadata, and the next owner does not handle them again, also after a crash.
type ahead struct {
	from    int64   // what is committed
	handled []int64 // offsets, in order; none is below from
	// epoch is the latest under which one of them was written. What stands there
	// from a later one is another record: the log had been cut off.
	epoch int32
}

const (
	// metaBytes is the longest metadata that a commit may have. It is below the default of
	// Kafka's bound for it (offset.metadata.max.bytes, 4096); see metadataLimit for a smaller one.
	metaBytes = 3968
	// metaRest is what of it the topic's id and the marks take at most (see formatMarks),
	// and the words in front of the code.
	metaRest = 634
	// aheadBits is how many bits fit in the rest, as base64: a lane lets no more overtake
	// than that can list (see canTell).
	aheadBits = (metaBytes - metaRest) * 6
)

// maxShift bounds the parameter of the code, see format.
const maxShift = 40

// aheadWord stands in the metadata before what an ahead is written as.
const aheadWord = "ahead"

func (a *ahead) add(offset int64, epoch int32) {
	a.handled = append(a.handled, offset)
	a.epoch = max(a.epoch, epoch)
}

func (a *ahead) has(offset int64) bool {
	_, ok := slices.BinarySearch(a.handled, offset)
	return ok
}

// below is how many of the handled offsets are below one.
func (a *ahead) below(offset int64) int64 {
	n, _ := slices.BinarySearch(a.handled, offset)
	return int64(n)
}

// covers says whether a record was handled.
func (a *ahead) covers(rec *kgo.Record) bool {
	return a.has(rec.Offset) && rec.LeaderEpoch <= a.epoch
}

// behind adds what old tells of offsets from one on.
func (a *ahead) addFrom(old *ahead, offset int64) {
	if rest := old.handled[old.below(offset):]; len(rest) > 0 {
		a.handled = append(a.handled, rest...)
		a.epoch = max(a.epoch, old.epoch)
	}
}

// canTell reports whether any n offsets among span ones can be written. It is exact for
// what is scattered evenly, and on the safe side for anything else.
func canTell(n, span, bits int64) bool {
	for shift := range int64(maxShift) {
		if n*(shift+1)+(span-n)>>shift <= bits {
			return true
		}
	}
	return false
}

// format writes a for a commit's metadata in at most room bits, "" where nothing was
// handled. It is a Rice code of the gaps between the handled offsets: gap>>shift zeros, a
// one, and the lowest bits of the gap. With a shift of 0 that is a bitmap. Where not all
// fit, the first do: most is how many.
func (a *ahead) format(room int64) (text string, most int) {
	if len(a.handled) == 0 {
		return "", 0
	}
	least, best := int64(0), int64(0)
	for shift := range int64(maxShift) {
		if most == len(a.handled) && int64(most)*(shift+1) >= least {
			break // it cannot be shorter with this one, nor with those that follow
		}
		if n, bits := a.fit(shift, room); n > most || n == most && bits < least {
			most, least, best = n, bits, shift
		}
	}
	if most == 0 {
		return "", 0
	}
	code := make([]byte, (least+7)/8)
	at, next := int64(0), a.from
	for _, offset := range a.handled[:most] {
		gap := offset - next
		next = offset + 1
		at += gap >> best
		code[at/8] |= 1 << (at % 8)
		at++
		for i := range best {
			code[at/8] |= byte(gap>>i&1) << (at % 8)
			at++
		}
	}
	head := aheadWord + " " + strconv.Itoa(int(a.epoch))
	if best > 0 {
		head += "/" + strconv.Itoa(int(best))
	}
	return head + " " + base64.RawStdEncoding.EncodeToString(code), most
}

// fit returns how many of the handled offsets can be written with a shift, and in how
// many bits, of at most room.
func (a *ahead) fit(shift, room int64) (n int, bits int64) {
	next := a.from
	for _, offset := range a.handled {
		more := (offset-next)>>shift + 1 + shift
		if bits+more > room {
			break
		}
		n, bits, next = n+1, bits+more, offset+1
	}
	return n, bits
}

// parseAhead reads what format wrote, from the metadata of the commit of an offset;
// anything else gives nothing.
func parseAhead(meta string, committed int64) ahead {
	words := strings.Fields(meta)
	i := slices.Index(words, aheadWord)
	if i < 0 || len(words) != i+3 {
		return ahead{}
	}
	epochWord, shiftWord, shifted := strings.Cut(words[i+1], "/")
	epoch, err1 := strconv.ParseInt(epochWord, 10, 32)
	code, err2 := base64.RawStdEncoding.DecodeString(words[i+2])
	shift := 0
	var err3 error
	if shifted {
		shift, err3 = strconv.Atoi(shiftWord)
	}
	if err1 != nil || err2 != nil || err3 != nil || shift < 0 || shift > maxShift {
		return ahead{}
	}
	return ahead{from: committed, handled: readGaps(code, committed, int64(shift)), epoch: int32(epoch)}
}

// readGaps returns the offsets that code tells of.
func readGaps(code []byte, from, shift int64) (offsets []int64) {
	bit := func(i int64) int64 { return int64(code[i/8] >> (i % 8) & 1) }
	end, next := int64(8*len(code)), from
	for at := int64(0); at < end; at++ {
		if bit(at) == 0 {
			next += 1 << shift
			continue
		}
		if at+shift >= end {
			break // cut off
		}
		for i := range shift {
			at++
			next += bit(at) << i
		}
		offsets = append(offsets, next)
		next++
	}
	return offsets
}
