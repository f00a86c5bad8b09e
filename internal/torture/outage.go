package main

import (
	"context"
	"time"
)

const (
	// outageRate is how many records a second there are while targets are away, and
	// outage how long they are.
	outageRate = 20_000
	outage     = 60 * time.Second
	// outageOver is how soon after that all is on time again.
	outageOver = 30 * time.Second
)

// outageRows take targets away for long, while much is to be delivered.
var outageRows = []row{
	outageRow("target-outage", "one target is", broken),
	outageRow("targets-outage", "all targets are", withBroken...),
}

// outageRow has targets not be there for a while. Records of others have to be on time
// all the while.
func outageRow(name, who string, away ...string) row {
	apart := away
	limits := limits{worst: 2 * time.Second, late: lateAfterwards, recover: outageOver, drain: outageOver}
	if len(away) == len(withBroken) {
		apart, limits.worst = nil, outage+outageOver
	}
	return row{
		name:       name,
		about:      who + " unavailable for " + outage.String() + ", at 20,000 records a second",
		deliveries: bothDeliveries,
		rate:       outageRate,
		load: func(m *mix) {
			m.targets = withBroken
			m.transactional = false // they are slow, and this is not
		},
		absent: away, apart: apart,
		flags:  []string{"--missing-target-wait", "10m"},
		least:  outage + outageOver + 10*time.Second,
		limits: limits,
		run: func(ctx context.Context, w *world) error {
			end := w.faults.begin(who + " unavailable")
			if err := sleep(ctx, outage); err != nil {
				return err
			}
			for _, target := range away {
				if err := w.createTarget(ctx, target); err != nil {
					return err
				}
			}
			end()
			return untilLoadIsOver(ctx, w)
		},
		after: wasParked,
	}
}
