package admin

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/describe"
	"github.com/delayd-io/delayd/levels"
)

// CreateResent creates the topic that records what was sent again, [levels.Names.Resent],
// unless it exists. It has one partition and keeps all records. The error says which right
// is missing, or that the brokers do not show the topic. A topic that exists is an error
// where it keeps records for less long than that of the dead letters.
func CreateResent(ctx context.Context, cl *kgo.Client, names levels.Names) error {
	t := topic{name: names.Resent(), kind: dead, partitions: 1}
	c, seen, err := metadata(ctx, cl, t.name)
	if err != nil {
		return err
	}
	if f := seen[t.name]; f.Err != nil {
		return f.Err
	} else if f.Exists() {
		return remembers(ctx, cl, t.name, names.Dead())
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

// remembers returns an error where what was sent again is forgotten before its letters are
// deleted: they would be sent once more. A topic whose settings cannot be read counts as
// good.
func remembers(ctx context.Context, cl *kgo.Client, resent, dead string) error {
	settings, err := describe.Configs(ctx, cl, kmsg.ConfigResourceTypeTopic, resent, dead)
	if err != nil || settings[resent].Err != nil || settings[dead].Err != nil {
		return nil
	}
	sent, letters := settings[resent].Values, settings[dead].Values
	var fix, are []setting
	ask := func(key, want string) {
		fix, are = append(fix, setting{key, want}), append(are, setting{key, sent[key]})
	}
	if strings.Contains(sent[cleanupPolicy], "compact") {
		ask(cleanupPolicy, "delete")
	}
	kept, finite := retention(sent)
	if most, limited := retention(letters); finite && (!limited || kept < most) {
		ask(retentionMs, "-1")
	}
	size, finite := retentionSize(sent)
	if most, limited := retentionSize(letters); finite && (!limited || size < most) {
		ask(retentionBytes, "-1")
	}
	if len(fix) == 0 {
		return nil
	}
	return fmt.Errorf("topic %s: with %s it forgets what was sent again while the dead letters are still there, and they would be sent once more; fix it with %s",
		resent, words(are), toolsFor(cl).set(resent, fix...))
}
