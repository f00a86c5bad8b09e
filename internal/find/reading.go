package find

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// readWindow reads what got to partitions in a window, of that what is pending only if
// that is asked for.
func (s *search) readWindow(ctx context.Context, what string, parts []*part, w window, pending bool) error {
	parts = slices.DeleteFunc(slices.Clone(parts), func(p *part) bool {
		within := p.retained()
		if pending {
			within = p.pending()
		}
		s.covers(p, w)
		return within.len() == 0
	})
	if len(parts) == 0 {
		return nil
	}
	ranges, err := w.find(ctx, s.cl, parts)
	if err != nil {
		return err
	}
	for i, p := range parts {
		if pending {
			ranges[i].from = max(ranges[i].from, p.pending().from)
		}
	}
	return s.readRanges(ctx, what, parts, ranges, w, s.visit)
}

// readRanges reads ranges of partitions, but for what was read before, as far as the limit
// allows.
func (s *search) readRanges(ctx context.Context, what string, parts []*part, want []interval, w window, visit func(*kgo.Record)) error {
	var chunks []chunk
	wishes := make([]int64, len(parts))
	gaps := make([][]interval, len(parts))
	for i, p := range parts {
		s.covers(p, w)
		p.wanted = p.wanted.with(want[i])
		gaps[i] = p.read.missing(want[i])
		for _, gap := range gaps[i] {
			wishes[i] += gap.len()
		}
	}
	total := int64(0)
	for i, share := range allot(wishes, s.left) {
		p := parts[i]
		for _, gap := range gaps[i] {
			gap.to = min(gap.to, gap.from+share)
			share -= gap.len()
			if gap.len() > 0 {
				chunks = append(chunks, chunk{p.Partition, gap})
				total += gap.len()
				p.read = p.read.with(gap)
			}
		}
	}
	if total == 0 {
		return nil
	}
	s.left -= total
	if s.cfg.Progress != nil {
		s.cfg.Progress.Start(what, total)
		defer s.cfg.Progress.Done()
	}
	return readChunks(ctx, s.cl, chunks, func(n int64) {
		if s.cfg.Progress != nil {
			s.cfg.Progress.Add(n)
		}
	}, visit)
}

// visit keeps a sighting of a record that has the id.
func (s *search) visit(rec *kgo.Record) {
	s.count(rec)
	found := s.look(rec)
	if found == nil {
		return
	}
	found.handled = rec.Offset < s.parts[rec.Topic][rec.Partition].committed
	kept := &s.kept
	if found.handled {
		kept = &s.passed
	}
	if *kept >= s.cfg.Most {
		s.more = s.more || !found.handled
		return
	}
	*kept++
	s.seen = append(s.seen, found)
	s.eye.learn(found)
}

// count counts a record that was read.
func (s *search) count(rec *kgo.Record) {
	s.read++
	s.of(rec.Topic).Records++
}

// look returns a sighting of a record that has the id.
func (s *search) look(rec *kgo.Record) *Sighting {
	switch rec.Topic {
	case s.cfg.Names.Inbox():
		return s.eye.waiting(rec, 0)
	case s.cfg.Names.Parked():
		return s.eye.parked(rec)
	case s.cfg.Names.Dead():
		return s.eye.dead(rec)
	}
	if delay, ok := s.cfg.Names.LevelDelay(rec.Topic); ok {
		return s.eye.waiting(rec, delay)
	}
	return s.eye.delivered(rec)
}
