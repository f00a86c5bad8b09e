// Package record reads and builds the records that delayd moves: the header codec and
// the rules for destinations. It is pure. It knows no client, clock or lock.
//
// A record takes up to four forms, and each function here turns one into the next:
//
//   - as the producer wrote it, with its request in headers (package levels lists them);
//   - on a level topic, made by [Hop] (or by [Again], after a Go handler failed it):
//     the request stays, and private headers say what the router found out;
//   - on the parked topic, made by [Parked] and read by [Unpark]: keyed by its target,
//     with the real key in a private header;
//   - at its target, made by [Final], or as a dead letter, made by [Dead] and cut to
//     its topic's limit by [Fit].
//
// Keys are compared byte for byte. Where a key is repeated, the last value wins.
// Anyone who may write to a topic can write any header: what is read here is well
// formed, not true.
package record
