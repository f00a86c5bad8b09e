//go:build synctests

package admin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/fakekafka"
)

// dark is a network on which one broker can be cut off: what is sent there goes
// nowhere, on the connections that there are and on new ones, and nothing is refused.
type dark struct {
	*kfake.VirtualNetwork
	addr string
	cut  atomic.Bool
}

// dial is a kgo.Dialer.
func (d *dark) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if addr != d.addr {
		return d.VirtualNetwork.DialContext(ctx, network, addr)
	}
	conn, peer := net.Pipe()
	if d.cut.Load() {
		go d.pass(io.Discard, peer)
		return conn, nil
	}
	broker, err := d.VirtualNetwork.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	go func() { // ends when the client closes conn
		d.pass(broker, peer)
		broker.Close()
	}()
	go d.pass(peer, broker)
	return conn, nil
}

// pass passes on what comes, unless the broker is cut off, until from is closed.
func (d *dark) pass(to io.Writer, from io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if !d.cut.Load() {
			to.Write(buf[:n])
		}
	}
}

// A scrape is answered in time while a broker is cut off, with the counts of the last
// time that all of them answered, and how old those are.
func TestCollectorWithABrokerCutOff(t *testing.T) {
	fakekafka.Run(t, fakekafka.Config{Brokers: 3}, func(t *testing.T, env *fakekafka.Env) {
		network := &dark{VirtualNetwork: env.Network, addr: env.Cluster.ListenAddrs()[1]}
		cl := client(t, env.Cluster.ListenAddrs(), kgo.Dialer(network.dial), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		spec := small(t)
		everything(t, cl, spec)
		appendAt(t, cl, "delay.level.5s", 0, time.Now().Add(-time.Hour))
		var log bytes.Buffer
		c := NewCollector(cl, spec, zerolog.New(&log))
		defer func() { cl.Close(); c.Close() }()
		const overdue = `delayd_overdue_records{level="5s"} 1`
		counted := time.Now()
		scrape := func(want ...string) {
			t.Helper()
			began := time.Now()
			lines := gather(t, c)
			if took := time.Since(began); took > scrapeTimeout {
				t.Errorf("the scrape took %v, want %v at most", took, scrapeTimeout)
			}
			if slices.Contains(lines, "delayd_status_up 1") {
				counted = began
			}
			want = append(want, fmt.Sprint("delayd_status_age_seconds ", time.Since(counted).Seconds()))
			for _, line := range want {
				if !slices.Contains(lines, line) {
					t.Errorf("no %s in\n%s", line, strings.Join(lines, "\n"))
				}
			}
		}
		scrape("delayd_status_up 1", overdue)
		network.cut.Store(true)
		const every, scrapes = 15 * time.Second, 12
		for range scrapes {
			time.Sleep(every)
			scrape("delayd_status_up 0", overdue)
		}
		network.cut.Store(false)
		for range scrapes {
			time.Sleep(every)
			gather(t, c)
		}
		scrape("delayd_status_up 1", overdue)
		for _, want := range []string{"counting pending records", "counting pending records works again"} {
			if n := strings.Count(log.String(), `"message":"`+want+`"`); n != 1 {
				t.Errorf("%d times %q in the log, want once:\n%s", n, want, &log)
			}
		}
	})
}
