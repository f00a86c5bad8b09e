// Package export writes the topics and rights of the service for the tools that other people
// make them with.
package export

import (
	"fmt"
	"io"

	"github.com/delayd-io/delayd/admin"
)

// Format is how an export is written.
type Format string

// The formats.
const (
	// KafkaTopics is a shell script for kafka-topics.sh and kafka-acls.sh.
	KafkaTopics Format = "kafka-topics"
	// Strimzi is YAML with a KafkaTopic for each topic and a KafkaUser for each
	// principal, as Strimzi 0.49 and later take it.
	Strimzi Format = "strimzi"
	// Terraform is HCL for the provider Mongey/kafka.
	Terraform Format = "terraform"
)

// Write writes an export; cluster is the name of Strimzi's Kafka resource. Nothing is written
// where [Check] has an error.
func Write(w io.Writer, e admin.Export, format Format, cluster string) error {
	if err := Check(e, format); err != nil {
		return err
	}
	contents, err := e.Contents()
	if err != nil {
		return err
	}
	switch format {
	case KafkaTopics:
		return e.Script(w)
	case Strimzi:
		return strimzi(w, contents, cluster)
	case Terraform:
		return terraform(w, contents)
	}
	return fmt.Errorf("format %q: write %s, %s or %s", format, KafkaTopics, Strimzi, Terraform)
}

// Check reports what keeps an export from being written in a format.
func Check(e admin.Export, format Format) error {
	if err := e.Check(); err != nil {
		return err
	}
	if format == Terraform && e.Spec.Replicas <= 0 { // left to the cluster
		return errTerraformReplicas
	}
	for _, g := range e.Grants {
		if err := format.CheckPrincipal(g.Principal); err != nil {
			return err
		}
	}
	return nil
}

// CheckPrincipal reports what keeps a word from being a principal, such as
// "User:delayd", that an export in this format can name.
func (f Format) CheckPrincipal(s string) error {
	if err := admin.CheckPrincipal(s); err != nil || f != Strimzi {
		return err
	}
	_, err := strimziUserName(s)
	return err
}

// comment writes lines behind "# ".
func comment(w io.Writer, lines ...string) error {
	for _, l := range lines {
		if _, err := fmt.Fprintf(w, "# %s\n", l); err != nil {
			return err
		}
	}
	return nil
}
