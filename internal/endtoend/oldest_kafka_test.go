//go:build realkafka

package endtoend

import (
	"os"
	"testing"

	"github.com/delayd-io/delayd/internal/kafkatest"
)

// TestOldestKafka: the contract, producers' transactions and crashes, on the oldest Apache Kafka
// that is claimed for each delivery.
func TestOldestKafka(t *testing.T) {
	if os.Getenv("TEST_OLDEST_KAFKA") == "" {
		t.Skip("set TEST_OLDEST_KAFKA=1: it fetches two more versions of Apache Kafka")
	}
	ours := broker
	defer func() { broker = ours }()
	for version, tests := range map[string]map[string]func(*testing.T){
		kafkatest.OldestAtLeastOnce: {"contract": TestContract, "transactions": TestProducersTransactions, "kill": TestKill},
		kafkatest.OldestExactlyOnce: {"contract": TestContract, "kill": TestExactlyOnceKill},
	} {
		broker = kafkatest.Start(t, kafkatest.Of(version))
		for name, test := range tests {
			t.Run(version+"/"+name, test)
		}
	}
}
