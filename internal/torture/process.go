package main

import (
	"context"
	"time"
)

// processRows break delayd itself.
var processRows = []row{{
	name: "kill-loop", matrix: 2,
	about:      "kill -9 every few seconds, and a start half a second later",
	deliveries: bothDeliveries,
	limits:     limits{worst: 5 * time.Second, recover: 3*time.Second + echo},
	run: func(ctx context.Context, w *world) error {
		for w.whileLoad(ctx, w.between(1500*time.Millisecond, 4*time.Second)) {
			if err := w.killAndRestart(ctx, "one", 500*time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	},
}}
