package main

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// Fields that left Git since kubectl apply go, and what others wrote stays.
func TestAdopting_removesWhatGitNoLongerHas(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		once func(labtest.Files) labtest.Files // what kubectl applied
		gone func(*testing.T, *labtest.Space)
	}{
		"a label": {
			func(f labtest.Files) labtest.Files {
				return f.Edit("deploy.yaml", "  labels:\n    app: app\nspec", "  labels:\n    app: app\n    old: label\nspec")
			},
			func(t *testing.T, s *labtest.Space) { assert.NotContains(t, s.Deployment("app").Labels, "old") },
		},
		"a label of the pods": {
			func(f labtest.Files) labtest.Files {
				return f.Edit("deploy.yaml", "      labels:\n        app: app", "      labels:\n        app: app\n        old: label")
			},
			func(t *testing.T, s *labtest.Space) {
				assert.NotContains(t, s.Deployment("app").Spec.Template.Labels, "old")
			},
		},
		"a key of a ConfigMap": {
			func(f labtest.Files) labtest.Files {
				return f.Edit("settings.yaml", "colour: blue", "colour: blue, old: x")
			},
			func(t *testing.T, s *labtest.Space) {
				assert.Equal(t, map[string]string{"colour": "blue"}, s.Data("settings"))
			},
		},
		"a field with a default": {
			func(f labtest.Files) labtest.Files {
				return f.Edit("service.yaml", "spec:", "spec:\n  externalTrafficPolicy: Local")
			},
			func(t *testing.T, s *labtest.Space) {
				policy, _, _ := unstructured.NestedString(s.Get(labtest.Services, "app").Object, "spec", "externalTrafficPolicy")
				assert.Equal(t, "Cluster", policy)
			},
		},
		"a field of the pods": {
			func(f labtest.Files) labtest.Files {
				return f.Edit("deploy.yaml", "    spec:\n", "    spec:\n      terminationGracePeriodSeconds: 5\n")
			},
			func(t *testing.T, s *labtest.Space) {
				assert.EqualValues(t, 30, *s.Deployment("app").Spec.Template.Spec.TerminationGracePeriodSeconds)
			},
		},
		"the only variable of a container": {
			func(f labtest.Files) labtest.Files {
				return f.Edit("deploy.yaml", "          ports:", "          env: [{name: OLD, value: x}]\n          ports:")
			},
			func(t *testing.T, s *labtest.Space) {
				assert.Empty(t, s.Deployment("app").Spec.Template.Spec.Containers[0].Env)
			},
		},
		"a port": {
			func(f labtest.Files) labtest.Files {
				return f.Edit("service.yaml", "  ports:", "  ports:\n    - {name: old, port: 81, targetPort: 5000}").Edit("service.yaml", "    - port: 80", "    - name: http\n      port: 80")
			},
			func(t *testing.T, s *labtest.Space) {
				ports, _, _ := unstructured.NestedSlice(s.Get(labtest.Services, "app").Object, "spec", "ports")
				assert.Len(t, ports, 1)
			},
		},
		"a container": {
			func(f labtest.Files) labtest.Files {
				return f.Edit("deploy.yaml", "      containers:", "      containers:\n        - {name: sidecar, image: proxy:v1}")
			},
			func(t *testing.T, s *labtest.Space) {
				assert.Len(t, s.Deployment("app").Spec.Template.Spec.Containers, 1)
			},
		},
		"a volume and its mount": {
			func(f labtest.Files) labtest.Files {
				return f.Edit("deploy.yaml", "      containers:", "      volumes: [{name: tmp, emptyDir: {}}]\n      containers:").
					Edit("deploy.yaml", "          ports:", "          volumeMounts: [{name: tmp, mountPath: /tmp}]\n          ports:")
			},
			func(t *testing.T, s *labtest.Space) {
				assert.Empty(t, s.Deployment("app").Spec.Template.Spec.Volumes)
				assert.Empty(t, s.Deployment("app").Spec.Template.Spec.Containers[0].VolumeMounts)
			},
		},
	} {
		for _, stages := range [][]string{{"apply"}, {"canary", "promote"}} {
			t.Run(name+" by "+strings.Join(stages, " and "), func(t *testing.T) {
				s := space(t)
				old := test.once(few(t, "v1", 2).With("settings.yaml", settingsV1))
				s.KubectlApply(labtest.Deployments, old["deploy.yaml"])
				s.KubectlApply(labtest.Services, old["service.yaml"])
				s.KubectlApply(labtest.ConfigMaps, old["settings.yaml"])
				s.Patch(labtest.Deployments, "app", `{"metadata":{"annotations":{"example.com/by":"somebody else"}}}`)
				s.AwaitReplicas("app", 2)

				p := s.Pipeline(1, few(t, "v2", 2).With("settings.yaml", settingsV1))
				for _, stage := range stages {
					p.Run(stage).Succeeds()
				}
				test.gone(t, s)
				d := s.Deployment("app")
				assert.Equal(t, "somebody else", d.Annotations["example.com/by"])
				for _, e := range d.ManagedFields {
					assert.NotEqual(t, "kubectl-client-side-apply", e.Manager)
				}
				before := s.State()
				p.Run("promote").Succeeds("nothing to promote")
				s.Unchanged(before)
			})
		}
	}
}

// A Deployment that changes while its fields are taken over, as one on its way does
// all the time, is looked at again.
func TestAdopting_whileTheObjectChanges(t *testing.T) {
	s := space(t)
	s.KubectlApply(labtest.Deployments, few(t, "v1", 2).Edit("deploy.yaml", "      containers:", "      hostname: shop\n      containers:")["deploy.yaml"])
	s.AwaitReplicas("app", 2)
	changed := map[string]bool{}
	kubeconfig := s.Front(func(forward *httputil.ReverseProxy) http.Handler {
		var mu sync.Mutex
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			kind := r.Method + " " + r.Header.Get("Content-Type")
			mu.Lock()
			if strings.HasSuffix(r.URL.Path, "/deployments/app") && (r.Method == http.MethodPut || kind == "PATCH application/json-patch+json") && !changed[kind] {
				changed[kind] = true
				s.Patch(labtest.Deployments, "app", fmt.Sprintf(`{"metadata":{"annotations":{"example.com/changes":"%d"}}}`, len(changed)))
			}
			mu.Unlock()
			forward.ServeHTTP(w, r)
		})
	})
	s.Pipeline(1, few(t, "v1", 2)).With("KUBECONFIG=" + kubeconfig).Run("apply").Succeeds()
	assert.Len(t, changed, 2, "while it is previewed, and while it is taken over")
	assert.Empty(t, s.Deployment("app").Spec.Template.Spec.Hostname)
	assert.Equal(t, "2", s.Deployment("app").Annotations["example.com/changes"])
}

// What is live already as Git says restarts no pod.
func TestAdopting_restartsNoPod(t *testing.T) {
	s := space(t)
	files := few(t, "v1", 3)
	s.KubectlApply(labtest.Deployments, files["deploy.yaml"])
	s.KubectlApply(labtest.Services, files["service.yaml"])
	s.AwaitReplicas("app", 3)
	pods := s.PodsOf("app")
	s.Pipeline(1, files).Run("canary").Succeeds("nothing to canary")
	s.Pipeline(1, files).Run("promote").Succeeds()
	assert.Equal(t, pods, s.PodsOf("app"))
}

func definition(group string) string {
	return strings.ReplaceAll(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: orders.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: Order, plural: orders, singular: order, listKind: OrderList}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
---
apiVersion: GROUP/v1
kind: Order
metadata: {name: first}
spec: {size: 3}
`, "GROUP", group)
}

// A definition and its objects come in one release.
func TestRelease_bringsAKindAndItsObjects(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"apply", "canary", "promote of a later release"} {
		t.Run(stage, func(t *testing.T) {
			s := space(t)
			group := s.Name + ".example.com"
			s.AllowCluster(labtest.Rule("apiextensions.k8s.io", "customresourcedefinitions"), labtest.Rule(group, "orders"))
			t.Cleanup(func() { s.Discard(labtest.Definitions, "orders."+group) })
			files := few(t, "v1", 2).With("orders.yaml", definition(group))
			switch stage {
			case "apply", "canary":
				s.Pipeline(1, files).Run(stage).Succeeds()
			default:
				s.Pipeline(1, few(t, "v1", 2)).Run("canary").Succeeds()
				p := s.Pipeline(2, files.Edit("deploy.yaml", ":v1", ":v2"))
				p.Run("canary").Succeeds()
				p.Run("promote").Succeeds()
			}
			order := s.Get(labtest.Resource{Group: group, Version: "v1", Resource: "orders"}, "first")
			assert.NotNil(t, order)
			before := s.State()
			s.Pipeline(2, files.Edit("orders.yaml", "size: 3", "size: x")).Run("apply").Exits(2, "orders.yaml, document 2", "Order first", "spec.size")
			s.Unchanged(before)
		})
	}
}

// A Namespace and its content come in one release.
func TestRelease_bringsANamespaceAndItsContent(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"apply", "canary"} {
		t.Run(stage, func(t *testing.T) {
			s := space(t)
			name := s.Name + "-content"
			s.AllowCluster(append(labtest.ExampleRules(t), labtest.Rule("", "namespaces"))...)
			t.Cleanup(func() { s.Discard(labtest.Namespaces, name) })
			files := few(t, "v1", 2).With("namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+name+"}\n---\n"+
				"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: "+name+"}\ndata: {colour: blue}\n---\n"+
				strings.ReplaceAll(few(t, "v1", 1)["deploy.yaml"], "\nmetadata:\n", "\nmetadata:\n  namespace: "+name+"\n"))
			p := s.Pipeline(1, files)
			p.Run(stage).Succeeds()
			inside := s.At(name)
			assert.Equal(t, "blue", inside.Data("settings")["colour"])
			inside.AwaitReplicas("app", 1)
			before := s.State()
			p.Run(stage).Succeeds("nothing to")
			s.Unchanged(before)
		})
	}
}

func TestRelease_bringsClusterScopedObjects(t *testing.T) {
	s := space(t)
	name := s.Name + "-class"
	priority := "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: " + name + "}\nvalue: 1000\n"
	files := few(t, "v1", 2).With("priority.yaml", priority).Edit("deploy.yaml", "      containers:", "      priorityClassName: "+name+"\n      containers:")
	s.Pipeline(1, files).Run("canary").Exits(2, "PriorityClass "+name, `User "ci" cannot`)
	s.AllowCluster(labtest.Rule("scheduling.k8s.io", "priorityclasses"))
	t.Cleanup(func() { s.Discard(labtest.PriorityClasses, name) })
	s.Pipeline(1, files).Run("canary").Succeeds()
	s.AwaitReplicas("app", 2)
	s.Pipeline(1, files.Edit("priority.yaml", "name: "+name, "name: "+name+", namespace: default")).Run("apply").
		Exits(2, "priority.yaml", "whole cluster", "remove metadata.namespace")
}

func TestLists_areTakenApart(t *testing.T) {
	s := space(t)
	files := few(t, "v1", 2)
	list := "apiVersion: v1\nkind: List\nitems:\n"
	for _, text := range []string{files["deploy.yaml"], files["service.yaml"]} {
		list += "  - " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
	}
	s.Pipeline(1, labtest.Files{"all.yaml": list}).Run("apply").Succeeds()
	s.AwaitReplicas("app", 2)
}

func TestKustomization_isRendered(t *testing.T) {
	s := space(t)
	base := few(t, "v1", 2)
	files := labtest.Files{
		"base/deploy.yaml":        base["deploy.yaml"],
		"base/service.yaml":       base["service.yaml"],
		"base/kustomization.yaml": "resources: [deploy.yaml, service.yaml]\n",
		"kustomization.yaml": "resources: [base]\nreplicas: [{name: app, count: 3}]\nconfigMapGenerator: [{name: settings, literals: [colour=blue]}]\n" +
			"images: [{name: registry.gitlab.com/wuestkamp/k8s-deployment-example-app, newTag: v2}]\n",
	}
	s.Pipeline(1, files).Run("canary").Succeeds()
	s.AwaitReplicas("app", 3)
	assert.Contains(t, s.Image("app"), ":v2")
}
