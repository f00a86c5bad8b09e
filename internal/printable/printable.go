// Package printable makes text that others chose safe to show on a terminal.
package printable

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Text returns s as it is, or quoted where it holds what a terminal acts on instead of
// showing it, the end of a line included: whoever may write to a topic, join a group or
// pause something chooses what is printed.
func Text(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, hidden) {
		return s
	}
	return strconv.QuoteToGraphic(s)
}

func hidden(r rune) bool { return !strconv.IsGraphic(r) }

// Lines is Text for each line of a text of several. What others chose has to be made
// safe before it is put into one: it must not add a line.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = Text(lines[i])
	}
	return strings.Join(lines, "\n")
}

// Ranges returns rising numbers in a short form: 0-2,5.
func Ranges(numbers []int32) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		part := strconv.Itoa(int(numbers[i]))
		if j > i {
			part += "-" + strconv.Itoa(int(numbers[j]))
		}
		parts, i = append(parts, part), j+1
	}
	return strings.Join(parts, ",")
}
