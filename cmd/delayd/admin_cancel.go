package main

import (
	"context"
	"fmt"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/delayd-io/delayd/internal/connect"
	"github.com/delayd-io/delayd/levels"
)

type cancelCmd struct {
	ID  string  `arg:"" name:"id" help:"The delay-id of the records that are not to be delivered."`
	Key *string `placeholder:"K" help:"Their key (default: records with that id whatever their key)."`
	clientFlags
	nameFlags
	outputFlags
}

// Run writes a cancel to the inbox and waits until it is acknowledged.
func (c *cancelCmd) Run(ctx context.Context, con *console) error {
	if c.ID == "" {
		return usagef("the id is empty; write the delay-id of the record")
	}
	cl, err := c.connectTo(zerolog.Nop(), kgo.RecordDeliveryTimeout(answerTimeout), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := c.ping(ctx, cl); err != nil {
		return err
	}
	for _, topic := range []string{c.Prefix.Inbox(), c.Prefix.Cancel()} {
		if err := c.mustExist(ctx, cl, topic); err != nil {
			return fmt.Errorf("nothing is cancelled: %w", err)
		}
	}
	rec := &kgo.Record{Topic: c.Prefix.Inbox(), Headers: []kgo.RecordHeader{{Key: levels.HeaderCancel, Value: []byte(c.ID)}}}
	if c.Key != nil {
		rec.Key = []byte(*c.Key)
	}
	if err := cl.ProduceSync(ctx, rec).FirstErr(); err != nil {
		return fmt.Errorf("cancel %s on %s: %w", c.ID, rec.Topic, connect.GrantWrite(err, rec.Topic))
	}
	if c.json() {
		return printJSON(con.out, sentRow{rec.Topic, rec.Partition, rec.Offset})
	}
	printLine(con.out, "cancelled: %s, as far as it waits; accepted as %s/%d/%d", c.ID, rec.Topic, rec.Partition, rec.Offset)
	return nil
}
