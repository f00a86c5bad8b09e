package telemetry

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// Tracer makes spans of deliveries. Its methods are called from several goroutines.
type Tracer interface {
	// Ended makes the span of a record that was delivered, or became a dead letter. It is
	// called for every such record, between its acknowledgement and its commit, and has to
	// return at once.
	Ended(End)
	// Context returns ctx with the span that sent rec, for the handler of a record. It
	// returns ctx itself where there is none.
	Context(ctx context.Context, rec *kgo.Record) context.Context
}

// End is how the way of a record ended.
type End struct {
	Record *kgo.Record // as it was written to its topic; it must not be changed
	Level  string      // that it waited on; 0s for none
	Due    time.Time   // zero where it has none: a dead letter that asked for nonsense
	Now    time.Time   // when it was acknowledged
	Code   levels.Code // of a dead letter; "" where it was delivered
}
