package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

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
	t.Parallel()
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
		"image name that cannot be parsed": {
			tag: "v2",
			edit: func(f labtest.Files) labtest.Files {
				return f.Edit("deploy.yaml", "registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v2", "registry.gitlab.com/shop/App:v2")
			},
			says: []string{`InvalidImageName: container app has an invalid image name "registry.gitlab.com/shop/App:v2": `, "must be lowercase", "→ correct the image name"},
		},
		"container that cannot be created": {tag: "v2-create-error", says: []string{
			"CreateContainerError: container app cannot be started: ", "no command specified", "→ set command in the pod template, or CMD in the image",
		}},
		"container that cannot be started": {tag: "v2-run-error", says: []string{
			": container app cannot be started: ", "executable file not found in $PATH", "→ correct command in the pod template",
		}},
		"container that cannot be run": {tag: "v2-cannot-run", says: []string{
			"ContainerCannotRun: container app cannot be started: OCI runtime create failed", "executable file not found in $PATH", "→ correct command in the pod template",
		}},
		"killed by its liveness probe": {
			tag: "v2-not-alive", variables: []string{"ROLLSTEP_SETTLE=10s"},
			edit: func(f labtest.Files) labtest.Files {
				return withContainer(f, "livenessProbe: {httpGet: {path: /alive, port: 5000}}")
			},
			says: []string{"container app is restarted because its liveness probe fails: GET /alive on port 5000, which last failed with: HTTP probe failed with statuscode: 503",
				"→ fix what the probe asks for"},
		},
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

// Pods that share a cause are one finding, and so are their events.
func TestDiagnosis_isPerCauseAndNotPerPod(t *testing.T) {
	files := func(tag string) labtest.Files {
		return few(t, tag, 4).Edit("deploy.yaml", "maxSurge: 25%", "maxSurge: 100%")
	}
	s := released(t, files("v1"))
	job := s.Pipeline(2, files("v2-image-missing")).Run("canary", "75%").Exits(3, "3 pods: app-canary-")
	assert.Equal(t, 1, strings.Count(job.Log(), "ErrImagePull: container app"), job.Log())
	assert.Regexp(t, `Failed: Failed to pull image .*: not found \((\d+ times, )?3 pods\)`, job.Log())
}
