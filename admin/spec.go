package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/delayd-io/delayd/internal/cancel"
	"github.com/delayd-io/delayd/internal/describe"
	"github.com/delayd-io/delayd/levels"
)

// DefaultPartitions is how many partitions the inbox, the level topics and the
// parked topic get unless configured: as many processes can share a level's work.
const DefaultPartitions = 4

// BrokerDefault as Spec.Replicas leaves the number of replicas to the cluster.
const BrokerDefault = -1

const (
	// segmentBytes bounds a segment file. The broker frees the disk of purged
	// records by whole closed segments, so that small ones follow what is
	// pending more closely; Kafka's own default of 1 GiB would keep that much
	// per partition.
	segmentBytes = 64 << 20

	// minSegmentAge and segmentsPerLevel make segment.ms: a quiet topic closes
	// its segment after a quarter of the level, and at least ten minutes, so
	// that short levels do not make a file every second.
	minSegmentAge    = 10 * time.Minute
	segmentsPerLevel = 4
	// segmentsOfCancels does the same for the topic of what is cancelled, of which the
	// retention takes the oldest segment.
	segmentsOfCancels = 16

	// The room for headers that we add, above what the inbox takes: on the way
	// to a level, and more with the reason of a dead letter or the whole state
	// of a parked record.
	levelHeadroom  = 64 << 10
	parkedHeadroom = 128 << 10

	// With this many replicas two have to have a record before it is
	// acknowledged; it then survives the loss of any one broker, and one broker
	// may be down.
	replicasForISR = 3
	minISR         = 2
)

// The names of the topic settings that admin sets or checks.
const (
	cleanupPolicy  = "cleanup.policy"
	retentionMs    = "retention.ms"
	retentionBytes = "retention.bytes"
	timestampType  = "message.timestamp.type"
	maxMessage     = describe.MaxMessage
	minInSync      = "min.insync.replicas"
	segmentSize    = "segment.bytes"
	segmentMs      = "segment.ms"

	logAppendTime = "LogAppendTime"
	compact       = "compact"
)

// Spec says which topics there should be. The zero value is the default ladder under the
// default prefix.
type Spec struct {
	// Ladder is the levels, each with a topic of its own. Empty: levels.Default.
	Ladder levels.Ladder
	// Names spells the topics and groups. Empty: levels.DefaultPrefix.
	Names levels.Names
	// Partitions of each topic but the dead letters' and the one of what is paused,
	// which have one. 0: DefaultPartitions.
	Partitions int32
	// Replicas of each partition. 0 and BrokerDefault leave it to the cluster.
	Replicas int16
	// Profile is the kind of cluster: settings that it refuses are neither made
	// nor missed. "" is Apache.
	Profile Profile
	// OutageBudget is for a service that may not delete what it has handled. It
	// is how long the service may be away before what waits is deleted: the
	// inbox keeps records that long, and a level topic its delay longer. 0 keeps
	// everything until it is handled.
	OutageBudget time.Duration
	// MaxDelay is the longest exact delay that the service allows. With the longest level it
	// says for how long what is cancelled has to be kept. 0: levels.DefaultMaxDelay, 30 days.
	MaxDelay time.Duration
	// MaxCancels is how many cancels and replacements the service allows to be outstanding;
	// nothing but [Status] and [Collector] tells it. 0: not known.
	MaxCancels int64

	memory *memory // nil: see Remembering
}

// Check names the setting that is wrong; nil is none.
func (s Spec) Check() error { return s.check() }

// withDefaults fills the zero values.
func (s Spec) withDefaults() Spec {
	if s.Ladder.Len() == 0 {
		s.Ladder = levels.Default()
	}
	s.Names.Prefix = cmp.Or(s.Names.Prefix, levels.DefaultPrefix)
	s.Partitions = cmp.Or(s.Partitions, DefaultPartitions)
	s.Replicas = cmp.Or(s.Replicas, BrokerDefault)
	s.MaxDelay = cmp.Or(s.MaxDelay, levels.DefaultMaxDelay)
	return s
}

// check names the setting that is wrong and fills the defaults.
func (s *Spec) check() error {
	*s = s.withDefaults()
	if err := s.fit(); err != nil {
		return err
	}
	switch {
	case s.Partitions < 0:
		return fmt.Errorf("partitions must be at least 1, got %d", s.Partitions)
	case s.Replicas < BrokerDefault:
		return fmt.Errorf("replicas must be at least 1, or %d for the cluster's default, got %d", BrokerDefault, s.Replicas)
	}
	return s.Names.Validate()
}

// kind is what a topic is for.
type kind int

const (
	inbox kind = iota
	level
	parked
	dead
	control // what is paused
	cancels // what is cancelled
)

// topic is one topic as it should be.
type topic struct {
	name       string
	kind       kind
	delay      time.Duration // of a level
	partitions int32
	headroom   int64         // of max.message.bytes above the broker's limit
	keep       time.Duration // how long it keeps records; 0 is without end
	rules      rules         // of the cluster
}

// topics are all topics of the service, the inbox first.
func (s Spec) topics() []topic {
	list := []topic{{name: s.Names.Inbox(), kind: inbox, partitions: s.Partitions, keep: s.OutageBudget}}
	for l := range s.Ladder.All() {
		t := topic{name: s.Names.Level(l), kind: level, delay: l.Delay, partitions: s.Partitions, headroom: levelHeadroom}
		if s.OutageBudget > 0 {
			t.keep = l.Delay + s.OutageBudget
		}
		list = append(list, t)
	}
	// What is parked waits for its target, and dead letters for a person: neither
	// knows how long that takes.
	list = append(list,
		topic{name: s.Names.Parked(), kind: parked, partitions: s.Partitions, headroom: parkedHeadroom},
		topic{name: s.Names.Dead(), kind: dead, partitions: 1, headroom: parkedHeadroom},
		topic{name: s.Names.Control(), kind: control, partitions: 1},
		topic{name: s.Names.Cancel(), kind: cancels, partitions: s.Partitions, keep: s.keepCancels()})
	for i := range list {
		list[i].rules = s.Profile.rules()
	}
	return list
}

// keepCancels is for how long what is cancelled may matter.
func (s Spec) keepCancels() time.Duration {
	return cancel.Keep(max(s.Ladder.Last().Delay, s.MaxDelay, levels.DefaultMaxDelay)) // no less, so that nobody has to know MaxDelay
}

// countCancels is for how long a cancel counts against the most that the service allows. A command
// that does not know the service's MaxDelay counts too many where that is shorter.
func (s Spec) countCancels() time.Duration {
	return cancel.Keep(max(s.Ladder.Last().Delay, s.MaxDelay))
}

// carries reports whether the topic has records of producers, which wait there or are dead.
func (t topic) carries() bool { return t.kind != control && t.kind != cancels }

// setting is one setting of a topic.
type setting struct{ key, value string }

func (s setting) String() string { return s.key + "=" + s.value }

// settings are what a new topic is created with, and what one that exists is
// compared with; the export prints the same. Everything is kept until it is
// handled, and then deleted by us; dead letters until someone deletes them, and what
// is paused until something else is said of it.
func (t topic) settings(c cluster) []setting {
	kept := "-1"
	if t.keep > 0 {
		kept = strconv.FormatInt(t.keep.Milliseconds(), 10)
	}
	list := []setting{
		{cleanupPolicy, "delete"},
		{retentionMs, kept},
		{retentionBytes, "-1"},
	}
	if t.kind == control { // the last record of each key is kept, and no other
		list[0].value = compact
	} else if t.kind != dead {
		age := max(minSegmentAge, t.delay/segmentsPerLevel)
		if t.kind == cancels {
			age = max(minSegmentAge, t.keep/segmentsOfCancels)
		}
		list = append(list,
			setting{timestampType, logAppendTime},
			setting{segmentSize, strconv.Itoa(segmentBytes)},
			setting{segmentMs, strconv.FormatInt(age.Milliseconds(), 10)})
	}
	if t.headroom > 0 { // the inbox follows the broker
		list = append(list, setting{maxMessage, strconv.FormatInt(t.rules.largest(c.maxMessage+t.headroom), 10)})
	}
	if c.replicas >= replicasForISR {
		list = append(list, setting{minInSync, strconv.Itoa(minISR)})
	}
	return slices.DeleteFunc(list, func(s setting) bool { return slices.Contains(t.rules.refused, s.key) })
}
