package deliver

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/levels"
)

// class says what a failed write calls for.
type class int

const (
	// passing: may succeed when tried again.
	passing class = iota
	// missing: the topic does not exist; somebody may create it.
	missing
	// stale: what the client knows of the topic is out of date.
	stale
	// partitions: the record names a partition that the client does not see.
	partitions
	// size: the batch is too large for the topic, though the record may fit.
	size
	// denied: nothing may be written to the topic, whatever the record. Somebody may
	// grant the right.
	denied
	// refused: the record itself is refused, if it was sent alone.
	refused
)

// classify tells what err calls for. Unknown errors pass: a record is never
// dead for a reason that we do not know.
func classify(err error) (class, levels.Code) {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return missing, levels.UnknownTopic
	case errors.Is(err, kerr.UnknownTopicID):
		return stale, levels.UnknownTopic
	case badPartitionChoice(err):
		return partitions, levels.BadPartition
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return size, levels.TooLarge
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return denied, levels.NotAuthorized
	case errors.Is(err, errForeign):
		return denied, levels.ForbiddenTarget
	case errors.Is(err, kerr.InvalidTopicException):
		return refused, levels.IllegalTarget
	case errors.Is(err, kerr.InvalidRecord),
		errors.Is(err, kerr.PolicyViolation), errors.Is(err, kerr.UnsupportedForMessageFormat):
		return refused, levels.Rejected
	}
	// INVALID_TIMESTAMP, too: records are stamped anew each time, and clocks are set
	// right.
	return passing, levels.GaveUp
}

// absent reports whether a topic was looked up and err says that it does not exist, or
// that we may not know of it. A broker answers the latter for names that nobody has,
// too: the two cannot be told apart, and are waited for alike.
func absent(err error) bool {
	if err == nil {
		return false
	}
	c, _ := classify(err)
	return c == missing || c == denied
}

// undelivered is why a record for a topic is a dead letter, and what can be done about
// it.
func undelivered(code levels.Code, topic string, err error) *Refusal {
	err = connect.GrantWrite(err, topic)
	if code == levels.UnknownTopic {
		err = fmt.Errorf("%w; create topic %s, and send this again with delayd admin dead resend", err, topic)
	}
	return &Refusal{Code: code, Detail: fmt.Sprintf("deliver to %s: %v", topic, err)}
}

// unanswered says that no broker has said what is wrong: franz-go has failed the
// record, because it was told to or because it could not reach anyone.
func unanswered(err error) bool {
	var answer *kerr.Error
	return !errors.As(err, &answer)
}
