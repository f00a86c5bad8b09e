package consume

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// noted is up to where a topic's handler has noted what records ask for beyond themselves;
// see [Work.Noted].
type noted struct {
	at     int64 // the offset behind the last that is noted
	told   int64 // the same, as a commit says
	looked int64 // what was committed when it was last asked for news
}

// Noted says that what this record and those before it on its partition ask for beyond
// themselves is written down, as the marks of cancels are. Commits tell it in their metadata
// where they can't pass a record that waits, and [NotedUpTo] reads it. So a record that
// waits for its target does not hide how far the partition is read.
func (w *Work) Noted() {
	l := w.lane
	l.mu.Lock()
	l.progress.noted.at = max(l.progress.noted.at, w.offset+1)
	l.mu.Unlock()
	signal(l.c.some)
}

// news reports whether a commit is to be made for it: what is committed has not moved
// since the last time. Where it moves, the next commit tells it.
func (n *noted) news(committed int64) bool {
	stands := n.looked == committed
	n.looked = committed
	return stands && n.untold(committed)
}

// untold reports whether more is noted than commits tell.
func (n *noted) untold(committed int64) bool { return n.at > max(n.told, committed) }

// behindMarkers returns the offset behind the works from an offset on that are no records, and
// that no handler sees.
func (q *dueQueue) behindMarkers(offset int64) int64 {
	i, _ := slices.BinarySearchFunc(q.works, offset, func(w *Work, at int64) int { return cmp.Compare(w.offset, at) })
	for ; i < len(q.works) && q.works[i].marker(); i++ {
		offset = q.works[i].offset + 1
	}
	return offset
}

// notedWord stands in the metadata of a commit before the offset, as in "noted 1200".
const notedWord = "noted"

func formatNoted(offset int64) string { return notedWord + " " + strconv.FormatInt(offset, 10) }

// NotedUpTo returns the offset before which all records of a partition are noted, by a
// commit of it: what is committed, or what the metadata says.
func NotedUpTo(committed int64, metadata string) int64 {
	_, rest := cutIdentity(metadata)
	word, rest, _ := strings.Cut(rest, " ")
	if word != notedWord {
		return committed
	}
	text, _, _ := strings.Cut(rest, " ")
	offset, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return committed
	}
	return max(committed, offset)
}
