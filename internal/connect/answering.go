package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// answerGrace is how long [Answering] waits for the other brokers once one has answered.
const answerGrace = 500 * time.Millisecond

var errSilent = errors.New("no answer")

// Answering asks all brokers at once, each over a client of its own with opts, and
// returns those that answer within timeout, or soon after the first of them. The error
// says why the others are left out.
//
// A client that starts from a list asks one broker after the other, and later returns to
// the list from time to time. A broker there that accepts or drops connections and never
// answers costs it ten seconds each time. That may be the only one that it gets to
// within a bounded time.
func Answering(ctx context.Context, brokers []string, timeout time.Duration, opts ...kgo.Opt) (good []string, others error) {
	// franz-go does not look at the context while it connects.
	opts = append(slices.Clip(opts), kgo.DialTimeout(timeout), kgo.RequestTimeoutOverhead(timeout))
	type answer struct {
		broker int
		err    error
	}
	answers, errs := make(chan answer, len(brokers)), make([]error, len(brokers))
	for i, addr := range brokers {
		errs[i] = errSilent
		go func() { answers <- answer{i, ping(ctx, addr, opts)} }() // ends within some timeouts
	}
	end := time.NewTimer(timeout)
	defer end.Stop()
	for waiting, answered := len(brokers), false; waiting > 0; {
		select {
		case a := <-answers:
			waiting--
			errs[a.broker] = a.err
			if a.err == nil && !answered {
				answered = true
				end.Reset(min(timeout, answerGrace))
			}
		case <-end.C:
			waiting = 0
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for i, addr := range brokers {
		switch {
		case errs[i] == nil:
			good = append(good, addr)
		case others == nil:
			others = fmt.Errorf("broker %s: %w", addr, errs[i])
		default:
			others = fmt.Errorf("%w; broker %s: %w", others, addr, errs[i])
		}
	}
	return good, others
}

// ping returns why a broker does not answer, nil where it does.
func ping(ctx context.Context, addr string, opts []kgo.Opt) error {
	cl, err := kgo.NewClient(append(slices.Clip(opts), kgo.SeedBrokers(addr))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	return cl.Ping(ctx)
}
