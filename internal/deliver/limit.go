package deliver

import (
	"context"
	"fmt"
	"time"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// limitWithin bounds how long a record that is too large waits for its topic's limit to
// be known, which its dead letter names.
const limitWithin = time.Second

// askLimit looks up how large a batch the topic takes, at most once a second. The line
// waits until that is known, and the producer writes meanwhile to all others.
func (q *lockedQueue) askLimit(l *line, now time.Time) {
	if now.Sub(q.sized) < metadataMaxAge || q.o.ctx.Err() != nil {
		return
	}
	q.sized, l.retry = now, now.Add(limitWithin)
	q.o.wg.Go(func() {
		ctx, cancel := context.WithTimeout(q.o.ctx, limitWithin)
		defer cancel()
		infos := map[string]topicInfo{q.topic: {}}
		describeTopics(ctx, q.o.client, []string{q.topic}, infos, func(string, error) {})
		lq := q.self().lock()
		defer lq.unlock()
		q.told = infos[q.topic].limit
		for n := range q.lines {
			q.lines[n].retry = time.Time{}
			lq.ready(int32(n))
		}
	})
}

// undelivered is why it is a dead letter, and what can be done about that.
func (q *lockedQueue) undelivered(code levels.Code, it *item, err error) *Refusal {
	if code == levels.TooLarge {
		limit := "less"
		if q.told > 0 {
			limit = fmt.Sprint(q.told)
		}
		err = fmt.Errorf("%w; it takes %d bytes before compression, and the topic takes %s (max.message.bytes): "+
			"raise that, and send this again with delayd admin dead resend", err, record.BatchBytes(it.rec)-record.MinBatchBytes, limit)
	}
	return undelivered(code, q.topic, err)
}
