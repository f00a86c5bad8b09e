//go:build realkafka

package endtoend

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/rawbatch"
)

// TestSkipOnKafka skips batches on each topic that the service reads, as a user that
// has the rights that are listed and no others. Without any of them the command names
// it.
func TestSkipOnKafka(t *testing.T) {
	s := newSecured(t, "skipper")
	if _, err := admin.Ensure(t.Context(), s.root, s.spec); err != nil {
		t.Fatal(err)
	}
	rights := s.spec.Rights(admin.Access{}, admin.RoleSkipper)
	s.grant("skipper", rights...)
	topics := []string{s.spec.Names.Inbox(), s.spec.Names.LevelPrefix() + "5s", s.spec.Names.Parked()}
	// Kafka does not verify the checksum of the content of lz4.
	skip := func() (said string, failed bool) {
		for _, topic := range topics {
			b := rawbatch.Corrupt(rawbatch.New(kgo.CodecLz4, &kgo.Record{Value: []byte("v")}))
			offset, err := rawbatch.Produce(t.Context(), s.root, topic, 0, rawbatch.Seal(b))
			if err != nil {
				t.Fatal(err)
			}
			at := admin.Place{Topic: topic, Offset: offset}
			_, errs, err := s.command("skipper", "admin", "skip", at.String(), "--yes")
			said, failed = said+errs, failed || err != nil
		}
		return said, failed
	}
	works := func() bool {
		said, failed := skip()
		return !failed && strings.Count(said, "the service goes on at") == len(topics) && strings.Count(said, "written: 1 dead letter") == len(topics)
	}
	s.eventually("they are skipped", works)
	for _, right := range rights {
		if right.Optional {
			continue
		}
		s.revoke("skipper", right)
		s.eventually("asked for "+right.String(), func() bool {
			said, _ := skip()
			return asksFor(said, right)
		})
		s.grant("skipper", right)
	}
	s.eventually("they are skipped again", works)
}
