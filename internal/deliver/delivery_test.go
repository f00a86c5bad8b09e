package deliver

import "testing"

func TestTransactionalID(t *testing.T) {
	if id := TransactionalID(AtLeastOnce, "delay.router", "one"); id != "" {
		t.Errorf("at least once has the transactional id %q", id)
	}
	if id := TransactionalID(ExactlyOnce, "delay.router", "one"); id != "delay.router-one" {
		t.Errorf("transactional id %q", id)
	}
	if a, b := TransactionalID(ExactlyOnce, "g", ""), TransactionalID(ExactlyOnce, "g", ""); a == b {
		t.Errorf("two members without a name share the transactional id %q", a)
	}
}
