package admin

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The controller's own entry in the state of its quorum tells its time.
func TestClockByTheController(t *testing.T) {
	t.Parallel()
	sent := time.UnixMilli(1_700_000_000_000)
	received := sent.Add(40 * time.Millisecond)
	stamp := sent.Add(2500*time.Millisecond + 20*time.Millisecond).UnixMilli()
	voter := func(id int32, stamp int64) kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
		return kmsg.DescribeQuorumResponseTopicPartitionReplicaState{ReplicaID: id, LastCaughtUpTimestamp: stamp}
	}
	quorum := func(voters ...kmsg.DescribeQuorumResponseTopicPartitionReplicaState) *kmsg.DescribeQuorumResponse {
		return &kmsg.DescribeQuorumResponse{Topics: []kmsg.DescribeQuorumResponseTopic{{
			Partitions: []kmsg.DescribeQuorumResponseTopicPartition{{LeaderID: 1, CurrentVoters: voters}}}}}
	}
	for name, tc := range map[string]struct {
		resp *kmsg.DescribeQuorumResponse
		want string
	}{
		"the leader's":   {quorum(voter(0, 1), voter(1, stamp)), `{"ahead_least_seconds":-2.521,"ahead_most_seconds":-2.48,"source":"controller"}`},
		"an older Kafka": {quorum(voter(1, -1)), "null"},
		"no leader":      {quorum(voter(0, stamp)), "null"},
		"no right":       {new(kmsg.DescribeQuorumResponse), "null"},
	} {
		got, err := json.Marshal(quorumClock(tc.resp, sent, received))
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, tc.want)
		}
	}
	if got, err := json.Marshal(Clock{Most: time.Second, Source: SourceNewestRecord}); err != nil ||
		string(got) != `{"ahead_least_seconds":null,"ahead_most_seconds":1,"source":"newest record"}` {
		t.Errorf("one bound: %s, %v", got, err)
	}
}
