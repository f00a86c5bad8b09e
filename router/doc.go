// Package router decides where a record waits.
//
// A record asks for its delay in headers (package levels names them). A [Policy]
// answers with a [Decision]: the record for the topic of a level, delivery at
// once where no delay was asked for, or a dead letter with the reason.
// Policy.Decide is pure, so that all there is to know about routing can be read
// and tested without a broker.
//
// A record's due time counts from when the inbox accepted it and travels with it,
// so that it does not wait again for the time it lay there. After an outage too
// it goes by the topic of the level that it was granted, from where it is
// delivered at once if it is overdue: on any other way it could overtake a record
// with its key that was sent before it.
//
// Two things use it. A [Router] is the worker that reads the inbox, where
// producers in any language write, and moves its records through the decision.
// A [Producer] is for Go programs: it makes the same decision before it sends,
// and writes straight to the topic of the level, which saves the inbox. Unlike
// the router, it refuses a delay above the last level unless OverMaxClamp is set.
// [Policy.Prepare] is the same for a client or a transaction of the program's own.
//
// Key, value and the headers that are not ours pass through byte for byte, and a
// record is never skipped: what cannot be routed is a dead letter, or an error
// where there is a caller to tell.
package router
