package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	web "github.com/delayd-io/delayd/cmd/delayd/internal/console"
	"github.com/delayd-io/delayd/cmd/delayd/internal/embedded"
	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/security"
	"github.com/delayd-io/delayd/router"
)

type serveCmd struct {
	Brokers brokerList `placeholder:"HOST:PORT,..." help:"Kafka brokers to start from. Unset, and on a terminal: an embedded broker."`
	securityFlags
	Embedded      bool   `help:"Start the embedded broker, which is for trying out and tests."`
	EmbeddedAddr  string `type:"listen" placeholder:"ADDR" default:"${embedded}" help:"Where the embedded broker listens (default: ${default}, where the other commands look)."`
	Data          string `placeholder:"DIR" default:"${data}" help:"Where the embedded broker keeps its records; empty is in memory (default: ${default})."`
	HTTP          string `name:"http" type:"http" placeholder:"ADDR" default:"127.0.0.1:8080" help:"Where /console, /api/v1, /healthz, /readyz and /metrics are served, or off (default: ${default})."`
	Pprof         bool   `help:"Serve Go's profiles under /debug/pprof on --http: they show the command line, and cost what they measure."`
	HTTPTokenFile string `name:"http-token-file" placeholder:"FILE" help:"File with the token for pausing, resuming and resending on the console, and for /debug/pprof; or set DELAYD_HTTP_TOKEN. Without it the console is read-only. --pprof needs it unless --http is on loopback."`
	NoConsole     bool   `help:"Serve no console and no API."`
	Instance      string `placeholder:"ID" help:"Name of this process among those that serve the same topics, the same after a restart (default: host name and HTTP port)."`
	serviceFlags
	logFlags    `set:"log_level=info"`
	PrintConfig bool `env:"-" nofile:"" help:"Print every setting with its value and where that comes from, as a file for --config, and end."`
}

// gcPercent is how much the heap grows between two collections, in percent of what
// is live, unless GOGC says otherwise. What is live is small and bounded, so that
// Go's 100 would collect all the time during a release: a tenth of its processor
// time for some 20 MiB.
const gcPercent = 200

// memoryLimit is from where on Go collects as often as it takes to use no more, unless
// GOMEMLIMIT says otherwise: a release of large records holds many times what is
// fetched ahead. 256 MiB of resident memory have to hold. With 160 MiB the collector takes a
// third of the processor time of a release exactly once. With 112 it takes half while what
// was parked is delivered beside what comes due.
//
// limitedMemory is the same where addresses are limited: 256 MiB of them have to hold
// what Go has given back, too, and some 90 MiB beside the heap. The runtime's
// index of its heap and the entropy buffer of crypto take 32 MiB each, which are hardly
// touched. In a program built with cgo each thread takes its stack (ulimit -s).
const (
	memoryLimit   = 192 << 20
	limitedMemory = 112 << 20
)

// Run serves until ctx ends. What the flags ask for and cannot have is reported to
// people; all that goes wrong after that is part of the log.
func (c *serveCmd) Run(ctx context.Context, con *console, config *cli, parsed *kong.Context) error {
	if c.PrintConfig {
		return c.printConfig(con.out, config.settings, parsed)
	}
	if err := c.check(); err != nil {
		return err
	}
	if err := c.chooseBroker(con); err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		limit := int64(memoryLimit)
		if addressesLimited() {
			limit = limitedMemory
		}
		debug.SetMemoryLimit(limit)
	}
	log := c.logger(con.err)
	defer heedSignals(con, log)()
	err := c.serve(ctx, log)
	if err == nil || errors.As(err, new(usageError)) || c.forPeople(con.err) {
		return err
	}
	log.Error().Err(err).Msg("failed")
	return loggedError{err}
}

// serve runs everything, and returns when all of it has ended.
//
//	flags ─▶ logger ─▶ HTTP port ─▶ brokers ─┬─▶ topics ─┬─▶ router      inbox → level topics
//	                   (bound first: (given, │           └─▶ forwarder   level topics → targets
//	                    it names us)  or our │
//	                                  own)   └─▶ HTTP                    /console /healthz /readyz /metrics
func (c *serveCmd) serve(ctx context.Context, log zerolog.Logger) error {
	defer context.AfterFunc(ctx, func() { log.Info().Msg("stopping; a second signal ends it at once") })()

	ln, err := listenHTTP(c.HTTP)
	if err != nil {
		return err
	}
	if ln != nil {
		defer ln.Close()
		log.Info().Stringer("addr", ln.Addr()).Msg("http listens")
	}
	token, err := c.token(ln)
	if err != nil {
		return err
	}
	instance, err := c.instance(ln)
	if err != nil {
		return err
	}

	if c.Embedded {
		broker, err := c.startEmbedded(log)
		if err != nil {
			return err
		}
		defer broker.Close()
		c.Brokers = []string{broker.Addr()}
	}

	if what := c.security().Exposed(); what != "" {
		log.Warn().Str("sasl", c.SASL).Msg(what + " goes over the network in plain text: set --tls, unless that network is a safe one")
	}

	tracing, stopTracing, err := startTracing(ctx, log)
	if err != nil {
		return err
	}
	defer stopTracing()

	ready := new(readiness)
	metrics, registry := newRegistry(ready, c.Prefix.Prefix)
	s := &service{
		serviceFlags: c.serviceFlags,
		brokers:      c.Brokers,
		security:     c.security(),
		instance:     instance,
		log:          log,
		registry:     registry,
		ready:        ready,
		tracing:      tracing,
	}
	if ln != nil && !c.NoConsole {
		s.pages = web.New(web.Config{
			Instance: instance, Prefix: c.Prefix.Prefix, Version: version(), DefaultTarget: c.DefaultTarget,
			Token: token, Loopback: onLoopback(ln), Log: log.With().Str("part", "console").Logger(),
		})
	}
	s.ready.not("starting")
	log.Info().Str("version", version()).Strs("brokers", c.Brokers).Str("prefix", c.Prefix.Prefix).Str("instance", instance).
		Stringer("levels", c.Levels).Stringer("delivery", c.Delivery).
		Str("default_target", c.DefaultTarget).Strs("allow_target", c.AllowTarget).Strs("deny_target", c.DenyTarget).Msg("starting")

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.run(ctx) })
	if ln != nil {
		g.Go(func() error { return serveHTTP(ctx, ln, newHandler(s.ready, metrics, c.Pprof, token, s.pages)) })
	}
	if err := g.Wait(); err != nil {
		return c.explain(err, instance)
	}
	log.Info().Msg("stopped")
	return nil
}

// chooseBroker decides whether the embedded broker is started. Never by
// accident: only when told, or when a person at a terminal named no brokers and
// nothing speaks of a real cluster.
func (c *serveCmd) chooseBroker(con *console) error {
	const settings = "set --brokers HOST:PORT or DELAYD_BROKERS, " +
		"or --embedded for a broker in this process, which is for trying out and tests"
	switch {
	case c.Embedded && len(c.Brokers) > 0:
		return usagef("--embedded starts a broker, and --brokers or DELAYD_BROKERS names one that is there; leave one out")
	case c.Embedded && c.set() != "":
		return usagef(embeddedSecurity, c.set())
	case len(c.Brokers) > 0 && c.Data != defaultDataDir():
		return usagef("--data or DELAYD_DATA is for the embedded broker, and --brokers or DELAYD_BROKERS names another one; leave one out")
	case c.Embedded || len(c.Brokers) > 0:
		return nil
	}
	if name := cmp.Or(c.set(), securitySetting(os.Environ())); name != "" {
		return usagef("no brokers, and %s is set, which the embedded broker would ignore; %s", name, settings)
	}
	if !isTerminal(con.in) || !isTerminal(con.out) {
		return usagef("no brokers, and no terminal on which somebody could be trying it out; %s", settings)
	}
	c.Embedded = true
	return nil
}

// embeddedSecurity refuses what the embedded broker cannot do.
const embeddedSecurity = "%s is for a Kafka cluster, and --embedded starts a broker that listens on this machine in plain text; leave one out"

// securitySetting names a variable that sets up TLS or SASL, "" where there is
// none.
func securitySetting(environ []string) string {
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		ours := strings.HasPrefix(name, "DELAYD_") || strings.HasPrefix(name, "KAFKA_")
		off := value == "" || value == "false" || value == string(security.NoSASL)
		if ours && !off && (strings.Contains(name, "TLS") || strings.Contains(name, "SSL") || strings.Contains(name, "SASL")) {
			return name
		}
	}
	return ""
}

// tokenEnv is the variable of the environment that may hold the token of HTTP.
// As a flag everyone on the machine could read it.
const tokenEnv = "DELAYD_HTTP_TOKEN"

// token is what a request has to show for more than looking at health and
// metrics; "" lets everyone in, which is only had on loopback.
func (c *serveCmd) token(ln net.Listener) (string, error) {
	token := os.Getenv(tokenEnv)
	if c.HTTPTokenFile != "" {
		if token != "" {
			return "", usagef("--http-token-file %s, and %s is set in the environment too; leave one out", c.HTTPTokenFile, tokenEnv)
		}
		var err error
		if token, err = security.ReadSecret("--http-token-file", c.HTTPTokenFile); err != nil {
			return "", usageError{err}
		}
	}
	if c.Pprof && token == "" && ln != nil && !onLoopback(ln) {
		return "", usagef("--pprof with --http %s: whoever can reach that address could have this process profile itself; "+
			"set --http-token-file, or listen on loopback, as in --http 127.0.0.1:8080", c.HTTP)
	}
	return token, nil
}

// instance names this process in its groups. The port makes the host name
// unique, because only one process can have it.
func (c *serveCmd) instance(ln net.Listener) (string, error) {
	if c.Instance != "" {
		return c.Instance, nil
	}
	if ln == nil {
		return "", usagef("--instance is needed with --http off: it names this process, and has to be the same after a restart")
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("look up the host name for --instance: %w; set --instance", err)
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return "", fmt.Errorf("read the port of --http: %w; set --instance", err)
	}
	return host + "-" + port, nil
}

func (c *serveCmd) startEmbedded(log zerolog.Logger) (*embedded.Broker, error) {
	broker, err := embedded.Start(embedded.Config{Addr: c.EmbeddedAddr, DataDir: c.Data, Log: log})
	if err != nil {
		return nil, err
	}
	log.Warn().Str("addr", broker.Addr()).Str("data", c.Data).
		Msg("the embedded broker is for trying out and tests; set --brokers to serve a Kafka cluster")
	return broker, nil
}

// explain adds what can be done about a lost instance id.
func (c *serveCmd) explain(err error, instance string) error {
	if errors.Is(err, forwarder.ErrFenced) || errors.Is(err, router.ErrFenced) {
		return fmt.Errorf("another process uses the instance id %q: %w; give each its own --instance", instance, err)
	}
	return err
}
