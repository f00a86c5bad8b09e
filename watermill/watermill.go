// Package watermill makes delayd the delay of watermill's Kafka publisher.
//
// watermill's package components/delay puts a delay on a message as metadata, which the
// publisher of watermill-kafka writes as headers and Kafka ignores. A [Publisher] sends
// such a message to delayd's inbox, with the headers that delayd reads, so that it is
// delivered to its topic when it is due. It needs a running `delayd serve`:
//
//	kafkaPublisher, err := kafka.NewPublisher(…)
//	publisher := watermill.NewPublisher(kafkaPublisher, watermill.DefaultInbox)
//	msg.SetContext(delay.WithContext(ctx, delay.For(time.Hour))) // with delay.NewPublisher around it
//
// It does not import delayd: header keys and the grammar of delays are its contract with
// every client.
package watermill

import (
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/components/delay"
	"github.com/ThreeDotsLabs/watermill/message"
)

// DefaultInbox is delayd's inbox, unless it runs with another --prefix.
const DefaultInbox = "delay.inbox"

// The headers that a record asks for its delay by.
const (
	headerLevel  = "delay-level"
	headerTarget = "delay-target"
)

// servedKey is metadata with the delay that delayd was asked for. A message that was
// delivered still has watermill's, and its consumer may publish it again.
const servedKey = "_watermill_delayed_by_delayd"

// Publisher sends messages with watermill's delay metadata to delayd, and others to
// their topics.
type Publisher struct {
	message.Publisher
	inbox string
}

// NewPublisher returns a Publisher that writes with pub. Its marshaler has to write
// metadata as headers, as watermill-kafka's default does. One that makes keys is
// called with the inbox as the topic. An empty inbox: DefaultInbox.
func NewPublisher(pub message.Publisher, inbox string) *Publisher {
	if inbox == "" {
		inbox = DefaultInbox
	}
	return &Publisher{pub, inbox}
}

// Publish sends each message to topic, after its delay if it has one. The delay is
// rounded to one of delayd's levels. A delay that a delivered message still has is none,
// unless it was set again, and neither is one whose time has passed. An error leaves open
// which messages were sent; a message whose metadata is no delay is one before any was.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	var direct, delayed []*message.Message
	now := time.Now()
	for _, msg := range messages {
		wait, err := remaining(msg, now)
		switch {
		case err != nil:
			return fmt.Errorf("publish message %s to %s: %w", msg.UUID, topic, err)
		case wait <= 0:
			direct = append(direct, msg)
		default:
			msg = msg.CopyWithContext() // the caller's stays as it is
			msg.Metadata.Set(headerLevel, wait.String())
			msg.Metadata.Set(headerTarget, topic)
			msg.Metadata.Set(servedKey, asked(msg))
			delayed = append(delayed, msg)
		}
	}
	var errs []error
	if len(direct) > 0 {
		errs = append(errs, p.Publisher.Publish(topic, direct...))
	}
	if len(delayed) > 0 {
		errs = append(errs, p.Publisher.Publish(p.inbox, delayed...))
	}
	return errors.Join(errs...)
}

// asked is the delay of a message as its metadata has it.
func asked(msg *message.Message) string {
	return msg.Metadata.Get(delay.DelayedForKey) + " " + msg.Metadata.Get(delay.DelayedUntilKey)
}

// remaining returns how long a message has to wait: as long as it says, unless it has
// waited, or the time that it says has passed. That time is cut to seconds.
func remaining(msg *message.Message, now time.Time) (time.Duration, error) {
	length, end := msg.Metadata.Get(delay.DelayedForKey), msg.Metadata.Get(delay.DelayedUntilKey)
	if length == "" || msg.Metadata.Get(servedKey) == asked(msg) {
		return 0, nil
	}
	wait, err := time.ParseDuration(length)
	if err != nil {
		return 0, fmt.Errorf("metadata %s: %w; set it with delay.Message", delay.DelayedForKey, err)
	}
	until, err := time.Parse(time.RFC3339, end)
	if err != nil {
		return 0, fmt.Errorf("metadata %s: %w; set it with delay.Message", delay.DelayedUntilKey, err)
	}
	if !now.Before(until.Add(time.Second)) {
		return 0, nil
	}
	return wait, nil
}
