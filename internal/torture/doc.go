// Command torture breaks what delayd depends on, and delayd itself, while records
// pass through it, and checks what became of every one of them.
//
// It starts real delayd processes against a real Apache Kafka on this machine. A
// row is one kind of fault: what is broken, how, and what is allowed to come of it.
// What is checked is a history, as Jepsen's tests of Kafka do it: what brokers
// answered producers, and what is on the targets and among the dead letters
// afterwards.
//
//	load ──▶ inbox, level topics ──▶ delayd ──▶ targets, dead letters
//	  │              │               ▲  kill, freeze, cut …   │
//	  │ outcomes     │ acceptance    row                      │ arrivals
//	  └──────────────┴─────────▶ history ◀────────────────────┘ ──▶ verdict
//
// Everything about a record follows from the run's seed and its number. So the
// history keeps a few bytes for each and can build it again to compare every
// byte. What the torture shares with "delayd bench", and what not, is in the package
// harness.
package main
