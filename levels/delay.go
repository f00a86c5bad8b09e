package levels

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const day = 24 * time.Hour

// units are the units of a delay from the largest down, each in the spelling
// that [FormatDelay] uses.
var units = [...]struct {
	name string
	size time.Duration
}{
	{"d", day},
	{"h", time.Hour},
	{"m", time.Minute},
	{"s", time.Second},
	{"ms", time.Millisecond},
	{"us", time.Microsecond},
	{"ns", time.Nanosecond},
}

// maxDigits is the most digits of a level number. With nine of them every
// number fits an int, also one of 32 bits; a longer one is a time in
// milliseconds rather than a level.
const maxDigits = 9

// What errors say is allowed.
const (
	delayForm   = "write a duration such as 10s, 1m30s, 2h or 1d"
	requestForm = delayForm + ", or a level number such as 3"
	unitList    = "d, h, m, s, ms, us and ns"
)

// Request is what a record asks for in [HeaderLevel]. The zero value asks for
// no delay.
type Request struct {
	// Delay is the duration asked for, zero where ByNumber is true.
	Delay time.Duration
	// Number is the level number asked for, where ByNumber is true. 0 asks for
	// no delay, and a number may well be above the last level.
	Number int
	// ByNumber is true where a level number was asked for.
	ByNumber bool
}

// ParseRequest reads the value of [HeaderLevel]. A bare whole number of at most
// nine digits is a level number, as in RocketMQ, and 0 asks for no delay; all
// else is a delay as [ParseDelay] reads it. The error quotes the value and says
// what is allowed.
func ParseRequest(s string) (Request, error) {
	if !isDigits(s) {
		d, fault := parseDelay(s)
		if fault != "" {
			if strings.EqualFold(s, RetryLevel) {
				return Request{}, retryError(s)
			}
			if what, fix := delayFault(s); what != "" {
				return Request{}, fmt.Errorf("%s %s: %s; %s", HeaderLevel, quote(s), what, fix)
			}
			return Request{}, valueError(HeaderLevel, s, fault, requestForm)
		}
		return Request{Delay: d}, nil
	}
	if len(s) > maxDigits {
		fault := fmt.Sprintf("a level number has at most %d digits", maxDigits)
		return Request{}, valueError(HeaderLevel, s, fault, requestForm)
	}
	n := 0
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return Request{Number: n, ByNumber: true}, nil
}

// ParseDelay reads a delay: what time.ParseDuration reads and the unit d, a day
// of 24 hours ("10s", "1m30s", "1.5h", "1d12h"). A sign, spaces, a number
// without a unit (a lone 0 included) and more than a time.Duration holds, about
// 292 years, are errors. The error quotes the value and says what is allowed.
func ParseDelay(s string) (time.Duration, error) {
	d, fault := parseDelay(s)
	if fault != "" {
		return 0, valueError("delay", s, fault, delayForm)
	}
	return d, nil
}

// FormatDelay spells a delay in the largest unit that gives a whole number:
// "1m" for 60s, "90s" for 1m30s, "1500ms" for 1.5s, "0s" for zero. It is ASCII,
// and [ParseDelay] reads it back. Nothing negative is a delay: it is "0s" too.
func FormatDelay(d time.Duration) string {
	if d <= 0 {
		return "0s"
	}
	for _, u := range units {
		if d%u.size == 0 {
			return strconv.FormatInt(int64(d/u.size), 10) + u.name
		}
	}
	panic("unreachable: every delay is a whole number of nanoseconds")
}

// valueError is the error for a value that someone typed or sent: what was read,
// what is wrong with it, and what is allowed.
func valueError(what, value, fault, allowed string) error {
	if strings.ContainsFunc(value, unicode.IsSpace) {
		fault = "spaces are not allowed"
	}
	return fmt.Errorf("%s %s: %s; %s", what, quote(value), fault, allowed)
}

// parseDelay is ParseDelay with what is wrong in words, "" for nothing, so that its
// callers can say what they read.
func parseDelay(s string) (time.Duration, string) {
	if s == "" {
		return 0, "empty"
	}
	if s[0] == '-' || s[0] == '+' {
		return 0, "a sign is not allowed"
	}
	var sum time.Duration
	for s != "" {
		term, rest, fault := cutTerm(s)
		if fault != "" {
			return 0, fault
		}
		d, ok := termDuration(term)
		if !ok || d > math.MaxInt64-sum {
			return 0, tooLong
		}
		sum += d
		s = rest
	}
	return sum, ""
}

// tooLong is the fault of a delay that overflows, rounded to whole days.
var tooLong = fmt.Sprintf("longer than %dd", time.Duration(math.MaxInt64)/day)

// cutTerm takes the first term off s, which is not empty: a number with its unit.
// Delays are sums of them.
func cutTerm(s string) (term, rest, fault string) {
	numberEnd := 0
	for numberEnd < len(s) && isNumeric(s[numberEnd]) {
		numberEnd++
	}
	unitEnd := numberEnd
	for unitEnd < len(s) && !isNumeric(s[unitEnd]) {
		unitEnd++
	}
	number, unit := s[:numberEnd], s[numberEnd:unitEnd]

	whole, fraction, _ := strings.Cut(number, ".")
	switch {
	case number == "":
		fault = "does not begin with a number"
	case len(whole)+len(fraction) == 0 || !isDigitsOrEmpty(fraction):
		fault = quote(number) + " is not a number"
	case unit == "":
		fault = quote(number) + " has no unit"
	default:
		if _, ok := unitSize(unit); !ok {
			fault = "unknown unit " + quote(unit) + ", units are " + unitList
		}
	}
	return s[:unitEnd], s[unitEnd:], fault
}

// termDuration returns the duration of a well-formed term, and false where a
// time.Duration cannot hold it. time.ParseDuration knows all units but the day.
func termDuration(term string) (time.Duration, bool) {
	number, isDays := strings.CutSuffix(term, "d")
	if !isDays {
		d, err := time.ParseDuration(term)
		return d, err == nil
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil { // it has a fraction, or overflows
		hours, err := time.ParseDuration(number + "h")
		return hours * (day / time.Hour), err == nil && hours <= math.MaxInt64/(day/time.Hour)
	}
	return time.Duration(n) * day, n <= int64(math.MaxInt64/day)
}

// unitSize returns the size of a unit by its name.
func unitSize(name string) (time.Duration, bool) {
	if name == "µs" || name == "μs" { // the micro sign and the Greek letter: time.ParseDuration takes both
		return time.Microsecond, true
	}
	for _, u := range units {
		if name == u.name {
			return u.size, true
		}
	}
	return 0, false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isNumeric(c byte) bool { return isDigit(c) || c == '.' }

// isDigits reports whether s is a bare whole number.
func isDigits(s string) bool { return s != "" && isDigitsOrEmpty(s) }

func isDigitsOrEmpty(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}
