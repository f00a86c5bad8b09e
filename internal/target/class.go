package target

import (
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/delayd-io/delayd/levels"
)

// Class is what a failed write says about the record or its topic.
type Class int

const (
	// Retriable: the same write may succeed later. So are unknown errors: a record is never
	// dead-lettered for an unknown reason.
	Retriable Class = iota
	// Missing: the topic does not exist; somebody may create it.
	Missing
	// Stale: what the client knows of the topic is out of date.
	Stale
	// Partitions: the record names a partition that the client does not see.
	Partitions
	// Size: the batch is too large for the topic, although the record may fit.
	Size
	// Denied: nothing may be written to the topic, whatever the record. Somebody may
	// grant the right.
	Denied
	// Refused: the broker refuses the record itself, if it was sent alone.
	Refused
)

var classNames = [...]string{
	Retriable: "retriable", Missing: "missing", Stale: "stale", Partitions: "partitions", Size: "size", Denied: "denied", Refused: "refused",
}

// String returns the class in words.
func (c Class) String() string { return classNames[c] }

// ErrForeign is why nothing is delivered to a topic of another delay service: whoever
// may write to the inbox of one could pause the other's levels, or forge its dead
// letters.
var ErrForeign = errors.New("it belongs to another delay service")

// Classify returns what err says, and the code of a record that is dead-lettered for it.
func Classify(err error) (Class, levels.Code) {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return Missing, levels.UnknownTopic
	case errors.Is(err, kerr.UnknownTopicID):
		return Stale, levels.UnknownTopic
	case badPartitionChoice(err):
		return Partitions, levels.BadPartition
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return Size, levels.TooLarge
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return Denied, levels.NotAuthorized
	case errors.Is(err, ErrForeign):
		return Denied, levels.ForbiddenTarget
	case errors.Is(err, kerr.InvalidTopicException):
		return Refused, levels.IllegalTarget
	case errors.Is(err, kerr.InvalidRecord),
		errors.Is(err, kerr.PolicyViolation), errors.Is(err, kerr.UnsupportedForMessageFormat):
		return Refused, levels.Rejected
	}
	// INVALID_TIMESTAMP, too: records are stamped anew each time, and clocks are set
	// right.
	return Retriable, levels.GaveUp
}

// CodeOf returns the code of a record that is dead-lettered for err.
func CodeOf(err error) levels.Code {
	_, code := Classify(err)
	return code
}

// Absent reports whether the broker was asked for a topic and err says that it does not exist, or
// that we may not know of it. A broker answers the latter for names that nobody has,
// too: the two cannot be told apart, and are waited for alike.
func Absent(err error) bool {
	if err == nil {
		return false
	}
	class, _ := Classify(err)
	return class == Missing || class == Denied
}

// Unanswered reports whether no broker has said what is wrong: the client failed the
// record, because delayd made it or because it could not reach anyone.
func Unanswered(err error) bool {
	var answer *kerr.Error
	return !errors.As(err, &answer)
}

// badPartitionChoice reports whether franz-go says that a record names a partition which
// the topic, as the client knows it, does not have. It has no error value for it.
func badPartitionChoice(err error) bool {
	return strings.Contains(err.Error(), "invalid record partitioning choice")
}
