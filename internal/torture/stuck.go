package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// spot is a batch that clients cannot read.
type spot struct {
	topic     string
	partition int32
	offset    int64 // of its first record
	next      int64 // behind its last
}

func (s spot) String() string { return fmt.Sprintf("%s/%d/%d", s.topic, s.partition, s.offset) }

// stuck are the partitions on which batches stand that clients cannot read, and what
// became of these.
type stuck struct {
	partitions map[string]bool // as partitionOf writes them
	spots      []spot          // in the order of their offsets
	letters    map[string]int  // dead letters by the spot that they name as their origin
}

func newStuck() stuck {
	return stuck{partitions: make(map[string]bool), letters: make(map[string]int)}
}

// letter takes a dead letter that is none of a record that the load has sent, and
// reports whether it is one of a spot.
func (s *stuck) letter(rec *kgo.Record) bool {
	origin, _ := record.Last(rec.Headers, levels.HeaderOrigin)
	for _, at := range s.spots {
		offset, ok := strings.CutPrefix(string(origin), partitionName(at.topic, at.partition)+"/")
		if n, err := strconv.ParseInt(offset, 10, 64); ok && err == nil && at.offset <= n && n < at.next {
			s.letters[at.String()]++
			return true
		}
	}
	return false
}

// partitionOf names the partition that a record stands on.
func partitionOf(rec *kgo.Record) string { return partitionName(rec.Topic, rec.Partition) }

func partitionName(topic string, partition int32) string {
	return fmt.Sprintf("%s/%d", topic, partition)
}

// sticks tells that a partition gets a batch that clients cannot read: its records
// are late from now on.
func (h *history) sticks(topic string, partition int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stuck.partitions[partitionName(topic, partition)] = true
}

// unreadable tells where such a batch is.
func (h *history) unreadable(at spot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stuck.spots = append(h.stuck.spots, at)
}

// spots are where such batches are.
func (h *history) spots() []spot {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.stuck.spots)
}

// lettersOf is how many dead letters name a spot as their origin.
func (h *history) lettersOf(at spot) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stuck.letters[at.String()]
}

// drop tells that records are not waited for any more which have not arrived, and
// returns how many there are.
func (h *history) drop(which func(c *recipe, e *entry) bool) (n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.entries {
		e := &h.entries[id]
		if e.outcome != acked || e.arrivals > 0 || e.lost {
			continue
		}
		if c := h.mix.recipe(int64(id)); which(&c, e) {
			e.lost = true
			h.missing--
			n++
		}
	}
	return n
}

// told reports whether a record's producer knew by then that it is accepted.
func (h *history) told(e *entry, by time.Time) bool { return h.unixMilli(e.told) <= by.UnixMilli() }

// apart are the targets and partitions whose records' lateness is kept aside.
func (w *world) apart() []string {
	w.history.mu.Lock()
	defer w.history.mu.Unlock()
	return append(slices.Sorted(maps.Keys(w.history.stuck.partitions)), w.row.apart...)
}
