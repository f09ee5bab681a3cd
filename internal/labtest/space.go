package labtest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/yaml"
)

// Space is a namespace of the lab that belongs to one test. The jobs run in it
// as user ci, who may do there what examples/staged/rbac.yaml says and no more.
type Space struct {
	Name string

	t   testing.TB
	lab *lab
	run Run
}

// New makes a namespace, which goes at the end of the test. more is what user
// ci may do there besides. run is the program.
func New(t testing.TB, run Run, more ...rbacv1.PolicyRule) *Space {
	t.Helper()
	s := &Space{Name: "test-" + rand.String(8), t: t, lab: find(t), run: run}
	s.create(Namespaces, object("v1", "Namespace", s.Name, nil))
	t.Cleanup(func() {
		background := metav1.DeletePropagationBackground
		_ = s.lab.admin.Resource(Namespaces).Delete(context.Background(), s.Name, metav1.DeleteOptions{PropagationPolicy: &background})
	})
	s.Allow(s.Name, more...)
	// Pods need both.
	s.Await(ServiceAccounts, "default", func(o *unstructured.Unstructured) bool { return o != nil })
	s.Await(ConfigMaps, "kube-root-ca.crt", func(o *unstructured.Unstructured) bool { return o != nil })
	return s
}

// Allow binds the Role of examples/staged/rbac.yaml, and more, to user ci in a
// namespace.
func (s *Space) Allow(namespace string, more ...rbacv1.PolicyRule) {
	s.t.Helper()
	role := exampleRole(s.t)
	role.ObjectMeta = metav1.ObjectMeta{Name: "rollstep-ci", Namespace: namespace}
	role.Rules = append(role.Rules, more...)
	s.createTyped(Roles, namespace, role)
	s.createTyped(RoleBindings, namespace, &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: "rollstep-ci", Namespace: namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: "rollstep-ci"},
		Subjects:   ci,
	})
}

var ci = []rbacv1.Subject{{Kind: "User", APIGroup: "rbac.authorization.k8s.io", Name: "ci"}}

// AllowCluster gives user ci rights in the whole cluster, until the test ends.
func (s *Space) AllowCluster(rules ...rbacv1.PolicyRule) {
	s.t.Helper()
	s.createTyped(ClusterRoles, "", &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: s.Name}, Rules: rules,
	})
	s.createTyped(ClusterRoleBindings, "", &rbacv1.ClusterRoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: s.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: s.Name},
		Subjects:   ci,
	})
	s.t.Cleanup(func() {
		_ = s.lab.admin.Resource(ClusterRoleBindings).Delete(context.Background(), s.Name, metav1.DeleteOptions{})
		_ = s.lab.admin.Resource(ClusterRoles).Delete(context.Background(), s.Name, metav1.DeleteOptions{})
	})
}

// Rule is what a Role may allow: everything that rollstep does with an object
// that the manifests contain.
func Rule(group string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources,
		Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"}}
}

// ExampleRules are what the Role of examples/staged/rbac.yaml allows.
func ExampleRules(t testing.TB) []rbacv1.PolicyRule {
	t.Helper()
	return exampleRole(t).Rules
}

// At is another namespace, looked at in the same way. It belongs to whoever
// made it.
func (s *Space) At(namespace string) *Space {
	return &Space{Name: namespace, t: s.t, lab: s.lab, run: s.run}
}

func exampleRole(t testing.TB) *rbacv1.Role {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Repository(t), "examples", "staged", "rbac.yaml"))
	require.NoError(t, err)
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		role := &rbacv1.Role{}
		require.NoError(t, yaml.Unmarshal([]byte(document), role))
		if role.Kind == "Role" {
			return role
		}
	}
	t.Fatal("examples/staged/rbac.yaml holds no Role")
	return nil
}

func object(apiVersion, kind, name string, fields map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	for k, v := range fields {
		o.Object[k] = v
	}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	o.SetName(name)
	return o
}

func (s *Space) createTyped(resource Resource, namespace string, o any) {
	s.t.Helper()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	require.NoError(s.t, err)
	u := &unstructured.Unstructured{Object: fields}
	if namespace == "" {
		_, err = s.lab.admin.Resource(resource).Create(s.context(), u, metav1.CreateOptions{})
	} else {
		_, err = s.lab.admin.Resource(resource).Namespace(namespace).Create(s.context(), u, metav1.CreateOptions{})
	}
	require.NoError(s.t, err)
}

func (s *Space) create(resource Resource, o *unstructured.Unstructured) {
	s.t.Helper()
	_, err := s.lab.admin.Resource(resource).Create(s.context(), o, metav1.CreateOptions{})
	require.NoError(s.t, err)
}

// context ends when the test does.
func (s *Space) context() context.Context { return s.t.Context() }
