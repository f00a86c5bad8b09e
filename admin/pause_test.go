package admin

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t).ListenAddrs(), kgo.ProducerLinger(0))
	spec := small(t)
	paused := func() string {
		t.Helper()
		list, err := Pauses(t.Context(), cl, spec.Names)
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, p := range list {
			if p.Since.IsZero() {
				t.Errorf("%v: no time", p)
			}
			words = append(words, p.String()+" "+p.Reason)
		}
		return strings.Join(words, ", ")
	}
	if got := paused(); got != "" {
		t.Errorf("without a topic %s is paused", got)
	}
	everything(t, cl, spec)
	orders, level := TargetOf("orders"), LevelOf(60*time.Second)
	orders.Reason = "it is moved"
	for _, p := range []Paused{orders, level, LevelOf(5 * time.Second)} {
		if err := Pause(t.Context(), cl, spec.Names, p); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := paused(), "level 5s , level 1m , target orders it is moved"; got != want {
		t.Errorf("paused: %s, want %s", got, want)
	}
	for _, p := range []Paused{orders, level} {
		if err := Resume(t.Context(), cl, spec.Names, p); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := paused(), "level 5s "; got != want {
		t.Errorf("paused: %s, want %s", got, want)
	}
}

// TestPauseOnSeveralPartitions: whoever made the topic gave it more than one.
func TestPauseOnSeveralPartitions(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t).ListenAddrs(), kgo.ProducerLinger(0))
	create(t, cl, "delay.control", 7)
	for _, target := range []string{"orders", "mails", "payments"} {
		if err := Pause(t.Context(), cl, small(t).Names, TargetOf(target)); err != nil {
			t.Error(err)
		}
	}
	if list, err := Pauses(t.Context(), cl, small(t).Names); err != nil || len(list) != 3 {
		t.Errorf("paused: %v, %v", list, err)
	}
}

func TestPauseRefuses(t *testing.T) {
	t.Parallel()
	cl := client(t, fake(t).ListenAddrs(), kgo.ProducerLinger(0), kgo.UnknownTopicRetries(0))
	spec := small(t)
	everything(t, cl, spec)
	for _, tc := range []struct {
		what Paused
		want string
	}{
		{LevelOf(7 * time.Second), "there is no topic delay.level.7s; delayd admin status lists"},
		{TargetOf("delay.dead"), "one of the delay service's own topics"},
		{TargetOf("or ders"), "is not allowed"},
	} {
		if err := Pause(t.Context(), cl, spec.Names, tc.what); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: error %v, want %q", tc.what, err, tc.want)
		}
	}
	if _, err := kadm.NewClient(cl).DeleteTopics(t.Context(), "delay.control"); err != nil {
		t.Fatal(err)
	}
	if err := Pause(t.Context(), cl, spec.Names, TargetOf("orders")); err == nil || !strings.Contains(err.Error(), "create it with delayd admin provision") {
		t.Errorf("without the topic: error %v", err)
	}
}
