package consume

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/internal/offsets"
)

// Purges are made a few times in the span that records are kept, but neither
// all the time nor hardly ever.
const (
	purgeEveryMin = time.Second
	purgeEveryMax = time.Minute
	purgesPerSpan = 10
)

// purger deletes handled records from their topics (DeleteRecords, as Kafka
// Streams does with its repartition topics), so that disk use follows what is
// pending. It only ever goes by commits that this process saw succeed, and
// stays behind every other group that has commits on the topic.
type purger struct {
	c      *Consumer
	after  time.Duration
	others *offsets.Others
	warned map[string]bool
}

// purgeState is what the purger knows of a lane; it alone uses it.
type purgeState struct {
	history []purgeMark // what was committed when, within the span that is kept
	next    int64       // old enough to be deleted up to here
	done    int64       // deleted up to here
}

type purgeMark struct {
	at     time.Time
	offset int64
}

func (p *purger) loop(ctx context.Context) {
	p.warned = make(map[string]bool)
	tick := time.NewTicker(min(max(p.after/purgesPerSpan, purgeEveryMin), purgeEveryMax))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.purge(ctx, time.Now())
		}
	}
}

func (p *purger) purge(ctx context.Context, now time.Time) {
	wanted := make(map[partition]*lane)
	topics := make(map[string]bool)
	for _, l := range p.c.each() {
		if l.purgeable(now.Add(-p.after), now) && !l.doubted.Load() {
			wanted[partition{l.topic.Name, l.partition}] = l
			topics[l.topic.Name] = true
		}
	}
	if len(wanted) == 0 {
		return
	}
	commits, _, err := p.others.Commits(ctx, p.c.client, p.c.names())
	if err != nil {
		if ctx.Err() == nil {
			p.c.log.Warn().Err(err).Msg("purge: nothing is deleted until the commits of other groups can be read")
		}
		return
	}
	// Offsets of a former topic mean other records in the one that has its name.
	ids, _, err := p.c.identify(ctx, slices.Collect(maps.Keys(topics)))
	if err != nil {
		return // the next purge does it
	}
	others := offsets.Lowest(commits)
	var upTo kadm.Offsets
	for part, l := range wanted {
		if ids[part.topic] != l.id {
			p.c.doubt(part.topic)
			continue
		}
		at := l.purge.next
		if other, ok := others.Lookup(part.topic, part.n); ok {
			at = min(at, other.At)
		}
		if at > l.purge.done {
			upTo.AddOffset(part.topic, part.n, at, -1)
		}
	}
	if len(upTo) == 0 {
		return
	}
	deleted, err := p.c.adm.DeleteRecords(ctx, upTo)
	if err != nil && ctx.Err() == nil {
		p.c.log.Warn().Err(err).Msg("purge: retried")
	}
	deleted.Each(func(d kadm.DeleteRecordsResponse) {
		if d.Err != nil {
			p.refused(d)
			return
		}
		state := &wanted[partition{d.Topic, d.Partition}].purge
		o, _ := upTo.Lookup(d.Topic, d.Partition)
		if state.done > 0 {
			p.c.cfg.Metrics.Purged.WithLabelValues(d.Topic).Add(float64(o.At - state.done))
		}
		state.done = o.At
	})
}

// refused tells once a topic why its handled records stay: disk use grows, but
// nothing is lost and nothing stops.
func (p *purger) refused(d kadm.DeleteRecordsResponse) {
	p.c.cfg.Metrics.PurgeFail.WithLabelValues(d.Topic).Inc()
	if p.warned[d.Topic] {
		return
	}
	p.warned[d.Topic] = true
	log := p.c.log.Warn().Err(connect.GrantTopic(d.Err, connect.Delete, d.Topic)).Str("topic", d.Topic)
	if connect.Denied(d.Err) {
		log.Msg("purge refused: delivered records stay on the topic; without that right, give it a retention and run with --purge-after off")
		return
	}
	log.Msg("purge refused: delivered records stay on the topic")
}

// purgeable says whether an offset that was committed at before or earlier is
// still to be purged, and notes what is committed at now.
func (l *lane) purgeable(before, now time.Time) bool {
	l.mu.Lock()
	committed := l.progress.committed.Offset
	l.mu.Unlock()
	s := &l.purge
	s.history = append(s.history, purgeMark{now, committed})
	for len(s.history) > 0 && !s.history[0].at.After(before) {
		s.next = s.history[0].offset
		s.history = s.history[1:]
	}
	return s.next > s.done
}
