package export

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/zclconf/go-cty/cty"

	"github.com/delayd-io/delayd/admin"
)

// terraformProvider has the resources kafka_topic and kafka_acl.
const terraformProvider = "Mongey/kafka"

// errTerraformReplicas is what the provider asks for.
var errTerraformReplicas = errors.New("replicas: Terraform's provider " + terraformProvider +
	" needs a number, and a topic that is made by it cannot have the cluster's default; write 3, or how many there are to be")

// terraform writes resources, and none of the provider's own settings, which say
// how to connect.
func terraform(w io.Writer, e admin.Exported) error {
	if err := comment(w, e.Heading...); err != nil {
		return err
	}
	file := hclwrite.NewEmptyFile()
	body, taken := file.Body(), make(map[string]bool)
	provider := body.AppendNewBlock("terraform", nil).Body().AppendNewBlock("required_providers", nil).Body()
	provider.SetAttributeValue("kafka", cty.ObjectVal(map[string]cty.Value{"source": cty.StringVal(terraformProvider)}))
	for _, t := range e.Topics {
		body.AppendNewline()
		r := body.AppendNewBlock("resource", []string{"kafka_topic", unique(taken, identifier(t.Name))}).Body()
		r.SetAttributeValue("name", cty.StringVal(t.Name))
		r.SetAttributeValue("partitions", cty.NumberIntVal(int64(t.Partitions)))
		r.SetAttributeValue("replication_factor", cty.NumberIntVal(int64(t.Replicas)))
		config := make(map[string]cty.Value)
		for key, value := range t.Config {
			config[key] = cty.StringVal(value)
		}
		r.SetAttributeValue("config", cty.MapVal(config))
		r.AppendNewline()
		// A change that cannot be made in place would make the topic anew, without
		// what waits on it.
		r.AppendNewBlock("lifecycle", nil).Body().SetAttributeValue("prevent_destroy", cty.True)
	}
	for _, g := range e.Grants {
		for _, right := range g.Rights {
			body.AppendNewline()
			body.AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte("# " + right.Reason() + "\n")}})
			terraformRight(body, right, g.Principal, taken)
		}
	}
	_, err := file.WriteTo(w)
	return errors.Join(err, comment(w, e.Policies...))
}

// terraformRight appends a right as a kafka_acl.
func terraformRight(body *hclwrite.Body, r admin.Right, principal string, taken map[string]bool) {
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
	name := unique(taken, identifier(fmt.Sprintf("%s %s %s %s", user, r.OperationName(), kind, r.Name)))
	acl := body.AppendNewBlock("resource", []string{"kafka_acl", name}).Body()
	for _, a := range []struct{ key, value string }{
		{"resource_name", r.Name},
		{"resource_type", kind},
		{"resource_pattern_type_filter", pattern},
		{"acl_principal", principal},
		{"acl_host", "*"},
		{"acl_operation", r.OperationName()},
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
