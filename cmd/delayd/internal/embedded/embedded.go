// Package embedded runs a Kafka broker inside the process, for trying delayd
// out and for tests. It is kfake, franz-go's single-process broker, with a data
// directory, so that what was acknowledged survives a restart and a kill -9 of
// the process (not a power cut: it does not wait for the disk).
//
// It is not a small Apache Kafka: one copy, no access control, and it keeps the
// producer's timestamp on topics that ask for the broker's. Its logs must never
// be purged (see [connect.IsEmbedded]).
package embedded

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/levels"
)

// DefaultAddr is where the embedded broker listens unless told otherwise, and
// where the commands look for it. It is not Kafka's 9092, so that it never
// stands in for a real one.
const DefaultAddr = "127.0.0.1:19092"

// Partitions is how many partitions a topic gets that a client asks for before
// anyone created it: as many as our own topics have.
const Partitions = 4

// lockName is the file in the data directory that a running broker holds.
const lockName = "delayd.lock"

// ErrInUse says that another process runs a broker on the same data directory.
var ErrInUse = errors.New("in use by another process")

// Config says where the broker listens and keeps its records.
type Config struct {
	// Addr is the loopback host and port to listen on; port 0 takes a free one.
	// Empty: DefaultAddr. The broker has no access control, so that other hosts
	// are refused.
	Addr string
	// DataDir is where records, topics and group offsets are kept. It is made
	// when it is missing. Empty: in memory only, gone with the process. Only its
	// user can read it: the process gets a umask of 077.
	DataDir string
	// Log receives the broker's own lines, at debug unless something is wrong.
	Log zerolog.Logger
}

// Broker is a running embedded broker.
type Broker struct {
	cluster *kfake.Cluster
	lock    *flock.Flock // nil in memory
	addr    string
}

// Start starts a broker, with what its data directory holds. It returns an
// error that wraps [ErrInUse] when another process has that directory.
func Start(cfg Config) (*Broker, error) {
	if cfg.Addr == "" {
		cfg.Addr = DefaultAddr
	}
	if err := checkLoopback(cfg.Addr); err != nil {
		return nil, err
	}
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	var addr string
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID(connect.EmbeddedClusterID),
		kfake.DefaultNumPartitions(Partitions),
		kfake.WithLogger(logger{cfg.Log}),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			ln, err := net.Listen(network, cfg.Addr)
			if err != nil {
				return nil, fmt.Errorf("%w; if that is another delayd, use it with --brokers %s, else listen elsewhere with --embedded-addr",
					err, cfg.Addr)
			}
			addr = ln.Addr().String()
			return ln, nil
		}),
	}
	if cfg.DataDir != "" {
		opts = append(opts, kfake.DataDir(cfg.DataDir))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the embedded broker: %w", err), unlock(lock))
	}
	b := &Broker{cluster: cluster, lock: lock, addr: addr}
	cluster.ControlKey(int16(kmsg.Metadata), b.createAsked)
	cluster.ControlKey(int16(kmsg.Produce), b.refuseHarmful)
	return b, nil
}

// Addr is the host and port that clients connect to.
func (b *Broker) Addr() string { return b.addr }

// Close stops the broker, writes out what is not on disk yet and gives the data
// directory free. Clients that are still connected lose their connections.
func (b *Broker) Close() error {
	b.cluster.Close()
	return unlock(b.lock)
}

// createAsked creates the topics that a client names in a metadata request with
// its permission to create them, as Kafka does with auto.create.topics.enable.
// kfake can do that itself, but keeps such a topic in memory only: a kill would
// lose it with its records.
func (b *Broker) createAsked(kreq kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // kfake's signature
	req := kreq.(*kmsg.MetadataRequest)
	if req.AllowAutoTopicCreation {
		for _, t := range req.Topics {
			if t.Topic != nil && levels.CheckTopic(*t.Topic) == nil {
				// The one error there is says that the topic exists, or that
				// one does whose name is too like it: then the answer to this
				// request says that there is no such topic.
				_ = b.cluster.CreateTopic(*t.Topic, Partitions, nil)
			}
		}
	}
	return nil, nil, false
}

// checkLoopback refuses an address that other hosts could reach.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("embedded broker: address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("embedded broker: address %q: it has no access control, so it listens on this host only; use %s",
			addr, DefaultAddr)
	}
	return nil
}

// lockDir makes dir and locks it against other processes; the kernel gives the
// lock free when the process ends, however it ends. It returns nil for "".
func lockDir(dir string) (*flock.Flock, error) {
	if dir == "" {
		return nil, nil
	}
	keepPrivate()
	if err := os.MkdirAll(dir, 0o700); err != nil { // records are nobody else's
		return nil, fmt.Errorf("embedded broker: make the data directory: %w", err)
	}
	lock := flock.New(filepath.Join(dir, lockName))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("embedded broker: lock the data directory %s: %w", dir, err)
	}
	if !ok {
		return nil, fmt.Errorf("embedded broker: data directory %s is %w; stop that process or name another directory with --data",
			dir, ErrInUse)
	}
	return lock, nil
}

func unlock(lock *flock.Flock) error {
	if lock == nil {
		return nil
	}
	return lock.Unlock()
}

// logger passes kfake's lines on. Its warnings and errors are about its files
// and keep their level; what it calls info is each connection's and group's
// detail, which is debug here.
type logger struct{ log zerolog.Logger }

func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	event := l.log.Debug()
	switch level {
	case kfake.LogLevelError:
		event = l.log.Error()
	case kfake.LogLevelWarn:
		event = l.log.Warn()
	}
	event.Str("broker", "embedded").Msgf(format, args...)
}
