// Package find says where one record is, by its delay-id, from offset look-ups by time and
// bounded reads.
//
//	query ──▶ leads ──▶ windows ──▶ reads ──▶ sightings ──▶ verdict
//	            ▲                                  │
//	            └──── due time, target, key ◀──────┘
//
// A lead is what is known of a record: when it was accepted, when it is due, for which
// target. The id that the service makes says when and where a record was accepted, so it
// is a lead by itself. Windows say in which time a record got to a topic; offset look-ups
// turn them into ranges of offsets. What is read there and has the id is a sighting, and
// often a better lead. The verdict leaves out the sightings of places that the record has
// left.
//
// The topics are read in the order in which a record passes them, so that one that moves
// meanwhile is seen at its next place.
//
// Leads, windows, ranges and the verdict are pure. Only layout and search talk to brokers.
package find
