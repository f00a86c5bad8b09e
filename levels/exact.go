package levels

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// GrantedExact is [HeaderGranted] of a record that was delivered at an exact time,
	// in place of the name of a level.
	GrantedExact = "exact"

	// DefaultMaxDelay bounds exact requests unless configured: 30 days.
	DefaultMaxDelay = 30 * 24 * time.Hour
)

// ParseFor reads the value of [HeaderFor]: a delay as [ParseDelay] reads it. A level
// number is an error. The error quotes the value and says what is allowed.
func ParseFor(s string) (time.Duration, error) {
	d, fault := parseDelay(s)
	switch {
	case fault == "":
		return d, nil
	case isDigits(s):
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil || n == 0 {
			return 0, valueError(HeaderFor, s, "a number without a unit", delayForm)
		}
		return 0, fmt.Errorf("%s %s: a number without a unit, and a level number belongs in %s; write %ds for seconds or %dms for milliseconds",
			HeaderFor, quote(s), HeaderLevel, n, n)
	}
	if what, fix := delayFault(s); what != "" {
		return 0, fmt.Errorf("%s %s: %s; %s", HeaderFor, quote(s), what, fix)
	}
	if _, untilFault := parseUntil(s); untilFault == "" {
		return 0, fmt.Errorf("%s %s: is a time and no duration; write it in %s", HeaderFor, quote(s), HeaderUntil)
	}
	return 0, valueError(HeaderFor, s, fault, delayForm)
}

// untilForm is what errors about [HeaderUntil] say is allowed.
const untilForm = "write a time with its zone such as 2026-12-24T09:00:00+01:00, or Unix time in milliseconds such as 1798099200000"

// The digits of a Unix time. Milliseconds have had 13 of them since 2001 and will until
// 2286. From 9 to 11 are seconds, fewer are hardly a time, and 16 and more are finer units.
const (
	secondsFrom = 9
	secondsTo   = 11
	microsFrom  = 16
	nanosFrom   = 19
)

// ParseUntil reads the value of [HeaderUntil]: a time in the form of RFC 3339 with its
// zone, or Unix time in milliseconds. A fraction of a millisecond is rounded up, so that
// nothing is early. A time without a zone, and a number that looks like seconds or like
// anything but milliseconds, are errors. The error quotes the value and says what to write.
func ParseUntil(s string) (time.Time, error) {
	t, fault := parseUntil(s)
	if fault == "" {
		return t, nil
	}
	if what, fix := TextFault(s); what != "" {
		return time.Time{}, fmt.Errorf("%s %s: %s; %s", HeaderUntil, quote(s), what, fix)
	}
	return time.Time{}, fmt.Errorf("%s %s: %s", HeaderUntil, quote(s), fault)
}

// parseUntil is ParseUntil, with what is wrong and what to do in words, "" for nothing.
func parseUntil(s string) (t time.Time, fault string) {
	if isDigits(s) {
		return parseUnix(s)
	}
	if isTimestamp(s) {
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
			return ceilMilli(t), ""
		}
		return t, "there is no such time; " + untilForm
	}
	return t, untilFault(s)
}

func parseUnix(s string) (t time.Time, fault string) {
	switch n := len(s); {
	case n < secondsFrom:
		return t, fmt.Sprintf("too small for Unix time in milliseconds; for a delay write %s with a unit, as %s: %ss", HeaderFor, HeaderFor, s)
	case n <= secondsTo:
		return t, fmt.Sprintf("looks like seconds; write milliseconds: %s000", s)
	case n >= nanosFrom:
		return t, "looks like nanoseconds; write milliseconds: " + short(s[:n-6])
	case n >= microsFrom:
		return t, "looks like microseconds; write milliseconds: " + s[:n-3]
	}
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return t, untilForm
	}
	return time.UnixMilli(ms).UTC(), ""
}

// short is digits, cut where there are very many.
func short(digits string) string {
	if len(digits) > microsFrom {
		return "1798099200000"
	}
	return digits
}

// ceilMilli rounds a time up to whole milliseconds.
func ceilMilli(t time.Time) time.Time {
	if rest := t.Nanosecond() % int(time.Millisecond); rest > 0 {
		return t.Add(time.Millisecond - time.Duration(rest))
	}
	return t
}

// dateTime is the form of a time without fraction and zone.
const dateTime = "2006-01-02T15:04:05"

// isTimestamp reports whether s has the form of RFC 3339, with a zone. time.Parse takes
// some more: an hour of one digit, and a comma before the fraction.
func isTimestamp(s string) bool {
	if len(s) <= len(dateTime) || !hasForm(s[:len(dateTime)], dateTime) {
		return false
	}
	zone := s[len(dateTime):]
	if zone[0] == '.' {
		end := 1
		for end < len(zone) && isDigit(zone[end]) {
			end++
		}
		if end == 1 {
			return false
		}
		zone = zone[end:]
	}
	return zone == "Z" || zone != "" && (zone[0] == '+' || zone[0] == '-') && hasForm(zone[1:], "00:00")
}

// hasForm reports whether s has a digit where form has one, and else the same.
func hasForm(s, form string) bool {
	if len(s) != len(form) {
		return false
	}
	for i := range len(s) {
		if isDigit(form[i]) != isDigit(s[i]) || !isDigit(s[i]) && s[i] != form[i] {
			return false
		}
	}
	return true
}

// untilFault says what is wrong with a time that is not in the form of RFC 3339, and shows
// the corrected value where its form shows what was meant.
func untilFault(s string) string {
	if s == "" {
		return "empty; " + untilForm
	}
	if s[0] == '-' || s[0] == '+' {
		return "a sign is not allowed; " + untilForm
	}
	if isTimestamp(s + "Z") {
		return fmt.Sprintf("has no zone; write %sZ for UTC, or the zone's offset as in %s+01:00", s, s)
	}
	if plain, _, ok := strings.Cut(s, "["); ok && isTimestamp(plain) {
		return "has the name of a zone, as Java's ZonedDateTime prints it; write " + plain
	}
	upper := strings.ToUpper(strings.Replace(s, " ", "T", 1))
	if upper != s {
		switch {
		case isTimestamp(upper):
			return "write " + upper
		case isTimestamp(upper + "Z"):
			return fmt.Sprintf("has no zone; write %sZ for UTC, or the zone's offset as in %s+01:00", upper, upper)
		}
	}
	if n := len(s) - len("0100"); n > 0 && isTimestamp(s[:n+2]+":"+s[n+2:]) {
		return "the zone needs a colon; write " + s[:n+2] + ":" + s[n+2:]
	}
	if hasForm(s, "2006-01-02") {
		return fmt.Sprintf("is a day without a time; write %sT00:00:00Z for its beginning in UTC", s)
	}
	if _, fault := parseDelay(s); fault == "" {
		return fmt.Sprintf("is a duration and no time; write it in %s", HeaderFor)
	}
	return "is not a time; " + untilForm
}
