package deliver

import (
	"testing"

	"github.com/delayd-io/delayd/levels"
)

// TestTransactionalIDsAreUnambiguous: whatever members are called, no two writers have
// an id in common. The ids that a member had in former versions are known.
func TestTransactionalIDsAreUnambiguous(t *testing.T) {
	owner, former := make(map[string]string), make(map[string]bool)
	for _, instance := range []string{"n", "n-2", "n-next", "n-next-2", "n-parked", "n-parked-next-4", "n/direct", "n/direct-1", "n/direct-next-1", "n/"} {
		for _, name := range []string{nameDirect, nameDirect + nameNext, nameParked, nameParked + nameNext} {
			w := &writer{member: TransactionalID(levels.ExactlyOnce, "delay.forwarder", instance), name: name}
			for turn := range spareIDs {
				id, user := w.id(turn), instance+" "+name
				if other, taken := owner[id]; taken {
					t.Errorf("%q is an id of %s and of %s", id, other, user)
				}
				owner[id] = user
				former[w.id(spareIDs+turn)] = true
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
