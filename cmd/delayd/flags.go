package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
)

// How flags are read. Each value is checked here. Kong puts the flag in front of
// the error and, after it, the environment variable that the value came from.

// textMapper reads a flag with parse. kong puts the flag in front of an error,
// which makes the noun that parse begins it with one too many.
func textMapper[T any](noun string, parse func(string) (T, error)) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		text, err := popText(ctx)
		if err != nil {
			return err
		}
		v, err := parse(text)
		if err != nil {
			return errors.New(strings.TrimPrefix(err.Error(), noun+" "))
		}
		target.Set(reflect.ValueOf(v))
		return nil
	}
}

// popText takes the value of a flag off the command line. kong says by itself
// that it "expected value value".
func popText(ctx *kong.DecodeContext) (text string, err error) {
	switch t := ctx.Scan.Peek(); {
	case t.IsEOL():
		return "", errors.New("the value is missing")
	case !t.IsValue():
		return "", fmt.Errorf("the value is missing before %q; if that is meant to be it, write %s=%[1]v", t.String(), ctx.Value.ShortSummary())
	}
	err = ctx.Scan.PopValueInto("text", &text)
	return text, err
}

// mapChoice reads a flag that has an enum. kong checks those too, but no longer
// knows by then which variable a value came from.
func mapChoice(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := popText(ctx)
	if err != nil {
		return err
	}
	choices := ctx.Value.EnumSlice()
	if !slices.Contains(choices, text) {
		last := len(choices) - 1
		return fmt.Errorf("%q: write %s or %s", text, strings.Join(choices[:last], ", "), choices[last])
	}
	target.SetString(text)
	return nil
}

// brokerList is addresses with commas in between. The flag can be repeated.
type brokerList []string

// mapBrokers adds to a brokerList.
func mapBrokers(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := popText(ctx)
	if err != nil {
		return err
	}
	for _, addr := range withoutEmpty(strings.Split(text, ",")) {
		if err := checkAddr(addr, 1); err != nil {
			return err
		}
		target.Set(reflect.Append(target, reflect.ValueOf(addr)))
	}
	return nil
}

// mapPatterns adds to a list of patterns with commas in between. One that is given and
// empty is refused: it would allow all, or deny nothing, where a script meant to name
// some.
func mapPatterns(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := popText(ctx)
	if err != nil {
		return err
	}
	patterns := withoutEmpty(strings.Split(text, ","))
	if len(patterns) == 0 {
		return fmt.Errorf(`%q: the list is empty; name at least one topic or pattern, or leave it out`, text)
	}
	target.Set(reflect.AppendSlice(target, reflect.ValueOf(patterns)))
	return nil
}

// checkAddr reports what keeps s from being a host and a port. The lowest port
// is 1 to connect to and 0, which takes a free one, to listen on; a host can be
// left out there too.
func checkAddr(s string, lowest uint64) error {
	example := "kafka:9092 or [::1]:9092"
	if lowest == 0 {
		example = "127.0.0.1:8080"
	}
	fault := func(what string) error { return fmt.Errorf("%q: %s; write HOST:PORT, as in %s", s, what, example) }
	if strings.Contains(s, "://") {
		return fault("a scheme is not part of an address")
	}
	host, port, err := net.SplitHostPort(s)
	if parse := new(net.AddrError); errors.As(err, &parse) {
		return fault(parse.Err)
	}
	if host == "" && lowest > 0 {
		return fault("the host is missing")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n < lowest {
		return fault(fmt.Sprintf("a port is a number from %d to %d", lowest, math.MaxUint16))
	}
	return nil
}

// parseListen reads an address to listen on.
func parseListen(s string) (string, error) { return s, checkAddr(s, 0) }

// parseHTTP reads an address to listen on, or off.
func parseHTTP(s string) (string, error) {
	if s == "off" || s == "" {
		return httpOff, nil
	}
	if err := checkAddr(s, 0); err != nil {
		return "", fmt.Errorf("%w, or off", err)
	}
	return s, nil
}

// parseWait reads a delay, and takes a bare 0 for no end.
func parseWait(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	d, err := levels.ParseDelay(s)
	if err != nil {
		return 0, fmt.Errorf("%w, or 0 to wait without end", err)
	}
	return d, nil
}

// parsePurge reads a delay, 0, or off.
func parsePurge(s string) (time.Duration, error) {
	switch s {
	case "0":
		return 0, nil
	case "off":
		return forwarder.PurgeOff, nil
	}
	d, err := levels.ParseDelay(s)
	if err != nil {
		return 0, fmt.Errorf("%w, or 0 to keep nothing, or off to keep all", err)
	}
	return d, nil
}

// parseAboveZero reads a delay that is one.
func parseAboveZero(s string) (time.Duration, error) {
	d, err := levels.ParseDelay(s)
	if err == nil && d == 0 {
		err = fmt.Errorf("%q: must be above 0", s)
	}
	return d, err
}

// parseMaxLate reads a delay that is one, or off.
func parseMaxLate(s string) (time.Duration, error) {
	if s == "off" {
		return 0, nil
	}
	d, err := parseAboveZero(s)
	if err != nil {
		return 0, fmt.Errorf("%w, or off to deliver however late it is", err)
	}
	return d, nil
}

func parsePartitions(s string) (int32, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q: write a number from 1 to %d", s, math.MaxInt32)
	}
	return int32(n), nil
}

func parseMost(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q: write a number from 1 on", s)
	}
	return n, nil
}

func parseReplicas(s string) (int16, error) {
	n, err := strconv.ParseInt(s, 10, 16)
	if err != nil || n < 1 && n != admin.BrokerDefault {
		return 0, fmt.Errorf("%q: write a number from 1 to %d, or %d for what the cluster does by itself",
			s, math.MaxInt16, admin.BrokerDefault)
	}
	return int16(n), nil
}

// parseCount reads how many records are enough; 0 is without end.
func parseCount(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q: write a number from 1 to %d, or 0 for no end", s, math.MaxInt32)
	}
	return int(n), nil
}

func parsePrefix(s string) (levels.Names, error) {
	names := levels.Names{Prefix: s}
	if s == "" { // a script's variable that is not set, most likely
		return names, fmt.Errorf(`prefix "": empty; write a name such as %s`, levels.DefaultPrefix)
	}
	return names, names.Validate()
}

func parseTopic(s string) (string, error) { return s, levels.CheckTopic(s) }

// withoutEmpty drops empty words: a list that is set to nothing in the
// environment has one.
func withoutEmpty(words []string) []string {
	var kept []string
	for _, w := range words {
		if w = strings.TrimSpace(w); w != "" {
			kept = append(kept, w)
		}
	}
	return kept
}
