//go:build synctests

package admin

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// hideCoordinators has the cluster answer as a new one does, until a time: the topic
// that groups are kept on is still being made.
func hideCoordinators(broker *kfake.Cluster, until time.Time) {
	broker.ControlKey(int16(kmsg.FindCoordinator), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		if !time.Now().Before(until) {
			return nil, nil, false
		}
		broker.KeepControl()
		req := kreq.(*kmsg.FindCoordinatorRequest)
		resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
		resp.NodeID, resp.ErrorCode = -1, kerr.CoordinatorNotAvailable.Code
		for _, key := range req.CoordinatorKeys {
			c := kmsg.NewFindCoordinatorResponseCoordinator()
			c.Key, c.NodeID, c.ErrorCode = key, -1, kerr.CoordinatorNotAvailable.Code
			resp.Coordinators = append(resp.Coordinators, c)
		}
		return resp, nil, true
	})
}

// The first status of a new cluster waits until groups can be asked for.
func TestInspectWaitsForTheCoordinator(t *testing.T) {
	onVirtualTime(t, func(t *testing.T, broker *kfake.Cluster, cl *kgo.Client) {
		everything(t, cl, small(t))
		began := time.Now()
		const missing = 3 * time.Second
		hideCoordinators(broker, began.Add(missing))
		s := inspect(t, cl, small(t), time.Now())
		if len(s.Levels) != 2 || s.Levels[0].Members != 0 || s.Inbox.Members != 0 {
			t.Errorf("status %+v", s)
		}
		if took := time.Since(began); took < missing || took > missing+time.Second {
			t.Errorf("took %v, want the %v that there was no coordinator", took, missing)
		}
	})
}

func TestWaitForTheCoordinatorIsBounded(t *testing.T) {
	onVirtualTime(t, func(t *testing.T, broker *kfake.Cluster, cl *kgo.Client) {
		everything(t, cl, small(t))
		began := time.Now()
		hideCoordinators(broker, began.Add(time.Hour))
		_, err := Inspect(t.Context(), cl, small(t), time.Now())
		if !errors.Is(err, kerr.CoordinatorNotAvailable) {
			t.Errorf("error %v, want %v", err, kerr.CoordinatorNotAvailable)
		}
		if took := time.Since(began); took < 30*time.Second || took > 2*time.Minute {
			t.Errorf("took %v", took)
		}
	})
}
