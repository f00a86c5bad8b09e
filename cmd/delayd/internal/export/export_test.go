package export

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/zclconf/go-cty/cty"
	"go.yaml.in/yaml/v4"

	"github.com/delayd-io/delayd/admin"
	"github.com/delayd-io/delayd/internal/fakekafka"
	"github.com/delayd-io/delayd/levels"
)

// clusterName is what Kafka calls the resource that a cluster is.
const clusterName = "kafka-cluster"

var update = flag.Bool("update", false, "write the golden files")

// exported is an export with everything in it.
func exported(t *testing.T) admin.Export {
	t.Helper()
	ladder, err := levels.Parse("5s 2h")
	if err != nil {
		t.Fatal(err)
	}
	return admin.Export{
		Spec:    admin.Spec{Ladder: ladder, Names: levels.Names{Prefix: "delay"}, Replicas: 3},
		Brokers: "kafka:9092", CommandConfig: "admin.properties",
		Access: admin.Access{Targets: []string{"orders", "shop.*"}, Group: "billing", ExactlyOnce: true},
		Grants: []admin.Grant{
			{Principal: "User:delayd", Roles: admin.ServiceRoles()},
			{Principal: "User:delayd-admin", Roles: admin.ProvisionerRoles()},
			{Principal: "User:wall", Roles: admin.ViewerRoles()},
			{Principal: "User:shop", Roles: []admin.Role{admin.RoleProducer}},
			{Principal: "User:billing", Roles: []admin.Role{admin.RoleConsumer}},
			{Principal: "User:shop", Roles: []admin.Role{admin.RoleConsumer}},
		},
	}
}

func written(t *testing.T, e admin.Export, format Format) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, e, format, "my-cluster"); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestExports(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		file    string
		format  Format
		profile admin.Profile
	}{
		{"apache.sh", KafkaTopics, admin.ProfileApache},
		{"apache.yaml", Strimzi, admin.ProfileApache},
		{"apache.tf", Terraform, admin.ProfileApache},
		{"msk-serverless.sh", KafkaTopics, admin.ProfileMSKServerless},
		{"msk-serverless.tf", Terraform, admin.ProfileMSKServerless},
		{"confluent.tf", Terraform, admin.ProfileConfluent},
		{"redpanda.sh", KafkaTopics, admin.ProfileRedpanda},
	} {
		t.Run(tc.file, func(t *testing.T) {
			t.Parallel()
			e := exported(t)
			e.Spec.Profile = tc.profile
			got, path := written(t, e, tc.format), filepath.Join("testdata", tc.file)
			if *update {
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got (write it anew with -update):\n%s", diff)
			}
		})
	}
}

// made is a topic as an export or a cluster has it.
type made struct {
	Partitions int
	Replicas   int
	Settings   map[string]string
}

// ensured are the topics that Ensure makes for spec.
func ensured(t *testing.T, spec admin.Spec) map[string]made {
	t.Helper()
	cluster := fakekafka.Start(t, kfake.NumBrokers(3))
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	if _, err := admin.Ensure(t.Context(), cl, spec); err != nil {
		t.Fatal(err)
	}
	kafka, topics := kadm.NewClient(cl), make(map[string]made)
	seen, err := kafka.ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	configs, err := kafka.DescribeTopicConfigs(t.Context(), seen.Names()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range seen {
		topics[d.Topic] = made{Partitions: len(d.Partitions), Replicas: d.Partitions.NumReplicas(), Settings: make(map[string]string)}
	}
	for _, of := range configs {
		for _, c := range of.Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				topics[of.Name].Settings[c.Key] = c.MaybeValue()
			}
		}
	}
	return topics
}

// What is exported is what Ensure makes, whatever the format and the profile.
func TestExportsAreWhatEnsureMakes(t *testing.T) {
	t.Parallel()
	read := map[Format]func(*testing.T, string) map[string]made{KafkaTopics: fromShell, Strimzi: fromYAML, Terraform: fromHCL}
	for _, profile := range admin.Profiles() {
		e := exported(t)
		e.Spec.Profile = profile
		e.MaxMessage = 1048588 // what the fake cluster has
		want := ensured(t, e.Spec)
		if len(want) != 7 {
			t.Fatalf("%s: %d topics", profile, len(want))
		}
		for format, parse := range read {
			if diff := cmp.Diff(want, parse(t, written(t, e, format))); diff != "" {
				t.Errorf("%s %s (-ensured +exported):\n%s", profile, format, diff)
			}
		}
	}
}

// fromShell reads the lines of kafka-topics.sh.
func fromShell(t *testing.T, script string) map[string]made {
	t.Helper()
	topics := make(map[string]made)
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "kafka-topics.sh" {
			continue
		}
		m, name := made{Settings: make(map[string]string)}, ""
		for i, w := range words[:len(words)-1] {
			switch next := words[i+1]; w {
			case "--topic":
				name = next
			case "--partitions":
				fmt.Sscan(next, &m.Partitions)
			case "--replication-factor":
				fmt.Sscan(next, &m.Replicas)
			case "--config":
				key, value, _ := strings.Cut(next, "=")
				m.Settings[key] = value
			}
		}
		topics[name] = m
	}
	return topics
}

// fromYAML reads the KafkaTopics.
func fromYAML(t *testing.T, text string) map[string]made {
	t.Helper()
	topics := make(map[string]made)
	for _, doc := range documents(t, text) {
		if doc.Kind != "KafkaTopic" {
			continue
		}
		m := made{Partitions: doc.Spec.Partitions, Replicas: doc.Spec.Replicas, Settings: make(map[string]string)}
		for key, value := range doc.Spec.Config {
			m.Settings[key] = fmt.Sprint(value)
		}
		topics[doc.Spec.TopicName] = m
	}
	return topics
}

// document is the part of Strimzi's resources that the tests compare.
type document struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name   string
		Labels map[string]string
	}
	Spec struct {
		TopicName      string `yaml:"topicName"`
		Partitions     int
		Replicas       int
		Config         map[string]any
		Authentication struct{ Type string }
		Authorization  struct {
			Type string
			ACLs []struct {
				Resource struct {
					Type, Name  string
					PatternType string `yaml:"patternType"`
				}
				Operations []string
				Host       string
			} `yaml:"acls"`
		}
	}
}

func documents(t *testing.T, text string) (docs []document) {
	t.Helper()
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	for {
		var doc document
		switch err := dec.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return docs
		case err != nil:
			t.Fatalf("%v in\n%s", err, text)
		}
		docs = append(docs, doc)
	}
}

// blocks are the resources of one kind, with the values of their attributes.
func blocks(t *testing.T, text, kind string) (all []map[string]cty.Value) {
	t.Helper()
	file, diags := hclparse.NewParser().ParseHCL([]byte(text), "export.tf")
	if diags.HasErrors() {
		t.Fatalf("%v in\n%s", diags, text)
	}
	content, _, diags := file.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "resource", LabelNames: []string{"kind", "name"}}}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	names := make(map[string]bool)
	for _, b := range content.Blocks {
		if label := strings.Join(b.Labels, "."); names[label] {
			t.Errorf("two resources %s", label)
		} else {
			names[label] = true
		}
		if b.Labels[0] != kind {
			continue
		}
		values := make(map[string]cty.Value)
		for name, a := range b.Body.(*hclsyntax.Body).Attributes {
			if values[name], diags = a.Expr.Value(nil); diags.HasErrors() {
				t.Fatal(diags)
			}
		}
		all = append(all, values)
	}
	return all
}

func fromHCL(t *testing.T, text string) map[string]made {
	t.Helper()
	topics := make(map[string]made)
	for _, b := range blocks(t, text, "kafka_topic") {
		m := made{Settings: make(map[string]string)}
		partitions, _ := b["partitions"].AsBigFloat().Int64()
		replicas, _ := b["replication_factor"].AsBigFloat().Int64()
		m.Partitions, m.Replicas = int(partitions), int(replicas)
		for key, value := range b["config"].AsValueMap() {
			m.Settings[key] = value.AsString()
		}
		topics[b["name"].AsString()] = m
	}
	return topics
}

// Each format grants the same, and no more than the rights that are listed.
func TestExportsGrantTheRights(t *testing.T) {
	t.Parallel()
	e := exported(t)
	var want []string
	contents, err := e.Contents()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range contents.Grants {
		for _, r := range g.Rights {
			want = append(want, strings.ToLower(fmt.Sprintf("%s %s %v %s %v", g.Principal, r.OperationName(), strings.ReplaceAll(r.Resource.String(), "_", ""), r.Name, r.Prefixed)))
		}
	}
	slices.Sort(want)
	granted := map[Format][]string{}
	for _, doc := range documents(t, written(t, e, Strimzi)) {
		if doc.Kind != "KafkaUser" {
			continue
		}
		for _, a := range doc.Spec.Authorization.ACLs {
			if a.Resource.Type == "cluster" {
				a.Resource.Name = clusterName
			}
			granted[Strimzi] = append(granted[Strimzi], strings.ToLower(fmt.Sprintf("User:%s %s %s %s %v", doc.Metadata.Name, a.Operations[0], a.Resource.Type, a.Resource.Name, a.Resource.PatternType == "prefix")))
		}
	}
	for _, b := range blocks(t, written(t, e, Terraform), "kafka_acl") {
		text := func(key string) string { return b[key].AsString() }
		granted[Terraform] = append(granted[Terraform], strings.ToLower(fmt.Sprintf("%s %s %s %s %v", text("acl_principal"), text("acl_operation"), text("resource_type"), text("resource_name"), text("resource_pattern_type_filter") == "Prefixed")))
	}
	calls := 0
	for line := range strings.Lines(written(t, e, KafkaTopics)) {
		words := strings.Fields(strings.NewReplacer("--transactional-id", "--transactionalid", "--cluster", "--cluster "+clusterName).Replace(line))
		if len(words) == 0 || words[0] != "kafka-acls.sh" {
			continue
		}
		calls++
		at := slices.Index(words, "--operation")
		var operations []string
		for flag := range slices.Chunk(words[at:], 2) {
			switch flag[0] {
			case "--operation":
				operations = append(operations, flag[1])
			case "--topic", "--group", "--transactionalid", "--cluster":
				for _, op := range operations {
					granted[KafkaTopics] = append(granted[KafkaTopics], strings.ToLower(fmt.Sprintf("%s %s %s %s %v",
						words[at-1], op, strings.TrimPrefix(flag[0], "--"), flag[1], slices.Contains(words, "prefixed"))))
				}
			}
		}
	}
	if rights := len(granted[KafkaTopics]); calls*2 > rights { // each starts a JVM
		t.Errorf("%d calls of kafka-acls.sh for %d rights", calls, rights)
	}
	for _, format := range slices.Sorted(maps.Keys(granted)) {
		got := granted[format]
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
	if len(granted) != 3 {
		t.Errorf("formats with rights: %d", len(granted))
	}
}

func TestExportsThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		change func(*admin.Export)
		format Format
		want   string
	}{
		{func(e *admin.Export) { e.Spec.Replicas = admin.BrokerDefault }, Terraform, errTerraformReplicas.Error()},
		{func(e *admin.Export) { e.Spec.Replicas, e.Spec.Profile = 2, admin.ProfileConfluent }, Terraform, "replicas must be 3 with profile confluent, got 2"},
		{func(e *admin.Export) { e.Spec.OutageBudget, e.Spec.Profile = 3600e9, admin.ProfileRedpanda }, KafkaTopics, "outage-budget must be at least 1d with profile redpanda, got 1h"},
		{func(e *admin.Export) { e.Spec.OutageBudget = -1 }, KafkaTopics, "outage-budget must be 0 to keep everything, or at most 3650d, got -1ns"},
		{func(e *admin.Export) { e.Spec.Profile = "azure" }, KafkaTopics, `profile "azure": write apache, msk-serverless, confluent or redpanda`},
		{func(e *admin.Export) { e.Grants[0].Principal = "User:CN=delayd" }, Strimzi,
			`principal User:CN=delayd: Strimzi names users by its own resources: write User: and a name of a-z, 0-9, "-" and ".", as in User:delayd`},
		{func(e *admin.Export) { e.Grants[0].Principal = "delayd" }, KafkaTopics, `principal "delayd": write a type and a name, as in User:delayd`},
		{func(e *admin.Export) { e.Grants[0].Principal = "User:x\nrm -r" }, KafkaTopics, `principal "User:x\nrm -r": control characters are not allowed`},
		{func(e *admin.Export) { e.Access.Group = "x\nrm" }, KafkaTopics, `group "x\nrm": control characters are not allowed`},
		{func(e *admin.Export) { e.Access.Targets[0] = "a b" }, KafkaTopics, `target "a b": ' ' is not allowed; use letters a-z and A-Z, digits, ".", "_" and "-"`},
		{func(*admin.Export) {}, "helm", `format "helm": write kafka-topics, strimzi or terraform`},
	} {
		e := exported(t)
		tc.change(&e)
		if err := Write(io.Discard, e, tc.format, "my-cluster"); err == nil || err.Error() != tc.want {
			t.Errorf("got  %v\nwant %s", err, tc.want)
		}
	}
}

// A prefix that Kubernetes and Terraform would not take as a name is spelled so
// that they do; the topics keep their names.
func TestExportOfOddNames(t *testing.T) {
	t.Parallel()
	e := exported(t)
	e.Spec.Names.Prefix = "7_Shop"
	e.Access.Targets = []string{"a.b", "a_b"}
	doc := documents(t, written(t, e, Strimzi))[0]
	if doc.Metadata.Name != "7-shop.inbox" || doc.Spec.TopicName != "7_Shop.inbox" {
		t.Errorf("%s stands for %s", doc.Metadata.Name, doc.Spec.TopicName)
	}
	if topics := fromHCL(t, written(t, e, Terraform)); topics["7_Shop.inbox"].Partitions != admin.DefaultPartitions { // and no name stands twice
		t.Errorf("topics %v", topics)
	}
}
