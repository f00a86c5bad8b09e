package record

import (
	"errors"
	"fmt"
	"path"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/delayd-io/delayd/levels"
)

// validatePatterns reports the first pattern that no topic's name can match, by the
// field of its list: one that allows or denies nothing by mistake is worse than none.
func validatePatterns(field string, patterns []string) error {
	for _, p := range patterns {
		if p == "" {
			return &FieldError{Field: field, Err: errors.New(`an empty pattern matches no topic; write a name, or a pattern such as "orders.*"`)}
		}
		if fault := patternFault(p); fault != "" {
			return &FieldError{field, asTyped(p), fmt.Errorf(
				"%s; a pattern is a name with * for any characters and ? for one, and no regular expression: %s", fault, writeGlobs(p))}
		}
		if _, err := path.Match(p, ""); err != nil {
			return &FieldError{field, strconv.Quote(p), fmt.Errorf("%w; close every [ with a ], and put a character between them", err)}
		}
	}
	return nil
}

// asTyped is a pattern in quotes, with nothing escaped where all of it can be seen.
func asTyped(p string) string {
	if len(p) <= maxQuoted && !strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r > '~' || r == '"' }) {
		return `"` + p + `"`
	}
	return Quote([]byte(p))
}

// patternFault says why a pattern is a regular expression, or else matches no topic's
// name; "" for nothing.
func patternFault(p string) string {
	within, before := false, rune(0) // within brackets
	for i, r := range p {
		switch {
		case within && (r == ']' || r == '^' && before == '['):
			within = r != ']'
		case !within && r == '[':
			within = true
		case !within && r == '*' && before == '.' && endsWord(p[:i-1]):
			return `".*" there would be a dot and then any characters`
		case !within && (r == '*' || r == '?'), isTopicRune(r):
		default:
			return strconv.QuoteRuneToASCII(r) + " is in no topic's name"
		}
		before = r
	}
	return ""
}

// endsWord reports whether no name has a dot after before: a ".*" there is meant as a
// regular expression.
func endsWord(before string) bool {
	return before == "" || strings.ContainsAny(before[len(before)-1:], "._-")
}

func isTopicRune(r rune) bool { return levels.CheckTopic("x"+string(r)) == nil }

// maxGlobs bounds how many globs are shown for one regular expression.
const maxGlobs = 8

// errNoGlob is for regular expressions that no few globs stand for.
var errNoGlob = errors.New("no glob")

// writeGlobs says what to write instead of a regular expression. The globs match all
// that it matches, and more where a glob cannot say it.
func writeGlobs(p string) string {
	globs := globsFor(strings.Trim(p, `"'/ `))
	if globs == nil {
		return `write names and patterns such as "orders.*", with commas between them`
	}
	return "write " + strings.Join(globs, ",")
}

// globsFor returns globs that match what a regular expression matches as a whole; nil
// where there are none, or too many.
func globsFor(p string) []string {
	re, err := syntax.Parse(p, syntax.Perl)
	if err != nil {
		return nil
	}
	globs, err := globsOf(re)
	if err != nil {
		return nil
	}
	for i, g := range globs {
		for strings.Contains(g, "**") {
			g = strings.ReplaceAll(g, "**", "*")
		}
		_, err := path.Match(g, "")
		if globs[i] = g; g == "" || err != nil || patternFault(g) != "" {
			return nil
		}
	}
	return globs
}

// globsOf returns the globs that together match what re matches as a whole.
func globsOf(re *syntax.Regexp) ([]string, error) {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText:
		return []string{""}, nil
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return nil, errNoGlob
		}
		return []string{string(re.Rune)}, nil
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{"?"}, nil
	case syntax.OpCharClass:
		return []string{classGlob(re.Rune)}, nil
	case syntax.OpStar:
		return []string{"*"}, nil
	case syntax.OpPlus, syntax.OpRepeat:
		globs, err := globsOf(re.Sub[0])
		if re.Op == syntax.OpRepeat && re.Min == 0 {
			globs = []string{""}
		}
		for i := range globs {
			globs[i] += "*"
		}
		return globs, err
	case syntax.OpQuest:
		globs, err := globsOf(re.Sub[0])
		return append([]string{""}, globs...), err
	case syntax.OpCapture:
		return globsOf(re.Sub[0])
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			globs, err := globsOf(sub)
			if err != nil {
				return nil, err
			}
			all = append(all, globs...)
		}
		return few(all)
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			globs, err := globsOf(sub)
			if err != nil {
				return nil, err
			}
			var longer []string
			for _, before := range all {
				for _, g := range globs {
					longer = append(longer, before+g)
				}
			}
			if all, err = few(longer); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	return nil, errNoGlob
}

func few(globs []string) ([]string, error) {
	if len(globs) > maxGlobs {
		return nil, errNoGlob
	}
	return globs, nil
}

// classGlob is a class of characters, from the pairs of its ranges; "?" for one that
// has others than those of names.
func classGlob(pairs []rune) string {
	var b strings.Builder
	for pair := range slices.Chunk(pairs, 2) {
		from, to := pair[0], pair[1]
		switch {
		case !isTopicRune(from) || !isTopicRune(to) || to > unicode.MaxASCII || from == '-':
			return "?"
		case from == to:
			b.WriteRune(from)
		default:
			b.WriteString(string(from) + "-" + string(to))
		}
	}
	return "[" + b.String() + "]"
}
