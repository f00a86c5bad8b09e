package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What shows that something was broken: a fault that nobody felt proves nothing.

// ask sends a request to a broker on delayd's way, by a connection of its own, and
// says how long the answer took. The request and the answer are about size bytes
// long.
func (w *world) ask(ctx context.Context, node int, size int) (time.Duration, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.proxies.addrs()[node]), kgo.RequestRetries(0))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none; nil would ask for all
	const name = 200                           // bytes of a topic that there is not
	for i := range size / name {
		topic := fmt.Sprintf("%0*d", name, i)
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &topic})
	}
	begun := time.Now()
	_, err = cl.SeedBrokers()[0].Request(ctx, req)
	return time.Since(begun), err
}

// unreachable notes a violation where a broker answers on delayd's way within some
// time, which is waited for.
func (w *world) unreachable(ctx context.Context, node int, within time.Duration) {
	asking, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if took, err := w.ask(asking, node, 0); err == nil {
		w.violated("broker %d answered on delayd's way after %v, though it was cut off", node, took)
	}
}

// slow notes a violation where a broker answers a request of a size on delayd's way
// sooner than what was broken allows.
func (w *world) slow(ctx context.Context, node, size int, least time.Duration) error {
	took, err := w.ask(ctx, node, size)
	if err == nil && took < least {
		w.violated("broker %d answered on delayd's way after %v, want %v at least", node, took, least)
	}
	return err
}
