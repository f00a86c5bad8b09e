package connect

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/delayd-io/delayd/internal/fakekafka"
)

// TestBrokersOfSeveralClusters: nothing starts from two clusters, as it would read at one
// and write at the other.
func TestBrokersOfSeveralClusters(t *testing.T) {
	t.Parallel()
	one := fakekafka.Start(t, kfake.NumBrokers(2), kfake.ClusterID("one")).ListenAddrs()
	two := fakekafka.Start(t, kfake.ClusterID("two")).ListenAddrs()[0]
	if good, err := Answering(t.Context(), one, time.Minute); len(good) != 2 || err != nil {
		t.Errorf("brokers of one cluster: %v, %v", good, err)
	}
	good, err := Answering(t.Context(), append(one, two), time.Minute)
	mixed, ok := errors.AsType[*ClustersError](err)
	if len(good) > 0 || !ok {
		t.Fatalf("brokers of two clusters: %v, %v", good, err)
	}
	for i, cluster := range mixed.Clusters {
		if (mixed.Brokers[i] == two) != (cluster == "two") {
			t.Errorf("%v", err)
		}
	}
}
