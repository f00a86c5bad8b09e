package admin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestRights(t *testing.T) {
	t.Parallel()
	spec := small(t)
	access := Access{Targets: []string{"orders", "shop.*"}, Group: "billing", ExactlyOnce: true}
	for role, want := range map[Role][]string{
		RoleRouter: {
			"READ on topic delay.inbox", "DELETE on topic delay.inbox (optional)",
			"WRITE on topic delay.level.*", "READ on group delay.router", "DESCRIBE on group delay.skipped (optional)", "WRITE on topic delay.cancel", "READ on topic delay.cancel",
			"DESCRIBE on group delay.forwarder",
			"DESCRIBE_CONFIGS on topic delay.level.* (optional)",
			"READ on topic delay.control (optional)", "READ on topic delay.parked", "WRITE on topic delay.parked", "WRITE on topic delay.dead",
			"DESCRIBE_CONFIGS on topic delay.parked (optional)", "DESCRIBE_CONFIGS on topic delay.dead (optional)",
			"WRITE on topic orders", "DESCRIBE_CONFIGS on topic orders (optional)",
			"WRITE on topic shop.*", "DESCRIBE_CONFIGS on topic shop.* (optional)",
			"WRITE on transactional id delay.router-*",
		},
		RoleStatusReader: {
			"DESCRIBE on topic delay.inbox", "DESCRIBE on topic delay.level.*", "DESCRIBE on topic delay.parked", "DESCRIBE on topic delay.dead",
			"READ on topic delay.control (optional)", "DESCRIBE on topic delay.cancel (optional)", "DESCRIBE on group delay.router", "DESCRIBE on group delay.forwarder",
		},
		RoleRecordReader: {
			"READ on topic delay.dead", "READ on topic delay.resent", "READ on topic delay.parked", "READ on topic delay.level.*",
			"READ on topic delay.inbox (optional)", "DESCRIBE on group delay.router", "DESCRIBE on group delay.forwarder",
		},
		RoleResender: {
			"READ on topic delay.dead", "READ on topic delay.resent", "WRITE on topic delay.resent", "CREATE on topic delay.resent (optional)",
			"WRITE on topic delay.inbox", "WRITE on topic delay.level.*",
			"DESCRIBE_CONFIGS on topic delay.inbox (optional)", "DESCRIBE_CONFIGS on topic delay.level.* (optional)",
			"DESCRIBE_CONFIGS on topic delay.resent (optional)", "DESCRIBE_CONFIGS on topic delay.dead (optional)",
			"WRITE on transactional id delay.resent",
		},
		RolePurger: {
			"READ on topic delay.level.*", "DELETE on topic delay.level.*", "DESCRIBE on group delay.forwarder", "READ on group delay.purged",
		},
		RoleDeadLetterDeleter: {"READ on topic delay.dead", "READ on topic delay.resent", "DELETE on topic delay.dead"},
		RoleOperator:          {"READ on topic delay.control", "WRITE on topic delay.control", "DESCRIBE on topic delay.level.*"},
		RolePublisher:         {"READ on topic delay.control (optional)", "WRITE on topic delay.control (optional)"},
		RoleSkipper: {
			"READ on topic delay.inbox", "READ on topic delay.level.*", "READ on topic delay.parked", "WRITE on topic delay.dead",
			"DESCRIBE_CONFIGS on topic delay.dead (optional)",
			"DESCRIBE on group delay.router", "DESCRIBE on group delay.forwarder", "READ on group delay.skipped",
		},
		RoleProducer: {"WRITE on topic delay.inbox", "WRITE on topic delay.level.* (optional)"},
		RoleConsumer: {"READ on topic orders", "READ on topic shop.*", "READ on group billing"},
	} {
		var got []string
		for _, r := range spec.Rights(access, role) {
			line := r.String()
			if r.Optional {
				line += " (optional)"
			}
			if r.Why == "" {
				t.Errorf("%v: %s: no reason", role, line)
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", role, diff)
		}
	}
}

// One user with several roles gets each right once, and one that any of them needs
// is not optional.
func TestRightsOfSeveralRoles(t *testing.T) {
	t.Parallel()
	spec := small(t)
	seen := make(map[string]bool)
	for _, r := range spec.Rights(Access{}, RoleProducer, RoleRouter, RoleForwarder, RoleStatusReader, RoleProvisioner) {
		if seen[r.String()] {
			t.Errorf("%v: twice", r)
		}
		seen[r.String()] = true
		if r.String() == "WRITE on topic delay.level.*" && r.Optional {
			t.Errorf("%v is optional for a producer, and not for the router", r)
		}
	}
}

func TestRightAsACommand(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Right{
		"--operation Read --topic delay.inbox":                                                onTopic(kmsg.ACLOperationRead, "delay.inbox", ""),
		"--operation DescribeConfigs --topic delay.level. --resource-pattern-type prefixed":   onTopic(kmsg.ACLOperationDescribeConfigs, "delay.level.*", ""),
		"--operation Write --topic '*'":                                                       onTopic(kmsg.ACLOperationWrite, "*", ""),
		"--operation Read --group 'it'\\''s mine; rm'":                                        onGroup(kmsg.ACLOperationRead, "it's mine; rm", ""),
		"--operation DescribeConfigs --cluster":                                               {Operation: kmsg.ACLOperationDescribeConfigs, Resource: kmsg.ACLResourceTypeCluster, Name: clusterName},
		"--operation Write --transactional-id delay.router- --resource-pattern-type prefixed": transactions(Access{ExactlyOnce: true}, "delay.router")[0],
	} {
		got := r.Command("kafka:9092", "User:delayd")
		want = "kafka-acls.sh --bootstrap-server kafka:9092 --add --allow-principal User:delayd " + want
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if got := onTopic(kmsg.ACLOperationRead, "t", "").Command("k:1", "User:CN=me, O=us"); !strings.Contains(got, " 'User:CN=me, O=us' ") {
		t.Errorf("a user with a space: %s", got)
	}
}
