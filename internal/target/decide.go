package target

import "time"

// Action is what is done with the records of a write that failed.
type Action int

const (
	// Send: write them again, in their place, after a pause.
	Send Action = iota
	// SendAlone: write them again in smaller company, until the record at fault stands
	// alone; one that does is written compressed as far as possible.
	SendAlone
	// Hold: keep them in their place, and write nothing that would overtake them, until
	// more is known of the topic.
	Hold
	// Park: park them, and all that follows for the target.
	Park
	// DeadLetter: make the record a dead letter.
	DeadLetter
	// Cut: leave more of the dead letter out, and write that.
	Cut
)

var actionNames = [...]string{
	Send: "send", SendAlone: "send alone", Hold: "hold", Park: "park", DeadLetter: "dead-letter", Cut: "cut",
}

// String returns the action as testdata/failures.txt writes it.
func (a Action) String() string { return actionNames[a] }

// Situation is the one in which a write failed.
type Situation struct {
	Kind Kind
	// Letter says that the record is a dead letter: it has nowhere else to go.
	Letter bool
	// Level says that the topic is a level's, which somebody may have deleted for good.
	Level bool
	// Transaction says that a failure costs all other records of a transaction their
	// attempt, and not only those of one batch.
	Transaction bool
	// Alone says that the write was of this one record.
	Alone bool
	// Compressed says that it was compressed as far as possible.
	Compressed bool
	// Age is how long ago the record failed first.
	Age time.Duration
	// GiveUp bounds Age for records that the topic could take later, and MissingWait for
	// those of a missing topic. 0: no bound.
	GiveUp, MissingWait time.Duration
}

// Decision is what is done about a write that failed.
type Decision struct {
	Action Action
	// Refresh says that the broker is asked for the topic again, because what is known
	// of it is wrong or explains the error.
	Refresh bool
}

// Decide is the table: what is done about a write that failed with an error of that
// class. How long a target may make no progress before its records are parked is not
// decided here but by [Target.Stalled].
func Decide(c Class, s Situation) Decision {
	if s.Kind == Own && c != Size && c != Refused && !(s.Level && c == Missing) {
		// It concerns everybody, and an operator can fix it. In a transaction the records
		// wait aside, so that only theirs fail.
		return Decision{Action: sendOr(s, Hold), Refresh: c == Missing || c == Stale}
	}
	switch c {
	case Missing:
		return Decision{missing(s), true}
	case Stale:
		return Decision{Send, true}
	case Partitions:
		return Decision{Send, true} // with the number of partitions known anew, it is decided before it is sent
	case Size:
		return size(s)
	case Refused:
		return Decision{Action: atFault(s)}
	case Denied:
		return Decision{lasting(s), true} // whether it may be known decides how long it is waited for
	}
	return Decision{Action: lasting(s)}
}

// lasting is the action for an error that may last, whatever the record.
func lasting(s Situation) Action {
	switch {
	case s.Kind == Redelivery && old(s.Age, s.GiveUp):
		return DeadLetter
	case s.Kind == Redelivery:
		return sendOr(s, Hold)
	}
	return sendOr(s, Park)
}

// missing is the action for a topic that does not exist.
func missing(s Situation) Action {
	switch {
	case s.Transaction && s.Kind == Direct:
		return Park // the worker that drains the parked topic waits for it
	case old(s.Age, s.MissingWait):
		return DeadLetter
	}
	return Hold
}

// size is the decision for a batch that is too large. What is known of the limit is
// wrong then, or unknown.
func size(s Situation) Decision {
	switch {
	case !s.Compressed && s.Alone:
		return Decision{SendAlone, true}
	case !s.Compressed:
		return Decision{SendAlone, s.Transaction}
	}
	if s.Letter && s.Alone {
		return Decision{Action: Cut}
	}
	return Decision{Action: atFault(s)}
}

// atFault is the action for records of which at least one is at fault.
func atFault(s Situation) Action {
	switch {
	case !s.Alone:
		return SendAlone
	case s.Letter:
		return Hold // by itself: an operator can fix the dead-letter topic
	}
	return DeadLetter
}

// sendOr returns Send, or in a transaction another action: to try there costs everybody
// else.
func sendOr(s Situation, other Action) Action {
	if s.Transaction {
		return other
	}
	return Send
}

// old reports whether age reaches a bound. 0: there is none.
func old(age, bound time.Duration) bool { return bound > 0 && age >= bound }
