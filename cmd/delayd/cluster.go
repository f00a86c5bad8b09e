package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/cmd/delayd/internal/embedded"
	"github.com/delayd-io/delayd/internal/connect"
)

// answerTimeout is how long a command waits for the cluster's first answer. A
// person is looking on.
const answerTimeout = 4 * time.Second

// connectTo returns a client of the brokers that are given or, with none, of the
// embedded broker's. Whether they answer is only known once they are asked.
func (f clientFlags) connectTo(log zerolog.Logger, opts ...kgo.Opt) (*kgo.Client, error) {
	all, err := f.options(log, opts...)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(all...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", f, err)
	}
	return cl, nil
}

func (f clientFlags) options(log zerolog.Logger, opts ...kgo.Opt) ([]kgo.Opt, error) {
	// A dial does not end with the context of the request that waits for it.
	secure, err := f.secure(log, answerTimeout)
	if err != nil {
		return nil, err
	}
	all := append(connect.Options(f.brokers(), "delayd-cli", log), kgo.DialTimeout(answerTimeout))
	return append(append(all, secure...), opts...), nil
}

func (f clientFlags) brokers() []string {
	if len(f.Brokers) == 0 { // set to nothing in the environment
		return []string{embedded.DefaultAddr}
	}
	return f.Brokers
}

func (f clientFlags) String() string { return strings.Join(f.brokers(), ",") }

// ping fails where no broker answers.
func (f clientFlags) ping(ctx context.Context, cl *kgo.Client) error {
	wait, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := cl.Ping(wait); err != nil && ctx.Err() == nil {
		return f.unreachable(err)
	}
	return ctx.Err()
}

// lookUp is what the cluster knows of a topic, which may well be nothing.
func (f clientFlags) lookUp(ctx context.Context, cl *kgo.Client, topic string) (detail kadm.TopicDetail, exists bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	topics, err := kadm.NewClient(cl).ListTopics(ctx, topic)
	if connect.Denied(err) {
		return detail, false, fmt.Errorf("look up topic %s: %w", topic, connect.GrantTopic(err, connect.Describe, topic))
	}
	if err != nil {
		return detail, false, f.unreachable(err)
	}
	detail = topics[topic]
	if errors.Is(detail.Err, kerr.UnknownTopicOrPartition) {
		return detail, false, nil
	}
	if detail.Err != nil {
		return detail, false, fmt.Errorf("look up topic %s: %w", topic, connect.GrantTopic(detail.Err, connect.Describe, topic))
	}
	return detail, true, nil
}

// mustExist returns an error where a command needs a topic of the service that is not there,
// as under a prefix that nobody has. Where the look-up fails it returns none: who may only
// write to the inbox sees no other topic.
func (f clientFlags) mustExist(ctx context.Context, cl *kgo.Client, topic string) error {
	if _, exists, err := f.lookUp(ctx, cl, topic); err == nil && !exists {
		return fmt.Errorf("topic %s does not exist: check --prefix; delayd admin provision creates it", topic)
	}
	return nil
}

// unreachable says which brokers did not answer, and what is likely to be wrong.
func (f clientFlags) unreachable(err error) error {
	if hint := f.security().Hint(err); hint != "" {
		return fmt.Errorf("no connection to %s: %w; %s", f, err, hint)
	}
	return fmt.Errorf("no answer from %s: %w; is \"delayd serve\" or a Kafka broker running there? --brokers chooses another", f, err)
}
