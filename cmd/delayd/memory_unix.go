//go:build unix

package main

import "syscall"

// addressesLimited reports whether the addresses of this process are limited (ulimit -d
// or -v), and not only the memory behind them.
func addressesLimited() bool {
	for _, resource := range []int{syscall.RLIMIT_DATA, syscall.RLIMIT_AS} {
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(resource, &limit); err == nil && uint64(limit.Cur) < 1<<40 {
			return true
		}
	}
	return false
}
