// Package admin makes sure that the topics of the delay service exist and are
// right, counts what is on them, and manages pauses and purges.
//
// [Ensure] creates what is missing and looks at what is there; it never shrinks,
// deletes or changes a topic that someone has made. What would lose records is an
// error that says what to do; everything else that differs is in the [Result]. [Plan]
// says beforehand what there is to do, and [Apply] also sets what can be set without a
// risk. An [Export] is the same topics, and the rights of all who use them, for other
// tools. [Inspect] counts from offsets alone, without reading records. [Parked], [Peek]
// and [ReadRecord] read them, a [Purge] deletes what is pending, and a [Skip] gets a
// partition past a batch that cannot be decoded.
//
// Dead letters have a package of their own, admin/deadletter.
package admin
