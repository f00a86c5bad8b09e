package forwarder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/consume"
	"github.com/delayd-io/delayd/levels"
)

// Handler handles a due record, in a program that owns its delay. nil commits the
// record; an error is a failed attempt, and Config.Retry decides what follows. A panic
// is a failed attempt too, and so is runtime.Goexit, which t.FailNow calls.
//
// The record is what the consumer of a target gets. Its topic is its target, the header
// delay-target, and empty where it has none: router.Producer delays it again as it is.
// Partition, Offset and Timestamp are those of its level's topic. Each attempt gets a
// record and a slice of headers of its own, which it may change and keep. The bytes of
// key, value and header values are shared with later attempts and the dead letter: they
// are read-only.
//
// A Handler is called from several goroutines: for Config.Concurrency records of a
// partition at a time, and for all partitions of all levels at once. Delivery is at
// least once. A record that was handed out and not committed is handed out again, by
// another process perhaps while this one still handles it, and always with the same
// delay-id. Within a process a record is in one call at a time.
//
// The context carries the values of the context of Run, the trace of the record's
// producer (its traceparent header), and what [InfoOf] returns. It ends
//   - after Config.Timeout;
//   - when the record's partition is taken away, with [ErrRevoked] as its cause. A
//     hand-over waits three seconds for calls in progress; a partition that was lost is
//     somebody else's at once;
//   - ten seconds after the context of Run has ended, with [ErrStopped]. Until then a
//     call may go on, and what it returns counts.
//
// What a call returns after one of the last two is ignored: the record's next owner
// hands it out again.
type Handler func(ctx context.Context, rec *kgo.Record) error

// The causes (context.Cause) of the end of a Handler's context.
var (
	// ErrRevoked says that the record's partition was taken away: another instance
	// hands the record out now, or its topic is gone.
	ErrRevoked = consume.ErrRevoked
	// ErrStopped says that Run was asked to end and waits no longer.
	ErrStopped = consume.ErrStopped
)

// Info is what is known of a record that a Handler was given.
type Info struct {
	// ID is the record's delay-id, the same on each attempt and each duplicate.
	ID string
	// Attempt is 1 at first, and one more after each failed attempt.
	Attempt int
	// Due is when the record was due at first. Retries do not change it.
	Due time.Time
	// Level is the name of the level that the record waited on at first, as "10m".
	Level string
	// Target is the record's delay-target, "" where it has none.
	Target string
}

type infoKey struct{}

// InfoOf returns what is known of the record that a Handler was given with ctx. For any
// other context it is the zero Info.
func InfoOf(ctx context.Context) Info {
	info, _ := ctx.Value(infoKey{}).(Info)
	return info
}

// Never returns an error with which a Handler says that no attempt at the record will
// succeed. The record is a dead letter at once, with the code rejected and err as its
// detail. It counts wherever errors.As finds it; Config.Retry is not asked.
func Never(err error) error { return &neverError{err} }

type neverError struct{ err error }

func (e *neverError) Error() string { return fmt.Sprintf("never: %v", e.err) }

func (e *neverError) Unwrap() error { return e.err }

// Later returns an error with which a Handler puts a record off: it is handed out again
// after d, and the attempt does not count. d is mapped to a level as with Config.Retry,
// or waited for in place with Config.RetryInPlace. It counts wherever errors.As finds
// it. Nothing bounds how often a record is put off but Config.MaxLate.
func Later(d time.Duration) error { return &laterError{d} }

type laterError struct{ wait time.Duration }

func (e *laterError) Error() string { return fmt.Sprintf("later, after %v", e.wait) }

// DefaultRetry is Config.Retry by default, without Config.RetryInPlace: the sixteen waits of
// [levels.DefaultRetryPolicy], those of RocketMQ's consumer. That is 4 h 46 min in all on
// the default ladder, and less on a ladder that ends below 2h.
func DefaultRetry(attempt int, _ error) (wait time.Duration, ok bool) {
	return levels.DefaultRetryPolicy().Wait(attempt)
}

// The waits of RetryForever.
const (
	foreverMin = 100 * time.Millisecond
	foreverMax = 10 * time.Second
)

// RetryForever is Config.Retry by default with Config.RetryInPlace: without an end,
// after 100 ms, then twice that each time, up to 10 s.
func RetryForever(attempt int, _ error) (wait time.Duration, ok bool) {
	wait = foreverMin
	for i := 1; i < attempt && wait < foreverMax; i++ {
		wait *= 2
	}
	return min(wait, foreverMax), true
}

// errTimeout is the cause of the end of a call's context after Config.Timeout.
var errTimeout = errors.New("the call took longer than Config.Timeout")
