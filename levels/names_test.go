package levels_test

import (
	"strings"
	"testing"
	"time"

	"github.com/delayd-io/delayd/levels"
	"pgregory.net/rapid"
)

// names are those of an installation that configures nothing.
var names = levels.Names{Prefix: levels.DefaultPrefix}

func TestNames(t *testing.T) {
	staging := levels.Names{Prefix: "staging.delay"}
	tests := []struct{ got, want string }{
		{names.Inbox(), "delay.inbox"},
		{names.Level(levels.Default().First()), "delay.level.1s"},
		{names.Level(levels.Level{Number: 1, Delay: 60 * time.Second}), "delay.level.1m"},
		{names.Parked(), "delay.parked"},
		{names.Dead(), "delay.dead"},
		{names.Resent(), "delay.resent"},
		{names.RouterGroup(), "delay.router"},
		{names.ForwarderGroup(), "delay.forwarder"},
		{names.PurgedGroup(), "delay.purged"},
		{names.SkippedGroup(), "delay.skipped"},
		{staging.Inbox(), "staging.delay.inbox"},
		{staging.Level(levels.Default().Last()), "staging.delay.level.2h"},
		{staging.ForwarderGroup(), "staging.delay.forwarder"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}

func TestOwns(t *testing.T) {
	tests := []struct {
		topic string
		want  bool
	}{
		{"delay.inbox", true},
		{"delay.parked", true},
		{"delay.dead", true},
		{"delay.resent", true},
		{"delay.level.5s", true},
		{"delay.level.60s", true}, // not a level's name, and still nobody else's
		{"delay.level.", true},
		{"delay.levels", false},
		{"delay.level", false},
		{"delay.inbox2", false},
		{"delay.orders", false}, // under the prefix, but not one of ours
		{"delay.router", false}, // a group and not a topic
		{"delay.purged", false},
		{"delay.skipped", false},
		{"delay", false},
		{"delayed.inbox", false},
		{"other.delay.inbox", false},
		{"orders", false},
		{"", false},
	}
	for _, tt := range tests {
		if got := names.Owns(tt.topic); got != tt.want {
			t.Errorf("Owns(%q) = %t, want %t", tt.topic, got, tt.want)
		}
	}
}

func TestLevelDelay(t *testing.T) {
	tests := []struct {
		topic string
		want  time.Duration
		ok    bool
	}{
		{"delay.level.5s", 5 * time.Second, true},
		{"delay.level.45m", 45 * time.Minute, true}, // in no ladder here: one that was taken out
		{"delay.level.1d", day, true},
		{"delay.level.3650d", levels.MaxDelay, true},
		{"delay.level.3651d", 0, false},
		{"delay.level.60s", 0, false}, // would be spelled 1m
		{"delay.level.05s", 0, false},
		{"delay.level.0s", 0, false},
		{"delay.level.5", 0, false},
		{"delay.level.3", 0, false},
		{"delay.level.1h30m", 0, false},
		{"delay.level.500ms", 0, false},
		{"delay.level.-5s", 0, false},
		{"delay.level.", 0, false},
		{"delay.level.5s.5s", 0, false},
		{"delay.inbox", 0, false},
		{"other.level.5s", 0, false},
		{"", 0, false},
	}
	for _, tt := range tests {
		if got, ok := names.LevelDelay(tt.topic); got != tt.want || ok != tt.ok {
			t.Errorf("LevelDelay(%q) = %s, %t, want %s, %t", tt.topic, got, ok, tt.want, tt.ok)
		}
	}
}

func TestLevelDelayIsTheInverseOfLevel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Second * time.Duration(rapid.Int64Range(1, int64(levels.MaxDelay/time.Second)).Draw(t, "seconds"))
		topic := names.Level(levels.Level{Delay: d})
		if got, ok := names.LevelDelay(topic); !ok || got != d {
			t.Errorf("LevelDelay(%q) = %s, %t, want %s", topic, got, ok, d)
		}
		if !names.Owns(topic) {
			t.Errorf("Owns(%q) = false", topic)
		}
	})
}

func TestValidateNames(t *testing.T) {
	const characters = ` is not allowed; use letters a-z and A-Z, digits, ".", "_" and "-"`
	tests := []struct{ prefix, want string }{
		{levels.DefaultPrefix, ""},
		{"staging.delay", ""},
		{"a", ""},
		{"_delay", ""},
		{"Delay-2_b", ""},
		{strings.Repeat("p", 232), ""},
		{strings.Repeat("p", 233), `prefix "` + strings.Repeat("p", 64) + `"… (233 bytes): 233 bytes long; use at most 232, so that the names of its topics fit into 249`},
		{"", ""},
		{"my delay", `prefix "my delay": ' '` + characters},
		{"delay/eu", `prefix "delay/eu": '/'` + characters},
		{"verzögert", `prefix "verz\u00f6gert": '\u00f6'` + characters},
		{"delay\n", `prefix "delay\n": '\n'` + characters},
		{"\xff", `prefix "\xff": '\ufffd'` + characters},
		{"delay.", `prefix "delay.": ends with a dot, which is put between the prefix and the rest anyway; leave it out`},
		{".", `prefix ".": ends with a dot, which is put between the prefix and the rest anyway; leave it out`},
		{"__delay", `prefix "__delay": begins with "__", which marks topics that are internal; leave it out`},
	}
	for _, tt := range tests {
		checkMessage(t, "Validate", tt.prefix, levels.Names{Prefix: tt.prefix}.Validate(), tt.want)
	}
}

// Whatever prefix is valid, the names that come of it are legal, however long
// the level's name is.
func TestValidNamesAreLegal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := levels.Names{Prefix: rapid.StringMatching(`[a-zA-Z0-9._ -]{0,240}`).Draw(t, "prefix")}
		if n.Validate() != nil {
			return
		}
		longest := levels.Level{Delay: levels.MaxDelay - time.Second}
		for _, topic := range []string{n.Inbox(), n.Parked(), n.Dead(), n.Level(longest)} {
			if err := levels.CheckTopic(topic); err != nil {
				t.Error(err)
			}
			if !n.Owns(topic) {
				t.Errorf("prefix %q does not own %s", n.Prefix, topic)
			}
		}
	})
}

func TestCheckTopic(t *testing.T) {
	const characters = ` is not allowed; use letters a-z and A-Z, digits, ".", "_" and "-"`
	tests := []struct{ name, want string }{
		{"orders", ""},
		{"orders.eu_1-B", ""},
		{"...", ""}, // Kafka takes it
		{"__consumer_offsets", ""},
		{strings.Repeat("t", 249), ""},
		{"", `topic "": empty; a name has 1 to 249 bytes`},
		{".", `topic ".": not a name that Kafka takes; use a letter or a digit too`},
		{"..", `topic "..": not a name that Kafka takes; use a letter or a digit too`},
		{"or ders", `topic "or ders": ' '` + characters},
		{"orders\x00", `topic "orders\x00": '\x00'` + characters},
		{"orders*", `topic "orders*": '*'` + characters},
		{strings.Repeat("t", 250), `topic "` + strings.Repeat("t", 64) + `"… (250 bytes): 250 bytes long; use at most 249`},
	}
	for _, tt := range tests {
		checkMessage(t, "CheckTopic", tt.name, levels.CheckTopic(tt.name), tt.want)
	}
}

// checkMessage compares a whole error message; none is wanted where want is "".
func checkMessage(t *testing.T, call, value string, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("%s(%q)\n got: %s\nwant: %s", call, value, got, want)
	}
}

func TestServiceOf(t *testing.T) {
	t.Parallel()
	n := levels.Names{Prefix: "shop"}
	for _, topic := range []string{n.Inbox(), n.Parked(), n.Dead(), n.Resent(), n.Control(), "shop.level.5m", "shop.level.x"} {
		if got, ok := levels.ServiceOf(topic); !ok || got != n || !n.Owns(topic) {
			t.Errorf("%s: %v, %t", topic, got, ok)
		}
	}
	for _, topic := range []string{"orders", "orders.deadline", ".dead", "shop..dead", "__x.control", "inbox", "shop.level"} {
		if got, ok := levels.ServiceOf(topic); ok {
			t.Errorf("%s: %v", topic, got)
		}
	}
}

func TestMeant(t *testing.T) {
	const none = "none"
	for topic, want := range map[string]string{
		"delay.level.1m":         none,
		"delay.level.7s":         none,
		"delay.inbox":            none,
		"delay.dead":             none,
		"delay.parked":           none,
		"orders":                 none,
		"delays":                 none,
		"other.level.60s":        none,
		"delay.levels":           none,
		"delay.levels.inbox":     none,
		"delay.levels.level.60s": none,
		"delay.levelling.1s":     none,
		"delay.level.60s":        "delay.level.1m",
		"delay.level.01s":        "delay.level.1s",
		"delay.level.24h":        "delay.level.1d",
		"delay.level.1min":       "delay.level.1m",
		"delay.level.10-minutes": "delay.level.10m",
		"delay.level.2hours":     "delay.level.2h",
		"delay.level.1m30s":      "delay.level.90s",
		"delay.level.1H":         "delay.level.1h",
		"delay.level.1000ms":     "delay.level.1s",
		"delay.levels.5s":        "delay.level.5s",
		"delay.level5s":          "delay.level.5s",
		"delay.Level.5s":         "delay.level.5s",
		"delay-level-5s":         "delay.level.5s",
		"delay_level_5s":         "delay.level.5s",
		"DELAY.LEVEL.5S":         "delay.level.5s",
		"Delay.Inbox":            "delay.inbox",
		"delay-inbox":            "delay.inbox",
		"delay.level.":           "",
		"delay.level.3":          "",
		"delay.level.0s":         "",
		"delay.level.500ms":      "",
		"delay.level.soon":       "",
		"delay.level.9999999d":   "",
	} {
		right, misspelt := levels.Names{Prefix: "delay"}.Meant(topic)
		if got := right; misspelt != (want != none) || misspelt && got != want {
			t.Errorf("%s: %q, %v, want %q", topic, got, misspelt, want)
		}
	}
}

// TestZeroNames: the zero value has the default prefix, and no topic is taken for one of an
// installation with an empty prefix.
func TestZeroNames(t *testing.T) {
	var names levels.Names
	if err := names.Validate(); err != nil {
		t.Error(err)
	}
	if got := names.Inbox(); got != "delay.inbox" {
		t.Errorf("the inbox is %q", got)
	}
	topic := names.Level(levels.Level{Delay: time.Minute})
	if d, ok := names.LevelDelay(topic); topic != "delay.level.1m" || !ok || d != time.Minute || !names.Owns(topic) {
		t.Errorf("level topic %q stands for %v, %v", topic, d, ok)
	}
	for _, topic := range []string{".inbox", ".level.1m"} {
		if n, ok := levels.ServiceOf(topic); ok {
			t.Errorf("%s is taken for a topic of prefix %q", topic, n.Prefix)
		}
	}
}
