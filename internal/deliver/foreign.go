package deliver

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/target"
	"github.com/delayd-io/delayd/levels"
)

// foreign finds topics, of those asked for, that belong to another delay service. The
// name alone does not tell: "orders.dead" may be anyone's. It does beside the topics
// that each service has. Where this user may not see those, nothing is refused.
func (o *Outbox) foreign(ctx context.Context, topics []string) (map[string]error, error) {
	services := make(map[string]levels.Names) // by topic
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	req.Topics = []kmsg.MetadataRequestTopic{}
	var asked []levels.Names
	for _, topic := range topics {
		names, ok := levels.ServiceOf(topic)
		if !ok || names == o.cfg.Names {
			continue
		}
		services[topic] = names
		if slices.Contains(asked, names) {
			continue
		}
		asked = append(asked, names)
		for _, name := range siblings(names) {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = kmsg.StringPtr(name)
			req.Topics = append(req.Topics, t)
		}
	}
	if len(services) == 0 {
		return nil, nil
	}
	resp, err := req.RequestWith(ctx, o.client)
	if err != nil {
		return nil, fmt.Errorf("look up whose topics they are: %w", err)
	}
	there := make(map[string]bool)
	for _, t := range resp.Topics {
		if t.Topic != nil {
			there[*t.Topic] = !final(kerr.ErrorForCode(t.ErrorCode))
		}
	}
	refused := make(map[string]error)
	for topic, names := range services {
		if !slices.ContainsFunc(siblings(names), func(name string) bool { return !there[name] }) {
			refused[topic] = fmt.Errorf("%w, with the prefix %s; deliver to a topic of your own", target.ErrForeign, names.Prefix)
		}
	}
	return refused, nil
}

// siblings are topics that each delay service has.
func siblings(n levels.Names) []string { return []string{n.Inbox(), n.Parked(), n.Dead()} }
