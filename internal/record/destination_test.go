package record

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/delayd-io/delayd/levels"
)

var names = levels.Names{Prefix: levels.DefaultPrefix}

func TestResolve(t *testing.T) {
	plain := Targets{Names: names}
	fallback := Targets{Names: names, Default: "fallback"}
	for _, c := range []struct {
		why       string
		targets   Targets
		in        []kgo.RecordHeader
		topic     string
		partition int32
		code      levels.Code
	}{
		{"the header names the target", plain, headers("delay-target", "orders"), "orders", levels.ByKey, ""},
		{"the last one wins", plain, headers("delay-target", "__x", "delay-target", "orders"), "orders", levels.ByKey, ""},
		{"keys are compared byte for byte", plain, headers("Delay-Target", "orders"), "", levels.ByKey, levels.NoTarget},
		{"no header, no default", plain, nil, "", levels.ByKey, levels.NoTarget},
		{"no header, but a default", fallback, nil, "fallback", levels.ByKey, ""},
		{"the header wins over the default", fallback, headers("delay-target", "orders"), "orders", levels.ByKey, ""},
		{"an empty header is not the default", fallback, headers("delay-target", ""), "", levels.ByKey, levels.NoTarget},
		{"neither is a null one", fallback, []kgo.RecordHeader{{Key: "delay-target"}}, "", levels.ByKey, levels.NoTarget},
		{"a partition", plain, headers("delay-target", "orders", "delay-partition", "3"), "orders", 3, ""},
		{"the first", plain, headers("delay-target", "orders", "delay-partition", "0"), "orders", 0, ""},
		{"the last that there can be", plain, headers("delay-target", "orders", "delay-partition", "2147483647"), "orders", math.MaxInt32, ""},
		{"one more", plain, headers("delay-target", "orders", "delay-partition", "2147483648"), "", levels.ByKey, levels.BadPartition},
		{"negative", plain, headers("delay-target", "orders", "delay-partition", "-1"), "", levels.ByKey, levels.BadPartition},
		{"with a sign", plain, headers("delay-target", "orders", "delay-partition", "+1"), "", levels.ByKey, levels.BadPartition},
		{"empty", plain, headers("delay-target", "orders", "delay-partition", ""), "", levels.ByKey, levels.BadPartition},
		{"words", plain, headers("delay-target", "orders", "delay-partition", "one"), "", levels.ByKey, levels.BadPartition},
		{"both wrong: the target's code", plain, headers("delay-target", "", "delay-partition", "x"), "", levels.ByKey, levels.NoTarget},
	} {
		t.Run(c.why, func(t *testing.T) {
			topic, partition, r := c.targets.Resolve(Read(c.in))
			if topic != c.topic || partition != c.partition || code(r) != c.code {
				t.Errorf("got %q %d %v, want %q %d %s", topic, partition, r, c.topic, c.partition, c.code)
			}
			for _, allowed := range []string{"orders", "another"} { // right or wrong, a guess changes nothing
				topic, partition, r := c.targets.ResolveLike(Read(c.in), allowed)
				if topic != c.topic || partition != c.partition || code(r) != c.code {
					t.Errorf("with %s known: got %q %d %v, want %q %d %s", allowed, topic, partition, r, c.topic, c.partition, c.code)
				}
			}
		})
	}
}

func code(r *levels.Refusal) levels.Code {
	if r == nil {
		return ""
	}
	return r.Code
}

func TestCheck(t *testing.T) {
	plain := Targets{Names: names}
	picky := Targets{Names: names, Allow: []string{"orders.*", "delay.*", "__*"}, Deny: []string{"*.secret", "orders.[0-9]*"}}
	for _, c := range []struct {
		why     string
		targets Targets
		topic   string
		code    levels.Code
		says    string // what the detail has to say
	}{
		{"nothing set: every topic", plain, "orders", "", ""},
		{"the longest name", plain, strings.Repeat("x", 249), "", ""},
		{"empty", plain, "", levels.NoTarget, "delay-target"},
		{"too long", plain, strings.Repeat("x", 250), levels.IllegalTarget, "249"},
		{"a space", plain, "a b", levels.IllegalTarget, `"a b"`},
		{"a dot alone", plain, ".", levels.IllegalTarget, `"."`},
		{"a slash", plain, "../x", levels.IllegalTarget, `"../x"`},
		{"not ASCII", plain, "Bestellungen-für-Köln", levels.IllegalTarget, "Bestellungen"},
		{"internal", plain, "__consumer_offsets", levels.ForbiddenTarget, `"__consumer_offsets"`},
		{"one underscore is not internal", plain, "_schemas", "", ""},
		{"the inbox", plain, "delay.inbox", levels.ForbiddenTarget, "own topics"},
		{"a level", plain, "delay.level.10s", levels.ForbiddenTarget, "own topics"},
		{"parked", plain, "delay.parked", levels.ForbiddenTarget, "own topics"},
		{"dead letters", plain, "delay.dead", levels.ForbiddenTarget, "own topics"},
		{"begins like ours", plain, "delays", "", ""},
		{"another installation's", plain, "other.inbox", "", ""},
		{"allowed", picky, "orders.new", "", ""},
		{"not allowed", picky, "payments", levels.ForbiddenTarget, `"orders.*"`},
		{"deny wins", picky, "orders.secret", levels.ForbiddenTarget, `--deny-target "*.secret"`},
		{"a class", picky, "orders.7", levels.ForbiddenTarget, "--deny-target"},
		{"ours, although allowed", picky, "delay.inbox", levels.ForbiddenTarget, "own topics"},
		{"internal, although allowed", picky, "__x", levels.ForbiddenTarget, "internal"},
	} {
		t.Run(c.why, func(t *testing.T) {
			r := c.targets.Check(c.topic)
			if code(r) != c.code {
				t.Fatalf("got %v, want %q", r, c.code)
			}
			if r != nil && !strings.Contains(r.Error(), c.says) {
				t.Errorf("%q does not say %q", r, c.says)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		targets Targets
		says    string // "" where it is valid
	}{
		{Targets{Names: names}, ""},
		{Targets{Names: names, Default: "orders", Allow: []string{"ord*"}, Deny: []string{"x"}}, ""},
		{Targets{Names: names, Allow: []string{"a", "[a-"}}, `AllowTargets "[a-"`},
		{Targets{Names: names, Allow: []string{""}}, "AllowTargets"},
		{Targets{Names: names, Deny: []string{`a\`}}, "DenyTargets"},
		{Targets{Names: names, Default: "a b"}, "DefaultTarget"},
		{Targets{Names: names, Default: "delay.dead"}, "DefaultTarget"},
		{Targets{Names: names, Default: "orders", Deny: []string{"*"}}, "DefaultTarget"},
	} {
		err := c.targets.Validate()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.targets, err, c.says)
		}
	}
}

// TestDetailIsBounded: details travel in headers, and topics that anyone named.
func TestDetailIsBounded(t *testing.T) {
	const most = 1024
	long := strings.Repeat("\x00\xff", 100_000)
	patterns := slices.Repeat([]string{strings.Repeat("p", 200)}, 50)
	targets := Targets{Names: names, Allow: patterns}
	for _, h := range [][]kgo.RecordHeader{
		headers("delay-target", long),
		headers("delay-target", "orders"),
		headers("delay-target", patterns[0], "delay-partition", long),
	} {
		_, _, r := targets.Resolve(Read(h))
		if r == nil || len(r.Detail) > most || strings.ContainsRune(r.Detail, '\n') {
			t.Errorf("refusal %v; want a detail of one line and at most %d bytes", r, most)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"":                       `""`,
		"5x":                     `"5x"`,
		"a\"\n\x00é":             `"a\"\n\x00\u00e9"`,
		strings.Repeat("a", 64):  `"` + strings.Repeat("a", 64) + `"`,
		strings.Repeat("a", 100): `"` + strings.Repeat("a", 64) + `"... (100 bytes)`,
	} {
		check(t, Quote([]byte(in)), want)
	}
}

func TestParsePartitionAgreesWithItsFormat(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.Int32Min(0).Draw(rt, "partition")
		v := newValues(0)
		if got, ok := parsePartition(v.number(int64(n))); !ok || got != n {
			rt.Fatalf("%d read as %d, %t", n, got, ok)
		}
	})
}

func TestPartitioner(t *testing.T) {
	const partitions = 6
	p := Partitioner().ForTopic("orders")
	java := kgo.StickyKeyPartitioner(nil).ForTopic("orders")
	pick := func(r *kgo.Record) int { return p.Partition(r, partitions) }

	for _, asked := range []int32{0, 5, 17} {
		r := &kgo.Record{Partition: asked} // without a key: with one it is consistent anyway
		if got := pick(r); got != int(asked) || !p.RequiresConsistency(r) {
			t.Errorf("asked for partition %d, got %d", asked, got)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		r := &kgo.Record{Partition: levels.ByKey, Key: rapid.SliceOf(rapid.Byte()).Draw(rt, "key")}
		if got, want := pick(r), java.Partition(r, partitions); got != want || !p.RequiresConsistency(r) {
			rt.Fatalf("partition %d, want %d", got, want)
		}
	})
	if r := (&kgo.Record{Partition: levels.ByKey}); p.RequiresConsistency(r) || pick(r) < 0 || pick(r) >= partitions {
		t.Error("a record without a key may go anywhere, but it has to go somewhere")
	}
	keyless := &kgo.Record{Partition: levels.ByKey}
	first := pick(keyless)
	if second := pick(keyless); second != first {
		t.Errorf("two records of one batch are on partitions %d and %d", first, second)
	}
	p.(kgo.TopicPartitionerOnNewBatch).OnNewBatch()
	if next := pick(keyless); next == first {
		t.Errorf("the next batch is on partition %d, too", next)
	}
}

// A pattern that no topic's name can match is refused with the one that was meant.
func TestPatterns(t *testing.T) {
	for _, tc := range []struct{ pattern, fault string }{
		{"orders", ""},
		{"orders.*", ""},
		{"*", ""},
		{"*.*", ""},
		{"orders.v[0-9].*", ""},
		{"[^a-c]?x", ""},
		{`^orders\..*$`, `'^' is in no topic's name … write orders.*`},
		{`orders.*$`, `'$' is in no topic's name … write orders*`},
		{"orders|payments", `'|' is in no topic's name … write orders,payments`},
		{"(orders)", `'(' is in no topic's name … write orders`},
		{`(orders|payments)\..+`, `'(' is in no topic's name … write orders.?*,payments.?*`},
		{`orders(-dlq)?`, `'(' is in no topic's name … write orders,orders-dlq`},
		{`orders\.v\d`, `'\\' is in no topic's name … write orders.v[0-9]`},
		{"orders[0-9]{2}", `'{' is in no topic's name … write orders[0-9]*`},
		{".*", `".*" there would be a dot and then any characters … write *`},
		{".*secret.*", `".*" there would be a dot and then any characters … write *secret*`},
		{"orders-.*", `".*" there would be a dot and then any characters … write orders-*`},
		{"/orders/", `'/' is in no topic's name … write orders`},
		{"'orders'", `'\'' is in no topic's name … write orders`},
		{"orders payments", `' ' is in no topic's name … write names and patterns`},
		{"orders;payments", `';' is in no topic's name … write names and patterns`},
		{"!orders", `'!' is in no topic's name … write names and patterns`},
		{"[!a]b", `'!' is in no topic's name … write ?b`},
		{"(?i)orders", `'(' is in no topic's name … write names and patterns`},
		{"(?!secret).*", `'(' is in no topic's name … write names and patterns`},
		{"\u043erders", `'\u043e' is in no topic's name … write names and patterns`},
		{"orders\x1b[2J", `'\x1b' is in no topic's name … write names and patterns`},
		{"[a-", "syntax error in pattern … close every ["},
	} {
		err := Targets{Deny: []string{tc.pattern}}.Validate()
		begin, end, _ := strings.Cut(tc.fault, " … ")
		if tc.fault == "" && err != nil || tc.fault != "" && (err == nil ||
			!strings.Contains(err.Error(), "DenyTargets \"") || !strings.Contains(err.Error(), begin) || !strings.Contains(err.Error(), end)) {
			t.Errorf("%q: %v, want %q", tc.pattern, err, tc.fault)
		}
	}
}
