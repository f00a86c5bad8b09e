package levels

// Code says why a record is a dead letter. It is the value of [HeaderError] and
// a label of metrics, and so it never changes once it is out.
type Code string

// The codes, in the order in which a record can meet them.
const (
	// BadLevel: the request in [HeaderLevel] is missing or cannot be read.
	BadLevel Code = "bad-level"
	// BadTime: the exact time in [HeaderFor] or [HeaderUntil] cannot be read, or a record
	// has more than one of these and [HeaderLevel].
	BadTime Code = "bad-time"
	// BadRetry: [HeaderAttempt] or [HeaderRetryPolicy] of a record that is to be retried
	// cannot be read, or it was written straight to a level, where nobody counts.
	BadRetry Code = "bad-retry"
	// RetriesExhausted: the record was retried as often as its [RetryPolicy] says.
	RetriesExhausted Code = "retries-exhausted"
	// OverMax: more was asked for than the last level, and the configuration
	// refuses that instead of clamping it; or an exact time is further away than the
	// configuration allows.
	OverMax Code = "over-max"
	// NoTarget: no [HeaderTarget] and no default target, or an empty header.
	NoTarget Code = "no-target"
	// IllegalTarget: the target is not a legal topic name; see [CheckTopic].
	IllegalTarget Code = "illegal-target"
	// ForbiddenTarget: the target is denied by configuration, internal to
	// Kafka, one of the service's own topics, or has no Go handler.
	ForbiddenTarget Code = "forbidden-target"
	// BadHeader: the key of a header is one of ours but for its case, as in "Delay-Id".
	// Those that have a code of their own get that.
	BadHeader Code = "bad-header"
	// BadCancel: a [HeaderCancel] or [HeaderReplace] that cannot be followed, as one
	// without an id.
	BadCancel Code = "bad-cancel"
	// TooManyCancels: as many cancels are outstanding as the configuration allows.
	TooManyCancels Code = "too-many-cancels"
	// UnknownTopic: the target did not exist for as long as one was waited for.
	UnknownTopic Code = "unknown-topic"
	// BadPartition: [HeaderPartition] is not a partition of the target.
	BadPartition Code = "bad-partition"
	// NotAuthorized: the service may not write to the target.
	NotAuthorized Code = "not-authorized"
	// TooLarge: the record is larger than the target accepts.
	TooLarge Code = "too-large"
	// Rejected: the broker refused the record for a reason of its own, which
	// the detail names, or a Go handler did.
	Rejected Code = "rejected"
	// GaveUp: the delivery could have healed but did not in the time that is
	// configured for it, or in as many attempts of a Go handler.
	GaveUp Code = "gave-up"
	// TooLate: the record would have been delivered later than is configured for
	// it, and is of no use any more. Only where that is asked for.
	TooLate Code = "too-late"
	// Unreadable: a batch of records cannot be decoded, and an operator skipped it.
	// The value of the dead letter is the batch as the broker stored it.
	Unreadable Code = "unreadable"
	// Skipped: an operator skipped the record though it can be decoded.
	Skipped Code = "skipped"
)

// Codes returns all codes.
func Codes() []Code {
	return []Code{
		BadLevel, BadTime, BadRetry, RetriesExhausted, OverMax, NoTarget, IllegalTarget, ForbiddenTarget, BadHeader, BadCancel, TooManyCancels, UnknownTopic, BadPartition,
		NotAuthorized, TooLarge, Rejected, GaveUp, TooLate, Unreadable, Skipped,
	}
}

// Refusal says why a record cannot be routed or delivered. It is an error as a pointer.
type Refusal struct {
	// Code is what a dead letter has in [HeaderError].
	Code Code
	// Detail is one sentence for people that quotes the value at fault, as it
	// was given, and says what is allowed.
	Detail string
}

// Error is the code and the detail.
func (r *Refusal) Error() string { return string(r.Code) + ": " + r.Detail }
