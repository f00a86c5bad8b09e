package connect

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Operations, as in Kafka's own tools.
const (
	Read            = "READ"
	Write           = "WRITE"
	Create          = "CREATE"
	Delete          = "DELETE"
	Describe        = "DESCRIBE"
	DescribeConfigs = "DESCRIBE_CONFIGS"
	AlterConfigs    = "ALTER_CONFIGS"
	IdempotentWrite = "IDEMPOTENT_WRITE"
)

// Grant adds to an error of the brokers what to grant, where the right to do it
// is missing: an operation, and on what, as in "topic orders". Every other error
// stays as it is, nil included. A right that is missing may be another than the
// one for what was tried: Kafka names the kind of the resource only, so a
// request that is about a group and topics takes [GrantTopic] and [GrantGroup].
func Grant(err error, operation, on string) error {
	if !Denied(err) {
		return err
	}
	return fmt.Errorf("%w; grant %s on %s to this user", err, operation, on)
}

// GrantTopic is Grant for an error that is about a topic.
func GrantTopic(err error, operation, topic string) error {
	if !errors.Is(err, kerr.TopicAuthorizationFailed) {
		return err
	}
	return Grant(err, operation, "topic "+topic)
}

// GrantWrite is Grant for an error of writing to a topic.
func GrantWrite(err error, topic string) error {
	if errors.Is(err, kerr.ClusterAuthorizationFailed) { // before Kafka 3.0, and with no right to write at all
		return Grant(err, IdempotentWrite, "the cluster, or "+Write+" on topic "+topic+",")
	}
	return GrantTopic(err, Write, topic)
}

// GrantGroup is Grant for an error that is about a consumer group.
func GrantGroup(err error, operation, group string) error {
	if !errors.Is(err, kerr.GroupAuthorizationFailed) {
		return err
	}
	return Grant(err, operation, "group "+group)
}

// GrantTransactions is Grant for an error that is about transactional ids, all of
// which begin with prefix.
func GrantTransactions(err error, prefix string) error {
	if !errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
		return err
	}
	return Grant(err, Write, "all transactional ids that begin with "+prefix)
}

// Denied reports whether err says that a right is missing.
func Denied(err error) bool {
	return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.GroupAuthorizationFailed) ||
		errors.Is(err, kerr.ClusterAuthorizationFailed) || errors.Is(err, kerr.TransactionalIDAuthorizationFailed)
}
