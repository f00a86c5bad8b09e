package levels

// The headers that a producer sets. Keys and values are ASCII text, and the
// last one wins where a key is repeated. All but [HeaderID] and [HeaderSent]
// are taken off before the record reaches its target.
const (
	// HeaderLevel is what the producer asks for: a duration ("45s", "1m30s",
	// "1d") or a level number ("3"); see [ParseRequest].
	HeaderLevel = "delay-level"
	// HeaderTarget is the topic to deliver to. Absent means the configured
	// default target; present and empty is always a fault.
	HeaderTarget = "delay-target"
	// HeaderPartition is the partition of the target to deliver to. Absent
	// means that Kafka's own key partitioner chooses.
	HeaderPartition = "delay-partition"
	// HeaderID is the producer's own id for the message. Where it is absent
	// the service sets it to where the record was first accepted. It is the
	// same on every duplicate, so that a consumer can recognise one.
	HeaderID = "delay-id"
	// HeaderSent is the producer's own time in Unix milliseconds, passed
	// through untouched: a LogAppendTime topic destroys the record's timestamp,
	// so that only a header can keep it.
	HeaderSent = "delay-sent"
)

// The headers that a delivered record carries. On an incoming record they mean
// nothing, and are replaced: a delivered record may be sent on to be delayed
// again.
const (
	// HeaderDue is when the record was due, in Unix milliseconds.
	HeaderDue = "delay-due"
	// HeaderAccepted is the broker's time of first acceptance, in Unix
	// milliseconds.
	HeaderAccepted = "delay-accepted"
	// HeaderGranted is the name of the level that the record waited on, "0s"
	// for none. That it is there shows that a record was delivered before.
	HeaderGranted = "delay-granted"
	// HeaderRequested is what HeaderLevel asked for, as it was written.
	HeaderRequested = "delay-requested"
	// HeaderPreviousID is the id that the record had when it was delivered
	// before it was sent on to be delayed again. A producer that gives such a
	// record its new HeaderID sets it itself, and takes HeaderGranted off.
	HeaderPreviousID = "delay-previous-id"
)

// The headers that a dead letter carries beside all that it had. They are taken off on
// delivery, whoever has put them on.
const (
	// HeaderError is the [Code] of what is wrong.
	HeaderError = "delay-error"
	// HeaderErrorDetail is a sentence for people that says what is wrong.
	HeaderErrorDetail = "delay-error-detail"
	// HeaderOrigin is where the record was read: topic/partition/offset.
	HeaderOrigin = "delay-origin"
	// HeaderAttempts is how often delivery was tried.
	HeaderAttempts = "delay-attempts"
)

// The headers of a dead letter that the dead-letter topic does not take whole. They
// say what the letter leaves out; HeaderOrigin says where the record stood.
const (
	// HeaderValueLength is the length in bytes of the value that is left out.
	HeaderValueLength = "delay-value-length"
	// HeaderValueHash is the SHA-256 of that value, in hexadecimal.
	HeaderValueHash = "delay-value-sha256"
	// HeaderKeyLength is the length in bytes of the key that is left out.
	HeaderKeyLength = "delay-key-length"
	// HeaderKeyHash is the SHA-256 of that key, in hexadecimal.
	HeaderKeyHash = "delay-key-sha256"
	// HeaderHeadersLeftOut is the number of headers that are left out.
	HeaderHeadersLeftOut = "delay-headers-left-out"
)

// HopPrefix begins the keys of the private headers in which one part of the
// service tells the next what it has found out. They are taken off on delivery,
// and whatever a producer sets under this prefix is dropped.
const HopPrefix = "delay-hop-"

// The private headers.
const (
	// HopDue is the exact due time in Unix milliseconds.
	HopDue = HopPrefix + "due"
	// HopAccepted becomes [HeaderAccepted] on delivery.
	HopAccepted = HopPrefix + "accepted"
	// HopGranted becomes [HeaderGranted] on delivery.
	HopGranted = HopPrefix + "granted"
	// HopID becomes [HeaderID] on delivery.
	HopID = HopPrefix + "id"
	// HopKey is the real key of a parked record, which is keyed by its target.
	// Absent means that the key is null.
	HopKey = HopPrefix + "key"
	// HopOrigin is where a parked record was read: topic/partition/offset.
	HopOrigin = HopPrefix + "origin"
	// HopTarget is the topic that a parked record is for.
	HopTarget = HopPrefix + "target"
	// HopPartition is the partition that a parked record is for. Absent means
	// that the key chooses.
	HopPartition = HopPrefix + "partition"
	// HopClock marks a record of the parked topic that asks a broker for its time and
	// holds nothing.
	HopClock = HopPrefix + "clock"
	// HopAttempt is how often a record that waits to be handed to a Go handler again
	// was handed out before.
	HopAttempt = HopPrefix + "attempt"
	// HopFirstDue is when such a record was due at first, in Unix milliseconds. It
	// becomes [HeaderDue].
	HopFirstDue = HopPrefix + "first-due"
	// HopSince is when the delivery of a parked record first failed, in Unix
	// milliseconds: --give-up counts from then.
	HopSince = HopPrefix + "since"
)
