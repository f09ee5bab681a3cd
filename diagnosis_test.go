package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// untouched remembers a stable that serves with n pods, and returns the check
// that a canary came and went without its users noticing.
func untouched(t *testing.T, s *labtest.Space, n int) func() {
	t.Helper()
	stable, pods := s.Deployment("app"), s.PodsOf("app")
	guard := s.Guard("app", n)
	return func() {
		t.Helper()
		guard.Check(n)
		assert.LessOrEqual(t, guard.Most(), n+(n+3)/4, "pods asked for, with a surge of 25 %%")
		complete(t, s, "app", n)
		assert.Equal(t, stable.Spec, s.Deployment("app").Spec)
		assert.Equal(t, pods, s.PodsOf("app"), "no stable pod was replaced")
		assert.Empty(t, s.Leftovers())
	}
}

// withSpec adds lines to the spec of the pod template of examples/staged.
func withSpec(f labtest.Files, lines string) labtest.Files {
	return f.Edit("deploy.yaml", "      containers:\n", indented(6, lines)+"      containers:\n")
}

// withContainer adds lines to the container's spec.
func withContainer(f labtest.Files, lines string) labtest.Files {
	return f.Edit("deploy.yaml", "          ports:\n", indented(10, lines)+"          ports:\n")
}

// withAnnotations adds annotations to the pod template.
func withAnnotations(f labtest.Files, lines string) labtest.Files {
	return f.Edit("deploy.yaml", "    metadata:\n", "    metadata:\n      annotations:\n"+indented(8, lines))
}

func indented(by int, lines string) string {
	indent := strings.Repeat(" ", by)
	return indent + strings.ReplaceAll(strings.TrimSpace(lines), "\n", "\n"+indent) + "\n"
}

const fullQuota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: pods}\nspec: {hard: {pods: \"3\"}}\n"

// admitNoCanary has the API server refuse canary pods of the space.
func admitNoCanary(t *testing.T, s *labtest.Space) {
	t.Helper()
	name := "no-canary-in-" + s.Name
	t.Cleanup(func() {
		s.Discard(labtest.AdmissionBindings, name)
		s.Discard(labtest.AdmissionPolicies, name)
	})
	s.Create(labtest.AdmissionPolicies, strings.NewReplacer("NAMESPACE", s.Name, "NAME", name).Replace(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NAME}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  matchConditions:
    - {name: canary, expression: "has(object.metadata.labels) && 'track' in object.metadata.labels"}
  validations:
    - {expression: "object.metadata.labels.track != 'canary'", message: images must be signed}
`))
	s.Create(labtest.AdmissionBindings, strings.NewReplacer("NAME", name).Replace(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NAME}
spec: {policyName: NAME, validationActions: [Deny]}
`))
	s.AwaitRefusal(labtest.Pods, "apiVersion: v1\nkind: Pod\nmetadata: {name: try, labels: {track: canary}}\nspec: {containers: [{name: try, image: try}]}\n")
}

// What cannot become healthy is not waited for until the deadline, which lies
// beyond the end of the test: it is named, with what its containers said, and
// rolled back.
func TestDiagnosis_endsAHopelessCanaryEarly(t *testing.T) {
	for name, test := range map[string]struct {
		tag       string
		edit      func(labtest.Files) labtest.Files
		cluster   func(*testing.T, *labtest.Space)
		variables []string
		says      []string
	}{
		"crash loop": {tag: "v2-crash", says: []string{
			"CrashLoopBackOff: container app exits with code 1 right after it starts",
			"last log lines of the run that ended (container app of app-canary-",
			"connecting to database db:5432", "panic: cannot open database: connection refused", "exit status 1",
			"→ read its last log lines",
		}},
		"crash loop of an init container": {
			tag: "v2-crash",
			edit: func(f labtest.Files) labtest.Files {
				return withAnnotations(withSpec(f.Edit("deploy.yaml", ":v2-crash", ":v2"), "initContainers:\n  - {name: migrate, image: migrate:v2-crash}"), "lab.rollstep/container: migrate")
			},
			says: []string{": init container migrate exits with code 1", "(container migrate of app-canary-", "panic: cannot open database: connection refused"},
		},
		"image missing": {tag: "v2-image-missing", says: []string{
			"ErrImagePull: container app cannot pull its image registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v2-image-missing", "not found",
			"→ check that registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v2-image-missing exists",
		}},
		"image unauthorized": {tag: "v2-image-unauthorized", says: []string{
			"ErrImagePull: container app cannot pull its image", "401 Unauthorized", "imagePullSecrets",
		}},
		"out of memory": {tag: "v2-oom", says: []string{
			"OOMKilled: container app is killed for using more than its memory limit of 100Mi", "loading all records into memory",
			"→ raise resources.limits.memory",
		}},
		"quota": {
			tag:     "v2",
			cluster: func(_ *testing.T, s *labtest.Space) { s.Create(labtest.Quotas, fullQuota) },
			says:    []string{"FailedCreate: the pods cannot be created: ", "exceeded quota: pods, requested: pods=1, used: pods=3, limited: pods=3", "→ free quota"},
		},
		"refused by admission": {
			tag: "v2", cluster: admitNoCanary,
			says: []string{"FailedCreate: the pods cannot be created: ", "images must be signed", "→ change the pod template"},
		},
		"unschedulable": {
			tag:  "v2",
			edit: func(f labtest.Files) labtest.Files { return f.Edit("deploy.yaml", "cpu: 100m", "cpu: 1000") },
			says: []string{"Unschedulable: no node takes the pod: 0/3 nodes are available: 3 Insufficient cpu", "→ lower resources.requests"},
		},
		"ConfigMap missing": {
			tag: "v2",
			edit: func(f labtest.Files) labtest.Files {
				return withContainer(f, "envFrom: [{configMapRef: {name: settings}}]")
			},
			says: []string{`CreateContainerConfigError: container app cannot be configured: configmap "settings" not found`,
				`Failed: Error: configmap "settings" not found`, "→ add the ConfigMap"},
		},
		"Secret missing": {
			tag: "v2",
			edit: func(f labtest.Files) labtest.Files {
				return withContainer(f, "envFrom: [{secretRef: {name: credentials}}]")
			},
			says: []string{`CreateContainerConfigError: container app cannot be configured: secret "credentials" not found`, "→ create the Secret"},
		},
		"key of a Secret missing": {
			tag: "v2",
			edit: func(f labtest.Files) labtest.Files {
				return withContainer(f, "env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: credentials, key: token}}}]").With("credentials.yaml", credentialsV1)
			},
			says: []string{"CreateContainerConfigError: ", "couldn't find key token in Secret", "→ add the key"},
		},
		"service account missing": {
			tag:  "v2",
			edit: func(f labtest.Files) labtest.Files { return withSpec(f, "serviceAccountName: nobody") },
			says: []string{"FailedCreate: the pods cannot be created: ", `serviceaccount "nobody" not found`, "→ add the ServiceAccount"},
		},
		"flapping": {
			tag: "v2-flapping", variables: []string{"ROLLSTEP_SETTLE=10s"},
			says: []string{"container app exits with code 1 right after it starts (restarted ", "panic: cannot open database: connection refused"},
		},
		"crash after a while": {
			tag: "v2-crash-later", variables: []string{"ROLLSTEP_SETTLE=10s"},
			says: []string{"CrashLoopBackOff: container app exits with code 1", "panic: cannot open database: connection refused"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, few(t, "v1", 3))
			check := untouched(t, s, 3)
			if test.cluster != nil {
				test.cluster(t, s)
			}
			files := few(t, test.tag, 3)
			if test.edit != nil {
				files = test.edit(files)
			}
			settles := len(test.variables) > 0
			job := s.Pipeline(2, files).With("ROLLSTEP_TIMEOUT=10m").With(test.variables...).Run("canary").
				Exits(3, append(test.says, "Deployment app-canary cannot become ready: ", "rolled back",
					"3 of 3 pods (100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v1")...)
			assert.Contains(t, job.Errors(), "→", "what to do next")
			if settles { // it served until it broke: its share of the stable's pods went and came back
				complete(t, s, "app", 3)
				assert.Empty(t, s.Leftovers())
				return
			}
			check()
		})
	}
}

// Pods that share a cause are one finding.
func TestDiagnosis_isPerCauseAndNotPerPod(t *testing.T) {
	files := func(tag string) labtest.Files {
		return few(t, tag, 4).Edit("deploy.yaml", "maxSurge: 25%", "maxSurge: 100%")
	}
	s := released(t, files("v1"))
	job := s.Pipeline(2, files("v2-image-missing")).Run("canary", "75%").Exits(3, "3 pods: app-canary-")
	assert.Equal(t, 1, strings.Count(job.Log(), "ErrImagePull: container app"), job.Log())
}

// At the deadline it is told what merely takes too long.
func TestDiagnosis_explainsAtTheDeadline(t *testing.T) {
	for name, test := range map[string]struct {
		tag  string
		edit func(labtest.Files) labtest.Files
		says []string
	}{
		"a readiness probe by HTTP": {
			"v2-never-ready", func(f labtest.Files) labtest.Files {
				return f.Edit("deploy.yaml", "path: /\n              port: 5000", "path: /healthz\n              port: 8081")
			},
			[]string{
				"Unhealthy: container app has not passed its readiness probe: GET /healthz on port 8081, which last failed with: HTTP probe failed with statuscode: 503",
				"waiting for upstream: not ready yet",
			},
		},
		"a readiness probe by command": {
			"v2-never-ready", func(f labtest.Files) labtest.Files {
				return f.Edit("deploy.yaml", "httpGet:\n              path: /\n              port: 5000", "exec: {command: [cat, /tmp/ready]}")
			},
			[]string{"Unhealthy: container app has not passed its readiness probe: command `cat /tmp/ready`, which last failed with: not ready"},
		},
		"a missing volume": {
			"v2", func(f labtest.Files) labtest.Files {
				return withContainer(withSpec(f, "volumes: [{name: files, configMap: {name: settings}}]"), "volumeMounts: [{name: files, mountPath: /etc/app}]")
			},
			[]string{"FailedMount: the node cannot prepare the pod: ", `configmap "settings" not found`, "→ add the ConfigMap"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, few(t, "v1", 3))
			check := untouched(t, s, 3)
			s.Pipeline(2, test.edit(few(t, test.tag, 3))).With("ROLLSTEP_TIMEOUT=20s").Run("canary").
				Exits(3, append(test.says, "not ready in time: app-canary: 0 of 1 pods available", "→ If it only needs longer, raise ROLLSTEP_TIMEOUT", "rolled back")...)
			check()
		})
	}
}

// What heals within its grace period is no failure.
func TestDiagnosis_letsHealWhatHeals(t *testing.T) {
	settings := func(f labtest.Files) labtest.Files {
		return withContainer(f, "envFrom: [{configMapRef: {name: settings}}]")
	}
	same := func(f labtest.Files) labtest.Files { return f }
	for name, test := range map[string]struct {
		tag   string
		edit  func(labtest.Files) labtest.Files
		broke func(*labtest.Space)
		heal  func(*testing.T, *labtest.Space)
	}{
		"a slow start": {"v2-slow", same, func(*labtest.Space) {}, func(t *testing.T, s *labtest.Space) {
			s.AwaitPods("app-canary", 1, labtest.Condition(corev1.PodReady, "ContainersNotReady"))
		}},
		"a ConfigMap that comes later": {"v2", settings, func(*labtest.Space) {}, func(t *testing.T, s *labtest.Space) {
			s.AwaitPods("app-canary", 1, labtest.Waiting("CreateContainerConfigError"))
			s.Create(labtest.ConfigMaps, settingsV1)
		}},
		"a quota that is raised": {"v2", same, func(s *labtest.Space) { s.Create(labtest.Quotas, fullQuota) }, func(t *testing.T, s *labtest.Space) {
			s.AwaitEvent("FailedCreate", "exceeded quota")
			s.Patch(labtest.Quotas, "pods", `{"spec":{"hard":{"pods":"10"}}}`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, few(t, "v1", 3))
			guard := s.Guard("app", 3)
			test.broke(s)
			job := s.Pipeline(2, test.edit(few(t, test.tag, 3))).Start("canary")
			test.heal(t, s)
			job.Succeeds("canary is healthy")
			guard.Check(3)
			assert.Equal(t, [2]int{2, 1}, counts(s, "app"))
		})
	}
}
