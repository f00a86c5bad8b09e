package consume

import (
	"cmp"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// evenly is the group's balancer: cooperative-sticky on the wire, where only the leader of
// the group decides, and a decision of its own. Kafka's balances the number of partitions
// alone, so that one instance can get all partitions of a busy level, and another those of
// levels that nobody uses.
type evenly struct{ kgo.GroupBalancer }

func newBalancer() kgo.GroupBalancer { return evenly{kgo.CooperativeStickyBalancer()} }

// MemberBalancer is part of kgo.GroupBalancer.
func (e evenly) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	b, err := kgo.NewConsumerBalancer(e, members)
	return b, b.MemberTopics(), err
}

// Balance is part of kgo.ConsumerBalancerBalance.
func (evenly) Balance(b *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	var members []member
	b.EachMember(func(_ *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		m := member{topics: meta.Topics, generation: meta.Generation, owned: make(map[string][]int32)}
		for _, t := range meta.OwnedPartitions {
			m.owned[t.Topic] = t.Partitions
		}
		members = append(members, m)
	})
	plan := b.NewPlan()
	for i, assigned := range spread(members, topics) {
		member, _ := b.MemberAt(i)
		for topic, partitions := range assigned {
			plan.AddPartitions(member, topic, partitions)
		}
	}
	plan.AdjustCooperative(b)
	return plan
}

// member is what a member of the group wants and has.
type member struct {
	topics     []string
	owned      map[string][]int32
	generation int32 // as of which it has that
}

// spread assigns the partitions of each topic to the members that want it, evenly by topic
// and over all, and as they have them where that allows it.
func spread(members []member, topics map[string]int32) []map[string][]int32 {
	assigned := make([]map[string][]int32, len(members))
	for i := range assigned {
		assigned[i] = make(map[string][]int32)
	}
	names := make([]string, 0, len(topics))
	for topic := range topics {
		names = append(names, topic)
	}
	slices.Sort(names)
	total := make([]int, len(members))
	for _, topic := range names {
		owners := owners(members, topic, topics[topic])
		for partition, i := range place(members, topic, owners, total) {
			if i >= 0 {
				assigned[i][topic] = append(assigned[i][topic], int32(partition))
				total[i]++
			}
		}
	}
	return assigned
}

// owners returns who has each partition of a topic, -1 where nobody does. Of two that claim
// one the later generation has it, and of the same generation neither (KIP-429).
func owners(members []member, topic string, n int32) []int {
	owners, since := make([]int, n), make([]int32, n)
	for p := range owners {
		owners[p], since[p] = -1, math.MinInt32
	}
	for i, m := range members {
		for _, p := range m.owned[topic] {
			switch {
			case p < 0 || p >= n:
			case m.generation > since[p]:
				owners[p], since[p] = i, m.generation
			case m.generation == since[p]:
				owners[p] = -1
			}
		}
	}
	return owners
}

// place returns who gets each partition of a topic. The members that have the fewest
// partitions so far get one more where they do not divide.
func place(members []member, topic string, owners, total []int) []int {
	var want []int
	for i, m := range members {
		if slices.Contains(m.topics, topic) {
			want = append(want, i)
		}
	}
	placed := make([]int, len(owners))
	for p := range placed {
		placed[p] = -1
	}
	if len(want) == 0 {
		return placed
	}
	has := make([]int, len(members))
	for _, i := range owners {
		if i >= 0 {
			has[i]++
		}
	}
	slices.SortStableFunc(want, func(i, j int) int { return cmp.Or(total[i]-total[j], has[j]-has[i]) })
	room := make([]int, len(members))
	for k, i := range want {
		room[i] = len(owners) / len(want)
		if k < len(owners)%len(want) {
			room[i]++
		}
	}
	for p, i := range owners {
		if i >= 0 && room[i] > 0 {
			placed[p] = i
			room[i]--
		}
	}
	for p := range placed {
		for k := 0; placed[p] < 0; k++ {
			if i := want[k]; room[i] > 0 {
				placed[p] = i
				room[i]--
			}
		}
	}
	return placed
}
