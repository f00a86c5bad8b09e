// Package control is what operators have stopped: levels and targets that are
// paused, and since when. And it is what the service has been started with, which its
// tools have to know.
//
// It is kept on a topic of its own, compacted and with one partition, on which the
// last record of a key counts. Unlike the offsets of a group that topic does not
// expire, is guarded by rights of its own, and can be read with any tool: who
// wonders why nothing is delivered finds the answer, and the reason with it.
package control

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Kind is what something is said of.
type Kind string

const (
	// Level is a level, by its canonical name: nothing is taken off its topic.
	Level Kind = "level"
	// Target is a target, by its topic: its records are parked.
	Target Kind = "target"
	// Service is the service itself. It cannot be paused.
	Service Kind = "service"
)

// SettingsKey is the key of what the service has been started with. Readers that do not
// know it ignore it.
var SettingsKey = Key{Service, "settings"}

// Key says what is paused: "level/5m", "target/orders".
type Key struct {
	Kind Kind
	Name string
}

// String is the key of the record that says so.
func (k Key) String() string { return string(k.Kind) + "/" + k.Name }

// parseKey reads what String wrote.
func parseKey(s string) (Key, bool) {
	kind, name, ok := strings.Cut(s, "/")
	k := Key{Kind(kind), name}
	return k, ok && name != "" && (k.Kind == Level || k.Kind == Target || k == SettingsKey)
}

// Switch is what was last said of a key.
type Switch struct {
	Paused bool   `json:"paused"`
	Reason string `json:"reason,omitempty"`
	// Settings is what is said of SettingsKey instead.
	Settings *Settings `json:"settings,omitempty"`
	// At is when it was said, by the broker's clock where that stamps records.
	At time.Time `json:"-"`

	offset int64 // of the record that says so
}

// Settings is what an instance has been started with, in the words of its flags.
type Settings struct {
	Levels     string `json:"levels"`
	Partitions int32  `json:"partitions"`
	Delivery   string `json:"delivery"`
	Instance   string `json:"instance"`
}

// Record is the record that says s of k. A resumed key keeps a record: when that was
// is needed for as long as anything may be given up.
func Record(topic string, k Key, s Switch) (*kgo.Record, error) {
	value, err := json.Marshal(s)
	return &kgo.Record{Topic: topic, Partition: 0, Key: []byte(k.String()), Value: value}, err
}

// State is what is said of each key.
type State map[Key]Switch

// Has reports whether the state has what rec, once written, says of a key, or something
// that was said later.
func (s State) Has(k Key, rec *kgo.Record) bool {
	said, ok := s[k]
	return ok && said.offset >= rec.Offset
}

// Changed returns the keys that are paused in one of the states s and before, and not
// in the other, in a fixed order.
func (s State) Changed(before State) (keys []Key) {
	for k := range s {
		if s[k].Paused != before[k].Paused {
			keys = append(keys, k)
		}
	}
	for k := range before {
		if _, kept := s[k]; !kept && before[k].Paused {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b Key) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

// Paused says whether a key is.
func (s State) Paused(kind Kind, name string) bool { return s[Key{kind, name}].Paused }

// Resumed is when a key was resumed; zero where it never was, or is paused again.
func (s State) Resumed(kind Kind, name string) time.Time {
	if sw := s[Key{kind, name}]; !sw.Paused {
		return sw.At
	}
	return time.Time{}
}
