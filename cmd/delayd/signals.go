package main

import (
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"github.com/rs/zerolog"
)

// heedSignals sets what signals do to serve besides those that stop it, until the
// returned function is called. A log that nobody reads any more is no reason to stop.
// Without a terminal neither is SIGHUP, which makes other services reload, nor
// SIGQUIT, which asks a JVM for what its threads do. On a terminal both mean that the
// person there is done.
func heedSignals(con *console, log zerolog.Logger) (stop func()) {
	signal.Ignore(syscall.SIGPIPE)
	if isTerminal(con.in) {
		return func() {}
	}
	signals := make(chan os.Signal, 1)
	signal.Ignore(syscall.SIGHUP) // takes it from main
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGQUIT)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s := range signals {
			if s == syscall.SIGHUP {
				log.Info().Msg("SIGHUP: nothing to do; certificates, keys, passwords and tokens are read again whenever they are used, settings at a restart only")
				continue
			}
			log.Warn().Msg("SIGQUIT: the stacks of all goroutines follow; serving goes on")
			_ = pprof.Lookup("goroutine").WriteTo(con.err, 1) // no log, no stacks
		}
	}()
	return func() {
		signal.Ignore(syscall.SIGHUP) // up to the exit
		signal.Stop(signals)
		close(signals)
		<-ended
	}
}
