package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// splitWords splits a line as a shell does, as far as examples need it: spaces,
// both quotes, and comments.
func splitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	quote, inWord := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case r == '#' && !inWord:
			return words, nil
		case r == ' ' || r == '\t' || r == '\n':
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed: " + line)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

func TestSplitWords(t *testing.T) {
	got, err := splitWords(`send  --to 'a b' --header "k=v w" "" x#y # comment`)
	want := []string{"send", "--to", "a b", "--header", "k=v w", "", "x#y"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
	if _, err := splitWords(`send "hello`); err == nil {
		t.Error("an open quote is no error")
	}
}
