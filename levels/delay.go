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

// parseDelay is ParseDelay with what is wrong in words, "" for nothing, so that
// its callers can say what they read. It follows time.ParseDuration step by
// step, the arithmetic of fractions included, so that both agree to the
// nanosecond on all that both accept.
func parseDelay(s string) (time.Duration, string) {
	if s == "" {
		return 0, "empty"
	}
	if s[0] == '-' || s[0] == '+' {
		return 0, "a sign is not allowed"
	}
	var sum uint64 // below 1<<63, so that adding a term cannot wrap
	for s != "" {
		t, rest, fault := cutTerm(s)
		if fault != "" {
			return 0, fault
		}
		ns, ok := t.nanoseconds()
		if !ok || sum+ns > math.MaxInt64 {
			return 0, tooLong
		}
		sum += ns
		s = rest
	}
	return time.Duration(sum), ""
}

// tooLong is the fault of a delay that overflows, rounded to whole days.
var tooLong = fmt.Sprintf("longer than %dd", time.Duration(math.MaxInt64)/day)

// term is one number with its unit: delays are sums of them.
type term struct {
	whole    uint64        // the digits before the point
	overflow bool          // there are more of them than whole can hold
	fraction uint64        // the digits behind the point
	scale    float64       // ten to the power of their count
	unit     time.Duration // the size of the unit
}

// cutTerm takes the first term off s, which is not empty.
func cutTerm(s string) (t term, rest, fault string) {
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
		return t, "", "does not begin with a number"
	case len(whole)+len(fraction) == 0 || !isDigitsOrEmpty(fraction):
		return t, "", quote(number) + " is not a number"
	case unit == "":
		return t, "", quote(number) + " has no unit"
	}
	var ok bool
	if t.unit, ok = unitSize(unit); !ok {
		return t, "", "unknown unit " + quote(unit) + ", units are " + unitList
	}
	t.whole, t.overflow = parseWhole(whole)
	t.fraction, t.scale = parseFraction(fraction)
	return t, s[unitEnd:], ""
}

// nanoseconds is the size of the term, and false where it is not below 1<<63.
func (t term) nanoseconds() (uint64, bool) {
	unit := uint64(t.unit)
	if t.overflow || t.whole > math.MaxInt64/unit {
		return 0, false
	}
	ns := t.whole * unit
	if t.fraction > 0 {
		// A float holds every fraction well enough: time.ParseDuration does
		// the same.
		ns += uint64(float64(t.fraction) * (float64(unit) / t.scale))
	}
	return ns, ns <= math.MaxInt64
}

// parseWhole reads digits and says whether they overflow.
func parseWhole(digits string) (x uint64, overflow bool) {
	for i := range len(digits) {
		if x > math.MaxInt64/10 {
			return 0, true
		}
		x = x*10 + uint64(digits[i]-'0')
	}
	return x, x > math.MaxInt64
}

// parseFraction reads the digits behind a point, and leaves out those that no
// longer fit: they are too small to count.
func parseFraction(digits string) (x uint64, scale float64) {
	scale = 1
	for i := range len(digits) {
		if x > math.MaxInt64/10 {
			break
		}
		next := x*10 + uint64(digits[i]-'0')
		if next > 1<<63 {
			break
		}
		x = next
		scale *= 10
	}
	return x, scale
}

// unitSize is the size of a unit by its name.
func unitSize(name string) (time.Duration, bool) {
	switch name {
	case "µs", "μs": // the micro sign and the Greek letter: time.ParseDuration takes both
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
