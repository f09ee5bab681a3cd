package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

const migration = `apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 1
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: "migrate:TAG"}]
`

const database = `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: db, image: "db:TAG"}]
`

const agent = `apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers: [{name: agent, image: "agent:TAG"}]
`

// Workloads of all kinds are judged, not only Deployments; the timeout lies
// beyond the end of the test.
func TestDiagnosis_endsHopelessWorkloadsOfOtherKindsEarly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		manifest string
		says     []string
	}{
		"a Job over its backoff limit": {strings.ReplaceAll(migration, "TAG", "v1-crash"), []string{
			"Job migrate cannot become ready: the Job has failed: Job has reached the specified backoff limit; container migrate exited with code 1",
			"BackoffLimitExceeded: ", "last log lines (container migrate of migrate-", "exit status 1", "→ read the log of its pod",
		}},
		"a Job without its image": {strings.ReplaceAll(migration, "TAG", "v1-image-missing"), []string{
			"Job migrate cannot become ready: container migrate cannot pull its image migrate:v1-image-missing", "ErrImagePull",
		}},
		"a StatefulSet whose pods crash": {strings.ReplaceAll(database, "TAG", "v1-crash"), []string{
			"StatefulSet db cannot become ready: container db exits with code 1 right after it starts",
			"last log lines of the run that ended (container db of db-0)", "panic: cannot open database",
		}},
		"a StatefulSet whose service account is missing": {
			strings.ReplaceAll(database, "      containers:", "      serviceAccountName: nobody\n      containers:"),
			[]string{"StatefulSet db cannot become ready: the pods cannot be created: ", `serviceaccount "nobody" not found`, "→ add the ServiceAccount"},
		},
		"a DaemonSet without its image": {strings.ReplaceAll(agent, "TAG", "v1-image-missing"), []string{
			"DaemonSet agent cannot become ready: container agent cannot pull its image agent:v1-image-missing", ": not found",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := space(t)
			s.AllowCluster(labtest.Rule("batch", "jobs"), labtest.Rule("apps", "statefulsets", "daemonsets"))
			s.Pipeline(1, few(t, "v1", 2).With("other.yaml", test.manifest)).With("ROLLSTEP_TIMEOUT=10m").Run("apply").Exits(3, test.says...)
		})
	}
}

// A Job that runs on is not waited for, one that ends is.
func TestApply_waitsForAJobAsLongAsItFails(t *testing.T) {
	s := space(t)
	s.AllowCluster(labtest.Rule("batch", "jobs"))
	s.Pipeline(1, few(t, "v1", 2).With("migrate.yaml", strings.ReplaceAll(migration, "TAG", "v1"))).Run("apply").Succeeds()
}

const volume = `apiVersion: v1
kind: PersistentVolume
metadata: {name: NAME}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  claimRef: {namespace: NAME, name: data}
  hostPath: {path: /data}
`

// Nothing brings back a volume that is lost: that is said at once, not when the
// scheduler has failed for a minute.
func TestDiagnosis_endsWhereAClaimHasLostItsVolume(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	s.AllowCluster(labtest.Rule("", "persistentvolumeclaims"))
	check := untouched(t, s, 3)
	t.Cleanup(func() { s.Discard(labtest.Volumes, s.Name) })
	s.Create(labtest.Volumes, strings.ReplaceAll(volume, "NAME", s.Name))
	s.Create(labtest.Claims, claim(""))
	phase := func(want string) {
		s.Await(labtest.Claims, "data", func(o *unstructured.Unstructured) bool {
			is, _, _ := unstructured.NestedString(o.Object, "status", "phase")
			return is == want
		})
	}
	phase("Bound")
	s.Discard(labtest.Volumes, s.Name)
	s.Patch(labtest.Volumes, s.Name, `{"metadata":{"finalizers":null}}`) // it is in use
	phase("Lost")
	files := withSpec(few(t, "v2", 3), "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]")
	s.Pipeline(2, files).With("ROLLSTEP_TIMEOUT=10m").Run("canary").Exits(3,
		"ClaimLost: PersistentVolumeClaim data has lost its volume", "→ restore the volume", "rolled back")
	check()
}

// An autoscaler that cannot scale fails the release that brings it; one that
// merely lacks metrics, as in every cluster without a metrics server, does not.
func TestPromote_failsWithAnAutoscalerThatCannotScale(t *testing.T) {
	declared := func(f labtest.Files, hpa string) labtest.Files {
		return f.Edit("deploy.yaml", "  replicas: 3\n", "").With("hpa.yaml", hpa)
	}
	s := space(t)
	s.AllowCluster(labtest.Rule("autoscaling", "horizontalpodautoscalers"))
	hpa := strings.ReplaceAll(autoscaler, "minReplicas: 6", "minReplicas: 2")
	s.Pipeline(1, declared(few(t, "v1", 3), hpa)).Run("canary").Succeeds("first release")

	second := strings.ReplaceAll(hpa, "metadata: {name: app}", "metadata: {name: another}")
	p := s.Pipeline(2, declared(few(t, "v2", 3), hpa+"---\n"+second))
	p.Run("canary").Succeeds()
	p.Run("promote").Exits(3, "HorizontalPodAutoscaler ", " cannot scale: ", "→ let one HorizontalPodAutoscaler alone select these pods", "rolled back")
	assert.True(t, strings.HasSuffix(s.Image("app"), ":v1"), s.Image("app"))
	assert.Nil(t, s.Get(labtest.Autoscalers, "another"))
	assert.Empty(t, s.Leftovers())
}

// A kind whose names another kind has is never served.
func TestRelease_saysWhenTheNamesOfAKindAreTaken(t *testing.T) {
	s := space(t)
	group := s.Name + ".example.com"
	s.AllowCluster(labtest.Rule("apiextensions.k8s.io", "customresourcedefinitions"), labtest.Rule(group, "orders", "others"))
	first, _, _ := strings.Cut(definition(group), "\n---\n")
	t.Cleanup(func() {
		s.Discard(labtest.Definitions, "orders."+group)
		s.Discard(labtest.Definitions, "others."+group)
	})
	s.Pipeline(1, few(t, "v1", 2).With("orders.yaml", first)).Run("apply").Succeeds()
	other := strings.ReplaceAll(first, "orders", "others")
	s.Pipeline(2, few(t, "v1", 2).With("others.yaml", other)).Run("apply").Exits(3,
		"CustomResourceDefinition others."+group+": its names are not accepted: ", "→ Choose other names in spec.names")
}
