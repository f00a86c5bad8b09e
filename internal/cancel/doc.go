// Package cancel keeps a record that was cancelled from being delivered.
//
// The router turns a cancel on the inbox into a [Mark] on the cancel topic ([Writer]). A
// forwarder reads all marks into a [Table] ([Marks]) and asks it for each record that is
// due. [Gate] tells up to which time the marks that are known are all that there can be.
// Mark and Table are pure; they know no client, clock or lock.
//
// A mark is written before anything else is done with the record that asks for it, and
// outside of transactions. What it says depends on that record only, so that a repeated
// mark changes nothing, and one whose transaction is aborted is early, not wrong.
package cancel
