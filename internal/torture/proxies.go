package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/delayd-io/delayd/internal/kafkatest"
)

// proxies stand between delayd and the brokers. Everyone else, the brokers among
// themselves included, goes past them.
type proxies struct {
	nodes []*toxiproxy.Proxy // by node id
}

// direction is which half of a connection a toxic is for.
type direction string

const (
	toBroker   direction = "upstream"
	fromBroker direction = "downstream"
)

// startProxies makes a proxy for each way to a broker.
func startProxies(routes []kafkatest.Route) (*proxies, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	ps := new(proxies)
	for i, r := range routes {
		p := toxiproxy.NewProxy(server, fmt.Sprintf("broker-%d", i), r.Advertised, r.Node)
		if err := p.Start(); err != nil {
			ps.close()
			return nil, fmt.Errorf("start a proxy on %s: %w", r.Advertised, err)
		}
		ps.nodes = append(ps.nodes, p)
	}
	return ps, nil
}

// addrs is where delayd finds the brokers.
func (ps *proxies) addrs() []string {
	var addrs []string
	for _, p := range ps.nodes {
		addrs = append(addrs, p.Listen)
	}
	return addrs
}

// toxic adds a toxic of toxiproxy's to what passes a node's proxy in a direction:
// "latency" with latency and jitter (ms), "bandwidth" with rate (KB/s),
// "reset_peer" with timeout (ms), "timeout" with timeout (ms; 0 is a black hole
// until it is healed), "slow_close", "slicer", "limit_data".
func (ps *proxies) toxic(node int, d direction, kind string, attributes map[string]int64) error {
	b, err := json.Marshal(map[string]any{
		"name": kind + "-" + string(d), "type": kind, "stream": d, "attributes": attributes,
	})
	if err != nil {
		return err
	}
	if _, err := ps.nodes[node].Toxics.AddToxicJson(bytes.NewReader(b)); err != nil {
		return fmt.Errorf("add toxic %s to the proxy of broker %d: %w", b, node, err)
	}
	return nil
}

// heal takes every toxic off a node's proxy. A connection that was in a black hole
// is closed by it.
func (ps *proxies) heal(ctx context.Context, node int) { ps.nodes[node].Toxics.ResetToxics(ctx) }

// refuse closes a node's proxy: connections break, and new ones are refused, until
// accept.
func (ps *proxies) refuse(node int) { ps.nodes[node].Stop() }

func (ps *proxies) accept(node int) error {
	p := ps.nodes[node]
	if p.Enabled {
		return nil
	}
	if err := p.Start(); err != nil {
		return fmt.Errorf("open the proxy of broker %d again: %w", node, err)
	}
	return nil
}

// healAll ends all that goes wrong at the proxies.
func (ps *proxies) healAll(ctx context.Context) error {
	for i := range ps.nodes {
		ps.heal(ctx, i)
		if err := ps.accept(i); err != nil {
			return err
		}
	}
	return nil
}

func (ps *proxies) close() {
	for _, p := range ps.nodes {
		p.Stop()
	}
}
