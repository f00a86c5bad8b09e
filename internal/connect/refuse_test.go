package connect

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRefuse(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []kgo.Opt
		says map[Use]string // nothing: taken

	}{
		{name: "none"},
		{name: "what suits both", opts: []kgo.Opt{kgo.SeedBrokers("a:1"), kgo.ClientID("x"), kgo.RequiredAcks(kgo.AllISRAcks())}},
		{
			name: "transactional id", opts: []kgo.Opt{kgo.TransactionalID("x")},
			says: map[Use]string{ForService: "ExactlyOnce", ForProducer: "Prepare"},
		},
		{
			name: "topics", opts: []kgo.Opt{kgo.ConsumeTopics("x")},
			says: map[Use]string{ForService: "kgo.ConsumeTopics", ForProducer: "kgo.ConsumeTopics"},
		},
		{
			name: "regular expression", opts: []kgo.Opt{kgo.ConsumeRegex()},
			says: map[Use]string{ForService: "kgo.ConsumeRegex", ForProducer: "kgo.ConsumeRegex"},
		},
		{
			name: "partitions", opts: []kgo.Opt{kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"x": {0: kgo.NewOffset()}})},
			says: map[Use]string{ForService: "kgo.ConsumePartitions", ForProducer: "kgo.ConsumePartitions"},
		},
		{
			name: "group", opts: []kgo.Opt{kgo.ConsumerGroup("x"), kgo.ConsumeTopics("x")},
			says: map[Use]string{ForService: "kgo.ConsumerGroup", ForProducer: "kgo.ConsumerGroup"},
		},
		{
			name: "partitioner", opts: []kgo.Opt{kgo.RecordPartitioner(kgo.RoundRobinPartitioner())},
			says: map[Use]string{ForProducer: "kgo.RecordPartitioner"},
		},
		{
			name: "no idempotence", opts: []kgo.Opt{kgo.DisableIdempotentWrite()},
			says: map[Use]string{ForProducer: "kgo.DisableIdempotentWrite"},
		},
	} {
		for _, use := range []Use{ForService, ForProducer} {
			err := Refuse(c.opts, use)
			if want := c.says[use]; (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s, use %d: error %v, want one that says %q", c.name, use, err, want)
			}
		}
	}
}

// meetsOnce is a hook that registers something for each client that it meets, as
// kprom.Metrics does: the second one panics.
type meetsOnce struct{ open int }

func (m *meetsOnce) OnNewClient(*kgo.Client) {
	if m.open++; m.open > 1 {
		panic("duplicate metrics collector registration attempted")
	}
}
func (m *meetsOnce) OnClientClosed(*kgo.Client) { m.open = 0 }

// TestRefuseHooks: a hook that can meet only one client is refused, and left as it was.
func TestRefuseHooks(t *testing.T) {
	once := new(meetsOnce)
	opts := []kgo.Opt{kgo.WithHooks(once)}
	err := Refuse(opts, ForService)
	if err == nil || !strings.Contains(err.Error(), "*connect.meetsOnce") || !strings.Contains(err.Error(), "only once") {
		t.Errorf("error %v, want one that names the hook and what to do", err)
	}
	if err := Refuse(opts, ForProducer); err != nil {
		t.Errorf("a producer is one client: %v", err)
	}
	if once.open != 0 {
		t.Errorf("%d clients are still open", once.open)
	}
	met := new(counting)
	if err := Refuse([]kgo.Opt{kgo.WithHooks(met)}, ForService); err != nil || met.open != 0 {
		t.Errorf("a hook that takes several clients: %v, and %d are open", err, met.open)
	}
}

// counting is a hook that takes any number of clients.
type counting struct{ open int }

func (c *counting) OnNewClient(*kgo.Client)    { c.open++ }
func (c *counting) OnClientClosed(*kgo.Client) { c.open-- }
