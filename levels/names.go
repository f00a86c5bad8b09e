package levels

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// DefaultPrefix begins the names of all topics and groups unless configured.
const DefaultPrefix = "delay"

// The parts of a name that follow the prefix.
const (
	inboxSuffix     = ".inbox"
	levelInfix      = ".level."
	parkedSuffix    = ".parked"
	deadSuffix      = ".dead"
	resentSuffix    = ".resent"
	controlSuffix   = ".control"
	cancelSuffix    = ".cancel"
	routerSuffix    = ".router"
	forwarderSuffix = ".forwarder"
	purgedSuffix    = ".purged"
	skippedSuffix   = ".skipped"
)

// maxTopicLength is Kafka's own limit on a topic's name, in bytes: the name
// and a partition number have to fit a file name.
const maxTopicLength = 249

// longestLevelName is as long as a level's name can be: the longest delay
// below [MaxDelay] that only seconds can spell.
const longestLevelName = "315359999s"

// maxPrefixLength leaves room behind the prefix for the longest topic name.
const maxPrefixLength = maxTopicLength - len(levelInfix) - len(longestLevelName)

// Names spells the topics and consumer groups of one installation. They all
// begin with its prefix, so that several installations can share a cluster. The zero
// value has the default prefix.
type Names struct {
	// Prefix begins every name; see [Names.Validate]. Empty: [DefaultPrefix].
	Prefix string
}

// prefix returns what every name begins with.
func (n Names) prefix() string { return cmp.Or(n.Prefix, DefaultPrefix) }

// Validate reports whether every name that comes of the prefix is legal in
// Kafka and is not internal (a leading "__").
func (n Names) Validate() error {
	fault := n.fault()
	if fault == "" {
		return nil
	}
	return fmt.Errorf("prefix %s: %s", quote(n.Prefix), fault)
}

// fault says what is wrong with the prefix, "" for nothing.
func (n Names) fault() string {
	if fault := badTopicByte(n.Prefix); fault != "" {
		return fault
	}
	switch {
	case len(n.Prefix) > maxPrefixLength:
		return fmt.Sprintf("%d bytes long; use at most %d, so that the names of its topics fit into %d",
			len(n.Prefix), maxPrefixLength, maxTopicLength)
	case strings.HasSuffix(n.Prefix, "."):
		return "ends with a dot, which is put between the prefix and the rest anyway; leave it out"
	case strings.HasPrefix(n.Prefix, "__"):
		return `begins with "__", which marks topics that are internal; leave it out`
	}
	return ""
}

// Inbox is the topic that the router reads, for producers in any language.
func (n Names) Inbox() string { return n.prefix() + inboxSuffix }

// Level is the topic on which records wait for a level. Its name carries the
// delay and never the number, so that a changed ladder strands no topic.
func (n Names) Level(l Level) string { return n.prefix() + levelInfix + l.String() }

// LevelPrefix begins the names of all levels' topics, and of no other topic.
func (n Names) LevelPrefix() string { return n.prefix() + levelInfix }

// Parked is the topic of the records whose target cannot be written just now.
func (n Names) Parked() string { return n.prefix() + parkedSuffix }

// Dead is the topic of the records that cannot be routed or delivered.
func (n Names) Dead() string { return n.prefix() + deadSuffix }

// Resent is the topic that tells which dead letters were sent again. It exists
// once one was.
func (n Names) Resent() string { return n.prefix() + resentSuffix }

// Control is the topic of what operators have paused.
func (n Names) Control() string { return n.prefix() + controlSuffix }

// Cancel is the topic of the marks that keep cancelled records from being delivered.
func (n Names) Cancel() string { return n.prefix() + cancelSuffix }

// RouterGroup is the consumer group of the inbox.
func (n Names) RouterGroup() string { return n.prefix() + routerSuffix }

// ForwarderGroup is the consumer group of the level topics and the parked
// records.
func (n Names) ForwarderGroup() string { return n.prefix() + forwarderSuffix }

// PurgedGroup is a consumer group without members. Its offsets on the level topics
// say up to where an operator has deleted what was pending.
func (n Names) PurgedGroup() string { return n.prefix() + purgedSuffix }

// SkippedGroup is a consumer group without members. Its offsets on the inbox, the
// level topics and the parked records say where reading goes on behind what an
// operator has given up because it could not be read. The metadata of a commit is
// "skip" and the offset at which the partition stood still.
func (n Names) SkippedGroup() string { return n.prefix() + skippedSuffix }

// Owns reports whether a topic belongs to the service, which no record may have
// as its target: it would go round in a loop. All that begins like a level topic
// counts, whether or not it is a level.
func (n Names) Owns(topic string) bool {
	rest, ok := strings.CutPrefix(topic, n.prefix())
	if !ok {
		return false
	}
	switch rest {
	case inboxSuffix, parkedSuffix, deadSuffix, resentSuffix, controlSuffix, cancelSuffix:
		return true
	}
	return strings.HasPrefix(rest, levelInfix)
}

// ServiceOf is the inverse of Owns, as far as a name can tell: the installation whose
// topic this would be. Topics of other software may have such names too.
func ServiceOf(topic string) (Names, bool) {
	for _, suffix := range []string{inboxSuffix, parkedSuffix, deadSuffix, resentSuffix, controlSuffix, cancelSuffix} {
		if prefix, ok := strings.CutSuffix(topic, suffix); ok {
			n := Names{prefix}
			return n, prefix != "" && n.Validate() == nil
		}
	}
	i := strings.LastIndex(topic, levelInfix)
	if i <= 0 {
		return Names{}, false
	}
	n := Names{topic[:i]}
	return n, n.Validate() == nil
}

// LevelDelay is the inverse of [Names.Level]: the delay that a level topic
// stands for, also of a level that is no longer in the ladder. It is false for
// every name that Level would not spell ("delay.level.60s" is "delay.level.1m").
func (n Names) LevelDelay(topic string) (time.Duration, bool) {
	rest, ok := strings.CutPrefix(topic, n.prefix())
	if !ok {
		return 0, false
	}
	word, ok := strings.CutPrefix(rest, levelInfix)
	if !ok {
		return 0, false
	}
	d, fault := parseWord(word)
	if fault != "" || FormatDelay(d) != word {
		return 0, false
	}
	return d, true
}

// CheckTopic reports whether Kafka takes a name for a topic: 1 to 249 letters,
// digits, dots, underscores and hyphens of ASCII, and neither "." nor "..".
func CheckTopic(name string) error {
	fault := ""
	switch {
	case name == "":
		fault = "empty; a name has 1 to " + fmt.Sprint(maxTopicLength) + " bytes"
	case name == "." || name == "..":
		fault = "not a name that Kafka takes; use a letter or a digit too"
	case len(name) > maxTopicLength:
		fault = fmt.Sprintf("%d bytes long; use at most %d", len(name), maxTopicLength)
	default:
		fault = badTopicByte(name)
	}
	if fault == "" {
		return nil
	}
	return fmt.Errorf("topic %s: %s", quote(name), fault)
}

// badTopicByte names the first character that a topic's name cannot have, ""
// where there is none.
func badTopicByte(name string) string {
	for _, r := range name {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
		default:
			return fmt.Sprintf(`%+q is not allowed; use letters a-z and A-Z, digits, ".", "_" and "-"`, r)
		}
	}
	return ""
}
