package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/delayd-io/delayd/internal/harness/picture"
	"github.com/delayd-io/delayd/levels"
)

// parsePlot reads a file that can be drawn into.
func parsePlot(s string) (string, error) { return s, picture.CheckFile(s) }

// mapNumber reads a number that has bounds.
func mapNumber(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := popText(ctx)
	if err != nil {
		return err
	}
	least, errLeast := ctx.Value.Tag.GetInt("min")
	most, errMost := ctx.Value.Tag.GetInt("max")
	if err := errors.Join(errLeast, errMost); err != nil {
		return err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return fmt.Errorf("%q: write a number from %d to %d", text, least, most)
	}
	target.SetInt(n)
	return nil
}

// parseShare reads a part of all, above 0 and below all.
func parseShare(s string) (float64, error) {
	number, percent := strings.CutSuffix(s, "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share > 0 && share < 1) { // no comparison is true of NaN
		return 0, fmt.Errorf("%q: write a share above 0%% and below 100%%, as in 20%% or 0.2", s)
	}
	return share, nil
}

// mapSpread reads levels with spaces or commas in between, in any order.
func mapSpread(ctx *kong.DecodeContext, target reflect.Value) error {
	words, err := popText(ctx)
	if err != nil {
		return err
	}
	var spread []levels.Level
	for _, word := range strings.FieldsFunc(words, func(r rune) bool { return r == ' ' || r == ',' }) {
		one, err := levels.Parse(word)
		if err != nil {
			return errors.New(strings.TrimPrefix(err.Error(), "level 1 "))
		}
		l := one.First()
		if slices.Contains(spread, l) {
			return fmt.Errorf("%q: %v is named twice; records take turns, so that each level gets as many", words, l)
		}
		spread = append(spread, l)
	}
	if len(spread) == 0 {
		return fmt.Errorf("%q: write at least one level, as in 10s", words)
	}
	target.Set(reflect.ValueOf(spread))
	return nil
}
