// Package endtoend holds the tests of the whole path, from a producer to its
// target: on virtual time (build tag synctests), and on a real Apache Kafka
// (build tag realkafka). It has no other code.
package endtoend
