package main

import "time"

// calmRows break nothing: what they show is what the harness and the machine cost.
var calmRows = []row{{
	name: "none", matrix: 1,
	about:      "nothing goes wrong",
	deliveries: bothDeliveries,
	limits:     limits{worst: time.Second},
	run:        untilLoadIsOver,
}}
