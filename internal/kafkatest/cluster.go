//go:build unix

package kafkatest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/delayd-io/delayd/internal/process"
)

// Config says what [Launch] starts. The zero value is one node.
type Config struct {
	// Nodes is how many nodes the cluster has, each a broker and a controller:
	// 1 (also for 0) or 3.
	Nodes int
	// Version is the Apache Kafka that is run; "" is [Version].
	Version string
	// Properties are broker settings for every node, over those that this package
	// sets for a small cluster that starts fast.
	Properties map[string]string
	// Env is set for every node's process, beside our own environment.
	Env []string
	// Proxied gives every node a second listener, for clients that are to reach it
	// through a proxy; see [Cluster.Routes].
	Proxied bool
	// Users makes the cluster a secured one; see [Secured].
	Users []string
}

// Route is a way to a node that leads through a proxy. Who listens on Advertised
// and passes on to Node is in between a client that starts from Advertised and
// all that it talks to.
type Route struct {
	Advertised string // the node's address in answers to clients; nothing listens there yet
	Node       string // where the node takes what comes that way
}

// Option changes what [Start] starts.
type Option func(*Config)

// Nodes sets the number of nodes: 1 (default) or 3.
func Nodes(n int) Option { return func(c *Config) { c.Nodes = n } }

// Of sets the version of Apache Kafka that is run.
func Of(version string) Option { return func(c *Config) { c.Version = version } }

// Property sets a broker setting on every node.
func Property(key, value string) Option {
	return func(c *Config) {
		if c.Properties == nil {
			c.Properties = map[string]string{}
		}
		c.Properties[key] = value
	}
}

// Cluster is a running Apache Kafka. Node i is Kafka's node.id i, so that the
// leader of a partition, as clients see it, is the node to stop.
type Cluster struct {
	nodes  []*node
	routes []Route
	secure Secure
}

// Start starts a cluster for a test and ends it when the test is over. Its data
// lies in the test's temporary folder. A test that fails shows the end of each
// node's log. What keeps Kafka from starting fails the test.
func Start(tb testing.TB, opts ...Option) *Cluster {
	tb.Helper()
	var cfg Config
	for _, opt := range opts {
		opt(&cfg)
	}
	c, err := Launch(tb.Context(), tb.TempDir(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, c)
	return c
}

// StartBroker is [Start] for one broker with these properties and no others. Its files are in
// dir, and addr is where clients reach it.
func StartBroker(tb testing.TB, id int32, addr, dir string, properties map[string]string) *Cluster {
	tb.Helper()
	c, err := launch(tb.Context(), Version, []*node{{id: id, addr: addr, dir: dir, properties: properties}})
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, c)
	return c
}

// closeAfter ends c when the test is over.
func closeAfter(tb testing.TB, c *Cluster) {
	tb.Cleanup(func() {
		c.Close()
		if !tb.Failed() {
			return
		}
		for _, n := range c.nodes {
			tb.Logf("the log of kafka node %d ends with\n%s", n.id, n.tail())
		}
	})
}

// Launch starts a cluster with its files in dir, which should be empty, and
// returns when every node answers and knows of the others. The cluster does not
// outlive this program, but ends with [Cluster.Close]; ctx only bounds the start.
func Launch(ctx context.Context, dir string, cfg Config) (*Cluster, error) {
	switch cfg.Nodes {
	case 0:
		cfg.Nodes = 1
	case 1, 3:
	default:
		return nil, fmt.Errorf("start kafka: the number of nodes must be 1 or 3, got %d", cfg.Nodes)
	}
	const kinds = 4 // clients, controllers, and both ends of the proxies
	addrs, err := process.FreeAddrs(kinds * cfg.Nodes)
	if err != nil {
		return nil, err
	}
	split := slices.Collect(slices.Chunk(addrs, cfg.Nodes))
	addrs, controllers := split[0], split[1]
	var routes []Route
	if cfg.Proxied {
		for i, advertised := range split[2] {
			routes = append(routes, Route{Advertised: advertised, Node: split[3][i]})
		}
	}
	nodes := make([]*node, cfg.Nodes)
	for i := range nodes {
		nodeDir := filepath.Join(dir, fmt.Sprintf("node-%d", i))
		properties := nodeProperties(i, addrs, controllers, filepath.Join(nodeDir, "data"))
		nodes[i] = &node{id: int32(i), addr: addrs[i], dir: nodeDir, properties: properties, env: cfg.Env}
	}
	var secure Secure
	if len(cfg.Users) > 0 {
		if secure, err = secureNodes(dir, nodes, cfg.Users); err != nil {
			return nil, err
		}
	}
	for i, n := range nodes {
		if cfg.Proxied {
			maps.Copy(n.properties, routeProperties(n.properties, routes[i]))
		}
		maps.Copy(n.properties, cfg.Properties)
	}
	c, err := launch(ctx, cmp.Or(cfg.Version, Version), nodes)
	if err != nil {
		return nil, err
	}
	c.routes = routes
	c.secure = secure
	return c, nil
}

// launch formats and starts the nodes, and waits until they are ready.
func launch(ctx context.Context, version string, nodes []*node) (*Cluster, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("start kafka: %w (install Java 17 or later)", err)
	}
	jars, err := jarsOf(ctx, version)
	if err != nil {
		return nil, err
	}
	clusterID := newClusterID()
	ids := make([]int32, len(nodes))
	for i, n := range nodes {
		n.java, n.jars, ids[i] = java, jars, n.id
		n.program = &process.Program{
			Name: fmt.Sprintf("kafka node %d", n.id), Command: append([]string{java}, n.javaArgs("kafka.Kafka", n.serverFile())...),
			Env: n.env, Log: n.logFile(),
		}
	}
	c := &Cluster{nodes: nodes}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		group.Go(func() error {
			if err := n.format(groupCtx, clusterID); err != nil {
				return err
			}
			if _, err := n.program.Start(); err != nil {
				return err
			}
			return n.awaitReady(groupCtx, ids...)
		})
	}
	if err := group.Wait(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// newClusterID returns 16 random bytes as Kafka spells them. The first bit is 0:
// an id that starts with a dash would be taken for a flag.
func newClusterID() string {
	var id [16]byte
	rand.Read(id[:])
	id[0] &= 0x7f
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// Brokers returns the address of every node, stopped ones included, by node id.
func (c *Cluster) Brokers() []string {
	addrs := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		addrs[i] = n.addr
	}
	return addrs
}

// Routes returns the ways to every node that lead through a proxy, by node id;
// none unless [Config.Proxied] asked for them.
func (c *Cluster) Routes() []Route { return c.routes }

// LogFile returns the path of node i's log. A restart appends to it.
func (c *Cluster) LogFile(i int) string { return c.nodes[i].logFile() }

// Running reports whether node i runs: one may end by itself.
func (c *Cluster) Running(i int) bool { return c.nodes[i].program.Running() }

// Kill ends node i with SIGKILL and waits for its end.
func (c *Cluster) Kill(i int) error { return c.nodes[i].program.Kill() }

// Stop ends node i with SIGTERM, so that it hands over its partitions first, and
// waits for its end. Handing over takes a majority of the nodes: the last one of
// three cannot, and Stop gives up on it after a minute. Use [Cluster.Kill] there,
// and for a paused node.
func (c *Cluster) Stop(i int) error { return c.nodes[i].stop() }

// Start starts node i again, on the same ports and data, and returns when it
// answers as a member of the cluster. For that a majority of the nodes has to
// run: where more than one is down, use [Cluster.StartAll].
func (c *Cluster) Start(ctx context.Context, i int) error {
	if _, err := c.nodes[i].program.Start(); err != nil {
		return err
	}
	return c.nodes[i].awaitReady(ctx, c.nodes[i].id)
}

// StartAll starts every node that is down and returns when all nodes answer as
// members of the cluster.
func (c *Cluster) StartAll(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range c.nodes {
		group.Go(func() error {
			if !n.program.Running() {
				if _, err := n.program.Start(); err != nil {
					return err
				}
			}
			return n.awaitReady(ctx, n.id)
		})
	}
	return group.Wait()
}

// Pause freezes node i with SIGSTOP: connections stay open and nothing answers.
func (c *Cluster) Pause(i int) error {
	_, err := c.nodes[i].program.Signal(syscall.SIGSTOP)
	return err
}

// Resume lets a paused node i go on.
func (c *Cluster) Resume(i int) error {
	_, err := c.nodes[i].program.Signal(syscall.SIGCONT)
	return err
}

// Close kills every node that runs and waits for their ends. The data stays where
// it is. A closed cluster can be started again.
func (c *Cluster) Close() error {
	var errs []error
	for _, n := range c.nodes {
		if n.program.Running() {
			errs = append(errs, n.program.Kill())
		}
	}
	return errors.Join(errs...)
}
