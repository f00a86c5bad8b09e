package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/admin/deadletter"
	"github.com/delayd-io/delayd/levels"
	"github.com/delayd-io/delayd/router"
)

// A record whose consumer failed until there was no retry left is a dead letter. Once the
// cause is fixed it is sent again, and its retries begin anew.
func Example() {
	// A broker in memory; provisioning makes the topics of the service.
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders", "delay.inbox", "delay.dead"))
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := giveUp(ctx, client); err != nil {
		log.Fatal(err)
	}

	var names levels.Names // those of the service
	filter := deadletter.Filter{Codes: []levels.Code{levels.RetriesExhausted}, Target: "orders"}
	letters, _, err := deadletter.List(ctx, client, names, filter)
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range letters {
		fmt.Printf("%s at offset %d, %v\n", l.ID, l.Offset, l.Retried)
	}

	// No letter is sent twice, unless ResendOptions.Again says so.
	for range 2 {
		err := deadletter.Resend(ctx, client, names, deadletter.ResendOptions{Filter: filter}, func(r deadletter.Resent) error {
			fmt.Println(r.ID, r.Outcome, r.Way)
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// order-17 at offset 0, retry 16: the shop is closed
	// order-17 sent delay.inbox
	// order-17 already-sent
}

// giveUp fails a record of the topic orders after its last retry. The dead letter is the one
// that router.Producer.Retry would write.
func giveUp(ctx context.Context, client *kgo.Client) error {
	rec := &kgo.Record{Topic: "orders", Key: []byte("order 17"), Headers: []kgo.RecordHeader{
		{Key: levels.HeaderID, Value: []byte("order-17")}, {Key: levels.HeaderAttempt, Value: []byte("16")},
	}}
	letter, err := router.Policy{}.PrepareRetry(rec, errors.New("the shop is closed"), time.Now())
	if err != nil {
		return err
	}
	return client.ProduceSync(ctx, letter).FirstErr()
}
