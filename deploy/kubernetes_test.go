// Package deploy checks what is written here for other programs. It is a module of
// its own, so that Kubernetes' types are no dependency of delayd.
package deploy

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// manifests are what kubectl would apply, read with Kubernetes' own types: what
// these do not know fails.
type manifests struct {
	set    appsv1.StatefulSet
	svc    corev1.Service
	budget policyv1.PodDisruptionBudget
	config corev1.ConfigMap
}

// build is "kubectl kustomize" of a folder.
func build(t *testing.T, folder string) *manifests {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatalf("kustomize build %s: %v", folder, err)
	}
	m := new(manifests)
	into := map[string]any{"StatefulSet": &m.set, "Service": &m.svc, "PodDisruptionBudget": &m.budget, "ConfigMap": &m.config}
	for _, res := range built.Resources() {
		target, ok := into[res.GetKind()]
		if !ok {
			t.Fatalf("%s: there is more than one %s, or it is not expected", folder, res.GetKind())
		}
		delete(into, res.GetKind())
		strictly(t, res.MustYaml(), target)
		complete(t, res.MustYaml())
	}
	for kind := range into {
		t.Errorf("%s has no %s", folder, kind)
	}
	return m
}

func strictly(t *testing.T, text string, target any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), target); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// complete checks a manifest against the schema of Kubernetes that kustomize has with it:
// types of Go do not tell which fields have to be there. The schema is older than some
// fields, so that one which it does not know is no fault here.
func complete(t *testing.T, text string) {
	t.Helper()
	var kind v1.TypeMeta
	var doc any
	for _, into := range []any{&kind, &doc} {
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	schema := openapi.SchemaForResourceType(kyaml.TypeMeta{APIVersion: kind.APIVersion, Kind: kind.Kind})
	if schema == nil {
		t.Fatalf("there is no schema of %s %s", kind.APIVersion, kind.Kind)
	}
	for _, fault := range missing(kind.Kind, doc, schema) {
		t.Errorf("%s is missing\n%s", fault, text)
	}
}

// missing lists what a schema requires and a value does not have.
func missing(path string, value any, schema *openapi.ResourceSchema) (faults []string) {
	if schema == nil {
		return nil
	}
	switch value := value.(type) {
	case map[string]any:
		for _, key := range schema.Schema.Required {
			if _, there := value[key]; !there {
				faults = append(faults, path+"."+key)
			}
		}
		for key, v := range value {
			faults = append(faults, missing(path+"."+key, v, schema.Field(key))...)
		}
	case []any:
		for i, v := range value {
			faults = append(faults, missing(fmt.Sprintf("%s[%d]", path, i), v, schema.Elements())...)
		}
	}
	return faults
}

// TestMissingFields: the check finds what is missing, at any depth.
func TestMissingFields(t *testing.T) {
	schema := openapi.SchemaForResourceType(kyaml.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"})
	value := map[string]any{"spec": map[string]any{
		"serviceName": "delayd",
		"template":    map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"image": "delayd", "ports": []any{map[string]any{"name": "http"}}}}}},
	}}
	got := missing("StatefulSet", value, schema)
	slices.Sort(got)
	want := []string{"StatefulSet.spec.selector", "StatefulSet.spec.template.spec.containers[0].name", "StatefulSet.spec.template.spec.containers[0].ports[0].containerPort"}
	if !slices.Equal(got, want) {
		t.Errorf("missing: %q, want %q", got, want)
	}
}

func (m *manifests) container() corev1.Container { return m.set.Spec.Template.Spec.Containers[0] }

func TestManifestsBelongTogether(t *testing.T) {
	m := build(t, "kubernetes")
	pods := labels.Set(m.set.Spec.Template.Labels)
	for name, selector := range map[string]*v1.LabelSelector{
		"StatefulSet":         m.set.Spec.Selector,
		"Service":             {MatchLabels: m.svc.Spec.Selector},
		"PodDisruptionBudget": m.budget.Spec.Selector,
		"spread":              m.set.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector,
	} {
		s, err := v1.LabelSelectorAsSelector(selector)
		if err != nil || s.Empty() || !s.Matches(pods) {
			t.Errorf("%s does not select the pods %v: %v, %v", name, pods, s, err)
		}
	}
	if m.set.Spec.ServiceName != m.svc.Name || m.svc.Spec.ClusterIP != corev1.ClusterIPNone {
		t.Errorf("the pods get no names: service %q is not the headless one, %q", m.set.Spec.ServiceName, m.svc.Name)
	}
	if got := m.container().EnvFrom[0].ConfigMapRef.Name; got != m.config.Name || got == "delayd" {
		t.Errorf("the settings come from %q, and are in %q, whose name has to change with them", got, m.config.Name)
	}
	if max := m.budget.Spec.MaxUnavailable.IntValue(); max < 1 || int32(max) >= *m.set.Spec.Replicas {
		t.Errorf("%d of %d instances may be away", max, *m.set.Spec.Replicas)
	}
	// Else no node can be drained while Kafka is away.
	if p := m.budget.Spec.UnhealthyPodEvictionPolicy; p == nil || *p != policyv1.AlwaysAllow {
		t.Errorf("pods that are not ready hold up a drain: %v", p)
	}
}

func TestProbesAskWhereItListens(t *testing.T) {
	m := build(t, "kubernetes")
	c := m.container()
	port := c.Ports[0]
	if http := m.config.Data["DELAYD_HTTP"]; http != ":8080" || port.ContainerPort != 8080 || port.Name != m.svc.Spec.Ports[0].TargetPort.StrVal {
		t.Errorf("DELAYD_HTTP %q, port %v, service %v", http, port, m.svc.Spec.Ports[0])
	}
	for path, probe := range map[string]*corev1.Probe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != port.Name {
			t.Errorf("no probe asks %s: %v", path, probe)
		}
	}
	if got := m.set.Spec.Template.Annotations["prometheus.io/port"]; got != "8080" {
		t.Errorf("prometheus.io/port: %q", got)
	}
}

// Kubernetes would set variables that begin with DELAYD_ for a service "delayd".
func TestOnlyOurSettings(t *testing.T) {
	if links := build(t, "kubernetes").set.Spec.Template.Spec.EnableServiceLinks; links == nil || *links {
		t.Error("enableServiceLinks is not off")
	}
}

func TestInstanceIsThePod(t *testing.T) {
	for _, env := range build(t, "kubernetes").container().Env {
		if env.Name == "DELAYD_INSTANCE" && env.ValueFrom != nil && env.ValueFrom.FieldRef.FieldPath == "metadata.name" {
			return
		}
	}
	t.Error("DELAYD_INSTANCE is not the pod's name")
}

// Go keeps to GOMEMLIMIT, as far as it can, and what is not its heap has a fifth.
func TestMemoryLimits(t *testing.T) {
	c := build(t, "kubernetes").container()
	i := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "GOMEMLIMIT" })
	if i < 0 {
		t.Fatal("no GOMEMLIMIT")
	}
	number, ok := strings.CutSuffix(c.Env[i].Value, "B") // Go's MiB are Kubernetes' Mi
	soft, err := resource.ParseQuantity(number)
	if hard := c.Resources.Limits.Memory(); !ok || err != nil || soft.Value() > hard.Value()/5*4 {
		t.Errorf("GOMEMLIMIT %s, limit %v: %v", c.Env[i].Value, hard, err)
	}
}

func TestPodIsConfined(t *testing.T) {
	pod := build(t, "kubernetes").set.Spec.Template.Spec
	c := pod.Containers[0].SecurityContext
	for what, ok := range map[string]bool{
		"a user that is not root":     *pod.SecurityContext.RunAsNonRoot && *pod.SecurityContext.RunAsUser != 0,
		"a seccomp profile":           pod.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
		"no token of Kubernetes":      !*pod.AutomountServiceAccountToken,
		"no more privileges":          !*c.AllowPrivilegeEscalation,
		"a file system that is fixed": *c.ReadOnlyRootFilesystem,
		"no capabilities":             slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) && c.Capabilities.Add == nil,
	} {
		if !ok {
			t.Errorf("the pod does not have %s", what)
		}
	}
	// As the image has it: only a number can be checked before it starts.
	text, err := os.ReadFile("../Dockerfile")
	if err != nil || !strings.Contains(string(text), "\nUSER 65532:65532\n") || *pod.SecurityContext.RunAsUser != 65532 {
		t.Errorf("the pod's user %d is not that of the image: %v", *pod.SecurityContext.RunAsUser, err)
	}
}

// The example is what people copy: it changes what has to be changed, and the files
// that it names are those of the secret.
func TestExample(t *testing.T) {
	m := build(t, "kubernetes-example")
	if image := m.container().Image; image != "registry.example.com/delayd:v0.1.0" {
		t.Errorf("image %s", image)
	}
	if *m.set.Spec.Replicas != 3 || m.set.Namespace != "delayd" || m.config.Data["DELAYD_HTTP"] != ":8080" {
		t.Errorf("%d replicas in %q with %v", *m.set.Spec.Replicas, m.set.Namespace, m.config.Data)
	}
	text, err := os.ReadFile("kubernetes/secret.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var secret corev1.Secret
	strictly(t, string(text), &secret)
	complete(t, string(text))
	folder := m.container().VolumeMounts[0].MountPath + "/"
	for _, key := range []string{"DELAYD_TLS_CA", "DELAYD_SASL_PASSWORD_FILE"} {
		file, ok := strings.CutPrefix(m.config.Data[key], folder)
		if _, there := secret.StringData[file]; !ok || !there {
			t.Errorf("%s=%s is no file of the secret", key, m.config.Data[key])
		}
	}
	volume := m.set.Spec.Template.Spec.Volumes[0]
	if volume.Name != m.container().VolumeMounts[0].Name || volume.Secret.SecretName != secret.Name {
		t.Errorf("the secret %s is not mounted: %v", secret.Name, volume)
	}
}
