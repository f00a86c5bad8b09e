package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// answerGrace is how long [Answering] waits for the other brokers once one has answered.
const answerGrace = 500 * time.Millisecond

var errSilent = errors.New("no answer")

// ClustersError says that two brokers belong to different clusters. A client that starts
// from both may end up at either.
type ClustersError struct {
	Brokers  [2]string
	Clusters [2]string // their ids
}

// Error names the brokers and what each belongs to.
func (e *ClustersError) Error() string {
	return fmt.Sprintf("%s is a broker of cluster %q, and %s of cluster %q; name brokers of one cluster",
		e.Brokers[0], e.Clusters[0], e.Brokers[1], e.Clusters[1])
}

// Answering asks all brokers at once, each over a client of its own with opts, and
// returns those that answer within timeout, or soon after the first of them. The error
// says why the others are left out. Where they belong to several clusters it returns none,
// and a [*ClustersError].
//
// A client that starts from a list asks one broker after the other, and later returns to
// the list from time to time. A broker there that accepts or drops connections and never
// answers costs it ten seconds each time. That may be the only one that it gets to
// within a bounded time.
func Answering(ctx context.Context, brokers []string, timeout time.Duration, opts ...kgo.Opt) (good []string, others error) {
	// franz-go does not look at the context while it connects.
	opts = append(slices.Clip(opts), kgo.DialTimeout(timeout), kgo.RequestTimeoutOverhead(timeout))
	type answer struct {
		broker  int
		cluster string
		err     error
	}
	first := answer{broker: -1}
	answers, errs := make(chan answer, len(brokers)), make([]error, len(brokers))
	for i, addr := range brokers {
		errs[i] = errSilent
		go func() { // ends within some timeouts
			cluster, err := clusterOf(ctx, addr, opts)
			answers <- answer{i, cluster, err}
		}()
	}
	end := time.NewTimer(timeout)
	defer end.Stop()
	for waiting, answered := len(brokers), false; waiting > 0; {
		select {
		case a := <-answers:
			waiting--
			errs[a.broker] = a.err
			if a.cluster != "" && first.broker < 0 {
				first = a
			}
			if a.cluster != "" && a.cluster != first.cluster {
				return nil, &ClustersError{[2]string{brokers[first.broker], brokers[a.broker]}, [2]string{first.cluster, a.cluster}}
			}
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

// clusterOf returns the id of the cluster that a broker belongs to, "" where it has none,
// or why the broker does not answer.
func clusterOf(ctx context.Context, addr string, opts []kgo.Opt) (string, error) {
	cl, err := kgo.NewClient(append(slices.Clip(opts), kgo.SeedBrokers(addr))...)
	if err != nil {
		return "", err
	}
	defer cl.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none, where nil is all
	resp, err := cl.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return "", err
	}
	if id := resp.(*kmsg.MetadataResponse).ClusterID; id != nil {
		return *id, nil
	}
	return "", nil
}
