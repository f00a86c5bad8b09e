package clients

import (
	"fmt"
	"slices"
	"strings"
)

// Compression codecs, by the name that all clients know them by.
var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// transactions is the feature of producers that have them.
const transactions = "transactions"

// support says what a client cannot do. Whatever else there is to try is tried.
type support struct {
	client string
	cannot map[string]string // by codec, try or transactions: why
}

var (
	kcatSupport = support{client: "kcat", cannot: map[string]string{
		"binary header value": "its headers are arguments, and those have no zero byte",
	}}
	consoleSupport = support{client: "console clients", cannot: map[string]string{
		"binary key":          "it reads lines of text",
		"binary value":        "it reads lines of text",
		"binary header value": "it reads lines of text",
		transactions:          "the console producer has none",
	}}
	javaSupport        = support{client: "kafka-clients"}
	pythonSupport      = support{client: "confluent-kafka"}
	kafkaPythonSupport = support{client: "kafka-python", cannot: map[string]string{
		"null key and value": "it asks for one of the two",
		"null header value":  "it asks for bytes",
	}}
	nodeSupport    = support{client: "@platformatic/kafka"}
	kafkajsSupport = support{client: "kafkajs", cannot: map[string]string{
		"null header value": "it fails on it",
		"lz4":               "it needs a package with native code",
		"zstd":              "it needs a package with native code",
	}}
	saramaSupport  = support{client: "sarama"}
	franzSupport   = support{client: "franz-go"}
	kafkaGoSupport = support{client: "kafka-go", cannot: map[string]string{
		"empty key":          "it shows nothing for it",
		"empty value":        "it shows nothing for it",
		"empty header value": "it shows nothing for it",
		transactions:         "it has none",
	}}
	rustSupport = support{client: "rdkafka"}
)

var supports = []support{kcatSupport, consoleSupport, javaSupport, pythonSupport, kafkaPythonSupport, nodeSupport, kafkajsSupport,
	saramaSupport, franzSupport, kafkaGoSupport, rustSupport}

func (s support) can(feature string) bool { return s.cannot[feature] == "" }

// features are all that can be tried, in the order of the table.
func features() []string {
	fs := slices.Clone(codecs[1:])
	for _, t := range tries() {
		fs = append(fs, t.name)
	}
	return append(fs, transactions)
}

// supportTable is the table that docs/clients.md shows, with the reasons below.
func supportTable() string {
	var b strings.Builder
	b.WriteString("| |")
	for _, s := range supports {
		fmt.Fprintf(&b, " %s |", s.client)
	}
	b.WriteString("\n|---" + strings.Repeat("|---", len(supports)) + "|\n")
	for _, f := range features() {
		fmt.Fprintf(&b, "| %s |", f)
		for _, s := range supports {
			if s.can(f) {
				b.WriteString(" yes |")
			} else {
				b.WriteString(" no |")
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for _, s := range supports {
		for _, f := range features() {
			if !s.can(f) {
				fmt.Fprintf(&b, "- %s, %s: %s.\n", s.client, f, s.cannot[f])
			}
		}
	}
	return b.String()
}
