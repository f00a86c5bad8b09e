// Package consoletest tests the console in a real browser against a real Apache Kafka,
// and the answers of its API against their OpenAPI document. It is a module of its own:
// neither a driver for browsers nor OpenAPI's validator is a dependency of delayd. When the
// dependencies of delayd change, .ci/tidy follows them.
package consoletest
