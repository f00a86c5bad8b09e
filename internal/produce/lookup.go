package produce

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
)

const (
	// lookEvery is the least time between two metadata requests, and lookAgain the
	// least time before the same topic is asked for again.
	lookEvery = 10 * time.Millisecond
	lookAgain = connect.MetadataMinAge
	// lookTopics bounds the topics of one metadata request.
	lookTopics = 1000
)

// Locate looks a topic up, unless that is under way, and reports to feed from now
// on what is found, also what changes later, until Leave.
func (p *Producer) Locate(name string, feed Feed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.topics[name]
	if t == nil {
		t = &topic{name: name}
		p.topics[name] = t
	}
	if !slices.Contains(t.feeds, feed) {
		t.feeds = append(t.feeds, feed)
	}
	p.look(t)
}

// Leave forgets feed. A topic that never existed is forgotten with its last one;
// of others the sequence numbers stay, which brokers go by.
func (p *Producer) Leave(name string, feed Feed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.topics[name]
	if t == nil {
		return
	}
	t.feeds = slices.DeleteFunc(t.feeds, func(f Feed) bool { return f == feed })
	for _, part := range t.partitions {
		part.ready = slices.DeleteFunc(part.ready, func(f Feed) bool { return f == feed })
		if part.unknown != nil && part.unknown.feed == feed {
			p.giveUp(part)
		}
	}
	if len(t.feeds) == 0 && len(t.partitions) == 0 {
		delete(p.topics, name)
	}
}

// Refuse has topics refused that exist. vet is asked for those that were just found; its
// errors are what their feeds get, by topic. It is set before the first Locate.
func (p *Producer) Refuse(vet func(ctx context.Context, topics []string) (map[string]error, error)) {
	p.vet = vet
}

// look has a topic looked up. It needs p.mu.
func (p *Producer) look(t *topic) {
	if !t.wanted {
		t.wanted = true
		p.wanted = append(p.wanted, t)
		signal(p.lookups)
	}
}

// lookLoop looks up what is wanted, and what is used from time to time.
func (p *Producer) lookLoop() {
	refresh := time.NewTimer(connect.MetadataMaxAge)
	defer refresh.Stop()
	backoff := backoffMin
	for {
		select {
		case <-p.lookups:
		case <-refresh.C:
			p.refreshAll()
			refresh.Reset(connect.MetadataMaxAge)
		case <-p.ctx.Done():
			return
		}
		for {
			topics, wait := p.takeWanted(time.Now())
			if len(topics) == 0 {
				if wait > 0 {
					if !p.pause(wait) {
						return
					}
					continue
				}
				break
			}
			if err := p.ask(topics); err != nil {
				if p.ctx.Err() != nil {
					return
				}
				p.tries.Warn().Err(err).Msg("cannot look up topics, retrying")
				p.putBack(topics)
				if !p.pause(backoff) {
					return
				}
				backoff = min(2*backoff, backoffMax)
				continue
			}
			backoff = backoffMin
			if !p.pause(lookEvery) {
				return
			}
		}
	}
}

// refreshAll has all topics in use looked up.
func (p *Producer) refreshAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.topics {
		if len(t.feeds) > 0 {
			p.look(t)
		}
	}
}

// takeWanted returns topics to ask for now, or how long to wait for the first.
func (p *Producer) takeWanted(now time.Time) (topics []*topic, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.wanted[:0]
	for _, t := range p.wanted {
		age := now.Sub(t.looked)
		switch {
		case len(t.feeds) == 0 && len(t.partitions) == 0: // forgotten meanwhile
			t.wanted = false
		case len(topics) < lookTopics && age >= lookAgain:
			topics = append(topics, t)
		default:
			kept = append(kept, t)
			if left := lookAgain - age; wait == 0 || left < wait {
				wait = max(left, time.Millisecond)
			}
		}
	}
	clear(p.wanted[len(kept):])
	p.wanted = kept
	return topics, wait
}

func (p *Producer) putBack(topics []*topic) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = append(topics, p.wanted...)
}

// ask asks a broker for topics, and tells their feeds what it says.
func (p *Producer) ask(topics []*topic) error {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = p.create
	byName := make(map[string]*topic, len(topics))
	for _, t := range topics {
		byName[t.name] = t
		r := kmsg.NewMetadataRequestTopic()
		r.Topic = kmsg.StringPtr(t.name)
		req.Topics = append(req.Topics, r)
	}
	ctx, cancel := context.WithTimeout(p.ctx, askTimeout)
	defer cancel()
	resp, err := req.RequestWith(ctx, p.client)
	if err != nil {
		return fmt.Errorf("look up %d topics: %w", len(topics), err)
	}
	var refused map[string]error
	if p.vet != nil {
		if refused, err = p.vet(ctx, slices.Collect(maps.Keys(byName))); err != nil {
			return err
		}
	}
	for i := range resp.Topics {
		if t := &resp.Topics[i]; t.Topic != nil && byName[*t.Topic] != nil {
			p.located(byName[*t.Topic], t, cmp.Or(kerr.ErrorForCode(t.ErrorCode), refused[*t.Topic]))
			delete(byName, *t.Topic)
		}
	}
	for _, t := range byName { // a broker that leaves a topic out does not know it
		p.located(t, nil, kerr.UnknownTopicOrPartition)
	}
	return nil
}

// located notes what a broker says of a topic, or why nothing can be written there, and
// tells its feeds.
func (p *Producer) located(t *topic, found *kmsg.MetadataResponseTopic, err error) {
	p.mu.Lock()
	t.wanted, t.looked = false, time.Now()
	if err == nil {
		p.lead(t, found)
	}
	feeds, n := slices.Clone(t.feeds), int32(len(t.partitions))
	p.mu.Unlock()
	for _, f := range feeds {
		f.Located(n, err)
	}
}

// lead notes the leaders of a topic's partitions. Those of a topic that was deleted
// and recreated are new ones: nothing is known there of former sequence numbers. It
// needs p.mu.
func (p *Producer) lead(t *topic, found *kmsg.MetadataResponseTopic) {
	recreated := t.id != [16]byte{} && t.id != found.TopicID
	if recreated { // the former partitions answer for what is in flight to them
		for _, part := range t.partitions {
			part.ready = nil
		}
		t.partitions = nil
	}
	t.id = found.TopicID
	for n := int32(len(t.partitions)); n < int32(len(found.Partitions)); n++ {
		t.partitions = append(t.partitions, &partition{topic: t, n: n, leader: -1})
	}
	for i := range found.Partitions {
		f := &found.Partitions[i]
		if f.Partition < 0 || int(f.Partition) >= len(t.partitions) {
			continue
		}
		part := t.partitions[f.Partition]
		part.leader = f.Leader
		if !part.busy {
			p.schedule(part)
		}
	}
}
