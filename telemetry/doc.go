// Package telemetry holds what a router and a forwarder say of themselves: [Tracer] gets the
// end of each record, and [Registry] the counters. Packages delaydotel and delaydprom bring
// both to OpenTelemetry and Prometheus. They are modules of their own, so that a program that
// imports the router or the forwarder requires neither.
package telemetry
