//go:build realkafka

package endtoend

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/record"
	"github.com/delayd-io/delayd/levels"
)

// What becomes of records that wait, when a tool copies their level topic to another
// installation, as docs/operations.md says: one that came through the inbox keeps its
// due time and its id; one that was written to the level waits anew, under another id.
func TestCopiedLevelTopic(t *testing.T) {
	from := newCluster(t, "copied-from", "copied-to")
	level := levels.Level{Number: 3, Delay: 10 * time.Second}
	old := from.serve()
	to := &cluster{T: t, names: levels.Names{Prefix: from.names.Prefix + "-to"}, client: from.client, adm: from.adm}

	from.eventually("the topics are there", func() bool {
		topics, err := from.adm.ListTopics(t.Context(), from.names.Inbox(), from.names.Level(level))
		return err == nil && topics.Error() == nil
	})
	from.send(
		&kgo.Record{Topic: from.names.Inbox(), Key: []byte("k"), Value: []byte("inbox"), Headers: headers("delay-level", "10s", "delay-target", "copied-from")},
		&kgo.Record{Topic: from.names.Level(level), Key: []byte("k"), Value: []byte("direct"), Headers: headers("delay-target", "copied-from")})
	waiting := from.receive(from.names.Level(level), count(2))
	from.terminate(old)

	now := to.serve()
	to.eventually("the topics are there", func() bool {
		topics, err := to.adm.ListTopics(t.Context(), to.names.Level(level))
		return err == nil && topics.Error() == nil
	})
	dueBefore := make(map[string]int64)
	for _, r := range waiting {
		dueBefore[string(r.Value)] = r.Timestamp.Add(level.Delay).UnixMilli() + 1
		if due, ok := record.HopDue(r.Headers); ok {
			dueBefore[string(r.Value)] = due
		}
		// To another target, so that nothing there is from the old installation.
		hs := append(r.Headers, headers("delay-target", "copied-to")...)
		to.send(&kgo.Record{Topic: to.names.Level(level), Key: r.Key, Value: r.Value, Headers: hs})
	}

	var inbox, direct *kgo.Record
	to.receive("copied-to", func(recs []*kgo.Record) bool {
		for _, r := range recs {
			switch id, _ := record.Last(r.Headers, levels.HeaderID); {
			case strings.HasPrefix(string(id), from.names.Inbox()+"-"):
				inbox = r
			case strings.HasPrefix(string(id), to.names.Level(level)+"-"):
				direct = r
			}
		}
		return inbox != nil && direct != nil
	})
	to.terminate(now)
	if inbox == nil || direct == nil {
		t.Fatalf("through the inbox: %v, direct: %v", inbox, direct)
	}
	if due, err := number(inbox, levels.HeaderDue); err != nil || due != dueBefore["inbox"] {
		t.Errorf("the record that came through the inbox is due at %d, was due at %d: %v", due, dueBefore["inbox"], err)
	}
	due, err := number(direct, levels.HeaderDue)
	accepted, err2 := number(direct, levels.HeaderAccepted)
	if err != nil || err2 != nil || due != accepted+level.Delay.Milliseconds()+1 || due <= dueBefore["direct"] {
		t.Errorf("the record that was written to the level is due at %d, accepted at %d, was due at %d: %v, %v", due, accepted, dueBefore["direct"], err, err2)
	}
}
