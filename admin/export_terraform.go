package admin

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/zclconf/go-cty/cty"
)

// terraformProvider has the resources kafka_topic and kafka_acl.
const terraformProvider = "Mongey/kafka"

// errTerraformReplicas is what the provider asks for.
var errTerraformReplicas = errors.New("replicas: Terraform's provider " + terraformProvider +
	" needs a number, and a topic that is made by it cannot have the cluster's default; write 3, or how many there are to be")

// terraform writes resources, and none of the provider's own settings, which say
// how to connect.
func (e Export) terraform(w io.Writer) error {
	if err := comment(w, e.heading()...); err != nil {
		return err
	}
	file := hclwrite.NewEmptyFile()
	body, c, taken := file.Body(), e.cluster(), make(map[string]bool)
	provider := body.AppendNewBlock("terraform", nil).Body().AppendNewBlock("required_providers", nil).Body()
	provider.SetAttributeValue("kafka", cty.ObjectVal(map[string]cty.Value{"source": cty.StringVal(terraformProvider)}))
	for _, t := range e.Spec.topics() {
		body.AppendNewline()
		r := body.AppendNewBlock("resource", []string{"kafka_topic", unique(taken, identifier(t.name))}).Body()
		r.SetAttributeValue("name", cty.StringVal(t.name))
		r.SetAttributeValue("partitions", cty.NumberIntVal(int64(t.partitions)))
		r.SetAttributeValue("replication_factor", cty.NumberIntVal(int64(e.Spec.Replicas)))
		config := make(map[string]cty.Value)
		for _, s := range t.settings(c) {
			config[s.key] = cty.StringVal(s.value)
		}
		r.SetAttributeValue("config", cty.MapVal(config))
		r.AppendNewline()
		// A change that cannot be made in place would make the topic anew, without
		// what waits on it.
		r.AppendNewBlock("lifecycle", nil).Body().SetAttributeValue("prevent_destroy", cty.True)
	}
	iam := e.Spec.Profile.rules().iam
	for _, g := range e.Grants {
		if iam {
			break
		}
		for _, right := range e.rights(g) {
			body.AppendNewline()
			body.AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte("# " + right.reason() + "\n")}})
			right.terraform(body, g.Principal, taken)
		}
	}
	_, err := file.WriteTo(w)
	if iam {
		err = errors.Join(err, comment(w, e.byIAM()...))
	}
	return err
}

// terraform appends a right as a kafka_acl.
func (r Right) terraform(body *hclwrite.Body, principal string, taken map[string]bool) {
	var kind string
	switch r.Resource {
	case kmsg.ACLResourceTypeTopic:
		kind = "Topic"
	case kmsg.ACLResourceTypeGroup:
		kind = "Group"
	case kmsg.ACLResourceTypeTransactionalId:
		kind = "TransactionalID"
	case kmsg.ACLResourceTypeCluster:
		kind = "Cluster"
	}
	pattern := "Literal"
	if r.Prefixed {
		pattern = "Prefixed"
	}
	_, user, _ := strings.Cut(principal, ":")
	name := unique(taken, identifier(fmt.Sprintf("%s %s %s %s", user, r.operation(), kind, r.Name)))
	acl := body.AppendNewBlock("resource", []string{"kafka_acl", name}).Body()
	for _, a := range []struct{ key, value string }{
		{"resource_name", r.Name},
		{"resource_type", kind},
		{"resource_pattern_type_filter", pattern},
		{"acl_principal", principal},
		{"acl_host", "*"},
		{"acl_operation", r.operation()},
		{"acl_permission_type", "Allow"},
	} {
		acl.SetAttributeValue(a.key, cty.StringVal(a.value))
	}
}

// identifier is a name that Terraform takes for a resource, and that stays the
// same as long as what it names does.
func identifier(text string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(text))
	if !hclsyntax.ValidIdentifier(name) { // begins with a digit
		name = "_" + name
	}
	return strings.TrimRight(name, "_")
}
