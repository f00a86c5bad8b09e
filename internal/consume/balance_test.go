package consume

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestSpread: each partition has one owner that wants it; each topic, and all together, are
// spread as evenly as they divide where all want the same; and what is spread stays as it is.
func TestSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topics := make(map[string]int32)
		var all []string
		for i := range rapid.IntRange(1, 20).Draw(t, "topics") {
			name := fmt.Sprint("t", i)
			topics[name] = rapid.Int32Range(0, 12).Draw(t, name)
			all = append(all, name)
		}
		same := rapid.Bool().Draw(t, "all want the same")
		members := make([]member, rapid.IntRange(1, 5).Draw(t, "members"))
		for i := range members {
			members[i].topics, members[i].owned = all, make(map[string][]int32)
			if !same {
				members[i].topics = rapid.SliceOfDistinct(rapid.SampledFrom(all), rapid.ID[string]).Draw(t, "wanted")
			}
			members[i].generation = rapid.Int32Range(-1, 2).Draw(t, "generation")
			for _, topic := range all { // as it was, or as a member from another time has it
				members[i].owned[topic] = rapid.SliceOfN(rapid.Int32Range(-1, 12), 0, 12).Draw(t, "owned")
			}
		}
		for range 2 {
			assigned := spread(members, topics)
			checkSpread(t, members, topics, assigned, same)
			for i := range members {
				members[i].owned, members[i].generation = assigned[i], 7
			}
			if again := spread(members, topics); fmt.Sprint(again) != fmt.Sprint(assigned) {
				t.Fatalf("assigned %v, and then %v", assigned, again)
			}
			if len(members) == 1 {
				return
			}
			members = members[1:]
		}
	})
}

func checkSpread(t *rapid.T, members []member, topics map[string]int32, assigned []map[string][]int32, same bool) {
	total := make([]int, len(members))
	for topic, n := range topics {
		owner := make(map[int32]int)
		counts := make([]int, len(members))
		for i, m := range members {
			for _, p := range assigned[i][topic] {
				if _, taken := owner[p]; taken || p < 0 || p >= n || !slices.Contains(m.topics, topic) {
					t.Fatalf("%s/%d is assigned to member %d", topic, p, i)
				}
				owner[p] = i
				counts[i]++
				total[i]++
			}
		}
		wanted := slices.ContainsFunc(members, func(m member) bool { return slices.Contains(m.topics, topic) })
		if wanted && len(owner) != int(n) {
			t.Fatalf("%d of %d partitions of %s are assigned", len(owner), n, topic)
		}
		if same && slices.Max(counts)-slices.Min(counts) > 1 {
			t.Fatalf("partitions of %s: %v", topic, counts)
		}
	}
	if same && slices.Max(total)-slices.Min(total) > 1 {
		t.Fatalf("partitions: %v", total)
	}
}

// TestSpreadOfANewLevel: both instances get partitions of a level that is new, and neither
// loses one of another.
func TestSpreadOfANewLevel(t *testing.T) {
	topics := map[string]int32{"1m": 4, "10m": 4}
	members := []member{{topics: []string{"1m", "10m", "20m"}}, {topics: []string{"1m", "10m", "20m"}}}
	before := spread(members, topics)
	for i := range members {
		members[i].owned = before[i]
	}
	topics["20m"] = 4
	after := spread(members, topics)
	for i := range members {
		if n := len(after[i]["20m"]); n != 2 {
			t.Errorf("%d partitions of the new level, want 2", n)
		}
		for _, topic := range []string{"1m", "10m"} {
			if !slices.Equal(before[i][topic], after[i][topic]) {
				t.Errorf("%s: %v before, %v after", topic, before[i][topic], after[i][topic])
			}
		}
	}
}
