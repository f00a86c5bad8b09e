package router

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// existing looks targets up before the first record for them is sent.
type existing struct {
	client *kgo.Client

	mu   sync.Mutex
	seen map[string]struct{} // targets that exist, or that we may not look up
}

func newExisting(client *kgo.Client) *existing {
	return &existing{client: client, seen: make(map[string]struct{})}
}

// check returns a Refusal where a target does not exist. A missing one is asked for again
// each time: it may have been created since.
func (e *existing) check(ctx context.Context, target string) error {
	e.mu.Lock()
	_, seen := e.seen[target]
	e.mu.Unlock()
	if seen {
		return nil
	}
	err := lookUp(ctx, e.client, target)
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return &Refusal{Code: levels.UnknownTopic, Detail: fmt.Sprintf(
			"target %s does not exist; create the topic before records are sent to it, or correct the name", record.Quote([]byte(target)))}
	case errors.Is(err, kerr.TopicAuthorizationFailed): // it may well exist, and the service may write to it
	case kerr.IsRetriable(err): // it exists, and has no leader just now
	case err != nil:
		return fmt.Errorf("look up target %s: %w", record.Quote([]byte(target)), err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen[target] = struct{}{}
	return nil
}

// lookUpAgain is the wait before brokers that did not answer are asked again.
const lookUpAgain = 250 * time.Millisecond

// lookUp returns nil for a topic that exists, or what the brokers say of it. It asks until
// they answer or ctx ends, as a record is sent: franz-go fails a request by itself as soon
// as no broker takes a connection.
func lookUp(ctx context.Context, client *kgo.Client, topic string) error {
	for {
		err := lookUpOnce(ctx, client, topic)
		var answer *kerr.Error
		if err == nil || errors.As(err, &answer) || errors.Is(err, kgo.ErrClientClosed) {
			return err
		}
		select {
		case <-time.After(lookUpAgain):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func lookUpOnce(ctx context.Context, client *kgo.Client, topic string) error {
	req := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	req.AllowAutoTopicCreation = false
	req.Topics = append(req.Topics, asked)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if len(resp.Topics) != 1 {
		return fmt.Errorf("the brokers answered with %d topics", len(resp.Topics))
	}
	return kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}
