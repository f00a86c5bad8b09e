//go:build linux && !synctests

package consume

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// sleeper sleeps to within a few hundredths of a millisecond, by a timer of the
// kernel's: Go waits for its own timers and for the network in whole milliseconds
// (epoll_wait), and wakes half of one late on average. It belongs to one goroutine.
type sleeper struct {
	fd   int
	file *os.File // fd, watched by Go's poller; nil until it is needed
}

// sleep returns after d, or late by a millisecond where the kernel has no timer
// for us.
func (s *sleeper) sleep(d time.Duration) {
	if s.file == nil {
		fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
		if err != nil {
			time.Sleep(d)
			return
		}
		s.fd, s.file = fd, os.NewFile(uintptr(fd), "timerfd")
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(1, int64(d)))} // 0 would never end
	var expirations [8]byte
	if err := unix.TimerfdSettime(s.fd, 0, &spec, nil); err == nil {
		_, err = s.file.Read(expirations[:])
		if err == nil {
			return
		}
	}
	time.Sleep(d)
}

func (s *sleeper) close() {
	if s.file != nil {
		s.file.Close()
	}
}
