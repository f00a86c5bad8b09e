package admin

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A process is known by its instance id, and has each partition that no other has.
func TestHoldersHaveNames(t *testing.T) {
	t.Parallel()
	broker := fake(t)
	cl := client(t, broker.ListenAddrs())
	spec := small(t)
	everything(t, cl, spec)
	for _, id := range []string{"b", "a"} {
		client(t, broker.ListenAddrs(), kgo.ConsumerGroup("delay.forwarder"), kgo.ConsumeTopics("delay.level.5s"), kgo.InstanceID(id), kgo.DisableAutoCommit())
	}
	var got TopicStatus
	for len(got.Holders) != 2 || len(got.Unheld()) > 0 {
		if _, err := broker.WaitGroupStable(t.Context(), "delay.forwarder", 2); err != nil {
			t.Fatal(err)
		}
		got = inspect(t, cl, spec, time.Now()).Levels[0]
	}
	var partitions []int32
	for i, h := range got.Holders {
		if want := []string{"a", "b"}[i]; h.Instance != want || !strings.HasPrefix(h.Host, "127.0.0.1") || len(h.Partitions) != 2 {
			t.Errorf("holder %d: %+v, want %s of 127.0.0.1 with two partitions", i, h, want)
		}
		partitions = append(partitions, h.Partitions...)
	}
	slices.Sort(partitions)
	if diff := cmp.Diff([]int32{0, 1, 2, 3}, partitions); diff != "" {
		t.Errorf("partitions (-want +got):\n%s", diff)
	}
}

func TestUnheld(t *testing.T) {
	t.Parallel()
	some := TopicStatus{Partitions: 5, Holders: []Holder{{Partitions: []int32{1}}, {Partitions: []int32{3, 4}}}}
	if got := some.Unheld(); !slices.Equal(got, []int32{0, 2}) {
		t.Errorf("unheld %v, want 0 and 2", got)
	}
}

func TestLate(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	before, after := now.Add(-time.Minute), now.Add(time.Minute)
	for _, tc := range []struct {
		s    TopicStatus
		by   time.Duration
		late bool
	}{
		{TopicStatus{Level: "5s", Pending: 2, Overdue: 1, NextDue: &before}, time.Minute, true},
		{TopicStatus{Level: "5s", Pending: 2, NextDue: &after}, 0, false},
		{TopicStatus{Level: "5s", Pending: 1, Overdue: 1}, -1, true},
		{TopicStatus{Pending: 1, Oldest: &before}, time.Minute, true},
		{TopicStatus{Pending: 1, Oldest: &after}, 0, true}, // by a clock behind the broker's
		{TopicStatus{Pending: 1}, -1, true},
		{TopicStatus{}, 0, false},
	} {
		if by, late := tc.s.Late(now); by != tc.by || late != tc.late {
			t.Errorf("%+v: late by %v, %v; want %v, %v", tc.s, by, late, tc.by, tc.late)
		}
	}
}
