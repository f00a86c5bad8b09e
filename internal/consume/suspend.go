package consume

import "time"

// Suspend has the lanes of some topics send nothing, and those of all others go on.
// What was sent ends as ever; a topic that is suspended is overdue and not stuck.
func (c *Consumer) Suspend(topics map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suspended = topics
	for _, l := range c.lanes {
		l.suspend(topics[l.topic.Name])
	}
}

func (l *lane) suspend(on bool) {
	if l.suspended.Swap(on) == on {
		return
	}
	l.mu.Lock()
	l.moved = time.Now() // it has not been stuck until now
	l.mu.Unlock()
	l.nudge()
}
