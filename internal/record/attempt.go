package record

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// MaxCause bounds, in bytes, why a consumer failed: it travels with the record.
const MaxCause = 400

// attemptKeys are the headers that tell a record of its earlier retries.
var attemptKeys = []string{
	levels.HeaderAttempt, levels.HeaderRetryCause, levels.HeaderRetryFirstCause, levels.HeaderFirstAccepted,
}

// tripKeys are the headers that a delivery put on and the next one replaces. Without
// HeaderGranted the record counts as the message that it was, and keeps its id.
var tripKeys = []string{levels.HeaderDue, levels.HeaderAccepted, levels.HeaderGranted, levels.HeaderRequested}

// Retry reports whether it asks for the record's next retry.
func (a Asked) Retry() bool {
	return a.Key == levels.HeaderLevel && string(a.Value) == levels.RetryLevel
}

// NextRetry is [NextRetry] of the record.
func (h *Headers) NextRetry(standard levels.RetryPolicy) (attempt int, wait time.Duration, r *levels.Refusal) {
	return NextRetry(h.all, standard)
}

// NextRetry returns the number of the retry that a record asks for, and how long it waits, by
// its own policy or else by standard. The refusal is [levels.RetriesExhausted] where the policy
// has no more retries.
func NextRetry(all []kgo.RecordHeader, standard levels.RetryPolicy) (attempt int, wait time.Duration, r *levels.Refusal) {
	if attempt, r = NextAttempt(all); r == nil {
		wait, r = RetryWait(all, standard, attempt)
	}
	return attempt, wait, r
}

// RetryWait returns how long a record waits for a retry, as [NextRetry] does.
func RetryWait(all []kgo.RecordHeader, standard levels.RetryPolicy, attempt int) (time.Duration, *levels.Refusal) {
	policy, refusal := RetryPolicy(all, standard)
	if refusal != nil {
		return 0, refusal
	}
	wait, ok := policy.Wait(attempt)
	if !ok {
		return 0, exhausted(all, policy)
	}
	return wait, nil
}

// NextAttempt returns the number of the retry that a record asks for: one more than it has
// been retried.
func NextAttempt(all []kgo.RecordHeader) (int, *levels.Refusal) {
	value, given := Last(all, levels.HeaderAttempt)
	if !given {
		return 1, nil
	}
	n, ok := parseNumber(value, math.MaxInt32-1)
	if ok {
		return int(n) + 1, nil
	}
	fault, fix := levels.TextFault(string(value))
	if fault == "" {
		fault = "is not a number of retries"
		fix = "send the record back with the header as it came, or leave it out to begin at the first retry"
	}
	return 0, &levels.Refusal{Code: levels.BadRetry, Detail: fmt.Sprintf("%s %s: %s; %s", levels.HeaderAttempt, Quote(value), fault, fix)}
}

// RetryPolicy returns a record's own policy, or standard where it brings none.
func RetryPolicy(all []kgo.RecordHeader, standard levels.RetryPolicy) (levels.RetryPolicy, *levels.Refusal) {
	value, given := Last(all, levels.HeaderRetryPolicy)
	if !given {
		return standard, nil
	}
	p, err := levels.ParseRetryHeader(string(value))
	if err != nil {
		return p, &levels.Refusal{Code: levels.BadRetry, Detail: err.Error()}
	}
	return p, nil
}

// exhausted is the refusal of a record that was retried as often as its policy says. It has
// the first and the last cause.
func exhausted(all []kgo.RecordHeader, p levels.RetryPolicy) *levels.Refusal {
	detail := "the record was retried once"
	if n := p.Len(); n > 1 {
		detail = fmt.Sprintf("the record was retried %d times", n)
	}
	detail += ", and the policy has no more retries"
	first, last := Causes(all)
	switch {
	case len(first) > 0 && !bytes.Equal(first, last):
		detail += fmt.Sprintf("; the first cause: \"%s\"; the last: \"%s\"", first, last)
	case len(last) > 0:
		detail += fmt.Sprintf("; the cause: \"%s\"", last)
	}
	return &levels.Refusal{Code: levels.RetriesExhausted, Detail: detail}
}

// Causes returns why consumers of the record failed at first and last, each as text of at
// most MaxCause bytes; nil where nobody said. The first is the last where only that is there.
func Causes(all []kgo.RecordHeader) (first, last []byte) {
	last = causeOf(all, levels.HeaderRetryCause)
	if first = causeOf(all, levels.HeaderRetryFirstCause); first == nil {
		first = last
	}
	return first, last
}

func causeOf(all []kgo.RecordHeader, key string) []byte {
	value, _ := Last(all, key)
	return Cause(value)
}

// cutMark ends a cause that was cut.
const cutMark = "..."

// Cause returns a cause as it travels: valid UTF-8 on one line, without control characters,
// at most MaxCause bytes; nil for none. A cause that it has returned it leaves as it is.
func Cause(value []byte) []byte {
	const look = 2 * MaxCause // what follows cannot be seen, whatever is dropped before
	long := len(value) > look
	if long {
		value = value[:look]
	}
	text := strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.Is(unicode.C, r): // controls, formats such as those that turn text round, surrogates
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(string(value), string(unicode.ReplacementChar)))
	if text = strings.TrimSpace(text); text == "" {
		return nil
	}
	if long || len(text) > MaxCause {
		text = strings.ToValidUTF8(text[:min(len(text), MaxCause-len(cutMark))], "") + cutMark
	}
	return []byte(text)
}

// Retried returns the record that waits for its attempt-th retry: src without what its last
// delivery put on, and with what the next retry has to know. It keeps its id.
func Retried(src *kgo.Record, attempt int) *kgo.Record {
	first, last := Causes(src.Headers)
	accepted, ok := lastNumber(src.Headers, levels.HeaderFirstAccepted)
	if !ok {
		accepted, ok = lastNumber(src.Headers, levels.HeaderAccepted)
	}
	headers := make([]kgo.RecordHeader, 0, len(src.Headers)+len(attemptKeys))
	for _, h := range src.Headers {
		if !isHop(h.Key) && !slices.Contains(tripKeys, h.Key) && !slices.Contains(attemptKeys, h.Key) {
			headers = append(headers, h)
		}
	}
	headers = add(headers, levels.HeaderAttempt, strconv.AppendInt(nil, int64(attempt), 10))
	if last != nil {
		headers = add(headers, levels.HeaderRetryCause, last)
	}
	if first != nil {
		headers = add(headers, levels.HeaderRetryFirstCause, first)
	}
	if ok {
		headers = add(headers, levels.HeaderFirstAccepted, strconv.AppendInt(nil, accepted, 10))
	}
	copied := *src
	copied.Headers = headers
	return &copied
}

// dropAttempts takes the headers of earlier retries out of h from an index on, in place.
func dropAttempts(h []kgo.RecordHeader, from int) []kgo.RecordHeader {
	kept := h[:from]
	for _, header := range h[from:] {
		if !slices.Contains(attemptKeys, header.Key) {
			kept = append(kept, header)
		}
	}
	return kept
}
