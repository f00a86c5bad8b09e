package connect

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/fakekafka"
)

// hungUp is a connection that the broker closes before it answers.
type hungUp struct{ net.Conn }

func (hungUp) Read([]byte) (int, error) { return 0, io.EOF }

// TestServingTriesAgain: a client that serves outlives a broker that closes its
// connections at once, and any other says that its settings may be wrong.
func TestServingTriesAgain(t *testing.T) {
	cluster := fakekafka.Start(t)
	for _, c := range []struct {
		name string
		opts []kgo.Opt
		ok   bool
	}{{"serving", Serving(), true}, {"asking", Timing(), false}} {
		t.Run(c.name, func(t *testing.T) {
			var dialed atomic.Int32
			dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				if dialed.Add(1) <= 3 && err == nil {
					return hungUp{conn}, nil
				}
				return conn, err
			}
			cl, err := kgo.NewClient(append(c.opts, kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(dial))...)
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			if _, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), cl); (err == nil) != c.ok {
				t.Errorf("after %d connections: %v", dialed.Load(), err)
			}
		})
	}
}
