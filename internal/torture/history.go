package main

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// outcome is what a producer knows of a record that it has sent.
type outcome uint8

const (
	unsent  outcome = iota
	acked           // a broker has it, and its transaction is committed
	maybe           // nobody knows
	aborted         // its transaction is, and nobody may ever see it
)

// entry is what the history keeps of one record. Times are in milliseconds since
// the history began, none is 0.
type entry struct {
	outcome  outcome
	arrivals uint8  // on any topic; many is many
	accepted int32  // when a broker took it, as the inbox or the level topic says
	said     int32  // the same, as the first arrival says
	appended int32  // of the first arrival
	origin   uint32 // hash of where it was accepted, which is its id unless it has its own
	id       uint32 // hash of the first arrival's id
	place    uint32 // hash of the partition and offset where it was accepted
	hop      uint32 // hash of those where the router put it, 0 for nowhere
	told     int32  // when its producer had the acknowledgement
	// until is the time that it asks for with delay-until, and saidUntil the same as the
	// first arrival says.
	until, saidUntil int32
	lost             bool // it went with what a row has deleted
	resent           bool // it was accepted more than once: that is not delayd's doing
	rehopped         bool // the router put it there more than once
	apart            bool // it stood on a partition that stuck
}

// many is where arrivals are no longer counted.
const many = 255

// history is what became of the records of a run. Producers tell it outcomes and
// readers what they find; several may do so at the same time.
type history struct {
	mix   *mix
	begun time.Time
	// letters says which dead letters are no surprise beside those that the recipe
	// asks for; nil is none.
	letters func(c *recipe, code levels.Code) bool
	// apart are the targets whose records' lateness is kept in aside.
	apart []string

	mu        sync.Mutex // guards all below
	entries   []entry    // by number
	last      []int64    // by lane: the latest number, counted from 1
	late      *lateness
	aside     *lateness
	undecided []arrival          // see decide
	died      map[int64]*letter  // the dead letters, by number
	partition map[string][]int32 // by target: how many partitions it has had
	counts    verdict            // what is counted as it comes
	unstamped int64              // accepted with their producer's timestamp
	missing   int64              // acknowledged and not yet arrived
	forgiven  time.Duration      // by how much a record may come early just now
	ahead     time.Duration      // by how much the brokers' clock was, of the latest arrival
	stuck     stuck
	standing  map[int64]string // the topic on which a record still stands, by number; for the end of a run
	quietFrom time.Time        // when the latest arrival was seen
}

func newHistory(m *mix, begun time.Time) *history {
	h := &history{
		mix: m, begun: begun.Truncate(time.Millisecond), last: make([]int64, m.lanes()),
		late: newLateness(), aside: newLateness(), died: make(map[int64]*letter), partition: make(map[string][]int32), quietFrom: begun,
		stuck: newStuck(),
	}
	for _, target := range m.targets {
		h.partition[target] = []int32{m.targetPar}
	}
	return h
}

// grown tells that a target has n partitions from now on.
func (h *history) grown(target string, n int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.partition[target] = append(h.partition[target], n)
}

// ms is a time as the entries keep it. Nothing is from before the history, and
// 0 is none.
func (h *history) ms(unixMilli int64) int32 {
	return int32(max(unixMilli-h.begun.UnixMilli()+1, 1))
}

// unixMilli is the inverse of ms.
func (h *history) unixMilli(ms int32) int64 { return h.begun.UnixMilli() + int64(ms) - 1 }

// entry returns the entry of a number. The caller has the lock.
func (h *history) entry(id int64) *entry {
	for int64(len(h.entries)) <= id {
		h.entries = append(h.entries, entry{})
	}
	return &h.entries[id]
}

// sent tells what became of a record in its producer's eyes.
func (h *history) sent(id int64, o outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entry(id)
	e.outcome = o
	switch o {
	case acked:
		e.told = h.ms(time.Now().UnixMilli())
		h.counts.Sent++
		if e.arrivals == 0 {
			h.missing++
		}
	case maybe:
		h.counts.Maybe++
	case aborted:
		h.counts.Aborted++
	}
}

// gone tells that records are not waited for any more which have not arrived: what
// held them was deleted. which is asked with the time of acceptance, in Unix
// milliseconds. It returns how many there are.
func (h *history) gone(which func(c *recipe, accepted int64) bool) (n int64) {
	return h.drop(func(c *recipe, e *entry) bool { return e.accepted != 0 && which(c, h.unixMilli(e.accepted)) })
}

// unstampedCount is how many records were accepted with their producer's timestamp.
func (h *history) unstampedCount() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.unstamped
}

// forgive lets records come early by that much from now on.
func (h *history) forgive(early time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgiven = early
}

// clockAhead is by how much the brokers' clock is ahead of ours, but for what an
// arrival takes to be seen.
func (h *history) clockAhead() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ahead
}

// waitingFor is how many records are acknowledged and have not arrived, and how
// long ago the latest arrival was.
func (h *history) waitingFor() (missing int64, quiet time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.missing, time.Since(h.quietFrom)
}

// worst is how late the latest record was so far.
func (h *history) worst() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.late.max()
}

// observe takes a record that a reader has found on a topic.
func (h *history) observe(rec *kgo.Record) {
	if isStorm(rec) {
		return // a row's own, which it checks itself
	}
	names := h.mix.names
	_, isLevel := names.LevelDelay(rec.Topic)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case rec.Topic == names.Dead():
		h.deadLetter(rec)
	case rec.Topic == names.Inbox() || isLevel:
		h.accepted(rec, isLevel)
	default:
		h.delivered(rec)
	}
}

// accepted notes when and where a broker has taken a record.
func (h *history) accepted(rec *kgo.Record, isLevel bool) {
	id, ok := h.mix.number(rec)
	if !ok && (h.stuck.partitions[partitionOf(rec)] || isBeside(rec)) {
		return // what a row has put there
	}
	if !ok {
		h.counts.note(&h.counts.Strange, "%s is none that was sent", place(rec))
		return
	}
	if l := h.died[id]; l != nil && l.again {
		return // what it says of itself is checked when it arrives
	}
	e := h.entry(id)
	if h.stuck.partitions[partitionOf(rec)] {
		e.apart = true
	}
	if _, ok := record.Last(rec.Headers, record.KeyID); ok && isLevel {
		e.rehopped = e.hop != 0          // it was routed again, after a crash
		e.hop = hash([]byte(place(rec))) // from the router; the inbox knows it
		return
	}
	if e.accepted != 0 {
		e.resent = true
		h.counts.Resent++
		return
	}
	if !record.Stamped(rec) {
		h.unstamped++
	}
	e.accepted = h.ms(rec.Timestamp.UnixMilli())
	if text, ok := record.Last(rec.Headers, levels.HeaderUntil); ok {
		until, _ := readUntil(text)
		e.until = h.ms(until)
	}
	e.origin = hash([]byte(record.OriginID(rec, rec.Timestamp.UnixMilli())))
	e.place = hash([]byte(place(rec)))
}

// arrived counts an arrival, and reports whether it is the record's first.
func (h *history) arrived(e *entry) bool {
	h.quietFrom = time.Now()
	if e.arrivals < many {
		e.arrivals++
	}
	if e.arrivals > 1 {
		return false
	}
	if h.counts.Arrived++; e.outcome == acked && !e.lost {
		h.missing--
	}
	return true
}

// deadLetter takes a dead letter.
func (h *history) deadLetter(rec *kgo.Record) {
	id, ok := h.mix.number(rec)
	if !ok && h.stuck.letter(rec) {
		return
	}
	if !ok {
		h.counts.note(&h.counts.Strange, "dead letter %s is none that was sent: %q", place(rec), rec.Headers)
		return
	}
	c, e := h.mix.recipe(id), h.entry(id)
	text, _ := record.Last(rec.Headers, levels.HeaderError)
	code := levels.Code(text)
	if l := h.died[id]; l != nil && l.again {
		h.counts.note(&h.counts.Dead, "%d was sent again, corrected, and is dead letter %s: %s", id, place(rec), code)
		return
	}
	h.died[id] = newLetter(rec)
	if first := h.arrived(e); !first && !e.resent {
		h.counts.note(&h.counts.Twice, "%d came once more, as dead letter %s", id, place(rec))
	} else if first {
		e.appended = h.ms(rec.Timestamp.UnixMilli())
	}
	if code != c.dead && (h.letters == nil || !h.letters(&c, code)) {
		detail, _ := record.Last(rec.Headers, levels.HeaderErrorDetail)
		h.counts.note(&h.counts.Dead, "%d is dead letter %s: %s: %s", id, place(rec), code, detail)
	} else {
		h.counts.Letters++
	}
	if diff := h.mix.deadDifference(&c, rec); diff != "" {
		h.counts.note(&h.counts.Altered, "%d in dead letter %s: %s", id, place(rec), diff)
	}
}

// delivered takes a record from a target.
func (h *history) delivered(rec *kgo.Record) {
	id, ok := h.mix.number(rec)
	if !ok {
		h.counts.note(&h.counts.Strange, "%s is none that was sent: value %.60q", place(rec), rec.Value)
		return
	}
	c, e := h.mix.recipe(id), h.entry(id)
	if l := h.died[id]; l != nil && l.again {
		h.corrected(&c, e, l, rec)
		return
	}
	if c.dead != "" {
		h.counts.note(&h.counts.Misplaced, "%d came to %s, want a dead letter for %s", id, place(rec), c.dead)
	} else if fault := h.misplaced(&c, rec); fault != "" {
		h.counts.note(&h.counts.Misplaced, "%d came to %s, want %s", id, place(rec), fault)
	}
	if diff := h.mix.difference(&c, rec); diff != "" {
		h.counts.note(&h.counts.Altered, "%d at %s: %s", id, place(rec), diff)
	}
	first := h.arrived(e)
	h.times(&c, e, rec, first)
	text, _ := record.Last(rec.Headers, levels.HeaderID)
	if !first {
		if !e.resent {
			h.counts.note(&h.counts.Twice, "%d came once more, at %s", id, place(rec))
			if hash(text) != e.id {
				h.counts.note(&h.counts.Renamed, "%d came once more, at %s, with another %s: %q", id, place(rec), levels.HeaderID, text)
			}
		}
		return
	}
	e.id = hash(text)
	lane, ordered := h.mix.lane(&c)
	if !ordered {
		return
	}
	if before := h.last[lane]; id+1 < before {
		h.counts.note(&h.counts.Reordered, "%d came to %s after %d, which was sent later (key %q, %s, %s)",
			id, place(rec), before-1, rec.Key, c.way, c.granted())
	} else {
		h.last[lane] = id + 1
	}
}

// misplaced says where a record should be, "" where it is there.
func (h *history) misplaced(c *recipe, rec *kgo.Record) string {
	target := h.mix.target(c)
	if rec.Topic != target {
		return target
	}
	if c.partition != byKey {
		if rec.Partition != c.partition {
			return fmt.Sprintf("%s/%d", target, c.partition)
		}
		return ""
	}
	if c.key == nullKey {
		return ""
	}
	var allowed []string
	for _, n := range h.partition[target] {
		p := keyPartition(rec, n)
		if rec.Partition == p {
			return ""
		}
		allowed = append(allowed, fmt.Sprintf("%s/%d", target, p))
	}
	return strings.Join(allowed, " or ")
}

// keyPartition is where Kafka's own producers put a key on a topic with n
// partitions.
func keyPartition(rec *kgo.Record, n int32) int32 {
	return int32(kgo.StickyKeyPartitioner(nil).ForTopic(rec.Topic).Partition(rec, int(n)))
}

// times checks what a record says of its times against when it arrived.
func (h *history) times(c *recipe, e *entry, rec *kgo.Record, first bool) {
	h.ahead = time.Until(rec.Timestamp)
	appended := rec.Timestamp.UnixMilli()
	if c.ask != byLevel {
		if accepted, due, ok := h.exactTimes(c, e, rec); ok && first {
			e.said, e.appended = h.ms(accepted), h.ms(appended)
			h.lateBy(c, e, appended, due)
		}
		return
	}
	accepted, err1 := headerNumber(rec, levels.HeaderAccepted)
	due, err2 := headerNumber(rec, levels.HeaderDue)
	granted, _ := record.Last(rec.Headers, levels.HeaderGranted)
	// A clock that is set back between the inbox and the level's topic ends the wait
	// by what the latter says.
	sooner := time.Duration(c.dueMs(accepted)-due) * time.Millisecond
	if err1 != nil || err2 != nil || sooner < 0 || sooner > h.forgiven || string(granted) != c.granted() {
		h.counts.note(&h.counts.Mislabelled, "%d at %s says of itself %q", c.id, place(rec), rec.Headers)
		return
	}
	switch early := time.Duration(accepted-appended)*time.Millisecond + c.level.Delay; {
	case early <= 0 || due < accepted:
	case early <= h.forgiven:
		h.counts.Forgiven++
	default:
		h.counts.note(&h.counts.Early, "%d came to %s after %d ms of %s", c.id, place(rec), appended-accepted, c.granted())
	}
	if !first {
		return
	}
	e.said, e.appended = h.ms(accepted), h.ms(appended)
	if due < accepted {
		return // forged: it was never due
	}
	h.lateBy(c, e, appended, due)
}

// lateBy notes how late a record arrived.
func (h *history) lateBy(c *recipe, e *entry, appended, due int64) {
	a := arrival{id: c.id, at: time.Duration(e.appended) * time.Millisecond, late: time.Duration(appended-due) * time.Millisecond}
	if len(h.stuck.partitions) > 0 {
		h.undecided = append(h.undecided, a)
		return
	}
	h.count(a, c)
}

// arrival is the first of a record.
type arrival struct {
	id       int64
	at, late time.Duration
}

func (h *history) count(a arrival, c *recipe) {
	late := h.late
	if h.entries[a.id].apart || slices.Contains(h.apart, h.mix.target(c)) {
		late = h.aside
	}
	late.add(a.at, a.late)
}

// decide counts the arrivals of which it was not known whether they had stood on a partition
// that stuck: a record's target can be read before that partition is, on which the reader
// itself is stuck. It is called when everything has been read.
func (h *history) decide() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.undecided {
		c := h.mix.recipe(a.id)
		h.count(a, &c)
	}
	h.undecided = nil
}

func headerNumber(rec *kgo.Record, key string) (int64, error) {
	v, _ := record.Last(rec.Headers, key)
	return strconv.ParseInt(string(v), 10, 64)
}

func place(rec *kgo.Record) string { return record.Origin(rec) }

func hash(b []byte) uint32 {
	h := fnv.New32a()
	h.Write(b)
	return h.Sum32()
}
