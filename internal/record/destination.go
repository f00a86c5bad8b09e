package record

import (
	"errors"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"

	"github.com/delayd-io/delayd/levels"
)

// Targets says which topics records may be delivered to.
type Targets struct {
	// Names spells the service's own topics, which are never a target: a
	// record would go round in a loop.
	Names levels.Names
	// Default is the target of a record that names none; empty for none.
	Default string
	// Allow and Deny are patterns of path.Match. An empty Allow allows all, and
	// Deny wins. Topics whose name begins with "__" are internal and, like the
	// service's own, refused whatever is allowed.
	Allow, Deny []string
	// ByField names settings in refusals as the fields of router.Policy, for programs
	// that set those. Otherwise they are named as flags: a dead letter is read by who
	// runs the command.
	ByField bool
}

// FieldError is a setting that is wrong, by the field that holds it. The command
// replaces the field by its flag.
type FieldError struct {
	Field string
	Value string // in quotes; empty where Err quotes it
	Err   error
}

// Error is the field, the value and what is wrong with it.
func (e *FieldError) Error() string {
	if e.Value == "" {
		return e.Field + ": " + e.Err.Error()
	}
	return e.Field + " " + e.Value + ": " + e.Err.Error()
}

// Unwrap returns what is wrong.
func (e *FieldError) Unwrap() error { return e.Err }

// setting is the name of a setting, shown in a refusal.
func (t *Targets) setting(flag, field string) string {
	if t.ByField {
		return "Policy." + field
	}
	return "--" + flag
}

// internalPrefix begins the names of topics that Kafka and its tools keep for
// themselves, such as __consumer_offsets.
const internalPrefix = "__"

// Validate reports the first setting that is wrong, as a [*FieldError].
func (t Targets) Validate() error {
	if err := validatePatterns("AllowTargets", t.Allow); err != nil {
		return err
	}
	if err := validatePatterns("DenyTargets", t.Deny); err != nil {
		return err
	}
	if t.Default == "" {
		return nil
	}
	if r := t.Check(t.Default); r != nil {
		return &FieldError{Field: "DefaultTarget", Err: errors.New(r.Detail)}
	}
	return nil
}

// maxQuoted is how many bytes of a value a detail repeats: details travel in
// headers, and values come from anyone who can write to the inbox.
const maxQuoted = 64

// Quote is a value as details show it: escaped to ASCII, and cut where it is long.
func Quote(value []byte) string {
	if len(value) <= maxQuoted {
		return strconv.QuoteToASCII(string(value))
	}
	return fmt.Sprintf("%s... (%d bytes)", strconv.QuoteToASCII(string(value[:maxQuoted])), len(value))
}

// Resolve reads from a record's headers where it is to go: the target, which is
// allowed, and the partition, or ByKey. A target that is there and empty is
// refused even where there is a default: somebody meant to name one. Where both
// headers are wrong the target's refusal is returned, and before it that of a header
// which is misspelt.
func (t *Targets) Resolve(h *Headers) (topic string, partition int32, r *levels.Refusal) {
	return t.ResolveLike(h, "")
}

// ResolveLike is Resolve with a guess: a topic that it, or Check, has allowed before. Where
// that is right, the topic need not be checked again.
func (t *Targets) ResolveLike(h *Headers, allowed string) (topic string, partition int32, r *levels.Refusal) {
	if r := h.Misspelt(); r != nil {
		return "", levels.ByKey, r
	}
	topic = t.Default
	if value, given := h.Target(); given {
		if topic = allowed; string(value) != allowed {
			topic = string(value)
		}
		if topic == "" {
			return "", levels.ByKey, &levels.Refusal{Code: levels.NoTarget, Detail: fmt.Sprintf(
				`%s "" is empty; name the topic to deliver to`, levels.HeaderTarget)}
		}
	}
	if r := t.checkLike(topic, allowed); r != nil {
		if what, fix := levels.TextFault(topic); what != "" && r.Code == levels.IllegalTarget {
			r.Detail = fmt.Sprintf("%s %s: %s; %s", levels.HeaderTarget, Quote([]byte(topic)), what, fix)
		}
		return "", levels.ByKey, r
	}
	value, given := h.value(keyPartition)
	if !given {
		return topic, levels.ByKey, nil
	}
	partition, ok := parsePartition(value)
	if !ok {
		if what, fix := levels.TextFault(string(value)); what != "" {
			return "", levels.ByKey, &levels.Refusal{Code: levels.BadPartition, Detail: fmt.Sprintf("%s %s: %s; %s", levels.HeaderPartition, Quote(value), what, fix)}
		}
		return "", levels.ByKey, &levels.Refusal{Code: levels.BadPartition, Detail: fmt.Sprintf(
			"%s %s is not a partition; write a number from 0 to %d, or leave the header out to let the key choose",
			levels.HeaderPartition, Quote(value), math.MaxInt32)}
	}
	return topic, partition, nil
}

// checkLike is Check, where one topic has been allowed before.
func (t *Targets) checkLike(topic, allowed string) *levels.Refusal {
	if topic == allowed && topic != "" {
		return nil
	}
	return t.Check(topic)
}

// Check reports why a topic may not be a target, nil where it may.
func (t *Targets) Check(topic string) *levels.Refusal {
	if topic == "" {
		return &levels.Refusal{Code: levels.NoTarget, Detail: fmt.Sprintf(
			"the record has no %s header and there is no %s; name the topic to deliver to",
			levels.HeaderTarget, t.setting("default-target", "DefaultTarget"))}
	}
	if err := levels.CheckTopic(topic); err != nil {
		return &levels.Refusal{Code: levels.IllegalTarget, Detail: err.Error()}
	}
	forbidden := func(why string) *levels.Refusal {
		return &levels.Refusal{Code: levels.ForbiddenTarget, Detail: "target " + Quote([]byte(topic)) + " " + why}
	}
	switch {
	case strings.HasPrefix(topic, internalPrefix):
		return forbidden(`is an internal topic; deliver to one whose name does not begin with "` + internalPrefix + `"`)
	case t.Names.Owns(topic):
		return forbidden("is one of the delay service's own topics; deliver to a topic of your own")
	}
	if p, ok := match(t.Deny, topic); ok {
		return forbidden(fmt.Sprintf("is denied by %s %q; deliver to another topic, or take the pattern away", t.setting("deny-target", "DenyTargets"), p))
	}
	if _, ok := match(t.Allow, topic); !ok && len(t.Allow) > 0 {
		return forbidden(fmt.Sprintf("is not allowed; %s allows %s", t.setting("allow-target", "AllowTargets"), quoteAll(t.Allow)))
	}
	return nil
}

// match is the first pattern that a topic matches. Validate has seen to it that
// they are all well formed.
func match(patterns []string, topic string) (string, bool) {
	for _, p := range patterns {
		if ok, _ := path.Match(p, topic); ok {
			return p, true
		}
	}
	return "", false
}

// maxListed is how many patterns a detail lists.
const maxListed = 5

func quoteAll(patterns []string) string {
	var b strings.Builder
	for i, p := range patterns {
		if i == maxListed {
			fmt.Fprintf(&b, " and %d more", len(patterns)-maxListed)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(Quote([]byte(p)))
	}
	return b.String()
}

// parsePartition reads the number of a partition.
func parsePartition(value []byte) (int32, bool) {
	n, ok := parseNumber(value, math.MaxInt32)
	if !ok {
		return levels.ByKey, false
	}
	return int32(n), true
}
