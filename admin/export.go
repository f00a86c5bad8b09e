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
// people who make both by other means. What it says comes from the same place
// as what [Ensure] creates, and needs no cluster.
type Export struct {
	Spec Spec
	// Brokers to reach, and the file for --command-config, in lines for Kafka's
	// own tools. No file is none.
	Brokers       string
	CommandConfig string
	// MaxMessage is message.max.bytes of the brokers. 0 is what the profile has.
	MaxMessage int64
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

// Exported is what an export says, for formats of any kind.
type Exported struct {
	// Heading says what the export is, a line for each thing to know of it.
	Heading []string
	Topics  []ExportedTopic
	// Grants has one entry for each principal. It is empty where Policies is not.
	Grants []ExportedGrant
	// Policies are the rights in words, for a cluster that has no ACLs.
	Policies []string
}

// ExportedTopic is a topic as [Ensure] creates it.
type ExportedTopic struct {
	Name       string
	Partitions int32
	Replicas   int16 // 0 leaves it to the cluster
	Config     map[string]string
}

// ExportedGrant is a principal, and all that it is granted.
type ExportedGrant struct {
	Principal string
	Title     string // who it is for, and as what
	Rights    []Right
}

// Contents returns what the export says, or the error of [Export.Check].
func (e Export) Contents() (Exported, error) {
	e, err := e.complete()
	if err != nil {
		return Exported{}, err
	}
	c, out := e.cluster(), Exported{Heading: e.heading()}
	for _, t := range e.Spec.topics() {
		config := make(map[string]string)
		for _, s := range t.settings(c) {
			config[s.key] = s.value
		}
		out.Topics = append(out.Topics, ExportedTopic{Name: t.name, Partitions: t.partitions, Replicas: max(0, e.Spec.Replicas), Config: config})
	}
	if e.Spec.Profile.rules().iam {
		out.Policies = e.byIAM()
		return out, nil
	}
	for _, g := range e.Grants {
		out.Grants = append(out.Grants, ExportedGrant{Principal: g.Principal, Title: g.title(), Rights: e.rights(g)})
	}
	return out, nil
}

// complete returns a copy with its defaults, and one grant for each principal.
func (e Export) complete() (Export, error) {
	if err := e.Check(); err != nil {
		return e, err
	}
	e.Grants = merged(e.Grants)
	return e, e.Spec.check() // fills the defaults of this copy
}

// Check reports what keeps an export from being written.
func (e Export) Check() error {
	if err := errors.Join(e.Spec.check(), e.Access.check()); err != nil {
		return err
	}
	if e.MaxMessage < 0 {
		return fmt.Errorf("message-max-bytes must be above 0, got %d", e.MaxMessage)
	}
	for _, g := range e.Grants {
		if err := CheckPrincipal(g.Principal); err != nil {
			return err
		}
	}
	return nil
}

// CheckPrincipal reports what keeps a word from being a principal, such as
// "User:delayd".
func CheckPrincipal(s string) error {
	if kind, name, ok := strings.Cut(s, ":"); !ok || kind == "" || name == "" {
		return fmt.Errorf("principal %q: write a type and a name, as in User:delayd", s)
	}
	return oneLine("principal", s)
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

// Reason says why a right is granted.
func (r Right) Reason() string {
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
			lines = append(lines, "  "+r.String()+": "+r.Reason())
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
