package consume

import (
	"context"
	"time"
)

// maintain looks at the budgets while they are short, sets the gauges, and
// wakes the lanes when the wall clock has jumped: their timers follow the other
// clock, which stands still while a machine is suspended.
func (c *Consumer) maintain(ctx context.Context) {
	timer := time.NewTimer(maintainEvery)
	defer timer.Stop()
	last, alarmed := time.Now(), time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.eased:
			c.unstick()
			c.throttle(time.Now(), false)
			continue
		case <-timer.C:
		}
		now := time.Now()
		if jump := now.Round(0).Sub(last.Round(0)) - now.Sub(last); jump.Abs() > clockJump {
			c.log.Warn().Dur("jump_ms", jump).Msg("the wall clock was set, or the machine was suspended")
			c.clocks.each((*clock).jumped)
			signal(c.prober.soon)
			for _, l := range c.each() {
				l.nudge()
			}
		}
		last = now
		skew := c.clocks.skew(now)
		if skew.Abs() > skewAlarm && now.Sub(alarmed) > skewAlarmEvery {
			alarmed = now
			c.log.Warn().Dur("skew_ms", skew).Msg("this machine's clock is ahead of a broker's (behind it, if negative): it is corrected for")
		}
		c.cfg.Metrics.Skew.WithLabelValues(c.cfg.Group).Set(skew.Seconds())
		c.cfg.Metrics.LeaseAge.WithLabelValues(c.cfg.Group).Set(c.lease.age(now).Seconds())
		c.measure(now)
		every := maintainEvery
		c.unstick()
		if c.held.Load() || c.main.pressed() {
			c.throttle(now, false)
			every = throttleEvery
		}
		timer.Reset(every)
	}
}
