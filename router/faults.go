package router

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// faults is a hook that keeps each broker's last error until that broker answers. franz-go
// tries again for as long as a record may take, and says why only in its log.
type faults struct {
	mu   sync.Mutex
	last map[string]fault // by address
}

// fault is the last error of one broker.
type fault struct {
	at      time.Time
	err     error
	connect bool // it did not take a connection
}

func newFaults() *faults { return &faults{last: make(map[string]fault)} }

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (f *faults) OnBrokerConnect(broker kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	f.note(broker, err, true)
}

// OnBrokerWrite implements kgo.HookBrokerWrite.
func (f *faults) OnBrokerWrite(broker kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	if err != nil { // what was written may be answered by nobody
		f.note(broker, err, false)
	}
}

// OnBrokerRead implements kgo.HookBrokerRead.
func (f *faults) OnBrokerRead(broker kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	f.note(broker, err, false)
}

// note keeps an error, or drops the one that a success has overtaken: an answer any, a
// connection only that of another attempt to connect.
func (f *faults) note(broker kgo.BrokerMetadata, err error, connect bool) {
	if errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, net.ErrClosed) {
		return // we did that
	}
	addr := net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port)))
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
		f.last[addr] = fault{time.Now(), fmt.Errorf("broker %s: %w", addr, err), connect}
	case !connect || f.last[addr].connect:
		delete(f.last, addr)
	}
}

// latest returns the latest error that no success has overtaken, nil for none.
func (f *faults) latest() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var latest fault
	for _, l := range f.last {
		if latest.err == nil || l.at.After(latest.at) {
			latest = l
		}
	}
	return latest.err
}
