package cancel

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/offsets"
)

// startsAfter is how long no marks may arrive before a waiting goroutine checks that the topic
// still has them.
const startsAfter = time.Second

// progress is how far the cancel topic has been read, and by which client. One goroutine reads,
// others wait until it has come to an offset.
type progress struct {
	topic string

	mu     sync.Mutex  // guards what follows
	client *kgo.Client // nil while the topic is not followed
	next   map[int32]int64
	moved  chan struct{} // closed and replaced when anything here has changed
	fault  error         // why the topic is not followed
	since  time.Time     // it is not
	absent bool          // for the reason that it is not there
}

func newProgress(topic string) *progress {
	return &progress{topic: topic, next: make(map[int32]int64), moved: make(chan struct{})}
}

// state returns the client that follows the topic, or why none does. moved is closed at the next
// change.
func (p *progress) state() (client *kgo.Client, moved <-chan struct{}, absent bool, fault error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.client, p.moved, p.absent, p.fault
}

// ready returns an error while the topic can't be read for long.
func (p *progress) ready(now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == nil || p.absent || now.Sub(p.since) < readyAfter {
		return nil
	}
	return fmt.Errorf("what is cancelled cannot be read: %w", p.fault)
}

// start notes that client reads each partition from an offset on.
func (p *progress) start(client *kgo.Client, next map[int32]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.client, p.next, p.fault, p.absent = client, next, nil, false
	p.wakeLocked()
}

// advance notes up to where partitions were read.
func (p *progress) advance(next map[int32]int64) {
	if len(next) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.Copy(p.next, next)
	p.wakeLocked()
}

// stop notes that the topic is not followed any more, and why.
func (p *progress) stop(fault error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == nil {
		p.since = time.Now()
	}
	p.client, p.fault, p.absent = nil, fault, Missing(fault)
	p.wakeLocked()
}

// wakeLocked wakes those that wait for progress. It needs p.mu.
func (p *progress) wakeLocked() {
	close(p.moved)
	p.moved = make(chan struct{})
}

// await waits until all partitions are read to their ends. It returns false when the topic is
// not followed any more by client.
func (p *progress) await(ctx context.Context, client *kgo.Client, ends map[int32]int64) bool {
	p.adopt(client, ends)
	for {
		p.mu.Lock()
		moved, same := p.moved, p.client == client
		lagging := false
		for n, end := range ends {
			lagging = lagging || p.next[n] < end
		}
		p.mu.Unlock()
		if !same || !lagging {
			return same
		}
		select {
		case <-moved:
		case <-time.After(startsAfter):
			p.skip(ctx, client)
		case <-ctx.Done():
			return false
		}
	}
}

// skip passes what the topic does not have any more.
func (p *progress) skip(ctx context.Context, client *kgo.Client) {
	starts, err := kadm.NewClient(client).ListStartOffsets(ctx, p.topic)
	if offsets.ListFault(starts, err) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	starts.Each(func(o kadm.ListedOffset) {
		if next, known := p.next[o.Partition]; known && p.client == client {
			p.next[o.Partition] = max(next, o.Offset)
		}
	})
}

// adopt makes client read partitions that were added to the topic.
func (p *progress) adopt(client *kgo.Client, ends map[int32]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	added := make(map[int32]kgo.Offset)
	for n := range ends {
		if _, known := p.next[n]; !known && p.client == client {
			p.next[n], added[n] = 0, kgo.NewOffset().At(0)
		}
	}
	if len(added) > 0 {
		client.AddConsumePartitions(map[string]map[int32]kgo.Offset{p.topic: added})
		client.ForceMetadataRefresh()
	}
}
