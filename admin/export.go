package admin

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/delayd-io/delayd/levels"
)

// Export is the topics of a spec, and the rights of those who use them, for
// people who make both by other means. What it prints comes from the same place
// as what [Ensure] creates, and needs no cluster.
type Export struct {
	Spec Spec
	// Brokers to reach, and the file for --command-config, in lines for Kafka's
	// own tools. No file is none.
	Brokers       string
	CommandConfig string
	// MaxMessage is message.max.bytes of the brokers. 0 is what the profile has.
	MaxMessage int64
	// Cluster is the name of Strimzi's Kafka resource.
	Cluster string
	// Grants say who gets which rights.
	Grants []Grant
	Access Access
}

// Grant is a principal, such as "User:delayd", and its part in the service.
type Grant struct {
	Principal string
	Roles     []Role
}

// ServiceRoles are those of `delayd serve` where the topics are made by others.
func ServiceRoles() []Role {
	return []Role{RoleRouter, RoleForwarder, RoleVerifier, RoleStatusReader, RolePublisher}
}

// ViewerRoles are those of a dashboard or an engineer who looks and changes
// nothing: `delayd admin status` and `plan`. They read no producer's records.
func ViewerRoles() []Role { return []Role{RoleVerifier, RoleStatusReader} }

// ProvisionerRoles are those of who runs `delayd admin`.
func ProvisionerRoles() []Role {
	return []Role{RoleConfigurer, RoleStatusReader, RoleRecordReader, RoleResender, RolePurger, RoleDeadLetterDeleter, RoleOperator, RoleSkipper}
}

// Format is how an export is written.
type Format string

// The formats.
const (
	// FormatKafkaTopics is a shell script for kafka-topics.sh and kafka-acls.sh.
	FormatKafkaTopics Format = "kafka-topics"
	// FormatStrimzi is YAML with a KafkaTopic for each topic and a KafkaUser for each
	// principal, as Strimzi 0.49 and later take it.
	FormatStrimzi Format = "strimzi"
	// FormatTerraform is HCL for the provider Mongey/kafka.
	FormatTerraform Format = "terraform"
)

// Write writes an export. Nothing is written where [Export.Check] has an error.
func (e Export) Write(w io.Writer, format Format) error {
	if err := e.Check(format); err != nil {
		return err
	}
	if err := e.Spec.check(); err != nil { // fills the defaults of this copy
		return err
	}
	e.Grants = merged(e.Grants)
	switch format {
	case FormatKafkaTopics:
		return e.shell(w)
	case FormatStrimzi:
		return e.strimzi(w)
	case FormatTerraform:
		return e.terraform(w)
	}
	return fmt.Errorf("format %q: write %s, %s or %s", format, FormatKafkaTopics, FormatStrimzi, FormatTerraform)
}

// Check reports what keeps an export from being written in a format.
func (e Export) Check(format Format) error {
	if err := errors.Join(e.Spec.check(), e.Access.check()); err != nil {
		return err
	}
	if e.MaxMessage < 0 {
		return fmt.Errorf("message-max-bytes must be above 0, got %d", e.MaxMessage)
	}
	if format == FormatTerraform && e.Spec.Replicas == BrokerDefault {
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
	if kind, name, ok := strings.Cut(s, ":"); !ok || kind == "" || name == "" {
		return fmt.Errorf("principal %q: write a type and a name, as in User:delayd", s)
	}
	if err := oneLine("principal", s); err != nil || f != FormatStrimzi {
		return err
	}
	_, err := strimziUserName(s)
	return err
}

// check reports the first name that is none.
func (a Access) check() error {
	for _, target := range a.Targets {
		if name := strings.TrimSuffix(target, "*"); name != "" {
			if err := levels.CheckTopic(name); err != nil {
				return errors.New("target " + strings.TrimPrefix(err.Error(), "topic "))
			}
		}
	}
	return oneLine("group", a.Group)
}

// oneLine refuses what would end a comment, and go on as something else.
func oneLine(what, text string) error {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("%s %q: control characters are not allowed", what, text)
	}
	return nil
}

// merged gives each principal one grant, with all of its roles.
func merged(grants []Grant) (one []Grant) {
	for _, g := range grants {
		at := slices.IndexFunc(one, func(o Grant) bool { return o.Principal == g.Principal })
		if at < 0 {
			one = append(one, Grant{Principal: g.Principal})
			at = len(one) - 1
		}
		one[at].Roles = append(one[at].Roles, g.Roles...)
	}
	return one
}

// cluster is the one that is assumed.
func (e Export) cluster() cluster {
	c := cluster{maxMessage: e.MaxMessage, replicas: int(max(0, e.Spec.Replicas))}
	if c.maxMessage == 0 {
		c.maxMessage = e.Spec.Profile.rules().maxMessage
	}
	return c
}

func (e Export) rights(g Grant) []Right { return e.Spec.Rights(e.Access, g.Roles...) }

// heading says what the export is, a line for each thing to know of it.
func (e Export) heading() []string {
	profile := e.Spec.Profile
	if profile == "" {
		profile = ProfileApache
	}
	lines := []string{
		fmt.Sprintf("The topics of the delay service with prefix %s and levels %v, for profile %s.", e.Spec.Names.Prefix, e.Spec.Ladder, profile),
		fmt.Sprintf("message.max.bytes of the brokers is taken to be %d.", e.cluster().maxMessage),
	}
	if e.Spec.Replicas == BrokerDefault {
		lines = append(lines, "The cluster chooses the number of replicas, so that min.insync.replicas is left to it too.")
	}
	if len(e.Grants) > 0 && len(e.Access.Targets) == 0 && !e.Spec.Profile.rules().iam {
		lines = append(lines, "No targets are named: the service gets no right to deliver to any topic.")
	}
	return lines
}

// title is who a grant is for and as what.
func (g Grant) title() string {
	roles := make([]string, len(g.Roles))
	for i, r := range g.Roles {
		roles[i] = r.String()
	}
	return g.Principal + ": " + strings.Join(roles, ", ")
}

// reason is why a right is granted.
func (r Right) reason() string {
	if r.Optional {
		return "optional: " + r.Why
	}
	return r.Why
}

// byIAM are the rights in words, for a cluster that has no ACLs.
func (e Export) byIAM() (lines []string) {
	lines = append(lines, "This cluster has no ACLs: these rights are granted by IAM policies.")
	for _, g := range e.Grants {
		lines = append(lines, g.title())
		for _, r := range e.rights(g) {
			lines = append(lines, "  "+r.String()+": "+r.reason())
		}
	}
	return lines
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
