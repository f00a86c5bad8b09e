package produce

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// identity is a producer id, by which brokers recognise a batch that they have
// written already.
type identity struct {
	producer int64
	epoch    int16
	number   int // of ids that this producer had before; 0: none yet
}

// sequence numbers the batches of one partition.
type sequence struct {
	id   identity
	next int32
	// doubt says that the broker may expect another number than next: a batch was
	// abandoned or refused after an attempt whose answer is not known, the topic was
	// recreated, or the broker has lost what it knew. The next batch gets a new id.
	doubt bool
}

// advance counts n records that were written.
func (s *sequence) advance(n int) { s.next = int32((int64(s.next) + int64(n)) & 0x7fffffff) }

// number gives b the identity it is sent with. It returns false when a new id has
// to be fetched first. It needs p.mu.
func (p *Producer) number(part *partition, b *Batch) bool {
	s := &part.sequence
	if part.unknown != nil && part.unknown.batch != b { // its feed sends another without a word
		part.unknown, s.doubt = nil, true
	}
	if s.doubt || s.id.number == 0 {
		if p.id.number == s.id.number {
			p.renewID()
			return false
		}
		*s = sequence{id: p.id}
	}
	if part.unknown != nil && b.id == s.id {
		return true // the broker recognises it, if it has written it
	}
	b.stamp(s.id, s.next)
	return true
}

// renewID fetches a new producer id, unless that is under way. It needs p.mu.
func (p *Producer) renewID() {
	if p.renewing {
		return
	}
	p.renewing = true
	p.wg.Go(func() {
		backoff := backoffMin
		for {
			id, err := p.newID()
			if err == nil {
				p.mu.Lock()
				p.id, p.renewing = identity{id.producer, id.epoch, p.id.number + 1}, false
				waiting := p.unnumbered
				p.unnumbered = nil
				for _, part := range waiting {
					p.schedule(part)
				}
				p.mu.Unlock()
				return
			}
			if p.ctx.Err() != nil {
				return
			}
			p.tries.Warn().Err(err).Msg("cannot get a producer id, retrying")
			if !p.pause(backoff) {
				return
			}
			backoff = min(2*backoff, backoffMax)
		}
	})
}

func (p *Producer) newID() (identity, error) {
	ctx, cancel := context.WithTimeout(p.ctx, askTimeout)
	defer cancel()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionTimeoutMillis = int32(askTimeout.Milliseconds()) // unused without a transactional id
	req.ProducerID, req.ProducerEpoch = -1, -1
	resp, err := req.RequestWith(ctx, p.client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return identity{}, fmt.Errorf("get a producer id: %w", err)
	}
	return identity{producer: resp.ProducerID, epoch: resp.ProducerEpoch}, nil
}

// pause waits, and returns false when the producer is closed meanwhile.
func (p *Producer) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-p.ctx.Done():
		return false
	}
}
