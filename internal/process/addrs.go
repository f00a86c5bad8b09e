package process

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports come from below the range that Linux and macOS take for outgoing
// connections: a port there could be gone while a process is down for a moment.
const (
	firstPort = 20000
	lastPort  = 31999
	portTries = 100
)

// FreeAddrs returns n addresses on 127.0.0.1 that nothing listens on.
func FreeAddrs(n int) ([]string, error) {
	addrs := make([]string, 0, n)
	for range portTries {
		if len(addrs) == n {
			return addrs, nil
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort+1)))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		defer l.Close() // only when all are picked, so that none is picked twice
		addrs = append(addrs, addr)
	}
	return nil, fmt.Errorf("pick %d free ports on 127.0.0.1: none found in %d tries between %d and %d", n, portTries, firstPort, lastPort)
}
