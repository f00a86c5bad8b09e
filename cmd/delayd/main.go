// Command delayd is the delay service: it delivers records to their Kafka topic
// after the delay that their producer asked for.
//
// `delayd serve` runs the service, and the other commands send records, show what
// waits, and manage topics; `delayd --help` lists them. Everything that decides
// lives in the packages that this one wires together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/delayd-io/delayd/forwarder"
	"github.com/delayd-io/delayd/internal/printable"
	"github.com/delayd-io/delayd/router"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitToDo    = 2  // a plan that is not empty
	exitFenced  = 3  // another process uses the same instance id
	exitOverdue = 4  // something is overdue for longer than --fail-on-overdue
	exitMissing = 5  // no record has the id that was searched
	exitUsage   = 64 // EX_USAGE: the settings ask for what cannot be; 2 is what Go's crashes end with
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2) // none of the two that count is lost, however close they are
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		<-signals // a request to stop
		stop()
		for s := range signals {
			if s != syscall.SIGHUP { // a demand; of a terminal that is closed there may be several
				os.Exit(exitFailure)
			}
		}
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program with everything it touches handed in, the environment
// aside: it returns the exit code when ctx ends or the command is done.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	con := &console{in: stdin, out: stdout, err: stderr}
	code, err := dispatch(ctx, args, con)
	if err != nil && !errors.As(err, new(loggedError)) {
		fmt.Fprintln(stderr, "delayd:", printable.Lines(plainly(ctx, err)))
	}
	return code
}

// plainly is an error in words. That of a command which Ctrl-C has ended says so as
// people do.
func plainly(ctx context.Context, err error) string {
	if ctx.Err() == nil {
		return err.Error()
	}
	return strings.ReplaceAll(err.Error(), context.Canceled.Error(), "interrupted")
}

// dispatch parses args and runs the command that they name.
func dispatch(ctx context.Context, args []string, con *console) (int, error) {
	if len(args) == 0 {
		con = &console{in: con.in, out: con.err, err: con.err}
		_, err := dispatch(ctx, []string{"--help"}, con)
		return exitUsage, err
	}
	if len(args) == 1 && args[0] == "--version" { // what one tries first
		args = []string{"version"}
	}
	helped := false // kong has printed the help that was asked for
	parser, err := newParser(con, func(int) { helped = true })
	if err != nil {
		return exitFailure, err
	}
	parsed, err := parser.Parse(args)
	switch {
	case helped:
		return exitOK, nil
	case err != nil:
		return exitUsage, withHelp(err)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	err = parsed.Run(con)
	return exitCode(err), err
}

// withHelp adds where to read what is allowed.
func withHelp(err error) error {
	command := "delayd"
	if parse := new(kong.ParseError); errors.As(err, &parse) && parse.Context != nil && parse.Context.Selected() != nil {
		command = parse.Context.Selected().FullPath()
	}
	return fmt.Errorf("%w\n\"%s --help\" says what is allowed", err, command)
}

// usageError marks an error that the person who typed the command can fix.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// loggedError marks an error that the log has told already.
type loggedError struct{ error }

func (e loggedError) Unwrap() error { return e.error }

func exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, new(usageError)):
		return exitUsage
	case errors.Is(err, errToDo):
		return exitToDo
	case errors.Is(err, forwarder.ErrFenced), errors.Is(err, router.ErrFenced):
		return exitFenced
	case errors.As(err, new(overdueError)):
		return exitOverdue
	case errors.As(err, new(notFoundError)):
		return exitMissing
	}
	return exitFailure
}
