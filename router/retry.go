package router

import (
	"time"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// retries is Retry, of a policy that may lack its defaults.
func (p *Policy) retries() levels.RetryPolicy {
	if p.Retry.Len() == 0 {
		return levels.DefaultRetryPolicy()
	}
	return p.Retry
}

// readRetry answers a record that a consumer sent back: with the wait before its next
// retry, or where there is none with a refusal.
func (p *Policy) readRetry(h *record.Headers, acceptedMs int64) (grant, *Refusal) {
	attempt, wait, refusal := h.NextRetry(p.retries())
	if refusal != nil {
		return grant{}, refusal
	}
	g := p.grantWait(wait, acceptedMs)
	g.attempt = attempt
	return g, nil
}

// grantWait answers a policy's wait. One that is longer than anything that is granted is
// shortened: no record is lost for what its consumer did not choose.
func (p *Policy) grantWait(wait time.Duration, acceptedMs int64) grant {
	if p.Rounding == levels.Exact {
		most := p.maxDelay()
		due, _ := record.Asked{}.After(acceptedMs, min(wait, most), most) // no more than most is never refused
		g := exactly(due, acceptedMs)
		g.clamped = wait > most
		return g
	}
	level, over := p.Ladder.Round(wait, p.Rounding)
	return grant{level: level, asked: wait, clamped: over}
}
