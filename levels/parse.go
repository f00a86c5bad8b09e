package levels

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Parse reads a ladder in the form of RocketMQ's messageDelayLevel: words with
// spaces between them, each a whole number and one of the units s, m, h and d
// ("5s 10s 30s 1m 5m 10m 1h 2h").
//
// There is at least one level and at most [MaxLevels], delays rise from word to
// word, and none is zero or above [MaxDelay]. How a delay is spelled does not
// matter: 60s is the level 1m, and both in one ladder are one delay twice. The
// error names the first word that is at fault with its position, counted from
// 1, and shows what to write instead.
func Parse(spec string) (Ladder, error) {
	words := strings.Fields(spec)
	if len(words) == 0 {
		return Ladder{}, fmt.Errorf("ladder %s: no levels; write at least one, such as 1s 10s 1m", quote(spec))
	}
	if len(words) > MaxLevels {
		return Ladder{}, fmt.Errorf("ladder %s: %d levels; write at most %d", quote(spec), len(words), MaxLevels)
	}
	delays := make([]time.Duration, len(words))
	for i, word := range words {
		d, fault := parseWord(word)
		if fault != "" {
			return Ladder{}, wordError(i, word, fault)
		}
		delays[i] = d
	}
	for i := range delays {
		if fault := orderFault(words, delays, i); fault != "" {
			return Ladder{}, wordError(i, words[i], fault)
		}
	}
	return newLadder(delays), nil
}

// wordError is the error for a word of a ladder, which stands at index i.
func wordError(i int, word, fault string) error {
	return fmt.Errorf("level %d %s: %s", i+1, quote(word), fault)
}

// orderFault says why the delay at index i cannot follow those before it, and
// shows the ladder with all its delays in order. It is "" where it can.
func orderFault(words []string, delays []time.Duration, i int) string {
	fault := ""
	if j := slices.Index(delays[:i], delays[i]); j >= 0 {
		fault = fmt.Sprintf("the same delay as level %d %s", j+1, quote(words[j]))
	} else if i > 0 && delays[i] < delays[i-1] {
		fault = fmt.Sprintf("shorter than level %d %s", i, quote(words[i-1]))
	} else {
		return ""
	}
	sorted := slices.Clone(delays)
	slices.Sort(sorted)
	return fault + "; write " + newLadder(slices.Compact(sorted)).String()
}

// zeroFault is the fault of a level of no length, however it is spelled.
const zeroFault = "zero; leave it out, a record that is not to wait needs no level"

// parseWord reads one word of a ladder. The fault says what is wrong with it
// and what to write instead; it is "" for nothing.
func parseWord(word string) (d time.Duration, fault string) {
	end := 0
	for end < len(word) && isDigit(word[end]) {
		end++
	}
	digits, unit := word[:end], word[end:]
	size, ok := wordUnit(unit)
	if digits == "" || !ok {
		return 0, formFault(word, digits, unit)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil || n > int64(MaxDelay/size):
		return 0, "longer than a level can be; write " + FormatDelay(MaxDelay) + " or less"
	case n == 0:
		return 0, zeroFault
	}
	return time.Duration(n) * size, ""
}

// wordUnit is the size of a unit that a ladder may use.
func wordUnit(name string) (time.Duration, bool) {
	size, ok := unitSize(name)
	return size, ok && size >= time.Second
}

// formFault says what is wrong with a word that is not a whole number and a unit
// of a ladder. It knows the ways in which people are likely to have meant one, so
// as to show them their own word corrected.
func formFault(word, digits, unit string) string {
	if strings.ContainsAny(word, ",;") {
		return "levels have spaces between them and nothing else; write " + withSpaces(word)
	}
	if unsigned := strings.TrimLeft(word, "+-"); unsigned != word {
		return "has a sign; " + suggest(unsigned)
	}
	if digits != "" && unit == "" {
		return "no unit; write " + withUnits(digits)
	}
	if _, ok := wordUnit(strings.ToLower(unit)); ok && digits != "" {
		return "units are lower case; " + suggest(strings.ToLower(word))
	}
	if d, wrong := parseDelay(word); wrong == "" {
		if d == 0 {
			return zeroFault
		}
		return "not one whole number with one of the units s, m, h and d; " + suggest(word)
	}
	if digits == "" {
		return "no number before the unit; write " + withUnits("1")
	}
	return "unknown unit " + quote(unit) + "; write " + withUnits(digits)
}

// suggest returns a level that says what word, which is not one, is likely to mean:
// the same delay, in whole seconds and not zero.
func suggest(word string) string {
	d, fault := parseDelay(word)
	if fault != "" || d <= 0 || d > MaxDelay {
		return "write " + withUnits("1")
	}
	if rest := d % time.Second; rest > 0 {
		d += time.Second - rest
	}
	return "write " + FormatDelay(d)
}

// withUnits shows a number with each of the units that a ladder may use.
func withUnits(digits string) string {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n == 0 || n > int64(MaxDelay/day) {
		n = 1
	}
	return fmt.Sprintf("%ds, %dm, %dh or %dd", n, n, n, n)
}

// withSpaces shows the ladder that stands in a word with other separators, or
// one for an example where there is none.
func withSpaces(word string) string {
	parts := strings.FieldsFunc(word, func(r rune) bool { return r == ',' || r == ';' })
	ladder, err := Parse(strings.Join(parts, " "))
	if err != nil {
		return "1s 10s 1m"
	}
	return ladder.String()
}
