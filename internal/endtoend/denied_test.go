//go:build synctests

package endtoend

import (
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// TestDeniedTarget: the right to write to a target is taken away. Its records wait, and
// are delivered in order once it is granted again. Where the topic may still be
// described they wait like those of any unavailable target, else like those of one that
// does not exist: the brokers' answer is the same.
func TestDeniedTarget(t *testing.T) {
	const (
		n       = 40
		missing = 10 * time.Second
		giveUp  = 2 * time.Minute
	)
	for _, c := range []struct {
		name    string
		keys    []kmsg.Key    // of the requests that are denied
		away    time.Duration // 0: for ever
		between time.Duration // when the first and last letter comes; 0: none
		to      time.Duration
	}{
		{"may not be written for a moment", []kmsg.Key{kmsg.Produce}, time.Second, 0, 0},
		{"may not be written for a minute", []kmsg.Key{kmsg.Produce}, time.Minute, 0, 0},
		{"may not be written", []kmsg.Key{kmsg.Produce}, 0, giveUp, giveUp + 15*time.Second},
		{"may not be known for a moment", []kmsg.Key{kmsg.Produce, kmsg.Metadata}, 4 * time.Second, 0, 0},
		{"may not be known", []kmsg.Key{kmsg.Produce, kmsg.Metadata}, 0, missing, missing + 10*time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachDelivery(t, func(t *testing.T, mode change) {
				virtual(t, "1s", []string{"secret", "well"}, func(w *world) {
					s := w.serve("one", mode, func(rc *router.Config, fc *forwarder.Config) {
						rc.MissingTargetWait, fc.MissingTargetWait = missing, missing
						rc.GiveUp, fc.GiveUp = giveUp, giveUp
					})
					defer s.stop()
					s.joined()
					got, well := w.watchCommitted("secret"), w.watchCommitted("well")
					dead := w.watchCommitted(w.Names.Dead())
					w.send(w.direct("1s", "secret", "a", "1"), w.request("0", "secret", "b", "1"))
					got.wait(2, time.Minute)
					fault := w.Cluster.Fault(kfake.Fault{Keys: c.keys, Topic: "secret", Err: kerr.TopicAuthorizationFailed, Count: -1})
					end := w.each("well")
					began := time.Now()
					for i := range n {
						w.send(w.direct("1s", "secret", "a", strconv.Itoa(i+2)), w.request("0", "secret", "b", strconv.Itoa(i+2)))
						time.Sleep(100 * time.Millisecond)
					}
					if c.away > 0 {
						time.Sleep(c.away - time.Since(began))
						fault.Remove()
					}
					time.Sleep(giveUp + time.Minute)
					well.punctual(t, end(), largeLate)
					letters := dead.now()
					if c.away > 0 {
						got.onceInOrder(t, 2+2*n)
						if len(letters) > 0 {
							t.Errorf("%d dead letters: %s", len(letters), letters[0].header(levels.HeaderErrorDetail))
						}
						return
					}
					if len(letters) != 2*n {
						t.Errorf("%d dead letters, want %d", len(letters), 2*n)
					}
					for _, l := range letters {
						if code := l.header(levels.HeaderError); code != string(levels.NotAuthorized) {
							t.Errorf("dead letter %s: %s", code, l.header(levels.HeaderErrorDetail))
						}
						if after := l.at.Sub(began); after < c.between || after > c.to {
							t.Errorf("a dead letter after %v, want %v to %v", after, c.between, c.to)
						}
					}
				})
			})
		})
	}
}
