package admin

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/levels"
)

// CreateResent creates the topic that records what was sent again, [levels.Names.Resent],
// unless it exists. It has one partition and keeps all records. The error says which right
// is missing, or that the brokers do not show the topic.
func CreateResent(ctx context.Context, cl *kgo.Client, names levels.Names) error {
	t := topic{name: names.Resent(), kind: dead, partitions: 1}
	c, seen, err := metadata(ctx, cl, t.name)
	if err != nil {
		return err
	}
	if f := seen[t.name]; f.Err != nil || f.Exists() {
		return f.Err
	}
	spec := Spec{Replicas: BrokerDefault}
	_ = c.defaults(ctx, cl, spec) // what is unknown is the profile's
	answers := createTopics(ctx, cl, spec, c, []topic{t}, false)
	if seen, err = appear(ctx, cl, []topic{t}, answers); err != nil {
		return err
	}
	switch why := answers[t.name]; {
	case seen[t.name].Exists():
		return nil
	case connect.Denied(why):
		return fmt.Errorf("topic %s, which records what was sent again, does not exist: %w, "+
			"or let someone create it with one partition, cleanup.policy=delete, retention.ms=-1 and retention.bytes=-1",
			t.name, why)
	case why != nil:
		return why
	}
	return fmt.Errorf("create topic %s: the brokers do not show it after %v; try again when they do", t.name, appearTimeout)
}
