package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Holder is a process that has partitions of a topic assigned.
type Holder struct {
	// Instance is its --instance; "" for a member that has none, which delayd always
	// has.
	Instance string `json:"instance,omitempty"`
	// Host is where it connects from, as the group's coordinator sees it.
	Host       string  `json:"host"`
	Partitions []int32 `json:"partitions"` // rising
}

// Unheld are the partitions of the topic that no process has, rising. Nobody handles
// what is there.
func (t TopicStatus) Unheld() []int32 {
	held := make(map[int32]bool)
	for _, h := range t.Holders {
		for _, p := range h.Partitions {
			held[p] = true
		}
	}
	var unheld []int32
	for p := range int32(t.Partitions) {
		if !held[p] {
			unheld = append(unheld, p)
		}
	}
	return unheld
}

// findHolders finds the members that have a partition of each topic.
func (list countings) findHolders(ctx context.Context, adm *kadm.Client) {
	holders := make(map[string]map[string][]Holder) // by group and topic
	for _, c := range list {
		if c.group == "" {
			continue
		}
		if _, ok := holders[c.group]; !ok {
			holders[c.group] = holdersOf(ctx, adm, c.group)
		}
		c.Members = -1
		if of := holders[c.group]; of != nil {
			c.Holders = of[c.Topic]
			c.Members = len(c.Holders)
		}
	}
}

// holdersOf finds the members of a group by the topics that they have a partition
// of. It is nil when we may not look, and while the members share out the partitions.
func holdersOf(ctx context.Context, adm *kadm.Client, group string) map[string][]Holder {
	groups, err := adm.DescribeGroups(ctx, group)
	if err == nil {
		err = groups[group].Err
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil
	}
	if g := groups[group]; g.State == "PreparingRebalance" || g.State == "CompletingRebalance" {
		return nil // what members have is left out
	}
	holders := make(map[string][]Holder)
	for _, m := range groups[group].Members {
		has, ok := m.Assigned.AsConsumer()
		if !ok {
			continue
		}
		for _, t := range has.Topics {
			if len(t.Partitions) == 0 {
				continue
			}
			h := Holder{Host: strings.TrimPrefix(m.ClientHost, "/"), Partitions: slices.Sorted(slices.Values(t.Partitions))}
			if m.InstanceID != nil {
				h.Instance = *m.InstanceID
			}
			holders[t.Topic] = append(holders[t.Topic], h)
		}
	}
	for _, of := range holders {
		slices.SortFunc(of, func(a, b Holder) int {
			return cmp.Or(strings.Compare(a.Instance, b.Instance), slices.Compare(a.Partitions, b.Partitions))
		})
	}
	return holders
}
