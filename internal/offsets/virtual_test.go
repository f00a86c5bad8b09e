//go:build synctests

package offsets

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/fakekafka"
)

// TestOthersAreAskedRarely: many groups that have nothing on our topics are asked about
// these topics alone, once, and again within an hour. One that is new, or that starts to
// work, is asked at the next look.
func TestOthersAreAskedRarely(t *testing.T) {
	const (
		groups = 300
		topic  = "delay.level.5s"
		every  = 30 * time.Second
	)
	fakekafka.Run(t, fakekafka.Config{Partitions: 50, Topics: []string{topic, "orders"}}, func(t *testing.T, env *fakekafka.Env) {
		env.Connect()
		for i := range groups {
			var o kadm.Offsets
			for p := range int32(50) {
				o.AddOffset("orders", p, 1, -1)
			}
			if err := env.Admin.CommitAllOffsets(context.Background(), fmt.Sprint("group-", i), o); err != nil {
				t.Fatal(err)
			}
		}
		var asked, elsewhere atomic.Int64
		ours, err := env.Admin.ListTopics(context.Background(), topic)
		if err != nil {
			t.Fatal(err)
		}
		env.Cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.OffsetFetch}, Count: -1, Observe: true, TopLevel: true,
			When: func(req kmsg.Request) bool {
				for _, g := range req.(*kmsg.OffsetFetchRequest).Groups {
					asked.Add(1)
					if len(g.Topics) != 1 || g.Topics[0].Topic != topic && g.Topics[0].TopicID != ours[topic].ID {
						elsewhere.Add(1)
					}
				}
				return false
			},
		})
		others := NewOthers("own")
		look := func() (found []string) {
			t.Helper()
			commits, _, err := others.Commits(context.Background(), env.Client, []string{topic})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range commits {
				found = append(found, c.Group)
			}
			return slices.Compact(found)
		}
		begin := func(group string) { // without a member, so that its state stays
			t.Helper()
			var o kadm.Offsets
			o.AddOffset(topic, 3, 0, -1)
			if err := env.Admin.CommitAllOffsets(context.Background(), group, o); err != nil {
				t.Fatal(err)
			}
		}

		look()
		if n := asked.Load(); n != groups {
			t.Errorf("%d groups are asked at first, want %d", n, groups)
		}
		const hours = 4
		for range hours * time.Hour / every {
			time.Sleep(every)
			look()
		}
		if n := asked.Load(); n > groups*(1+2*hours) {
			t.Errorf("%d groups are asked in %d hours", n, hours)
		}

		begin("new")
		if got := look(); !slices.Equal(got, []string{"new"}) {
			t.Errorf("a new group is not found: %v", got)
		}
		begin("group-7")
		for since := time.Now(); !slices.Contains(look(), "group-7"); time.Sleep(every) {
			if time.Since(since) > cleanFor {
				t.Fatal("a group that begins to read is not found within an hour")
			}
		}
		member, err := kgo.NewClient(append(env.Opts(), kgo.ConsumerGroup("group-8"), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit())...)
		if err != nil {
			t.Fatal(err)
		}
		defer member.Close()
		time.Sleep(every)
		begun := asked.Load()
		look()
		if n := asked.Load() - begun; n < 3 { // with the two above
			t.Errorf("%d groups are asked; the one that has started to work is not", n)
		}
		if n := elsewhere.Load(); n > 0 {
			t.Errorf("%d times a group was asked about other topics", n)
		}
	})
}
