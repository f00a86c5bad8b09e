//go:build synctests

package consume

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
)

// TestForeignOffsets: where another program has set the group's offsets, or deleted
// them, the log says so at the next start, and no more at the one after that.
func TestForeignOffsets(t *testing.T) {
	virtual(t, 2, func(w *world) {
		start := func() string {
			log := new(bytes.Buffer)
			_, stop := w.consume(&handler{finish: (*handed).end}, func(cfg *Config) { cfg.Log = zerolog.New(log) })
			time.Sleep(time.Minute)
			stop()
			return log.String()
		}
		const set, bare = "offsets were committed by another program", "the group has no offsets"
		says := func(when, log string, words ...string) {
			t.Helper()
			for _, word := range []string{set, bare} {
				want := len(words) > 0 && words[0] == word
				if strings.Contains(log, word) != want {
					t.Errorf("%s, want %q:\n%s", when, words, log)
				}
			}
			for _, word := range words {
				if !strings.Contains(log, word) {
					t.Errorf("%s, want %q:\n%s", when, words, log)
				}
			}
		}
		says("at the first start, with nothing there", start())
		w.fill(0, 0, 10, 10)
		w.fill(1, 0, 10, 10)
		start()
		says("after a restart", start())

		for at, word := range map[int64]string{4: `"offsets":{"1":4}`, 10: `"offsets":{"1":10}`} { // back, and to the end
			var offsets kadm.Offsets
			offsets.Add(kadm.Offset{Topic: "t", Partition: 1, At: at, LeaderEpoch: -1})
			if _, err := w.Admin.CommitOffsets(context.Background(), group, offsets); err != nil {
				t.Fatal(err)
			}
			says("with an offset that was set", start(), set, word, `"topic":"t"`)
			says("after that", start())
		}

		if _, err := w.Admin.DeleteGroups(context.Background(), group); err != nil {
			t.Fatal(err)
		}
		says("without offsets", start(), bare, `"records":20`)
		says("after that", start())
	})
}
