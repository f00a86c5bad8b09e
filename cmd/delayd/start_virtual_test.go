//go:build synctests

package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/levels"
)

// starting is a service that starts on a cluster of brokers on virtual time.
type starting struct {
	*fakekafka.Env
	begun time.Time
	// patience is how long it may take to be ready. 0: some minutes.
	patience time.Duration
	// ill is what is wrong with an address just now.
	ill func(addr string) illness
}

type illness int

const (
	well illness = iota
	dead         // refuses connections
	deaf         // takes no connection, and does not refuse it
	mute         // takes connections and never answers
	rude         // closes connections at once
)

var illnesses = map[string]illness{"dead": dead, "deaf": deaf, "mute": mute, "rude": rude}

func (s *starting) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	switch s.ill(addr) {
	case dead:
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
	case deaf:
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Second): // as franz-go's dialer
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
	case mute:
		ours, theirs := net.Pipe()
		go io.Copy(io.Discard, theirs)
		return ours, nil
	case rude:
		ours, theirs := net.Pipe()
		go func() {
			theirs.Read(make([]byte, 1<<10))
			theirs.Close()
		}()
		return ours, nil
	}
	return s.Network.DialContext(ctx, network, addr)
}

// ready returns how long serve takes to be ready, and its log. seeds are addresses
// besides those of the cluster's brokers.
func (s *starting) ready(t *testing.T, brokers []string, flags ...string) (time.Duration, *output) {
	t.Helper()
	parser, err := newParser(&console{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse(append([]string{"serve", "--levels", "1m", "--partitions", "1"}, flags...))
	if err != nil {
		t.Fatal(err)
	}
	log, ready := newOutput(), new(readiness)
	ready.not("starting")
	_, registry := newRegistry(ready, levels.DefaultPrefix)
	srv := &service{
		serviceFlags: parsed.Selected().Target.Addr().Interface().(*serveCmd).serviceFlags,
		brokers:      brokers, instance: "one", log: zerolog.New(log).With().Timestamp().Logger().Level(zerolog.InfoLevel), registry: registry, ready: ready,
		opts: []kgo.Opt{kgo.Dialer(s.dial)},
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- srv.run(ctx) }()
	for ready.check() != nil && time.Since(s.begun) < cmp.Or(s.patience, 5*time.Minute) {
		time.Sleep(100 * time.Millisecond)
		select {
		case err := <-ended:
			cancel()
			t.Errorf("ended by itself: %v\n%s", err, log)
			return 0, log
		default:
		}
	}
	took := time.Since(s.begun)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("stopped with %v\n%s", err, log)
	}
	return took, log
}

// startVirtually runs a test on virtual time with a cluster of n brokers.
func startVirtually(t *testing.T, n int, test func(t *testing.T, s *starting)) {
	t.Helper()
	fakekafka.Run(t, fakekafka.Config{Brokers: n}, func(t *testing.T, env *fakekafka.Env) {
		s := &starting{Env: env, begun: time.Now(), ill: func(string) illness { return well }}
		test(t, s)
		time.Sleep(time.Minute) // requests end that nobody waits for
	})
}

// Whichever broker of the list is ill, the start goes on with the others.
func TestStartWithIllSeeds(t *testing.T) {
	t.Parallel()
	for name, what := range illnesses {
		t.Run(name, func(t *testing.T) {
			startVirtually(t, 1, func(t *testing.T, s *starting) {
				good := s.Cluster.ListenAddrs()[0]
				s.ill = func(addr string) illness {
					if addr == good {
						return well
					}
					return what
				}
				took, log := s.ready(t, []string{"a:1", "b:1", good, "c:1"})
				if took > 2*time.Second {
					t.Errorf("took %v\n%s", took, log)
				}
			})
		})
	}
}

// What can heal is waited for, and named within seconds.
func TestStartWaits(t *testing.T) {
	t.Parallel()
	const away = 40 * time.Second
	for name, tc := range map[string]struct {
		ill  illness
		wrap func(s *starting)
		told string
	}{
		"dead": {ill: dead, told: "no answer from the cluster; trying again"},
		"deaf": {ill: deaf, told: "no answer from the cluster; trying again"},
		"mute": {ill: mute, told: "no answer from the cluster; trying again"},
		"rude": {ill: rude, told: "no answer from the cluster; trying again"},
		"every other connection is closed": {told: "no answer from the cluster; trying again", wrap: func(s *starting) {
			var n atomic.Int32
			s.ill = func(string) illness {
				if n.Add(1)%2 == 1 && time.Since(s.begun) < away {
					return rude
				}
				return well
			}
		}},
		"too few brokers for the replicas": {told: "INVALID_REPLICATION_FACTOR", wrap: func(s *starting) {
			s.Cluster.ControlKey(int16(kmsg.CreateTopics), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
				s.Cluster.KeepControl()
				if time.Since(s.begun) > away {
					return nil, nil, false
				}
				req := kreq.(*kmsg.CreateTopicsRequest)
				resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
				for _, rt := range req.Topics {
					t := kmsg.NewCreateTopicsResponseTopic()
					t.Topic, t.ErrorCode = rt.Topic, kerr.InvalidReplicationFactor.Code
					resp.Topics = append(resp.Topics, t)
				}
				return resp, nil, true
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			startVirtually(t, 1, func(t *testing.T, s *starting) {
				s.ill = func(string) illness {
					if time.Since(s.begun) < away {
						return tc.ill
					}
					return well
				}
				if tc.wrap != nil {
					tc.wrap(s)
				}
				took, log := s.ready(t, s.Cluster.ListenAddrs())
				if took > away+answerTimeout+2*reconnectWait {
					t.Errorf("took %v\n%s", took, log)
				}
				if !strings.Contains(log.String(), tc.told) {
					t.Errorf("no %q in\n%s", tc.told, log)
				}
			})
		})
	}
}

// A broker of the cluster that is ill holds up what it leads, and not the start.
func TestStartWithAnIllBroker(t *testing.T) {
	t.Parallel()
	for name, what := range illnesses {
		t.Run(name, func(t *testing.T) {
			startVirtually(t, 3, func(t *testing.T, s *starting) {
				s.ill = func(addr string) illness {
					if strings.HasSuffix(addr, ":9093") { // not the controller, who makes the topics
						return what
					}
					return well
				}
				s.patience = 25 * time.Second
				_, log := s.ready(t, s.Cluster.ListenAddrs())
				log.await(t, "topics created")
				if what == mute || what == deaf {
					log.await(t, "broker localhost:9093: no answer", "starting with the others")
				}
			})
		})
	}
}
