//go:build synctests

package endtoend

import (
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestExactlyOnceRefusedPartition: while the group's coordinator refuses the offsets of
// one level in every transaction, the others are delivered on time, and that one when
// they are taken again. Nothing is lost or duplicated.
func TestExactlyOnceRefusedPartition(t *testing.T) {
	for _, err := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.OffsetMetadataTooLarge, kerr.UnknownTopicID} {
		t.Run(err.Message, func(t *testing.T) {
			virtual(t, "", []string{"orders", "mails"}, func(w *world) {
				s := w.serve("one", exactly)
				defer s.stop()
				s.joined()
				good, bad := w.watchCommitted("orders"), w.watchCommitted("mails")
				fault := w.Cluster.Fault(kfake.Fault{
					Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Topic: "delay.level.5s", Err: err, Count: -1,
				})
				const records = 60
				for i := range records {
					w.send(w.direct("5s", "mails", "k", strconv.Itoa(i+1)), w.direct("10s", "orders", "k", strconv.Itoa(i+1)))
					time.Sleep(time.Second)
				}
				for _, a := range good.onceInOrder(t, records) {
					if late := a.late(); late > 2*time.Second {
						t.Errorf("%s: %v late", a.Value, late)
					}
				}
				if n := len(bad.now()); n != 0 {
					t.Errorf("%d delivered of the level whose offsets are refused", n)
				}
				fault.Remove()
				bad.onceInOrder(t, records)
			})
		})
	}
}
