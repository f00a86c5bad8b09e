//go:build realkafka

package endtoend

import (
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/levels"
)

// TestRecreated deletes a level's topic with records pending and makes it again, under
// the running service: the other level goes on, and nothing that the new topic accepts is
// lost, without a restart and after one.
func TestRecreated(t *testing.T) {
	for _, delivery := range []string{"at-least-once", "exactly-once"} {
		t.Run(delivery, func(t *testing.T) {
			target, other := "recreated-"+delivery, "other-"+delivery
			c := newCluster(t, target, other)
			c.names.Prefix = "delay-recreated-" + delivery
			topic := c.names.Level(levels.Level{Delay: 5 * time.Second})
			d := c.serve("--delivery", delivery)
			c.eventually("the level's topic", func() bool {
				groups, err := c.adm.DescribeGroups(t.Context(), c.names.ForwarderGroup())
				group := groups[c.names.ForwarderGroup()]
				return err == nil && group.AssignedPartitions()[topic] != nil
			})
			details, err := c.adm.ListTopics(t.Context(), topic)
			if err != nil {
				t.Fatal(err)
			}
			sent, beside := 0, 0
			send := func(n int, level bool) {
				for range n {
					if level {
						sent++
						c.send(&kgo.Record{Topic: topic, Partition: -1, Key: []byte(strconv.Itoa(sent)), Value: []byte("new" + strconv.Itoa(sent)),
							Headers: headers(levels.HeaderTarget, target)})
					}
					beside++
					c.send(&kgo.Record{Topic: c.names.Level(levels.Level{Delay: time.Second}), Partition: -1, Value: []byte(strconv.Itoa(beside)),
						Headers: headers(levels.HeaderTarget, other)})
				}
			}
			for i := range 300 { // delivered, so that much is committed, and pending
				c.send(&kgo.Record{Topic: topic, Partition: -1, Key: []byte(strconv.Itoa(i)), Value: []byte("old"), Headers: headers(levels.HeaderTarget, target)})
				time.Sleep(20 * time.Millisecond)
			}
			if _, err := c.adm.DeleteTopics(t.Context(), topic); err != nil {
				t.Fatal(err)
			}
			c.client.PurgeTopicsFromClient(topic)
			send(100, false)
			stamped := "LogAppendTime"
			c.eventually("the topic again", func() bool {
				_, err := c.adm.CreateTopic(t.Context(), int32(len(details[topic].Partitions)), 1, map[string]*string{"message.timestamp.type": &stamped}, topic)
				return err == nil
			})
			send(100, true)
			time.Sleep(5 * time.Second)
			c.terminate(d)
			d = c.serve("--delivery", delivery)
			send(100, true)
			if n := len(c.receive(other, count(beside))); n < beside {
				t.Errorf("%d of %d beside the deleted topic arrived", n, beside)
			}
			want := sent + 1 // with "old"
			arrived := make(map[string]bool)
			for _, r := range c.receive(target, count(want)) {
				arrived[string(r.Value)] = true
			}
			if len(arrived) < want {
				t.Errorf("%d of %d of the new topic arrived", len(arrived)-1, sent)
			}
			c.terminate(d)
		})
	}
}
