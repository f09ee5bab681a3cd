package labtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// State is everything in a space that jobs and people may write. Two states are
// equal if nothing was written in between: status, which controllers write, and
// the Lease, which every job takes, are left out.
type State map[string]string

// stateful are the resources whose objects a state holds. Pods, EndpointSlices
// and Events, which controllers write, are not among them.
var stateful = []Resource{
	ConfigMaps, Secrets, Services, ServiceAccounts, Deployments, ReplicaSets, Autoscalers, Roles, RoleBindings,
	{Version: "v1", Resource: "persistentvolumeclaims"},
	{Version: "v1", Resource: "resourcequotas"},
	{Group: "apps", Version: "v1", Resource: "statefulsets"},
	{Group: "apps", Version: "v1", Resource: "daemonsets"},
	{Group: "batch", Version: "v1", Resource: "jobs"},
	{Group: "batch", Version: "v1", Resource: "cronjobs"},
	{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
	{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
}

// State returns the state of the space once its Deployments have settled.
func (s *Space) State() State {
	s.t.Helper()
	require.NoError(s.t, s.follow(Deployments, metav1.ListOptions{}, settled))
	state := State{}
	for _, resource := range stateful {
		for _, o := range s.List(resource) {
			state[o.GetKind()+" "+o.GetName()] = written(&o)
		}
	}
	return state
}

// settled says that the Deployments' controller has seen what they ask for.
func settled(deployments map[string]*unstructured.Unstructured) bool {
	for _, d := range deployments {
		observed, _, _ := unstructured.NestedInt64(d.Object, "status", "observedGeneration")
		asked, _, _ := unstructured.NestedInt64(d.Object, "spec", "replicas")
		has, _, _ := unstructured.NestedInt64(d.Object, "status", "replicas")
		updated, _, _ := unstructured.NestedInt64(d.Object, "status", "updatedReplicas")
		if observed < d.GetGeneration() || asked != has || asked != updated {
			return false
		}
	}
	return true
}

func written(o *unstructured.Unstructured) string {
	c := o.DeepCopy()
	unstructured.RemoveNestedField(c.Object, "status")
	hasStatus := false
	c.SetManagedFields(slices.DeleteFunc(c.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
		hasStatus = hasStatus || e.Subresource == "status"
		return e.Subresource == "status"
	}))
	if hasStatus {
		c.SetResourceVersion("")
	}
	text, err := yaml.Marshal(c.Object)
	return string(text) + fmt.Sprint(err)
}

// Unchanged checks that nothing was written since.
func (s *Space) Unchanged(since State) {
	s.t.Helper()
	now := s.State()
	for name, was := range since {
		is, there := now[name]
		switch {
		case !there:
			s.t.Errorf("%s was deleted", name)
		case is != was:
			s.t.Errorf("%s was changed:\n-%s\n+%s", name, strings.Join(missing(was, is), "\n-"), strings.Join(missing(is, was), "\n+"))
		}
	}
	for name := range now {
		assert.Contains(s.t, slices.Collect(maps.Keys(since)), name, "%s was created", name)
	}
}

// missing are the lines of a text that another one has not.
func missing(text, other string) []string {
	lines := strings.Split(other, "\n")
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return slices.Contains(lines, line) })
}

// Leftovers are the objects of a canary that are there.
func (s *Space) Leftovers() []string {
	s.t.Helper()
	var left []string
	for _, resource := range []Resource{Deployments, Services, ConfigMaps, Secrets} {
		for _, o := range s.List(resource) {
			_, labelled := o.GetLabels()["rollstep.gitlab.io/release"]
			if labelled || strings.HasSuffix(o.GetName(), "-canary") {
				left = append(left, o.GetKind()+" "+o.GetName())
			}
		}
	}
	return left
}
