package levels

// The headers that a producer sets. Keys and values are ASCII text, and the
// last one wins where a key is repeated. All but [HeaderID] and [HeaderSent]
// are taken off before the record reaches its target.
const (
	// HeaderLevel is what the producer asks for: a duration ("45s", "1m30s",
	// "1d") or a level number ("3"), see [ParseRequest]; or [RetryLevel].
	HeaderLevel = "delay-level"
	// HeaderFor asks for an exact delay, to the millisecond: a duration ("45m"), counted
	// from when a broker first accepted the record; see [ParseFor]. A record has one of
	// HeaderLevel, HeaderFor and HeaderUntil.
	HeaderFor = "delay-for"
	// HeaderUntil asks for an exact time: RFC 3339 with a zone, or Unix time in
	// milliseconds; see [ParseUntil].
	HeaderUntil = "delay-until"
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
	// HeaderCancel makes the record a cancel: the records with this delay-id and the
	// cancel's key (whatever their key, where the cancel has none) that were accepted before
	// it and are not delivered yet are dropped. The cancel itself is delivered nowhere. It works on
	// the inbox only.
	HeaderCancel = "delay-cancel"
	// HeaderReplace is "true" on a record with a HeaderID that takes the place of earlier ones
	// with its id and key: they are dropped. It works on the inbox only.
	HeaderReplace = "delay-replace"
)

// The headers of a record that is retried: one that a consumer sends back to the inbox with
// [HeaderLevel] set to [RetryLevel]. A delivered record keeps them, so that the next retry
// knows of those before; one that is sent on in another way is a new message, and loses all
// but HeaderRetryPolicy.
const (
	// HeaderAttempt is how often the record was retried: 1 on the first that comes back.
	// The router counts it. Absent means 0.
	HeaderAttempt = "delay-attempt"
	// HeaderRetryPolicy replaces the service's policy for this record; see
	// [ParseRetryHeader]. Its producer may set it, or the consumer that sends it back.
	HeaderRetryPolicy = "delay-retry-policy"
	// HeaderRetryCause is why the consumer failed, in words: optional, and cut where it
	// is long.
	HeaderRetryCause = "delay-retry-cause"
	// HeaderRetryFirstCause is HeaderRetryCause of the first retry that had one. The
	// router keeps it.
	HeaderRetryFirstCause = "delay-retry-first-cause"
	// HeaderFirstAccepted is [HeaderAccepted] of the first delivery. The router keeps it.
	HeaderFirstAccepted = "delay-first-accepted"
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
	// for none and [GrantedExact] for an exact time. That it is there shows that a record was delivered before.
	HeaderGranted = "delay-granted"
	// HeaderRequested is what HeaderLevel, HeaderFor or HeaderUntil asked for, as it was
	// written.
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
