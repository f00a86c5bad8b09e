package admin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Role is a part of the service, or somebody beside it, with rights of its own.
// `delayd serve` is a Router, a Forwarder, a Verifier, a StatusReader and a Publisher in
// one, and a Provisioner too unless the topics are made by someone else.
type Role int

// The roles.
const (
	// RoleRouter moves what comes to the inbox to the levels.
	RoleRouter Role = iota
	// RoleForwarder delivers what is due. One with a Handler is a Producer too: a record that
	// failed is written to a level's topic again.
	RoleForwarder
	// RoleVerifier checks the topics that are there.
	RoleVerifier
	// RoleProvisioner creates those that are missing, and checks the others.
	RoleProvisioner
	// RoleConfigurer is a Provisioner that changes settings too: `delayd admin provision
	// --apply-config`.
	RoleConfigurer
	// RoleStatusReader counts what waits: `delayd admin status`, and the metrics of
	// `delayd serve`.
	RoleStatusReader
	// RoleProducer sends records to be delayed.
	RoleProducer
	// RoleConsumer reads what was delivered.
	RoleConsumer
	// RoleRecordReader looks at records: `delayd admin dead list`, `parked list`, `peek` and
	// `find`, and `dead resend --dry-run`. To find what was delivered takes READ on the
	// target too.
	RoleRecordReader
	// RoleResender sends dead letters again: `delayd admin dead resend`.
	RoleResender
	// RolePurger deletes what is pending on a level: `delayd admin purge`.
	RolePurger
	// RoleDeadLetterDeleter deletes old dead letters: `delayd admin dead delete`.
	RoleDeadLetterDeleter
	// RoleOperator pauses and resumes: `delayd admin pause`.
	RoleOperator
	// RoleSkipper gets a partition past a batch that cannot be decoded: `delayd admin skip`.
	RoleSkipper
	// RolePublisher tells the tools what the service has been started with.
	RolePublisher
)

// String is the role in a word.
func (r Role) String() string {
	switch r {
	case RoleRouter:
		return "router"
	case RoleForwarder:
		return "forwarder"
	case RoleVerifier:
		return "verifier"
	case RoleProvisioner:
		return "provisioner"
	case RoleConfigurer:
		return "configurer"
	case RoleStatusReader:
		return "status-reader"
	case RoleProducer:
		return "producer"
	case RoleConsumer:
		return "consumer"
	case RoleRecordReader:
		return "record-reader"
	case RoleResender:
		return "resender"
	case RolePurger:
		return "purger"
	case RoleDeadLetterDeleter:
		return "dead-letter-deleter"
	case RoleOperator:
		return "operator"
	case RoleSkipper:
		return "skipper"
	case RolePublisher:
		return "publisher"
	}
	return fmt.Sprintf("Role(%d)", int(r))
}

// Access is what the rights depend on beside the topics.
type Access struct {
	// Targets are the topics that are delivered to. One that ends with "*" stands
	// for all that begin so.
	Targets []string
	// Group is the consumer group of a Consumer; it may end with "*" too.
	Group string
	// ExactlyOnce adds what transactions need.
	ExactlyOnce bool
}

// Right is the permission to do one thing, as an ACL grants it.
type Right struct {
	Operation kmsg.ACLOperation
	Resource  kmsg.ACLResourceType
	// Name of the resource, or with Prefixed what its name begins with.
	Name     string
	Prefixed bool
	// Why says what it is for.
	Why string
	// Optional: without it the service does its work, and Why says what is lost.
	Optional bool
}

// String is the right in words, as errors ask for it: "READ on topic delay.inbox".
func (r Right) String() string {
	name := r.Name
	if r.Prefixed {
		name += "*"
	}
	return fmt.Sprintf("%v on %s %s", r.Operation, strings.ReplaceAll(strings.ToLower(r.Resource.String()), "_", " "), name)
}

// Command is the line for Kafka's own tool that grants it to a principal, such as
// "User:delayd".
func (r Right) Command(brokers, principal string) string {
	return tools{brokers: brokers}.grant(principal, r)
}

// Rights are all that roles need on a cluster, and nothing that they do not: the
// one place to look at when what the service does changes. DESCRIBE is not listed
// where READ, WRITE or DELETE on the same resource stands, which imply it.
//
// Idempotent writing needs no right of its own since Kafka 3.0. Groups of others
// that have offsets on the level topics are only noticed, and waited for before
// anything is purged, where this user has DESCRIBE on them.
func (s Spec) Rights(access Access, roles ...Role) []Right {
	s = s.withDefaults()
	var all []Right
	for _, role := range roles {
		for _, r := range s.rights(access, role) {
			same := func(o Right) bool {
				return o.Operation == r.Operation && o.Resource == r.Resource && o.Name == r.Name && o.Prefixed == r.Prefixed
			}
			at := slices.IndexFunc(all, same)
			if at < 0 {
				all = append(all, r)
			} else {
				all[at].Optional = all[at].Optional && r.Optional
			}
		}
	}
	return all
}

func (s Spec) rights(access Access, role Role) []Right {
	switch n := s.Names; role {
	case RoleRouter:
		return slices.Concat(
			[]Right{
				s.inbox(kmsg.ACLOperationRead, "read what producers send"),
				optional(s.inbox(kmsg.ACLOperationDelete, purging)),
				s.level(kmsg.ACLOperationWrite, "put records where they wait"),
				onGroup(kmsg.ACLOperationRead, n.RouterGroup(), "be a member and commit"),
				optional(onGroup(kmsg.ACLOperationDescribe, n.SkippedGroup(), "pass what an operator has skipped")),
				onTopic(kmsg.ACLOperationWrite, n.Cancel(), "write down what is cancelled; without it cancels wait, and what stands behind them on the inbox"),
				onTopic(kmsg.ACLOperationRead, n.Cancel(), "count what is cancelled"),
				onGroup(kmsg.ACLOperationDescribe, n.ForwarderGroup(), "see when what is parked for a target has been delivered"),
				optional(s.level(kmsg.ACLOperationDescribeConfigs, limits)),
			}, s.delivering(access), transactions(access, n.RouterGroup()))
	case RoleForwarder:
		return slices.Concat(
			[]Right{
				s.level(kmsg.ACLOperationRead, "read what waits"),
				onTopic(kmsg.ACLOperationRead, n.Cancel(), "know what is cancelled; without it nothing is delivered"),
				s.inbox(kmsg.ACLOperationDescribe, "know up to where the router has read cancels; without it records with a delay-id wait"),
				onGroup(kmsg.ACLOperationDescribe, n.RouterGroup(), "the same"),
				optional(s.level(kmsg.ACLOperationDelete, purging)),
				optional(onTopic(kmsg.ACLOperationDelete, n.Parked(), purging)),
				onGroup(kmsg.ACLOperationRead, n.ForwarderGroup(), "be a member and commit"),
				optional(onGroup(kmsg.ACLOperationDescribe, n.PurgedGroup(), "tell what an operator has deleted from a loss")),
				optional(onGroup(kmsg.ACLOperationDescribe, n.SkippedGroup(), "pass what an operator has skipped")),
			}, s.delivering(access), transactions(access, n.ForwarderGroup()))
	case RoleProvisioner:
		var rights []Right
		for _, on := range s.onAll() {
			rights = append(rights, on(kmsg.ACLOperationCreate, "create it"))
		}
		return append(rights, s.rights(access, RoleVerifier)...)
	case RoleConfigurer:
		rights := s.rights(access, RoleProvisioner)
		for _, on := range s.onAll() {
			rights = append(rights, on(kmsg.ACLOperationAlterConfigs, "fix its settings"))
		}
		return rights
	case RoleVerifier:
		var rights []Right
		for _, on := range s.onAll() {
			rights = append(rights,
				on(kmsg.ACLOperationDescribe, "see that it is there"),
				optional(on(kmsg.ACLOperationDescribeConfigs, "check its settings; without it they count as good, with a note")))
		}
		return append(rights, optional(Right{
			Operation: kmsg.ACLOperationDescribeConfigs, Resource: kmsg.ACLResourceTypeCluster, Name: clusterName,
			Why: "know how large a record the brokers take; without it Kafka's default counts"}))
	case RoleStatusReader:
		var rights []Right
		for _, on := range s.onCounted() {
			rights = append(rights, on(kmsg.ACLOperationDescribe, "look up its offsets"))
		}
		return append(rights,
			optional(onTopic(kmsg.ACLOperationRead, n.Control(), paused)),
			optional(onTopic(kmsg.ACLOperationDescribe, n.Cancel(), "count what is cancelled")),
			onGroup(kmsg.ACLOperationDescribe, n.RouterGroup(), "see its commits and members"),
			onGroup(kmsg.ACLOperationDescribe, n.ForwarderGroup(), "see its commits and members"))
	case RoleRecordReader:
		return []Right{
			onTopic(kmsg.ACLOperationRead, n.Dead(), "read the dead letters"),
			onTopic(kmsg.ACLOperationRead, n.Resent(), "know which were sent again"),
			onTopic(kmsg.ACLOperationRead, n.Parked(), "read what is parked"),
			s.level(kmsg.ACLOperationRead, "read what is pending"),
			optional(s.inbox(kmsg.ACLOperationRead, "find a record that is not routed yet")),
			onGroup(kmsg.ACLOperationDescribe, n.RouterGroup(), "know what is routed"),
			onGroup(kmsg.ACLOperationDescribe, n.ForwarderGroup(), "know what is delivered"),
		}
	case RoleResender:
		return []Right{
			onTopic(kmsg.ACLOperationRead, n.Dead(), "read the dead letters"),
			onTopic(kmsg.ACLOperationRead, n.Resent(), "know which were sent again"),
			onTopic(kmsg.ACLOperationWrite, n.Resent(), "tell which were sent again"),
			optional(onTopic(kmsg.ACLOperationCreate, n.Resent(), "create it; without it somebody else has to")),
			s.inbox(kmsg.ACLOperationWrite, "send them again"),
			s.level(kmsg.ACLOperationWrite, "send those again that were on a level"),
			optional(s.inbox(kmsg.ACLOperationDescribeConfigs, limits)),
			optional(s.level(kmsg.ACLOperationDescribeConfigs, limits)),
			optional(onTopic(kmsg.ACLOperationDescribeConfigs, n.Resent(), remembered)),
			optional(onTopic(kmsg.ACLOperationDescribeConfigs, n.Dead(), remembered)),
			on(kmsg.ACLResourceTypeTransactionalId, kmsg.ACLOperationWrite, n.Resent(), "send and tell in one transaction"),
		}
	case RolePurger:
		return []Right{
			s.level(kmsg.ACLOperationRead, "tell the forwarders what is deleted"),
			s.level(kmsg.ACLOperationDelete, "delete what is pending"),
			onGroup(kmsg.ACLOperationDescribe, n.ForwarderGroup(), "know what is delivered"),
			onGroup(kmsg.ACLOperationRead, n.PurgedGroup(), "tell the forwarders what is deleted"),
		}
	case RoleDeadLetterDeleter:
		return []Right{
			onTopic(kmsg.ACLOperationRead, n.Dead(), "read the dead letters"),
			onTopic(kmsg.ACLOperationRead, n.Resent(), "know which were sent again"),
			onTopic(kmsg.ACLOperationDelete, n.Dead(), "delete dead letters (Kafka has no right for records alone: it is the one to delete the topic too)"),
		}
	case RoleOperator:
		return []Right{
			onTopic(kmsg.ACLOperationRead, n.Control(), "see what is paused"),
			onTopic(kmsg.ACLOperationWrite, n.Control(), "pause and resume"),
			s.level(kmsg.ACLOperationDescribe, "see that there is such a level"),
		}
	case RolePublisher:
		return []Right{
			optional(onTopic(kmsg.ACLOperationRead, n.Control(), published)),
			optional(onTopic(kmsg.ACLOperationWrite, n.Control(), published)),
		}
	case RoleSkipper:
		return []Right{
			s.inbox(kmsg.ACLOperationRead, "read the batch, and tell the router where to go on"),
			s.level(kmsg.ACLOperationRead, "read the batch, and tell the forwarders where to go on"),
			onTopic(kmsg.ACLOperationRead, n.Parked(), "read the batch, and tell the forwarders where to go on"),
			onTopic(kmsg.ACLOperationWrite, n.Dead(), "write the dead letter"),
			optional(onTopic(kmsg.ACLOperationDescribeConfigs, n.Dead(), limits)),
			onGroup(kmsg.ACLOperationDescribe, n.RouterGroup(), "know what is handled"),
			onGroup(kmsg.ACLOperationDescribe, n.ForwarderGroup(), "know what is handled"),
			onGroup(kmsg.ACLOperationRead, n.SkippedGroup(), "tell the service where to go on"),
		}
	case RoleProducer:
		return []Right{
			s.inbox(kmsg.ACLOperationWrite, "send to the inbox"),
			optional(s.level(kmsg.ACLOperationWrite, "send straight to a level; without it the inbox is the way")),
		}
	case RoleConsumer:
		var rights []Right
		for _, target := range access.Targets {
			rights = append(rights, onTopic(kmsg.ACLOperationRead, target, "read what is delivered"))
		}
		if access.Group != "" {
			rights = append(rights, onGroup(kmsg.ACLOperationRead, access.Group, "be a member and commit"))
		}
		return rights
	}
	return nil
}

// clusterName is what Kafka calls the resource that a cluster is.
const clusterName = "kafka-cluster"

// Reasons that several rights share.
const (
	purging = "delete what is handled (Kafka has no right for records alone: it is the one to delete the topic too); " +
		"without it disk use grows, unless the topic has a retention and --purge-after is off"
	paused     = "see what is paused; without it nothing can be"
	published  = "let delayd admin know the service's levels; without it, it needs --levels"
	remembered = "check that what was sent again is remembered for as long as the letters are there; without it that counts as true"
	limits     = "know how large a record it takes before one is refused; without it that is learned from the refusal"
)

// delivering is what both workers need to write, park and dead-letter records.
func (s Spec) delivering(access Access) []Right {
	n := s.Names
	rights := []Right{
		optional(onTopic(kmsg.ACLOperationRead, n.Control(), paused)),
		onTopic(kmsg.ACLOperationRead, n.Parked(), "see for which targets records are parked, and try them again"),
		onTopic(kmsg.ACLOperationWrite, n.Parked(), "park records whose target is unavailable"),
		onTopic(kmsg.ACLOperationWrite, n.Dead(), "write dead letters"),
		optional(onTopic(kmsg.ACLOperationDescribeConfigs, n.Parked(), limits)),
		optional(onTopic(kmsg.ACLOperationDescribeConfigs, n.Dead(), limits)),
	}
	for _, target := range access.Targets {
		rights = append(rights,
			onTopic(kmsg.ACLOperationWrite, target, "deliver; without it the records for it wait, and then become dead letters"),
			optional(onTopic(kmsg.ACLOperationDescribeConfigs, target, limits)))
	}
	return rights
}

// transactions are the ids that exactly-once needs: each begins with the name of
// the group, and a dash.
func transactions(access Access, group string) []Right {
	if !access.ExactlyOnce {
		return nil
	}
	return []Right{{
		Operation: kmsg.ACLOperationWrite, Resource: kmsg.ACLResourceTypeTransactionalId, Name: group + "-", Prefixed: true,
		Why: "deliver and commit in one transaction",
	}}
}

// onAll makes rights on each of the service's own topics, the levels as one.
func (s Spec) onAll() []func(kmsg.ACLOperation, string) Right {
	return append(s.onCounted(),
		func(op kmsg.ACLOperation, why string) Right { return onTopic(op, s.Names.Control(), why) },
		func(op kmsg.ACLOperation, why string) Right { return onTopic(op, s.Names.Cancel(), why) })
}

// onCounted does the same for those that hold records of producers.
func (s Spec) onCounted() []func(kmsg.ACLOperation, string) Right {
	on := func(topic string) func(kmsg.ACLOperation, string) Right {
		return func(op kmsg.ACLOperation, why string) Right { return onTopic(op, topic, why) }
	}
	return []func(kmsg.ACLOperation, string) Right{s.inbox, s.level, on(s.Names.Parked()), on(s.Names.Dead())}
}

func (s Spec) inbox(op kmsg.ACLOperation, why string) Right { return onTopic(op, s.Names.Inbox(), why) }

// level is a right on all levels' topics: those of the ladder, those of a ladder
// to come, and those that are no longer in it and are drained.
func (s Spec) level(op kmsg.ACLOperation, why string) Right {
	return onTopic(op, s.Names.LevelPrefix()+"*", why)
}

func onTopic(op kmsg.ACLOperation, name, why string) Right {
	return on(kmsg.ACLResourceTypeTopic, op, name, why)
}

func onGroup(op kmsg.ACLOperation, name, why string) Right {
	return on(kmsg.ACLResourceTypeGroup, op, name, why)
}

// on reads a name that may end with "*". The name "*" alone is Kafka's own word
// for all.
func on(what kmsg.ACLResourceType, op kmsg.ACLOperation, name, why string) Right {
	r := Right{Operation: op, Resource: what, Name: name, Why: why}
	if rest, ok := strings.CutSuffix(name, "*"); ok && rest != "" {
		r.Name, r.Prefixed = rest, true
	}
	return r
}

func optional(r Right) Right {
	r.Optional = true
	return r
}
