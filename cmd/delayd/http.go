package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	web "github.com/delayd-io/delayd/cmd/delayd/internal/console"
)

const (
	// headerTimeout and readTimeout bound how long a client may take to send the
	// headers of a request and all of it. idleTimeout bounds how long it may keep a
	// connection without one. So connections cannot pile up. Scrapes come more
	// often than idleTimeout.
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	// writeTimeout bounds how long an answer may take to be made and read. Profiles
	// take as long as they are asked to.
	writeTimeout = 30 * time.Second
	// httpStopTimeout bounds how long open requests hold up the exit.
	httpStopTimeout = 2 * time.Second
	// readyTick is the pause between looks at what is not ready yet.
	readyTick = 20 * time.Millisecond
)

// httpOff is the address of no HTTP server.
const httpOff = ""

// listenHTTP binds addr, so that the port is ours before anything is named after
// it. It returns nil where HTTP is switched off.
func listenHTTP(addr string) (net.Listener, error) {
	if addr == httpOff {
		return nil, nil
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--http %s: %w; choose another address, or --http off", addr, err)
	}
	return ln, nil
}

// serveHTTP answers on ln until ctx ends. It closes ln.
func serveHTTP(ctx context.Context, ln net.Listener, handler http.Handler) error {
	srv := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve http on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpStopTimeout)
	defer cancel()
	if srv.Shutdown(stop) != nil {
		srv.Close() // whoever still reads is cut off
	}
	<-failed
	return nil
}

// onLoopback reports whether only this machine can reach ln.
func onLoopback(ln net.Listener) bool {
	addr, ok := ln.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

// guarded lets requests through that show the token; "" lets all through.
func guarded(token string, next http.HandlerFunc) http.HandlerFunc {
	if token == "" {
		return next
	}
	want := sha256.Sum256([]byte("Bearer " + token)) // of one length, so that comparing tells nothing of it
	return func(w http.ResponseWriter, req *http.Request) {
		got := sha256.Sum256([]byte(req.Header.Get("Authorization")))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "send the token of --http-token-file, as Authorization: Bearer TOKEN", http.StatusUnauthorized)
			return
		}
		next(w, req)
	}
}

// unhurried lets a profile take longer than readTimeout, at which the server would
// cancel it. Of writeTimeout pprof takes care itself.
func unhurried(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a writer without deadlines has none to lift
		next(w, req)
	}
}

// newHandler is all that is answered over HTTP. Nothing is changed, and no profile is
// made, which costs what it measures, for those who do not have the token. pages is the
// console; nil is none.
func newHandler(ready *readiness, reg prometheus.Gatherer, profiles bool, token string, pages *web.Console) http.Handler {
	mux := http.NewServeMux()
	if pages != nil {
		pages.Register(mux)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready.check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ready\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	if profiles {
		mux.HandleFunc("GET /debug/pprof/", guarded(token, unhurried(pprof.Index)))
		mux.HandleFunc("GET /debug/pprof/profile", guarded(token, unhurried(pprof.Profile)))
		mux.HandleFunc("GET /debug/pprof/trace", guarded(token, unhurried(pprof.Trace)))
	}
	return mux
}

// readiness answers whether the service can do its work just now. Before it has
// started, and when it stops, there is a reason instead of checks.
type readiness struct {
	mu     sync.Mutex
	reason error          // guarded by mu
	checks []func() error // guarded by mu
}

// not makes the service unready for a reason.
func (r *readiness) not(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reason = errors.New(reason)
}

// when makes the service ready whenever every check passes.
func (r *readiness) when(checks ...func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reason, r.checks = nil, checks
}

// wait returns once the service is ready, or the reason why it is not after
// patience.
func (r *readiness) wait(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(readyTick)
	defer tick.Stop()
	for {
		err := r.check()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// check returns every reason why the service is not ready.
func (r *readiness) check() error {
	r.mu.Lock()
	reason, checks := r.reason, r.checks
	r.mu.Unlock()
	if reason != nil {
		return reason
	}
	var errs []error
	for _, check := range checks {
		errs = append(errs, check())
	}
	return errors.Join(errs...)
}
