// Package transact has the producers of exactly-once delivery, and ends their
// transactions so that their outcome is always found out.
//
// Guarantee: a producer is not used again before the outcome of its last transaction is
// known, and the end of a transaction is marked wherever it wrote, whatever a broker lost.
//
// The loop of package deliver acquires a producer, which begins a transaction, and writes
// its records. An [Ending] of the producer is handed to the consumer's
// consume.TxnCommitter.CommitTxn, which commits it with the records' offsets. Then the
// producer is released, or retired where the outcome is not known. DESIGN.md says why.
package transact
