package deliver

import "testing"

func TestAborted(t *testing.T) {
	for _, test := range []struct {
		reason  string
		aborted aborted
		retires bool
		blames  blame
	}{
		{"a record was refused, and the transaction is aborted", aborted{answered: true, certain: true}, false, failures},
		{"the same where it is not certain that it is", aborted{answered: true}, true, failures},
		{"the group has refused the offsets", aborted{answered: true, foreign: true, certain: true}, false, nobody},
		{"the producer was fenced, and its end is not certain", aborted{foreign: true}, true, nobody},
		{"one topic gave no answer, and others did", aborted{silent: true, answered: true, certain: true}, true, silentOnes},
		{"no answer at all: it may have been the producer", aborted{silent: true, certain: true}, true, nobody},
		{"no answer at all, and the one before was aborted", aborted{silent: true, certain: true, former: 1}, true, silentOnes},
		{"no answer at all for parked records, which hold up nobody", aborted{silent: true, parked: true}, true, silentOnes},
		{"what failed before the answers stopped is not blamed", aborted{silent: true, foreign: true, answered: true}, true, silentOnes},
	} {
		if got := test.aborted.retires(); got != test.retires {
			t.Errorf("%s: the producer is retired: %t", test.reason, got)
		}
		if got := test.aborted.blames(); got != test.blames {
			t.Errorf("%s: it blames %d, want %d", test.reason, got, test.blames)
		}
	}
}
