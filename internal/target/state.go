package target

import "time"

const (
	// StalledAfter is how long a target may make no progress before its records are
	// parked.
	StalledAfter = 5 * time.Second
	// StalledHeld and StalledHeldAfter park sooner what piles up fast: StalledHeld
	// records, and none of them written, or the first that failed still not, for
	// StalledHeldAfter.
	StalledHeld      = 2000
	StalledHeldAfter = time.Second
	// StalledPassed does the same for a target that holds up others: this many records
	// were sent since it last took one, and cannot be committed before those that it
	// holds. A quarter of those that may be uncommitted (consume.CommitRecords). If every
	// attempt was answered with an error, StalledRefused is long enough.
	StalledPassed  = 5000
	StalledRefused = 250 * time.Millisecond

	// HalfOpenFor is how long records wait for a target that is half-open before they
	// are parked after all.
	HalfOpenFor = time.Second
	// HalfOpenLooks is in how many looks the parked records have to be gone, at the pace
	// of the last one, for the target to be half-open.
	HalfOpenLooks = 4
)

// State is how the records of a target are treated.
type State int

const (
	// Streaming: records are written as they come.
	Streaming State = iota
	// Probing: a write failed; it is retried, later records for its partition wait
	// behind it, and if that lasts the target is parked.
	Probing
	// Draining: the target was paused while writes were in flight; once they are
	// answered, everything is parked.
	Draining
	// Parked: records are parked for the target, and so are those that come: they would
	// overtake.
	Parked
	// HalfOpen: nearly all parked records are delivered; those that come wait for the
	// last ones instead of being parked.
	HalfOpen
)

var stateNames = [...]string{
	Streaming: "streaming", Probing: "probing", Draining: "draining", Parked: "parked", HalfOpen: "half-open",
}

// String returns the state as testdata/states.txt writes it.
func (s State) String() string { return stateNames[s] }

// Target is the state of one target, or of one of delayd's own topics. The zero value is
// a direct target that is streaming. Only a direct target is ever parked.
type Target struct {
	kind   Kind
	state  State
	paused bool

	progress time.Time // when it last took a record, or began to hold some
	sent     int64     // records that all targets had been sent by then

	halfOpen time.Time // since when it is
	parked   int64     // records at the last look
}

// New returns the target of a queue of that kind.
func New(kind Kind, paused bool, now time.Time) Target {
	return Target{kind: kind, paused: paused, progress: now}
}

// State returns the state.
func (t *Target) State() State { return t.state }

// Parked reports whether anything is parked for the target.
func (t *Target) Parked() bool { return t.state == Parked || t.state == HalfOpen }

// Paused reports whether an operator has paused the target.
func (t *Target) Paused() bool { return t.paused }

// Unavailable reports whether records are parked for another reason than a pause.
func (t *Target) Unavailable() bool { return t.Parked() && !t.paused }

// Writable reports whether batches may be written now.
func (t *Target) Writable() bool {
	return (t.state == Streaming || t.state == Probing) && (!t.paused || t.kind == Direct)
}

// Admit returns what becomes of a record that comes while so many are in flight: Send,
// Hold or Park. If the target is to be parked for it, the caller calls Park first.
func (t *Target) Admit(inFlight int) Action {
	switch {
	case t.state == Parked:
		return Park
	case t.state == HalfOpen:
		return Hold
	case t.kind == Direct && t.paused && inFlight == 0:
		return Park
	case t.state == Draining:
		return Hold
	}
	return Send
}

// Park parks the target. It returns false if it is already.
func (t *Target) Park() bool {
	if t.Parked() {
		return false
	}
	t.state = Parked
	return true
}

// Pause pauses the target, which holds records, of which inFlight are in flight.
// It returns what becomes of those that it holds: Send for nothing, Hold until those in
// flight are answered, or Park.
func (t *Target) Pause(held, inFlight int) Action {
	t.paused = true
	switch {
	case t.Parked():
		t.state = Parked // what waits for it is parked
		return Park
	case t.kind != Direct || held == 0:
		return Send
	case inFlight > 0:
		t.state = Draining
		return Hold
	}
	return Park
}

// Resume ends a pause. It returns what becomes of the records that the target holds: Send
// or, as long as any are parked, Hold.
func (t *Target) Resume() Action {
	t.paused = false
	if t.Parked() {
		return Hold
	}
	if t.state == Draining {
		t.state = Streaming
	}
	return Send
}

// Drained reports whether the target is to be parked because nothing is in flight any
// more.
func (t *Target) Drained(inFlight int) bool { return t.state == Draining && inFlight == 0 }

// Failed notes that a write failed.
func (t *Target) Failed() {
	if t.state == Streaming {
		t.state = Probing
	}
}

// Progressed notes that the topic takes records, or has to show it from now on. sent is
// how many records all targets have been sent.
func (t *Target) Progressed(now time.Time, sent int64) {
	t.progress, t.sent = now, sent
	if t.state == Probing {
		t.state = Streaming
	}
}

// Idle returns how long the target has made no progress.
func (t *Target) Idle(now time.Time) time.Duration { return now.Sub(t.progress) }

// Counts says how many records a target holds, and since when they fail.
type Counts struct {
	Held     int   // records that are not written yet
	InFlight int   // of them, those in batches without an answer
	Sent     int64 // records that all targets have been sent
	// Failing is how long ago the first record that is held failed first. A target that
	// refuses many single records makes progress, and may never catch up.
	Failing time.Duration
}

// Stalled reports whether the target is to be parked because it has made no progress for
// too long.
func (t *Target) Stalled(now time.Time, n Counts) bool {
	if t.kind != Direct || t.Parked() || n.Held == 0 {
		return false
	}
	idle := t.Idle(now)
	many, blocking := n.Held >= StalledHeld, n.Sent-t.sent >= StalledPassed
	switch {
	case idle >= StalledAfter, t.state == Draining && idle >= StalledHeldAfter:
		return true
	case many || blocking:
		return max(idle, n.Failing) >= StalledHeldAfter || blocking && n.InFlight == 0 && n.Failing >= StalledRefused
	}
	return false
}

// Look takes note of how many records are parked for the target and not delivered, and
// whether more are on their way to the parked topic. It returns what becomes of the
// records that wait for the target: Send if it is streaming again, Park if they have
// waited too long, and Hold.
func (t *Target) Look(now time.Time, parked int64, more bool) Action {
	if !t.Parked() || t.paused {
		return Hold
	}
	gone := t.parked - parked
	t.parked = parked
	switch {
	case parked == 0 && !more:
		t.state = Streaming
		return Send
	case t.state == HalfOpen && now.Sub(t.halfOpen) > HalfOpenFor:
		t.state = Parked
		return Park
	case t.state == Parked && gone > 0 && parked <= HalfOpenLooks*gone:
		t.state, t.halfOpen = HalfOpen, now
	}
	return Hold
}
