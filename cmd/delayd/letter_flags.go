package main

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/levels"
)

// mapList reads a flag that is a list, with commas in between. The flag can be
// repeated.
func mapList[T any](parse func(string) (T, error)) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		text, err := popText(ctx)
		if err != nil {
			return err
		}
		for _, word := range withoutEmpty(strings.Split(text, ",")) {
			v, err := parse(word)
			if err != nil {
				return err
			}
			target.Set(reflect.Append(target, reflect.ValueOf(v)))
		}
		return nil
	}
}

// parseCode reads the code of a dead letter.
func parseCode(s string) (levels.Code, error) {
	code := levels.Code(s)
	if !slices.Contains(levels.Codes(), code) {
		return "", fmt.Errorf("%q: write %s", s, codeWords(" or "))
	}
	return code, nil
}

// codeWords lists all codes.
func codeWords(last string) string {
	var words []string
	for _, c := range levels.Codes() {
		words = append(words, string(c))
	}
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + last + words[n]
}

// parseOffset reads an offset.
func parseOffset(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q: write an offset, a whole number from 0 on", s)
	}
	return n, nil
}

// parseThrough reads an offset of which it counts whether it is given.
func parseThrough(s string) (*int64, error) {
	n, err := parseOffset(s)
	return &n, err
}

// parsePlace reads where a record is.
func parsePlace(s string) (at admin.Place, err error) {
	if err := at.UnmarshalText([]byte(s)); err != nil {
		return at, fmt.Errorf("%q: write topic/partition/offset, as in delay.inbox/0/42", s)
	}
	return at, levels.CheckTopic(at.Topic)
}

// momentForms are how a time can be written. Without a zone it is in UTC, as in what
// the commands print.
var momentForms = []string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly,
}

// parseMoment reads a time: how long before now it was, or the time itself.
func parseMoment(s string, now time.Time) (time.Time, error) {
	if d, err := levels.ParseDelay(s); err == nil {
		return now.Add(-d), nil
	}
	for _, form := range momentForms {
		if at, err := time.Parse(form, s); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q: write how long ago, as in 90s, 2h or 1d, or a time, as in 2026-03-01, "+
		`"2026-03-01 12:00" (both in UTC) or 2026-03-01T12:00:00+01:00`, s)
}

// parseAgo is parseMoment as of the present.
func parseAgo(s string) (time.Time, error) { return parseMoment(s, time.Now()) }

// parseRequest reads what a producer may ask for.
func parseRequest(s string) (string, error) {
	_, err := levels.ParseRequest(s)
	return s, err
}
