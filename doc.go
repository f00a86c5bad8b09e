// Package delayd delivers Apache Kafka records later: a producer writes in a header how
// long a record waits, and delayd delivers it to its topic when it is due.
//
// This package has no code. The module has a command and five libraries:
//
//   - cmd/delayd is the service, and the commands to operate and to try it:
//     go run github.com/delayd-io/delayd/cmd/delayd demo
//   - levels says which delays exist: the ladder, rounding, topic names, headers.
//   - router has the Producer for Go programs, and the worker that routes the inbox.
//   - forwarder delivers what is due, to topics or to a handler in the same program.
//   - admin creates and checks the topics, counts what waits, and manages dead letters.
//   - delaydtest runs all of it on virtual time in the tests of a Go program.
//
// A program that delays its own records needs two of them:
//
//	producer, err := router.NewProducer(router.ProducerConfig{}, kgo.SeedBrokers("kafka:9092"))
//	…
//	worker, err := forwarder.New(forwarder.DefaultConfig(), kgo.SeedBrokers("kafka:9092"))
//
// docs/go.md has whole programs, and docs/reliability.md what is promised.
package delayd
