package transact

import (
	"context"
	"slices"
	"testing"
)

// TestTransactionalIDsAreUnambiguous: whatever members are called, no two producers have
// an id in common. The ids that a member had in former versions are known.
func TestTransactionalIDsAreUnambiguous(t *testing.T) {
	owner, former := make(map[string]string), make(map[string]bool)
	for _, instance := range []string{"n", "n-2", "n-next", "n-next-2", "n-parked", "n-parked-next-4", "n/direct", "n/direct-1", "n/direct-next-1", "n/"} {
		for _, name := range []string{NameDirect, NameParked} {
			ps := New(context.Background(), Config{Member: "delay.forwarder-" + instance, Name: name})
			for _, p := range ps.all {
				user := instance + " " + name
				if other, taken := owner[p.id]; taken {
					t.Errorf("%q is an id of %s and of %s", p.id, other, user)
				}
				owner[p.id] = user
			}
			for _, p := range ps.former {
				former[p.id] = true
			}
		}
	}
	for _, id := range []string{
		"delay.forwarder-n", "delay.forwarder-n-4", "delay.forwarder-n-next", "delay.forwarder-n-next-2",
		"delay.forwarder-n-parked", "delay.forwarder-n-parked-3", "delay.forwarder-n-parked-next-4",
	} {
		if !former[id] {
			t.Errorf("the former id %q is not ended", id)
		}
	}
}

// TestTurns: two producers take turns. One that is replaced is used again after all
// others, and one whose last outcome is not known yet only when there is no other.
func TestTurns(t *testing.T) {
	turns := newRotation(5)
	busy := make(map[int]bool)
	for _, step := range []struct {
		do   string
		busy []int // whose outcome is not known yet
		want []int
	}{
		{"swap", nil, []int{1, 0, 2, 3, 4}},
		{"swap", nil, []int{0, 1, 2, 3, 4}},
		{"replace", []int{0}, []int{2, 1, 3, 4, 0}},
		{"swap", []int{0}, []int{1, 2, 3, 4, 0}},
		{"replace", []int{0, 1}, []int{3, 2, 4, 0, 1}},
		{"replace", []int{0, 1, 3}, []int{4, 2, 0, 1, 3}},
		{"replace", []int{0, 3, 4}, []int{1, 2, 0, 3, 4}}, // 1 is known before 0
		{"replace", []int{0, 1, 3, 4}, []int{0, 2, 3, 4, 1}},
	} {
		clear(busy)
		for _, i := range step.busy {
			busy[i] = true
		}
		if step.do == "swap" {
			turns.swap()
		} else {
			turns.replace(func(i int) bool { return !busy[i] })
		}
		if !slices.Equal(turns, step.want) {
			t.Fatalf("after %s with %v busy: %v, want %v", step.do, step.busy, turns, step.want)
		}
	}
}
