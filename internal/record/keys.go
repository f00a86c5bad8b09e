package record

// KeyPrefix begins the keys of the private headers in which one part of the
// service tells the next what it has found out. They are taken off on delivery,
// and whatever a producer sets under this prefix is dropped.
const KeyPrefix = "delay-hop-"

// The private headers.
const (
	// KeyDue is the exact due time in Unix milliseconds.
	KeyDue = KeyPrefix + "due"
	// KeyAccepted becomes [levels.HeaderAccepted] on delivery.
	KeyAccepted = KeyPrefix + "accepted"
	// KeyGranted becomes [levels.HeaderGranted] on delivery.
	KeyGranted = KeyPrefix + "granted"
	// KeyID becomes [levels.HeaderID] on delivery.
	KeyID = KeyPrefix + "id"
	// KeyKey is the real key of a parked record, which is keyed by its target.
	// Absent means that the key is null.
	KeyKey = KeyPrefix + "key"
	// KeyOrigin is where a parked record was read: topic/partition/offset.
	KeyOrigin = KeyPrefix + "origin"
	// KeyTarget is the topic that a parked record is for.
	KeyTarget = KeyPrefix + "target"
	// KeyPartition is the partition that a parked record is for. Absent means
	// that the key chooses.
	KeyPartition = KeyPrefix + "partition"
	// KeyClock marks a record of the parked topic that asks a broker for its time and
	// holds nothing.
	KeyClock = KeyPrefix + "clock"
	// KeyAttempt is how often a record that waits to be handed to a Go handler again
	// was handed out before.
	KeyAttempt = KeyPrefix + "attempt"
	// KeyFirstDue is when such a record was due at first, in Unix milliseconds. It
	// becomes [levels.HeaderDue].
	KeyFirstDue = KeyPrefix + "first-due"
	// KeySince is when the delivery of a parked record first failed, in Unix
	// milliseconds: the retries are bounded from then on.
	KeySince = KeyPrefix + "since"
)
