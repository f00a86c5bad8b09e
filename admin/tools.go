package admin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/delayd-io/delayd/internal/printable"
)

// tools spells the lines of Kafka's own command-line tools, for a person to run.
type tools struct {
	brokers string
	config  string // the file of --command-config, which says how to connect; "" is none
}

// toolsFor reach the same brokers as a client.
func toolsFor(cl *kgo.Client) tools {
	seeds, _ := cl.OptValue(kgo.SeedBrokers).([]string)
	return tools{brokers: strings.Join(seeds, ",")}
}

func (k tools) line(tool, format string, args ...any) string {
	line := tool + " --bootstrap-server " + shellQuote(k.brokers)
	if k.config != "" {
		line += " --command-config " + shellQuote(k.config)
	}
	return line + " " + fmt.Sprintf(format, args...)
}

// create makes a topic unless it is there.
func (k tools) create(t topic, c cluster, replicas int16) string {
	var rest strings.Builder
	if replicas > 0 {
		fmt.Fprintf(&rest, " --replication-factor %d", replicas)
	}
	for _, s := range t.settings(c) {
		fmt.Fprintf(&rest, " --config %v", s)
	}
	return k.line("kafka-topics.sh", "--create --if-not-exists --topic %s --partitions %d%s", t.name, t.partitions, &rest)
}

// set changes settings of a topic, all of them at once.
func (k tools) set(topic string, settings ...setting) string {
	words := make([]string, len(settings))
	for i, s := range settings {
		words[i] = s.String()
	}
	return k.line("kafka-configs.sh", "--alter --entity-type topics --entity-name %s --add-config %s", topic, strings.Join(words, ","))
}

// grow adds partitions to a topic.
func (k tools) grow(topic string, partitions int32) string {
	return k.line("kafka-topics.sh", "--alter --topic %s --partitions %d", topic, partitions)
}

// reassign gives a topic more replicas. The file that it reads has to be written
// first: it names brokers, and which ones is for a person to say.
func (k tools) reassign() string {
	return k.line("kafka-reassign-partitions.sh", "--reassignment-json-file FILE --execute")
}

// forget deletes the offsets of a group on a topic.
func (k tools) forget(group, topic string) string {
	return k.line("kafka-consumer-groups.sh", "--delete-offsets --group %s --topic %s", shellQuote(group), topic)
}

// grant gives rights to a principal, such as "User:delayd": they are on resources
// of one type and one kind of pattern, with the same operations on each.
func (k tools) grant(principal string, rights ...Right) string {
	var operations, resources []string
	add := func(words *[]string, word string) {
		if !slices.Contains(*words, word) {
			*words = append(*words, word)
		}
	}
	for _, r := range rights {
		add(&operations, "--operation "+r.OperationName())
		switch r.Resource {
		case kmsg.ACLResourceTypeTopic:
			add(&resources, "--topic "+shellQuote(r.Name))
		case kmsg.ACLResourceTypeGroup:
			add(&resources, "--group "+shellQuote(r.Name))
		case kmsg.ACLResourceTypeTransactionalId:
			add(&resources, "--transactional-id "+shellQuote(r.Name))
		case kmsg.ACLResourceTypeCluster:
			add(&resources, "--cluster")
		}
	}
	pattern := ""
	if rights[0].Prefixed {
		pattern = " --resource-pattern-type prefixed"
	}
	return k.line("kafka-acls.sh", "--add --allow-principal %s %s %s%s",
		shellQuote(principal), strings.Join(operations, " "), strings.Join(resources, " "), pattern)
}

// OperationName is what a right allows, as Kafka's tools and those of others spell
// it: DESCRIBE_CONFIGS is DescribeConfigs.
func (r Right) OperationName() string {
	var name strings.Builder
	for word := range strings.SplitSeq(r.Operation.String(), "_") {
		name.WriteString(word[:1] + strings.ToLower(word[1:]))
	}
	return name.String()
}

// shellQuote is a word for a shell. Names of topics have nothing in them that a
// shell would act on; those of groups, users and files can have anything. What a
// terminal would act on is spelled as bash, ksh and zsh read it.
func shellQuote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-:=,/", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	if safe := printable.Text(word); safe != word {
		return "$'" + strings.ReplaceAll(safe[1:len(safe)-1], "'", `\'`) + "'"
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
