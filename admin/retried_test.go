package admin

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func pairs(keysAndValues ...string) (h []kgo.RecordHeader) {
	for i := 0; i < len(keysAndValues); i += 2 {
		h = append(h, kgo.RecordHeader{Key: keysAndValues[i], Value: []byte(keysAndValues[i+1])})
	}
	return h
}

func TestRetriedInWords(t *testing.T) {
	for _, c := range []struct {
		headers []kgo.RecordHeader
		want    string
	}{
		{pairs("x", "1"), ""},
		{pairs("delay-attempt", "3"), "retry 3"},
		{pairs("delay-attempt", "3", "delay-retry-cause", "timeout"), "retry 3: timeout"},
		{pairs("delay-attempt", "3", "delay-retry-cause", "b", "delay-retry-first-cause", "a"), "retry 3: b; at first: a"},
		{pairs("delay-attempt", "1", "delay-retry-cause", "a", "delay-retry-first-cause", "a"), "retry 1: a"},
		{pairs("delay-attempt", "x", "delay-retry-cause", "a"), "not retried: a"},
		{pairs("delay-attempt", "2", "delay-retry-first-cause", "a"), "retry 2; at first: a"},
		{pairs("delay-attempt", "2", "delay-retry-cause", "\x1b[2J\xff"+strings.Repeat("\u202e", 10)), "retry 2: \ufffd[2J\ufffd" + strings.Repeat("\ufffd", 10)},
	} {
		rec := &kgo.Record{Headers: c.headers}
		if got := NewRetried(rec).String(); got != c.want {
			t.Errorf("%q: %q, want %q", c.headers, got, c.want)
		}
	}
}
