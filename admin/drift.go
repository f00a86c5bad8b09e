package admin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/delayd-io/delayd/internal/describe"
	"github.com/delayd-io/delayd/levels"
)

// Drift is one thing in which a topic is not as it should be.
type Drift struct {
	// Setting that differs, or "partitions" or "replicas".
	Setting string `json:"setting"`
	Got     string `json:"got"`
	Want    string `json:"want"`
	// Risk says what may come of it.
	Risk string `json:"risk"`
	// Unsafe drifts lose records: the service does not start with one.
	Unsafe bool `json:"unsafe,omitempty"`
	// Fix is the command that fixes it. "" is a drift that may stay.
	Fix string `json:"fix,omitempty"`
	// Caution says what to think of before that; "" is nothing.
	Caution string `json:"caution,omitempty"`
	// Safe drifts are those that [Apply] fixes.
	Safe bool `json:"safe"`

	is    string // the drift in words, without what is wanted
	minor bool   // only worth a word in a plan: no record and no delivery depends on it
}

// String is the drift and its risk in a sentence.
func (d Drift) String() string {
	if d.Unsafe {
		return fmt.Sprintf("%s %s; fix it with %s", d.is, d.Risk, d.Fix)
	}
	return fmt.Sprintf("%s, want %s: %s", d.is, d.Want, d.Risk)
}

// drifts are all in which a topic differs from what is wanted. values are its
// settings, nil where they are unknown.
func (t topic) drifts(spec Spec, c cluster, f describe.Topic, values map[string]string, k tools) []Drift {
	list := t.shape(spec, c, f, k)
	first := len(list)
	c.replicas = f.Replicas
	for _, want := range t.settings(c) {
		d, differs := t.compare(want, values, f)
		if !differs {
			continue
		}
		d.Setting, d.Got, d.Want = want.key, values[want.key], want.value
		if d.is == "" {
			d.is = setting{d.Setting, d.Got}.String()
		}
		d.Fix, d.Safe = k.set(t.name, want), d.Caution == ""
		list = append(list, d)
	}
	if compacted := list[first:]; len(compacted) > 0 && compacted[0].Setting == cleanupPolicy {
		// Deleting by age begins at once: how long records are kept has to be set
		// with it, not after it.
		other := func(s setting) bool { return s.key != cleanupPolicy && s.key != retentionMs && s.key != retentionBytes }
		compacted[0].Fix = k.set(t.name, slices.DeleteFunc(safe(compacted), other)...)
	}
	return append(list, t.unwritable(f, values, k)...)
}

// safe are the settings that fix drifts without a risk of their own.
func safe(drifts []Drift) (settings []setting) {
	for _, d := range drifts {
		if d.Safe {
			settings = append(settings, setting{d.Setting, d.Want})
		}
	}
	return settings
}

// shape says how the partitions and replicas differ. Neither is changed by us:
// partitions move keys, and replicas move data.
func (t topic) shape(spec Spec, c cluster, f describe.Topic, k tools) (list []Drift) {
	partitions := Drift{
		Setting: "partitions", Got: strconv.Itoa(int(f.Partitions)), Want: strconv.Itoa(int(t.partitions)),
		is: fmt.Sprintf("partitions %d", f.Partitions),
	}
	switch {
	case f.Partitions < t.partitions:
		partitions.Risk = "fewer processes can share its work"
		partitions.Fix = k.grow(t.name, t.partitions)
		partitions.Caution = "keys move to other partitions, and what was sent for one before and after it may change places"
		list = append(list, partitions)
	case f.Partitions > t.partitions:
		partitions.Risk = "nothing is lost by it"
		list = append(list, partitions)
	}
	replicas := Drift{
		Setting: "replicas", Got: strconv.Itoa(f.Replicas), Want: strconv.Itoa(int(spec.Replicas)),
		Fix: k.reassign(), Caution: "FILE says which brokers each partition is to be on",
		is: fmt.Sprintf("replicas %d", f.Replicas),
	}
	switch {
	case spec.Replicas > 0 && f.Replicas < int(spec.Replicas):
		replicas.Risk = "fewer brokers may be lost before records are"
		list = append(list, replicas)
	case spec.Replicas < 0 && f.Replicas == 1 && c.Count > 1:
		replicas.Want = "at least 2"
		replicas.is += fmt.Sprintf(" on %d brokers", c.Count)
		replicas.Risk = "the loss of one broker loses the records that wait there"
		list = append(list, replicas)
	}
	return list
}

// compare says whether a setting differs from what is wanted in a way that
// matters, and what it risks. Settings that the brokers do not know are none.
func (t topic) compare(want setting, values map[string]string, f describe.Topic) (d Drift, differs bool) {
	got, known := values[want.key]
	if !known || got == want.value {
		return d, false
	}
	has, wanted := integer(got, -1), integer(want.value, 0)
	switch want.key {
	case cleanupPolicy:
		if t.kind == control {
			d.Risk = "what is paused is forgotten when its record is deleted"
			return d, true
		}
		if t.kind == cancels {
			d.Risk = "what is cancelled is forgotten when another record with its key is"
			return d, strings.Contains(got, "compact")
		}
		d.Unsafe, d.Risk = true, "would delete every record but the last of its key, handled or not"
		return d, strings.Contains(got, "compact")
	case retentionMs:
		return t.compareRetention(values)
	case retentionBytes:
		_, finite := retentionSize(values)
		if t.waits() {
			d.Unsafe, d.Risk = true, "would delete the oldest records of a partition that holds more, before they are delivered: it must be -1 for no end"
		} else {
			d.Risk = "a partition that holds more deletes its oldest records, handled or not"
		}
		return d, finite
	case timestampType:
		d.Risk = "the wait is counted from the producers' clocks"
		if t.kind == level {
			d.Risk += ", never longer than the level, and what is overdue is a guess"
		}
		return d, t.kind == level || t.kind == inbox
	case segmentSize:
		d.minor, d.Risk = true, "what is handled is deleted by whole segments: so much disk stays in use for each partition"
		return d, has > wanted
	case segmentMs:
		d.minor, d.Risk = true, "a quiet partition keeps what is handled on its disk for so long"
		return d, has > wanted
	case maxMessage:
		d.Risk = "a record near the inbox's limit does not fit with the headers that are added"
		return d, has > 0 && has < wanted
	case minInSync:
		d.is = fmt.Sprintf("%v with %d replicas", setting{want.key, got}, f.Replicas)
		d.Risk = "a record can be acknowledged and then lost with one broker"
		if f.InSync < minISR {
			d.Caution = fmt.Sprintf("%d of %d replicas is in sync, and until there are %d nothing could be written", f.InSync, f.Replicas, minISR)
		}
		return d, has > 0 && has < wanted
	}
	return d, false
}

// compareRetention compares how long records are kept. Longer is never a drift.
func (t topic) compareRetention(values map[string]string) (d Drift, differs bool) {
	kept, finite := retention(values)
	switch {
	case !finite || t.keep > 0 && kept >= t.keep:
		return d, false
	case t.tooShort(kept):
		// A record becomes due after the level; kept no longer than that, it is gone
		// when its delivery is a moment late.
		d.Unsafe = true
		d.is = fmt.Sprintf("%s=%d (%s)", retentionMs, kept.Milliseconds(), levels.FormatDelay(kept))
		d.Risk = fmt.Sprintf("would delete records before they are delivered: it must be longer than the level (%s), or -1 for no end", levels.FormatDelay(t.delay))
	case t.kind == level:
		d.Risk = fmt.Sprintf("records that are more than %s late are deleted instead of delivered", levels.FormatDelay(kept-t.delay))
	case t.kind == cancels:
		d.Risk = fmt.Sprintf("a record that is cancelled more than %s before it is due is delivered after all", levels.FormatDelay(kept))
	case t.kind == dead:
		d.Risk = fmt.Sprintf("dead letters are deleted after %s", levels.FormatDelay(kept))
	default:
		d.Risk = fmt.Sprintf("records that are not handled within %s are deleted", levels.FormatDelay(kept))
	}
	return d, true
}

// unwritable is a topic that asks for more replicas in sync than it has.
func (t topic) unwritable(f describe.Topic, values map[string]string, k tools) []Drift {
	got := number(values, minInSync, 0)
	if got <= int64(f.Replicas) || f.Replicas == 0 {
		return nil
	}
	return []Drift{{
		Setting: minInSync, Got: values[minInSync], Want: "at most " + strconv.Itoa(f.Replicas),
		Risk: "nothing can be written to it", is: fmt.Sprintf("%s=%d with %d replicas", minInSync, got, f.Replicas),
		Fix: k.reassign(), Caution: "FILE says which brokers each partition is to be on",
	}}
}

// tooShort reports whether records are gone when they become due.
func (t topic) tooShort(kept time.Duration) bool { return t.kind == level && kept <= t.delay }

// waits reports whether records stay on the topic though everything works:
// until they are due, or until their target takes them.
func (t topic) waits() bool { return t.kind == level || t.kind == parked }

// retention is how long a topic keeps records, and whether that has an end.
func retention(values map[string]string) (kept time.Duration, finite bool) {
	ms := number(values, retentionMs, -1)
	if ms < 0 || ms > int64(levels.MaxDelay/time.Millisecond)*2 { // Kafka takes up to 2^63-1
		return 0, false
	}
	return time.Duration(ms) * time.Millisecond, true
}

// retentionSize is how many bytes a partition keeps, and whether that has an end.
func retentionSize(values map[string]string) (size int64, finite bool) {
	size = number(values, retentionBytes, -1)
	return size, size >= 0
}

// number is the value of a setting, or what stands for one that is not there.
func number(values map[string]string, key string, missing int64) int64 {
	return integer(values[key], missing)
}

// integer is a number in words, or what stands for words that are none.
func integer(words string, missing int64) int64 {
	n, err := strconv.ParseInt(words, 10, 64)
	if err != nil {
		return missing
	}
	return n
}
