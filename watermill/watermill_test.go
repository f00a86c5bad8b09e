package watermill

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/components/delay"
	"github.com/ThreeDotsLabs/watermill/message"
)

// sent notes what is published, by topics.
type sent struct {
	topics map[string][]*message.Message
	err    error
}

func (s *sent) Publish(topic string, messages ...*message.Message) error {
	s.topics[topic] = append(s.topics[topic], messages...)
	return s.err
}

func (*sent) Close() error { return nil }

func TestPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &sent{topics: make(map[string][]*message.Message)}
		p, err := delay.NewPublisher(NewPublisher(to, ""), delay.PublisherConfig{AllowNoDelay: true})
		if err != nil {
			t.Fatal(err)
		}
		now, later, past := message.NewMessage("now", nil), message.NewMessage("later", []byte("v")), message.NewMessage("past", nil)
		later.SetContext(delay.WithContext(t.Context(), delay.For(90*time.Minute)))
		delay.Message(past, delay.For(-time.Minute))
		if err := p.Publish("orders", now, later, past); err != nil {
			t.Fatal(err)
		}
		if got := to.topics["orders"]; len(got) != 2 || got[0] != now || got[1] != past {
			t.Errorf("sent to orders at once: %v, want two", got)
		}
		got := to.topics[DefaultInbox]
		if len(got) != 1 || got[0].UUID != "later" || string(got[0].Payload) != "v" || got[0].Context() != later.Context() {
			t.Fatalf("sent to the inbox: %v, want the one that is delayed", got)
		}
		for key, want := range map[string]string{headerLevel: "1h30m0s", headerTarget: "orders"} {
			if value := got[0].Metadata.Get(key); value != want {
				t.Errorf("%s is %q, want %q", key, value, want)
			}
		}
		if later.Metadata.Get(headerTarget) != "" {
			t.Error("the caller's message was changed")
		}

		// Delivered by a level that is shorter, and passed on by its consumer: it does not
		// wait again, unless it is delayed again.
		delivered := got[0]
		time.Sleep(time.Hour)
		if err := p.Publish("audit", delivered); err != nil || len(to.topics["audit"]) != 1 {
			t.Errorf("a message that was delayed was not sent to its topic: %v", err)
		}
		delay.Message(delivered, delay.For(90*time.Minute))
		if err := p.Publish("orders", delivered); err != nil || len(to.topics[DefaultInbox]) != 2 {
			t.Errorf("a message that is delayed again was not sent to the inbox: %v", err)
		}
		old := message.NewMessage("old", nil)
		delay.Message(old, delay.For(time.Minute))
		time.Sleep(time.Hour)
		if err := p.Publish("old", old); err != nil || len(to.topics["old"]) != 1 {
			t.Errorf("a message whose time has passed was not sent to its topic: %v", err)
		}
	})
}

func TestPublishFails(t *testing.T) {
	to := &sent{topics: make(map[string][]*message.Message), err: errors.New("no broker")}
	p := NewPublisher(to, "billing.inbox")
	bad := message.NewMessage("1", nil)
	bad.Metadata.Set(delay.DelayedForKey, "soon")
	if err := p.Publish("orders", message.NewMessage("2", nil), bad); err == nil || len(to.topics) > 0 {
		t.Errorf("error %v, and sent %v; want an error before anything is sent", err, to.topics)
	}
	good := message.NewMessage("3", nil)
	delay.Message(good, delay.For(500*time.Millisecond))
	if err := p.Publish("orders", good); !errors.Is(err, to.err) || len(to.topics["billing.inbox"]) != 1 {
		t.Errorf("error %v, sent %v; want the publisher's, from billing.inbox", err, to.topics)
	}
}
