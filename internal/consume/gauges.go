package consume

import "time"

// load is what the lanes of one topic hold.
type load struct {
	lanes, unfinished int
	stalled           int // lanes that are not read on
	bytes             int64
	overdue           time.Duration // of the record that has been due for the longest
}

// measure sets the gauges of what this process holds of each topic: zeros where it
// holds nothing.
func (c *Consumer) measure(now time.Time) {
	loads := make(map[*Topic]*load)
	for _, t := range c.reading() {
		loads[t] = new(load)
	}
	for _, l := range c.each() {
		if sum := loads[l.topic]; sum != nil { // else the topic was abandoned just now
			l.measure(sum, now)
		}
	}
	m := c.cfg.Metrics
	for _, g := range c.away() {
		loads[g.topic] = &load{stalled: max(1, g.lanes)}
	}
	for t, held := range loads {
		m.Stalled.WithLabelValues(t.Name).Set(float64(held.stalled))
		m.Assigned.WithLabelValues(t.Label).Set(float64(held.lanes))
		m.Queued.WithLabelValues(t.Label).Set(float64(held.bytes))
		m.InFlight.WithLabelValues(t.Label).Set(float64(held.unfinished))
		m.Overdue.WithLabelValues(t.Label).Set(held.overdue.Seconds())
	}
}

// measure adds what the lane holds to sum.
func (l *lane) measure(sum *load, now time.Time) {
	now = l.now(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	sum.lanes++
	if l.stalled != nil {
		sum.stalled++
	}
	sum.unfinished += l.usage.unfinished
	sum.bytes += l.usage.bytes
	if n := l.queue.handled(); n < len(l.queue.works) {
		sum.overdue = max(sum.overdue, now.Sub(l.queue.works[n].since()))
	}
}

// since is from when a work that is not done is late: where it was to be handled at
// once, from when it was appended.
func (w *Work) since() time.Time {
	if w.Due.IsZero() {
		return time.UnixMilli(w.appended)
	}
	return w.Due
}
