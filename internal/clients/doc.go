// Package clients holds the tests of Kafka clients that are not ours: kcat,
// Kafka's own console clients, librdkafka through Python, Node, sarama, and
// franz-go without our packages. It has no other code.
//
// The programs are in testdata/clients. What docs/clients.md shows is these
// programs, and a plain go test compares the two. That they do what they say, and
// that every record arrives byte for byte, is tested on a real Apache Kafka
// (build tag realkafka). Needed there beside Kafka's jars: kcat, Python 3 with
// its venv module, and npm. What is missing fails the test.
package clients
