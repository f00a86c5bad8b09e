package levels

import (
	"strings"
	"time"
)

// Meant returns the topic that a name was likely meant to be that is spelled like the
// inbox or a level's topic and is none: "delay.level.60s" is meant to be
// "delay.level.1m". Nothing reads such a topic, and a broker that creates topics by
// itself makes one of each misspelt name. The answer is "" where the name begins like a
// level's topic and it cannot be said of which level. It is false for all other names.
func (n Names) Meant(topic string) (right string, misspelt bool) {
	if _, isLevel := n.LevelDelay(topic); isLevel || topic == n.Inbox() {
		return "", false
	}
	name, level := folded(topic), folded(strings.TrimSuffix(n.LevelPrefix(), "."))
	if name == folded(n.Inbox()) {
		return n.Inbox(), true
	}
	if word, ok := strings.CutPrefix(name, level); ok {
		word = strings.TrimLeft(strings.TrimPrefix(word, "s"), ".")
		if d, ok := wordDelay(word); ok {
			return n.Level(Level{Delay: d}), true
		}
	}
	return "", strings.HasPrefix(topic, n.LevelPrefix())
}

// folded is a name without what people mix up: case, and the signs between words.
func folded(name string) string {
	return strings.NewReplacer("_", ".", "-", ".").Replace(strings.ToLower(name))
}

// longUnits are names of units that people write out, by the one that is right.
var longUnits = map[string][]string{
	"s": {"sec", "secs", "second", "seconds"},
	"m": {"min", "mins", "minute", "minutes"},
	"h": {"hr", "hrs", "hour", "hours"},
	"d": {"day", "days"},
}

// wordDelay reads a delay that a level can have, however it is spelled.
func wordDelay(word string) (time.Duration, bool) {
	digits := strings.TrimRight(word, "abcdefghijklmnopqrstuvwxyz")
	unit := strings.TrimPrefix(word, digits)
	for right, long := range longUnits {
		for _, l := range long {
			if unit == l {
				word = strings.TrimRight(digits, ".") + right
			}
		}
	}
	d, fault := parseDelay(word)
	return d, fault == "" && d > 0 && d <= MaxDelay && d%time.Second == 0
}
