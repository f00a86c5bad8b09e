package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// asking is how a record says how long it waits.
type asking uint8

const (
	byLevel    asking = iota // with delay-level, or with the topic of its level alone
	delayFor                 // with delay-for
	delayUntil               // with delay-until
)

const (
	// exactShare is the share of records that ask for an exact time, where a row has any.
	exactShare = 3
	// exactMost is the longest exact delay: a step on each level of the ladder.
	exactMost = 8 * time.Second
	// exactPast is the share of those that ask for no delay, or for a time in the past.
	exactPast = 25
)

// exactly makes one record in exactShare ask for an exact time. It is for [mix.alter].
func exactly(c *recipe, r *rand.Rand) {
	if r.IntN(exactShare) != 0 || c.way == viaInbox && c.level.Delay == 0 {
		return
	}
	c.ask = delayFor + asking(r.IntN(2))
	c.rest = time.Duration(1+r.Int64N(exactMost.Milliseconds())) * time.Millisecond
	if r.IntN(exactPast) == 0 {
		if c.rest = 0; c.ask == delayUntil {
			c.rest = -time.Minute
		}
	}
	if c.way == viaInbox {
		c.level = levels.Level{}
	}
}

// exactRequest is the header of a record that asks for an exact time and is sent now.
func (c *recipe) exactRequest(now time.Time) kgo.RecordHeader {
	if c.ask == delayFor {
		return kgo.RecordHeader{Key: levels.HeaderFor, Value: []byte(c.askedFor())}
	}
	at, text := now.Add(c.rest), ""
	switch c.spelling {
	case 0:
		text = strconv.FormatInt(at.UnixMilli(), 10)
	case 1:
		text = at.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	default:
		text = at.In(time.FixedZone("", 3600)).Format("2006-01-02T15:04:05.000Z07:00")
	}
	return kgo.RecordHeader{Key: levels.HeaderUntil, Value: []byte(text)}
}

// askedFor is how the producer writes an exact delay.
func (c *recipe) askedFor() string {
	switch c.spelling {
	case 0:
		return levels.FormatDelay(c.rest)
	case 1:
		return strconv.FormatInt(c.rest.Milliseconds(), 10) + "ms"
	}
	return strconv.FormatFloat(c.rest.Seconds(), 'f', -1, 64) + "s"
}

// readUntil reads the time that exactRequest writes, in Unix milliseconds.
func readUntil(text []byte) (ms int64, ok bool) {
	if ms, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return ms, true
	}
	at, err := time.Parse(time.RFC3339Nano, string(text))
	return at.UnixMilli(), err == nil
}

// exactDue is when a record is due that asks for an exact time and was accepted then, in
// Unix milliseconds. until is what it asks for, of delayUntil alone.
func (c *recipe) exactDue(accepted, until int64) int64 {
	if c.ask == delayUntil {
		return max(until, accepted)
	}
	if c.rest == 0 {
		return accepted
	}
	return accepted + c.rest.Milliseconds() + cut.Milliseconds()
}

// exactTimes checks what a record that asked for an exact time says of its times against
// when it arrived. e is its entry.
func (h *history) exactTimes(c *recipe, e *entry, rec *kgo.Record) (accepted, due int64, ok bool) {
	accepted, err1 := headerNumber(rec, levels.HeaderAccepted)
	due, err2 := headerNumber(rec, levels.HeaderDue)
	granted, _ := record.Last(rec.Headers, levels.HeaderGranted)
	requested, _ := record.Last(rec.Headers, levels.HeaderRequested)
	until, read := int64(0), string(requested) == c.askedFor()
	if c.ask == delayUntil {
		until, read = readUntil(requested)
	}
	if err1 != nil || err2 != nil || !read || due != c.exactDue(accepted, until) || string(granted) != levels.GrantedExact {
		h.counts.note(&h.counts.Mislabelled, "%d at %s, %s, says of itself %q", c.id, place(rec), c.waits(), rec.Headers)
		return 0, 0, false
	}
	switch early := time.Duration(due-rec.Timestamp.UnixMilli()) * time.Millisecond; {
	case early <= 0:
	case early <= h.forgiven:
		h.counts.Forgiven++
	default:
		h.counts.note(&h.counts.Early, "%d came to %s %v before it was due, %s, accepted %d ms before", c.id, place(rec), early, c.waits(),
			rec.Timestamp.UnixMilli()-accepted)
	}
	if e.arrivals == 1 && c.ask == delayUntil {
		e.saidUntil = h.ms(until)
	}
	return accepted, due, true
}

// waits says in words what a record asks for.
func (c *recipe) waits() string {
	switch c.ask {
	case delayFor:
		return "for " + c.rest.String()
	case delayUntil:
		return fmt.Sprintf("until %v after it was sent", c.rest)
	}
	return c.granted()
}

// exactRows are rows in which one record in three asks for an exact time: nothing holds
// these in order, and what holds of the others holds as before.
var exactRows = []row{
	withExact(processRows, "kill-loop"),
	withExact(processRows, "rolling-restart"),
	withExact(brokerRows, "leader-kill"),
	withExact(clockRows, "clock-10s"),
}

// withExact is the row of a name, with exact delays.
func withExact(rs []row, name string) row {
	for _, r := range rs {
		if r.name == name {
			r.name, r.matrix = "exact-"+name, 0
			r.about += ", and one record in three asks for an exact time"
			r.load = func(m *mix) { m.alter = exactly }
			return r
		}
	}
	panic("no row " + name)
}
