// Package harness is what "delayd bench" and the torture share: the pace of a load, how
// late records are, and what a delayd says of itself over HTTP. The package picture draws
// for both, and internal/process starts their processes.
//
// What they check stays two things on purpose. The bench counts up to a thousand million
// records and keeps a bit for each; the torture keeps what became of every one.
package harness
