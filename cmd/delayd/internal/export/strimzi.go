package export

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.yaml.in/yaml/v4"

	"github.com/delayd-io/delayd/admin"
)

// strimziVersion is the version of Strimzi's resources, from Strimzi 0.49 on.
const strimziVersion = "kafka.strimzi.io/v1"

// A resource of Strimzi's.
type strimziResource struct {
	APIVersion string          `yaml:"apiVersion"`
	Kind       string          `yaml:"kind"`
	Metadata   strimziMetadata `yaml:"metadata"`
	Spec       any             `yaml:"spec"`
}

type strimziMetadata struct {
	Name   string            `yaml:"name"`
	Labels map[string]string `yaml:"labels"`
}

type strimziTopic struct {
	TopicName  string         `yaml:"topicName"`
	Partitions int32          `yaml:"partitions"`
	Replicas   int16          `yaml:"replicas,omitempty"`
	Config     map[string]any `yaml:"config"`
}

type strimziUser struct {
	Authentication map[string]string    `yaml:"authentication"`
	Authorization  strimziAuthorization `yaml:"authorization"`
}

type strimziAuthorization struct {
	Type string       `yaml:"type"`
	ACLs []strimziACL `yaml:"acls"`
}

type strimziACL struct {
	Resource   strimziPattern `yaml:"resource"`
	Operations []string       `yaml:"operations"`
	Host       string         `yaml:"host"`
	reason     string
}

type strimziPattern struct {
	Type        string `yaml:"type"`
	Name        string `yaml:"name,omitempty"`
	PatternType string `yaml:"patternType,omitempty"`
}

// MarshalYAML puts the reason above the ACL.
func (a strimziACL) MarshalYAML() (any, error) {
	type bare strimziACL
	var n yaml.Node
	err := n.Encode(bare(a))
	n.HeadComment = a.reason
	return &n, err
}

// strimzi writes Kubernetes resources, in one document each, for the Kafka resource of a name.
func strimzi(w io.Writer, e admin.Exported, cluster string) error {
	if err := comment(w, e.Heading...); err != nil {
		return err
	}
	out := yaml.NewEncoder(w)
	out.SetIndent(2)
	names := make(map[string]bool)
	for _, t := range e.Topics {
		config := make(map[string]any)
		for key, value := range t.Config {
			config[key] = strimziValue(value)
		}
		err := out.Encode(resource("KafkaTopic", unique(names, kubernetesName(t.Name)), cluster, strimziTopic{
			TopicName: t.Name, Partitions: t.Partitions, Replicas: t.Replicas, Config: config,
		}))
		if err != nil {
			return err
		}
	}
	if len(e.Policies) > 0 {
		return errors.Join(out.Close(), comment(w, e.Policies...))
	}
	for _, g := range e.Grants {
		name, err := strimziUserName(g.Principal)
		if err != nil {
			return err
		}
		user := strimziUser{Authentication: map[string]string{"type": "scram-sha-512"}, Authorization: strimziAuthorization{Type: "simple"}}
		for _, r := range g.Rights {
			user.Authorization.ACLs = append(user.Authorization.ACLs, strimziRight(r))
		}
		if err := out.Encode(resource("KafkaUser", name, cluster, user)); err != nil {
			return err
		}
	}
	return out.Close()
}

func resource(kind, name, cluster string, spec any) strimziResource {
	return strimziResource{
		APIVersion: strimziVersion, Kind: kind,
		Metadata: strimziMetadata{Name: name, Labels: map[string]string{"strimzi.io/cluster": cluster}}, Spec: spec,
	}
}

// strimziValue is a setting as Strimzi's own examples have it: numbers as numbers.
func strimziValue(text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	return text
}

// strimziRight is a right as a KafkaUser has it.
func strimziRight(r admin.Right) strimziACL {
	pattern := strimziPattern{Name: r.Name, PatternType: "literal"}
	if r.Prefixed {
		pattern.PatternType = "prefix"
	}
	switch r.Resource {
	case kmsg.ACLResourceTypeTopic:
		pattern.Type = "topic"
	case kmsg.ACLResourceTypeGroup:
		pattern.Type = "group"
	case kmsg.ACLResourceTypeTransactionalId:
		pattern.Type = "transactionalId"
	case kmsg.ACLResourceTypeCluster:
		pattern = strimziPattern{Type: "cluster"} // there is one
	}
	return strimziACL{Resource: pattern, Operations: []string{r.OperationName()}, Host: "*", reason: r.Reason()}
}

// kubernetesNames are what Kubernetes takes for a resource.
var kubernetesNames = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// strimziUserName is the KafkaUser that a principal stands for: Strimzi makes the
// principal of its name, so that no other can be had.
func strimziUserName(principal string) (string, error) {
	name, ok := strings.CutPrefix(principal, "User:")
	if !ok || !kubernetesNames.MatchString(name) {
		return "", fmt.Errorf("principal %s: Strimzi names users by its own resources: write User: and a name of a-z, 0-9, \"-\" and \".\", as in User:delayd", principal)
	}
	return name, nil
}

// kubernetesName is a topic's name as one that Kubernetes takes.
func kubernetesName(topic string) string {
	name := strings.Map(func(r rune) rune {
		if r == '_' {
			return '-'
		}
		return r
	}, strings.ToLower(topic))
	return strings.Trim(name, "-.")
}

// unique adds a number to a name that is taken.
func unique(taken map[string]bool, name string) string {
	free := name
	for n := 2; taken[free]; n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	taken[free] = true
	return free
}
