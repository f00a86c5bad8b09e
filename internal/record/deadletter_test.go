package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/delayd-io/delayd/levels"
)

// header returns a header's value as text.
func header(rec *kgo.Record, key string) string {
	v, _ := Last(rec.Headers, key)
	return string(v)
}

// tooLarge is the letter of a record that its target refuses for its size.
func tooLarge(src *kgo.Record) *kgo.Record {
	return Dead(src, "delay.dead", levels.Facts{Topic: "orders", ID: "id", Accepted: 7, Origin: "delay.level.1s/3/17"},
		levels.Refusal{Code: levels.TooLarge, Detail: "deliver to orders: MESSAGE_TOO_LARGE"}, 2)
}

// TestFitGolden shows what a letter of each form says.
func TestFitGolden(t *testing.T) {
	text := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
	src := func(key, value, header int) *kgo.Record {
		return &kgo.Record{
			Topic: "delay.level.1s", Partition: 3, Offset: 17, Key: text(key), Value: text(value),
			Headers: []kgo.RecordHeader{
				{Key: "trace", Value: []byte("abc")}, {Key: "blob", Value: text(header)}, {Key: levels.HeaderTarget, Value: []byte("orders")},
			},
		}
	}
	render := func(rec *kgo.Record) string {
		var b strings.Builder
		fmt.Fprintf(&b, "key %d, value %d\n", len(rec.Key), len(rec.Value))
		for _, h := range rec.Headers {
			if len(h.Value) > 300 {
				fmt.Fprintf(&b, "%s: %d bytes\n", h.Key, len(h.Value))
			} else {
				fmt.Fprintf(&b, "%s: %s\n", h.Key, h.Value)
			}
		}
		return b.String()
	}
	const limit = 10_000
	for _, c := range []struct {
		name               string
		key, value, header int
		want               string
	}{
		{"whole", 10, 2000, 2000, `key 10, value 2000
trace: abc
blob: 2000 bytes
delay-target: orders
delay-id: id
delay-error: too-large
delay-error-detail: deliver to orders: MESSAGE_TOO_LARGE
delay-origin: delay.level.1s/3/17
delay-attempts: 2
`},
		{"without its value", 10, 20_000, 2000, `key 10, value 0
trace: abc
blob: 2000 bytes
delay-target: orders
delay-id: id
delay-error: too-large
delay-error-detail: deliver to orders: MESSAGE_TOO_LARGE; this letter leaves out the value (20000 bytes), because delay.dead takes at most 10000 bytes
delay-origin: delay.level.1s/3/17
delay-attempts: 2
delay-value-length: 20000
delay-value-sha256: ` + hash(text(20_000)) + `
`},
		{"without a header", 1000, 1, 20_000, `key 1000, value 0
trace: abc
delay-target: orders
delay-id: id
delay-error: too-large
delay-error-detail: deliver to orders: MESSAGE_TOO_LARGE; this letter leaves out the value (1 bytes), headers (1), because delay.dead takes at most 10000 bytes
delay-origin: delay.level.1s/3/17
delay-attempts: 2
delay-value-length: 1
delay-value-sha256: ` + hash(text(1)) + `
delay-headers-left-out: 1
`},
		{"without its key", 20_000, 0, 2000, `key 0, value 0
trace: abc
blob: 2000 bytes
delay-target: orders
delay-id: id
delay-error: too-large
delay-error-detail: deliver to orders: MESSAGE_TOO_LARGE; this letter leaves out the key (20000 bytes), because delay.dead takes at most 10000 bytes
delay-origin: delay.level.1s/3/17
delay-attempts: 2
delay-key-length: 20000
delay-key-sha256: ` + hash(text(20_000)) + `
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := render(Fit(tooLarge(src(c.key, c.value, c.header)), limit)); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// TestFitAnything: the letter of any record fits into any limit, says what it leaves
// out, keeps the rest as it was, and is the same each time.
func TestFitAnything(t *testing.T) {
	large := rapid.Custom(func(t *rapid.T) []byte {
		return bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 3).Draw(t, "what"), rapid.IntRange(0, 20_000).Draw(t, "times"))
	})
	some := rapid.OneOf(anyBytes(), large)
	rapid.Check(t, func(rt *rapid.T) {
		src := anyRecord().Draw(rt, "record")
		src.Key, src.Value = some.Draw(rt, "key"), some.Draw(rt, "value")
		for i := range rapid.IntRange(0, 3).Draw(rt, "more headers") {
			src.Headers = append(src.Headers, kgo.RecordHeader{Key: string(some.Draw(rt, strconv.Itoa(i))), Value: some.Draw(rt, strconv.Itoa(-i))})
		}
		limit := rapid.Int64Range(0, 150_000).Draw(rt, "limit")
		checkFit(rt, tooLarge(src), limit)
	})
}

// checkFit checks the form of a letter that is to fit into limit.
func checkFit(t interface{ Fatalf(string, ...any) }, whole *kgo.Record, limit int64) {
	got := Fit(whole, limit)
	if again := Fit(whole, limit); !reflect.DeepEqual(got, again) {
		t.Fatalf("two forms of one letter: %+v and %+v", got, again)
	}
	if n := BatchBytes(got); n > max(limit, MinLetterBytes) {
		t.Fatalf("%d bytes, limit %d", n, limit)
	}
	if got == whole {
		return
	}
	if BatchBytes(whole) <= limit || LeftOut(got) == "" || !strings.Contains(header(got, levels.HeaderErrorDetail), LeftOut(got)) {
		t.Fatalf("cut down to %q without a need, or without saying so", LeftOut(got))
	}
	for _, part := range []struct {
		whole, got   []byte
		length, hash string
	}{
		{whole.Value, got.Value, levels.HeaderValueLength, levels.HeaderValueHash},
		{whole.Key, got.Key, levels.HeaderKeyLength, levels.HeaderKeyHash},
	} {
		n := header(got, part.length)
		switch {
		case n == "" && !bytes.Equal(part.whole, part.got):
			t.Fatalf("%s is missing", part.length)
		case n != "" && (n != strconv.Itoa(len(part.whole)) || header(got, part.hash) != hash(part.whole) || part.got != nil):
			t.Fatalf("%s is %s, %s is %s, for %d bytes", part.length, n, part.hash, header(got, part.hash), len(part.whole))
		}
	}
	for _, key := range []string{levels.HeaderError, levels.HeaderOrigin, levels.HeaderAttempts} {
		if header(got, key) != header(whole, key) {
			t.Fatalf("%s is %q, want %q", key, header(got, key), header(whole, key))
		}
	}
	// What is left of the record's headers is a subsequence of them.
	was, left := Revived(whole), Revived(got)
	for _, h := range left {
		i := slices.IndexFunc(was, func(w kgo.RecordHeader) bool { return w.Key == h.Key && bytes.Equal(w.Value, h.Value) })
		if i < 0 {
			t.Fatalf("header %q was not there, or not in this order", h.Key)
		}
		was = was[i+1:]
	}
	if n := len(Revived(whole)) - len(left); n > 0 && header(got, levels.HeaderHeadersLeftOut) != strconv.Itoa(n) {
		t.Fatalf("%d headers are left out, and the letter says %q", n, header(got, levels.HeaderHeadersLeftOut))
	}
}

// FuzzFit: no record makes a letter that does not fit.
func FuzzFit(f *testing.F) {
	f.Add([]byte("k"), []byte("v"), "h", []byte("x"), uint16(1), uint16(1), int64(1000))
	f.Add([]byte(nil), []byte("v"), "", []byte(nil), uint16(1), uint16(60_000), int64(1_000_012))
	f.Add([]byte("key"), []byte(nil), levels.HeaderErrorDetail, []byte("x"), uint16(9000), uint16(3), int64(0))
	f.Fuzz(func(t *testing.T, key, value []byte, name string, head []byte, times, headers uint16, limit int64) {
		src := &kgo.Record{Topic: "delay.inbox", Key: bytes.Repeat(key, int(times)), Value: bytes.Repeat(value, int(times))}
		for range headers {
			src.Headers = append(src.Headers, kgo.RecordHeader{Key: name, Value: head})
		}
		checkFit(t, tooLarge(src), limit)
	})
}
