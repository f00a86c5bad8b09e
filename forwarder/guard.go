package forwarder

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"
)

// maxFrames bounds the calls that the error of a panic names.
const maxFrames = 8

// errGoexit is the error of a call that ended its goroutine.
var errGoexit = errors.New("runtime.Goexit ended the call, as t.FailNow does")

// guard calls f in a goroutine of its own and returns its error. A panic, or the end of
// the goroutine, is an error that names the calls which led there.
func guard(f func() error) error {
	done := make(chan error, 1)
	go func() {
		err, returned := error(nil), false
		defer func() {
			if !returned {
				err = broken(recover())
			}
			done <- err
		}()
		err = f()
		returned = true
	}()
	return <-done
}

// broken is the error of a call that did not return: it panicked with v, or where that
// is nil ended its goroutine. It is called by the function that guard defers.
func broken(v any) error {
	switch calls := stack(); v := v.(type) {
	case nil:
		return fmt.Errorf("%w, %s", errGoexit, calls)
	case error:
		return fmt.Errorf("panic: %w, %s", v, calls)
	default:
		return fmt.Errorf("panic: %v, %s", v, calls)
	}
}

// stack returns the innermost calls that led to a panic on one line, without those of
// the runtime, up to the one that guard made. It leaves out its own callers.
func stack() string {
	const (
		callers = 4  // Callers, stack, broken and the deferred function
		deepest = 64 // frames that are inspected
	)
	var counters [deepest]uintptr
	frames := runtime.CallersFrames(counters[:runtime.Callers(callers, counters[:])])
	var calls []string
	for {
		frame, more := frames.Next()
		if strings.HasPrefix(frame.Function, guardName) || len(calls) == maxFrames {
			break
		}
		if !strings.HasPrefix(frame.Function, "runtime.") && frame.Function != "" {
			calls = append(calls, fmt.Sprintf("%s (%s:%d)", path.Base(frame.Function), path.Base(frame.File), frame.Line))
		}
		if !more {
			break
		}
	}
	return "in " + strings.Join(calls, " < ")
}

// guardName begins the names of guard's functions.
const guardName = "github.com/delayd-io/delayd/forwarder.guard"
