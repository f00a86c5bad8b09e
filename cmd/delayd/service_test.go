package main

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/fakekafka"
)

// SIGTERM while the service starts is no failure, whichever question to the brokers is
// open then.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	c := fakekafka.Start(t)
	var created atomic.Bool
	c.ControlKey(int16(kmsg.CreateTopics), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		created.Store(true)
		return nil, nil, false
	})
	asked := make(chan struct{})
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if topics := req.(*kmsg.MetadataRequest).Topics; created.Load() && topics != nil && len(topics) == 0 {
			select {
			case asked <- struct{}{}:
			default:
			}
			return nil, errors.New("hang up"), true
		}
		return nil, nil, false
	})
	s := start(t, "serve", "--brokers", c.ListenAddrs()[0], "--http", "127.0.0.1:0", "--levels", "1s", "--partitions", "1")
	s.err.await(t, "topics created") // what is asked now is whether this is the embedded broker
	<-asked
	if code := s.stop(t); code != exitOK {
		t.Errorf("exit code %d, want %d\n%s", code, exitOK, s.err)
	}
}
