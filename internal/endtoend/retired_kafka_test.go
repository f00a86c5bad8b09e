//go:build realkafka

package endtoend

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// TestRetired takes a level out of the ladder while records wait on it, and deletes
// its topic under the running service once it is empty.
func TestRetired(t *testing.T) {
	for _, delivery := range []string{"at-least-once", "exactly-once"} {
		t.Run(delivery, func(t *testing.T) {
			c := newCluster(t, "orders-"+delivery)
			c.names.Prefix = "delay-retired-" + delivery
			target, topic := "orders-"+delivery, c.names.Level(levels.Level{Delay: 10 * time.Second})
			d := c.serve("--delivery", delivery)
			c.eventually("the level's topic", func() bool {
				groups, err := c.adm.DescribeGroups(t.Context(), c.names.ForwarderGroup())
				group := groups[c.names.ForwarderGroup()]
				return err == nil && group.AssignedPartitions()[topic] != nil
			})
			c.send(
				&kgo.Record{Topic: topic, Partition: -1, Value: []byte("direct"), Headers: headers(levels.HeaderTarget, target)},
				&kgo.Record{Topic: c.names.Inbox(), Partition: -1, Value: []byte("inbox"),
					Headers: headers(levels.HeaderTarget, target, levels.HeaderLevel, "10s")})
			c.eventually("both on the level", func() bool {
				n := c.status().Levels[2].Pending
				if delivery == "exactly-once" {
					return n >= 3 // with the end of the router's transaction, or of each that it tried
				}
				return n == 2
			})
			c.terminate(d)
			d = c.serve("--delivery", delivery, "--levels", "1s")
			c.early(c.receive(target, count(2)))
			c.eventually("an empty level", func() bool { return c.status().Levels[2].Pending == 0 })

			if _, err := c.adm.DeleteTopics(t.Context(), topic); err != nil {
				t.Fatal(err)
			}
			c.eventually("a group that reads it no more", func() bool {
				groups, err := c.adm.DescribeGroups(t.Context(), c.names.ForwarderGroup())
				if err != nil {
					t.Fatal(err)
				}
				group := groups[c.names.ForwarderGroup()]
				return group.State == "Stable" && len(group.AssignedPartitions()) > 0 && group.AssignedPartitions()[topic] == nil
			})
			c.send(&kgo.Record{Topic: c.names.Inbox(), Partition: -1, Value: []byte("after"),
				Headers: headers(levels.HeaderTarget, target, levels.HeaderLevel, "1s")})
			recs := c.receive(target, count(3))
			if !slices.ContainsFunc(recs, func(r *kgo.Record) bool { return string(r.Value) == "after" }) {
				t.Error("what was sent after the topic was deleted did not arrive")
			}
			c.terminate(d)
		})
	}
}
