package deliver

import (
	"testing"

	"github.com/delayd-io/delayd/levels"
)

func TestTransactionalID(t *testing.T) {
	if id := TransactionalID(levels.AtLeastOnce, "delay.router", "one"); id != "" {
		t.Errorf("at least once has the transactional id %q", id)
	}
	if id := TransactionalID(levels.ExactlyOnce, "delay.router", "one"); id != "delay.router-one" {
		t.Errorf("transactional id %q", id)
	}
	if a, b := TransactionalID(levels.ExactlyOnce, "g", ""), TransactionalID(levels.ExactlyOnce, "g", ""); a == b {
		t.Errorf("two members without a name share the transactional id %q", a)
	}
}
