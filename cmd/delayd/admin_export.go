package main

import (
	"strings"

	"github.com/alecthomas/kong"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/cmd/delayd/internal/export"
	"github.com/delayd-io/delayd/forwarder"
)

// exportReplicas is how many replicas are exported unless a flag says otherwise:
// what is made by hand is meant to last, and without a cluster there is no default
// to leave it to.
const exportReplicas = 3

type exportCmd struct {
	Format export.Format `type:"choice" enum:"kafka-topics,strimzi,terraform" default:"kafka-topics" help:"${enum} (default: ${default})."`
	nameFlags
	ladderFlags
	shapeFlags `set:"replicas=${export_replicas}"`

	Brokers         brokerList `placeholder:"HOST:PORT,..." help:"Brokers in the lines of kafka-topics (default: kafka:9092)."`
	CommandConfig   string     `placeholder:"FILE" help:"File in those lines that says how to connect to a secured cluster."`
	MessageMaxBytes int64      `type:"number" min:"1" max:"2147483647" placeholder:"N" help:"message.max.bytes of the brokers (default: that of the profile)."`
	StrimziCluster  string     `placeholder:"NAME" default:"my-cluster" help:"Name of Strimzi's Kafka resource (default: ${default})."`

	Service     []string           `sep:"none" placeholder:"PRINCIPAL" help:"Who runs \"delayd serve\", as in User:delayd; repeatable, as the next four. Unset: no ACLs for them."`
	Provisioner []string           `sep:"none" placeholder:"PRINCIPAL" help:"Who runs \"delayd admin\"."`
	Viewer      []string           `sep:"none" placeholder:"PRINCIPAL" help:"Who runs \"delayd admin status\" and \"plan\", and nothing else."`
	Producer    []string           `sep:"none" placeholder:"PRINCIPAL" help:"Who sends records to be delayed."`
	Consumer    []string           `sep:"none" placeholder:"PRINCIPAL" help:"Who reads what is delivered."`
	Target      []string           `placeholder:"TOPIC" help:"Topic that is delivered to; one that ends with * is all that begin so; repeatable."`
	Group       string             `placeholder:"GROUP" help:"Consumer group of --consumer."`
	Delivery    forwarder.Delivery `placeholder:"WHAT" default:"at-least-once" help:"As for \"delayd serve\": exactly-once needs more rights (default: ${default})."`
}

// Run prints the topics and the rights. No cluster is asked.
func (c *exportCmd) Run(con *console, config *cli, parsed *kong.Context) error {
	e := admin.Export{
		Spec: c.spec(c.Levels, c.Prefix), Brokers: "kafka:9092", CommandConfig: c.CommandConfig,
		MaxMessage: c.MessageMaxBytes,
		Access:     admin.Access{Targets: withoutEmpty(c.Target), Group: c.Group, ExactlyOnce: c.Delivery == forwarder.ExactlyOnce},
	}
	if len(c.Brokers) > 0 {
		e.Brokers = strings.Join(c.Brokers, ",")
	}
	for _, part := range []struct {
		flag       string
		principals []string
		roles      []admin.Role
	}{
		{"--service", c.Service, admin.ServiceRoles()},
		{"--provisioner", c.Provisioner, admin.ProvisionerRoles()},
		{"--viewer", c.Viewer, admin.ViewerRoles()},
		{"--producer", c.Producer, []admin.Role{admin.RoleProducer}},
		{"--consumer", c.Consumer, []admin.Role{admin.RoleConsumer}},
	} {
		for _, p := range withoutEmpty(part.principals) {
			if err := c.Format.CheckPrincipal(p); err != nil {
				return usagef("%s: %w", part.flag, err)
			}
			e.Grants = append(e.Grants, admin.Grant{Principal: p, Roles: part.roles})
		}
	}
	if err := export.Check(e, c.Format); err != nil { // begins with the name of what is wrong, as flags do
		return usagef("--%w", err)
	}
	if !config.given(parsed).levels {
		con.note("no --levels: these are the topics of the default ones; a service that runs may have others, which \"delayd admin status\" tells")
	}
	return export.Write(con.out, e, c.Format, c.StrimziCluster)
}
