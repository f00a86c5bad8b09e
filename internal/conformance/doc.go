// Package conformance holds the tests of what is deployed with delayd against the tools that
// read it: docker-compose.yml against Docker's own loader, and the alerts and the dashboard
// against Prometheus's own rules and query engine. It has no other code. It is a module of its
// own, because those tools are dependencies of nothing else.
package conformance
