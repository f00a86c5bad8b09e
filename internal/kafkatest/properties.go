//go:build unix

package kafkatest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// nodeProperties returns the settings of node id. addrs and controllers hold the
// addresses of all nodes, by node id.
func nodeProperties(id int, addrs, controllers []string, dataDir string) map[string]string {
	voters := make([]string, len(controllers))
	for i, c := range controllers {
		voters[i] = fmt.Sprintf("%d@%s", i, c)
	}
	p := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        strconv.Itoa(id),
		"controller.quorum.voters":       strings.Join(voters, ","),
		"listeners":                      "PLAINTEXT://" + addrs[id] + ",CONTROLLER://" + controllers[id],
		"advertised.listeners":           "PLAINTEXT://" + addrs[id],
		"controller.listener.names":      "CONTROLLER",
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs":                       dataDir,
	}
	maps.Copy(p, quickProperties(len(addrs)))
	return p
}

// routeProperties are the settings, of those in p, that a way through a proxy
// changes.
func routeProperties(p map[string]string, r Route) map[string]string {
	return map[string]string{
		"listeners":                      p["listeners"] + ",PROXIED://" + r.Node,
		"advertised.listeners":           p["advertised.listeners"] + ",PROXIED://" + r.Advertised,
		"listener.security.protocol.map": p["listener.security.protocol.map"] + ",PROXIED:PLAINTEXT",
	}
}

// quickProperties are for small clusters that start fast and notice a dead node
// soon; everything else is Kafka's default.
func quickProperties(nodes int) map[string]string {
	replicas, minISR := strconv.Itoa(nodes), strconv.Itoa(nodes/2+1)
	return map[string]string{
		"default.replication.factor":                       replicas,
		"offsets.topic.replication.factor":                 replicas,
		"offsets.topic.num.partitions":                     "4",
		"transaction.state.log.replication.factor":         replicas,
		"transaction.state.log.min.isr":                    minISR,
		"transaction.state.log.num.partitions":             "4",
		"share.coordinator.state.topic.replication.factor": replicas,
		"share.coordinator.state.topic.min.isr":            minISR,
		"share.coordinator.state.topic.num.partitions":     "4",
		"group.initial.rebalance.delay.ms":                 "0",
		"auto.create.topics.enable":                        "false",   // a typing error in a test must not make a topic
		"log.cleaner.dedupe.buffer.size":                   "2097152", // the default takes 128 MiB of the heap
		"broker.session.timeout.ms":                        "3000",
		"broker.heartbeat.interval.ms":                     "500",
	}
}

// encodeProperties writes p in the format of java.util.Properties.
func encodeProperties(p map[string]string) []byte {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", k, strings.ReplaceAll(p[k], `\`, `\\`))
	}
	return []byte(b.String())
}
