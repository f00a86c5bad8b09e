// Package levels says which delays exist and what they are called.
//
// A [Ladder] is the sorted list of delays that an installation offers. A record
// asks for a delay in the header [HeaderLevel]: [ParseRequest] reads what it
// asked for and [Ladder.Grant] answers with the [Level] that it gets. [Names]
// spells the topics and consumer groups, the constants Header… and Hop… the
// header keys, and [Code] the reasons for which a record ends as a dead letter.
// [Delivery], [Facts] and [Refusal] are what packages router and forwarder share of
// these matters.
//
// The package is pure: it imports the standard library alone, reads no clock,
// talks to no broker and logs nothing. Everything in it is a value that can be
// copied and used by several goroutines at once.
package levels
