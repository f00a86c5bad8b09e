package deadletter

import (
	"compress/gzip"
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/describe"
	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// target is what is known of a topic that letters ask for.
type target struct {
	describe.Topic
	limit int32 // of a batch; 0: not known
}

// wouldDie says why a letter dies again the way it would be sent, "" where that cannot
// be known: a default target, patterns and what becomes of long delays are settings of
// the service, and a right that was missing may have been granted.
func (r *resending) wouldDie(ctx context.Context, died levels.Code, way string, value []byte, h []kgo.RecordHeader) (string, error) {
	if way == r.names.Inbox() {
		if why := cannotRead(h); why != "" {
			return why, nil
		}
	}
	if _, named := record.Last(h, levels.HeaderTarget); !named {
		return "", nil
	}
	targets := record.Targets{Names: r.names}
	topic, partition, refusal := targets.Resolve(record.Read(h))
	if refusal != nil {
		return refusal.Detail, nil
	}
	t, err := r.target(ctx, topic)
	switch {
	case err != nil:
		return "", err
	case t.Err != nil: // it may be there
	case !t.Exists() && !r.embedded: // the service creates missing targets on an embedded broker
		return fmt.Sprintf("target %s does not exist; create it, or send it to another", topic), nil
	case t.Exists() && partition >= t.Partitions:
		return fmt.Sprintf("target %s has %d partitions and none with number %d; another target takes the partition off", topic, t.Partitions, partition), nil
	}
	if died == levels.TooLarge {
		limit, of := t.limit, topic
		if l := r.limits[way]; limit == 0 || l < limit {
			limit, of = l, way
		}
		if n := gzipped(value); n > int64(limit) {
			return fmt.Sprintf("its value has %d bytes, compressed, and topic %s takes %d (max.message.bytes); raise that, or send it to another", n, of, limit), nil
		}
	}
	return "", nil
}

// cannotRead says why the router cannot read what a letter asks for, "" where it can.
func cannotRead(h []kgo.RecordHeader) string {
	asked, refusal := record.ReadAsked(h)
	if refusal != nil {
		return refusal.Detail + "; or send it with another delay"
	}
	var err error
	switch asked.Key {
	case "":
		return "it has no " + levels.HeaderLevel + "; send it with one"
	case levels.HeaderLevel:
		if asked.Retry() {
			return cannotRetry(h)
		}
		_, err = levels.ParseRequest(string(asked.Value))
	case levels.HeaderFor:
		_, err = levels.ParseFor(string(asked.Value))
	case levels.HeaderUntil:
		_, err = levels.ParseUntil(string(asked.Value))
	}
	if err != nil {
		return fmt.Sprintf("%v; send it with another delay", err)
	}
	return ""
}

// target looks a target up, once.
func (r *resending) target(ctx context.Context, topic string) (target, error) {
	if t, ok := r.targets[topic]; ok {
		return t, nil
	}
	_, seen, err := describe.Topics(ctx, r.cl, topic)
	if err != nil {
		return target{}, err
	}
	t := target{Topic: seen[topic]}
	if t.Exists() { // without the right to look at its settings they are not known
		described, _ := describe.Configs(ctx, r.cl, kmsg.ConfigResourceTypeTopic, topic)
		if n, err := strconv.ParseInt(described[topic].Values[describe.MaxMessage], 10, 32); err == nil {
			t.limit = int32(n)
		}
	}
	r.targets[topic] = t
	return t, nil
}

// gzipped is how long a value is at least in a batch that is compressed as far as the
// service does.
func gzipped(value []byte) int64 {
	var n counter
	w := gzip.NewWriter(&n)
	_, _ = w.Write(value) // a counter takes everything
	_ = w.Close()
	return int64(n)
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
