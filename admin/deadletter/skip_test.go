package deadletter

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/rawbatch"
)

// A letter that holds a batch is not sent again: it is no record.
func TestUnreadableIsNotResent(t *testing.T) {
	t.Parallel()
	cl, spec := writer(t, fake(t).ListenAddrs()), small(t)
	everything(t, cl, spec)
	batch := rawbatch.Corrupt(rawbatch.New(kgo.CodecLz4, &kgo.Record{Value: []byte("unreadable")}))
	offset, err := rawbatch.Produce(t.Context(), cl, "delay.inbox", 0, rawbatch.Seal(batch))
	if err != nil {
		t.Fatal(err)
	}
	s, err := admin.NewSkip(t.Context(), cl, spec.Names, admin.Place{Topic: "delay.inbox", Offset: offset})
	if err == nil {
		err = s.Do(t.Context(), cl)
	}
	if err != nil {
		t.Fatal(err)
	}
	var got []Outcome
	for _, again := range []bool{false, true} {
		err = Resend(t.Context(), cl, spec.Names, ResendOptions{Again: again, Target: "orders"}, func(r Resent) error {
			got = append(got, r.Outcome)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, []Outcome{OutcomeNoRecord, OutcomeNoRecord}) {
		t.Errorf("outcomes %v", got)
	}
}
