package levels

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// RetryLevel as the value of [HeaderLevel] asks the router for the record's next retry: it
// counts [HeaderAttempt] up by one and grants that entry of the [RetryPolicy]. A consumer
// that failed sends a record back with it.
const RetryLevel = "retry"

// DefaultRetrySpec is the waits of RocketMQ's consumer: sixteen retries in 4 h 45 min 40 s.
const DefaultRetrySpec = "10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h"

const (
	// MaxRetries is the most waits that a policy may have.
	MaxRetries = 100
	// MaxRetryBytes is how long a policy may be, as it is written. Each record can bring
	// one.
	MaxRetryBytes = 1 << 10
)

// RetryPolicy is how long a record waits before each of its retries. It never changes once
// it is made; the zero value has no waits. Make one with [ParseRetryPolicy] or
// [DefaultRetryPolicy].
type RetryPolicy struct {
	waits []time.Duration // shared by copies and never written
}

var defaultRetry = mustParseRetry(DefaultRetrySpec)

// DefaultRetryPolicy returns the policy of [DefaultRetrySpec].
func DefaultRetryPolicy() RetryPolicy { return defaultRetry }

func mustParseRetry(spec string) RetryPolicy {
	p, err := ParseRetryPolicy(spec)
	if err != nil {
		panic(err)
	}
	return p
}

// ParseRetryPolicy reads waits with spaces between them, each as [ParseDelay] reads it
// ("1s 5s 30s"). They need not rise. There is at least one and at most [MaxRetries], none
// is zero or above [MaxDelay], and all are written in at most [MaxRetryBytes]. The error
// quotes the first wait at fault with its position, counted from 1, and says what is
// allowed.
func ParseRetryPolicy(s string) (RetryPolicy, error) { return parseRetryPolicy("retry policy", s) }

// ParseRetryHeader reads the value of [HeaderRetryPolicy] as [ParseRetryPolicy] does. The
// error names the header.
func ParseRetryHeader(s string) (RetryPolicy, error) { return parseRetryPolicy(HeaderRetryPolicy, s) }

// retryForm is what errors about a policy say is allowed.
const retryForm = "write the waits with spaces between them, such as 1s 5s 30s"

func parseRetryPolicy(what, s string) (RetryPolicy, error) {
	if len(s) > MaxRetryBytes {
		return RetryPolicy{}, fmt.Errorf("%s %s: too long; write at most %d bytes", what, quote(s), MaxRetryBytes)
	}
	words := strings.Fields(s)
	switch {
	case len(words) == 0:
		return RetryPolicy{}, fmt.Errorf("%s %s: no waits; %s", what, quote(s), retryForm)
	case len(words) > MaxRetries:
		return RetryPolicy{}, fmt.Errorf("%s %s: %d waits; write at most %d", what, quote(s), len(words), MaxRetries)
	}
	waits := make([]time.Duration, len(words))
	for i, word := range words {
		d, fault := parseDelay(word)
		switch {
		case fault != "":
			if why, fix := TextFault(s); why != "" {
				return RetryPolicy{}, fmt.Errorf("%s %s: %s; %s", what, quote(s), why, fix)
			}
			return RetryPolicy{}, fmt.Errorf("%s %s: wait %d %s: %s", what, quote(s), i+1, quote(word), retryFault(s, word, fault))
		case d == 0:
			fault = "zero; write a wait above it, such as 1s"
		case d > MaxDelay:
			fault = "longer than a wait can be; write " + FormatDelay(MaxDelay) + " or less"
		}
		if fault != "" {
			return RetryPolicy{}, fmt.Errorf("%s %s: wait %d %s: %s", what, quote(s), i+1, quote(word), fault)
		}
		waits[i] = d
	}
	return RetryPolicy{waits}, nil
}

// retryFault adds to what is wrong with a word of s what to write instead.
func retryFault(s, word, fault string) string {
	if strings.ContainsAny(word, ",;") {
		spaced := strings.NewReplacer(",", " ", ";", " ").Replace(s)
		if p, err := ParseRetryPolicy(spaced); err == nil {
			return "waits have spaces between them and nothing else; write " + p.String()
		}
	}
	if isDigits(word) {
		fault = "no unit"
	}
	return fault + "; " + retryForm
}

// Len returns the number of waits, which is how often a record is retried.
func (p RetryPolicy) Len() int { return len(p.waits) }

// Wait returns how long a record waits before the attempt-th retry, 1 for the first. ok is
// false for any other number than 1 to Len: after the last one a record is a dead letter,
// [RetriesExhausted].
func (p RetryPolicy) Wait(attempt int) (wait time.Duration, ok bool) {
	if attempt < 1 || attempt > len(p.waits) {
		return 0, false
	}
	return p.waits[attempt-1], true
}

// Total returns the sum of all waits, at most what a time.Duration holds.
func (p RetryPolicy) Total() (sum time.Duration) {
	for _, w := range p.waits {
		if sum > math.MaxInt64-w {
			return math.MaxInt64
		}
		sum += w
	}
	return sum
}

// String is the waits in the spelling of [FormatDelay] with single spaces between them, in
// the form that [ParseRetryPolicy] reads.
func (p RetryPolicy) String() string {
	words := make([]string, len(p.waits))
	for i, w := range p.waits {
		words[i] = FormatDelay(w)
	}
	return strings.Join(words, " ")
}

// MarshalText is String, for JSON.
func (p RetryPolicy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// retryError is the error for a request for a retry where only a delay is allowed.
func retryError(s string) error {
	if s != RetryLevel {
		return fmt.Errorf("%s %s: lower case is needed; write %s", HeaderLevel, quote(s), RetryLevel)
	}
	return fmt.Errorf("%s %s: a retry is for records on the inbox, and no delay; %s", HeaderLevel, quote(s), requestForm)
}
