package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// letter is what the history keeps of a dead letter.
type letter struct {
	origin   string // where it says that it was read
	attempts bool   // it says how often its delivery was tried
	again    bool   // it was sent once more, with a request that is right
	arrivals int    // since then
}

func newLetter(rec *kgo.Record) *letter {
	origin, _ := record.Last(rec.Headers, levels.HeaderOrigin)
	_, err := headerNumber(rec, levels.HeaderAttempts)
	return &letter{origin: string(origin), attempts: err == nil}
}

// sendingAgain tells that a dead letter is sent once more. It is false where the
// history has that already.
func (h *history) sendingAgain(id int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.died[id]
	if l == nil || l.again {
		return false
	}
	l.again = true
	h.missing++
	return true
}

// corrected takes a record from a target that was a dead letter before.
func (h *history) corrected(c *recipe, e *entry, l *letter, rec *kgo.Record) {
	h.quietFrom = time.Now()
	if l.arrivals++; l.arrivals > 1 {
		h.counts.note(&h.counts.Twice, "%d, sent again, came once more, at %s", c.id, place(rec))
		return
	}
	h.missing--
	right := h.mix.right(c)
	if fault := h.misplaced(&right, rec); fault != "" {
		h.counts.note(&h.counts.Misplaced, "%d, sent again, came to %s, want %s", c.id, place(rec), fault)
	}
	if diff := h.mix.difference(c, rec); diff != "" {
		h.counts.note(&h.counts.Altered, "%d, sent again, at %s: %s", c.id, place(rec), diff)
	}
	h.times(&right, e, rec, false)
	want := e.origin
	if c.ownID {
		want = hash(h.mix.ownID(c))
	}
	if text, _ := record.Last(rec.Headers, levels.HeaderID); hash(text) != want {
		h.counts.note(&h.counts.Renamed, "%d, sent again, has another %s: %q", c.id, levels.HeaderID, text)
	}
}

// judgeLetter says of a dead letter what can only be known at the end.
func (h *history) judgeLetter(v *verdict, id int64, l *letter) {
	e := &h.entries[id]
	if at := hash([]byte(l.origin)); at != e.place && at != e.hop && !e.rehopped {
		v.note(&v.Mislabelled, "%d is a dead letter that says it was read at %q, where it was not", id, l.origin)
	}
	if !l.attempts {
		v.note(&v.Mislabelled, "%d is a dead letter without %s", id, levels.HeaderAttempts)
	}
	if l.again && l.arrivals == 0 {
		v.note(&v.Lost, "%d is lost: it was a dead letter, and sent again", id)
	}
}

// right is what a recipe asks for when its dead letter is sent again.
func (m *mix) right(c *recipe) recipe {
	right := *c
	right.to, right.way, right.hopDue = m.haven, viaInbox, ""
	return right
}

// correct is a dead letter as its owner sends it again: all that it had, without
// what its death added, and with a request that is right.
func (m *mix) correct(c *recipe, dead *kgo.Record) *kgo.Record {
	right := m.right(c)
	headers := without(dead.Headers, map[string]bool{
		levels.HeaderError: true, levels.HeaderErrorDetail: true, levels.HeaderOrigin: true, levels.HeaderAttempts: true,
		levels.HeaderLevel: true, levels.HeaderTarget: true, levels.HeaderPartition: true,
	})
	headers = append(headers,
		kgo.RecordHeader{Key: levels.HeaderLevel, Value: []byte(right.granted())},
		kgo.RecordHeader{Key: levels.HeaderTarget, Value: []byte(m.target(&right))})
	if right.partition != byKey {
		headers = append(headers, kgo.RecordHeader{Key: levels.HeaderPartition, Value: strconv.AppendInt(nil, int64(right.partition), 10)})
	}
	return &kgo.Record{Topic: m.names.Inbox(), Key: dead.Key, Value: dead.Value, Headers: headers}
}

// resendLetters reads every dead letter back and sends it again. It returns when all
// of them are on the inbox.
func (w *world) resendLetters(ctx context.Context) error {
	l := load{mix: w.history.mix, history: w.history, brokers: w.cluster.Brokers(), log: w.log}
	cl, err := l.client("letters")
	if err != nil {
		return err
	}
	defer cl.Close()
	first := make(chan error, 1) // a refusal, if there is any
	err = w.readAll(ctx, w.names.Dead(), func(dead *kgo.Record) {
		id, ok := w.history.mix.number(dead)
		if !ok || !w.history.sendingAgain(id) {
			return
		}
		c := w.history.mix.recipe(id)
		cl.Produce(ctx, w.history.mix.correct(&c, dead), func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case first <- fmt.Errorf("send dead letter %d again: %w", id, err):
				default:
				}
			}
		})
	})
	if err != nil {
		return err
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-first:
		return err
	default:
		return nil
	}
}
