// Package kafkatest runs a real Apache Kafka (KRaft, one or three nodes) on the
// loopback interface, for tests of what only a real broker does: append times,
// purges, fenced members, leaders that die.
//
// The broker is the Java program itself, from the jars on Maven Central. They
// are fetched once with mvn and kept in the user's cache folder; after that a
// node is up in a few seconds. Needed on the machine: Java 17 or later and, the
// first time, mvn. What is missing is an error, never a skipped test.
//
// Tests that start a broker carry the build tag realkafka, so that
//
//	go test -tags realkafka ./...
//
// runs them and a plain go test needs nothing but Go.
package kafkatest

// Version is the Apache Kafka that is run, also by docker-compose.yml.
const Version = "4.3.0"

// The oldest Apache Kafka that delayd is tested on, in each delivery; see docs/design.md.
const (
	OldestAtLeastOnce = "3.6.2"
	OldestExactlyOnce = "4.0.0"
)
