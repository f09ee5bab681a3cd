package rollout

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// noon is when the objects in testdata are looked at, unless a test says later.
var noon = time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)

const uid = types.UID("6a1f0c52-8c1e-4d55-9a57-0d6b1a3c1f01")

// load reads the objects of files in testdata into a Group, the pods as the view
// keeps them.
func load(t testing.TB, files ...string) Group {
	t.Helper()
	g := Group{Name: "Deployment app-canary"}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join("testdata", file+".yaml"))
		require.NoError(t, err)
		for _, doc := range bytes.Split(content, []byte("\n---\n")) {
			var meta metav1.TypeMeta
			require.NoError(t, yaml.Unmarshal(doc, &meta))
			var o any
			switch meta.Kind {
			case "Pod":
				g.Pods = append(g.Pods, &corev1.Pod{})
				o = g.Pods[len(g.Pods)-1]
			case "Event":
				g.Events = append(g.Events, &corev1.Event{})
				o = g.Events[len(g.Events)-1]
			case "ReplicaSet":
				g.ReplicaSet = &appsv1.ReplicaSet{}
				o = g.ReplicaSet
			case "Deployment":
				g.Deployment = &appsv1.Deployment{}
				o = g.Deployment
			case "PersistentVolumeClaim":
				claim := &corev1.PersistentVolumeClaim{}
				o = claim
				g.Claims = map[string]*corev1.PersistentVolumeClaim{"data": claim}
			default:
				t.Fatalf("%s: kind %q", file, meta.Kind)
			}
			require.NoError(t, yaml.UnmarshalStrict(doc, o), file)
		}
	}
	k := newKeeper()
	for i, p := range g.Pods {
		g.Pods[i] = k.pod(p)
	}
	return g
}

// objects reads the objects of a file in testdata/objects.
func objects(t testing.TB, file string, replace ...string) []*unstructured.Unstructured {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "objects", file+".yaml"))
	require.NoError(t, err)
	var all []*unstructured.Unstructured
	for doc := range strings.SplitSeq(strings.NewReplacer(replace...).Replace(string(content)), "\n---\n") {
		o := &unstructured.Unstructured{}
		json, err := yaml.YAMLToJSON([]byte(doc))
		require.NoError(t, err)
		require.NoError(t, o.UnmarshalJSON(json))
		all = append(all, o)
	}
	return all
}

func files(names ...string) []string { return names }

func TestDiagnose(t *testing.T) {
	notFound := "container app cannot pull its image registry.example.com/shop/app:v2: not found"
	for name, tt := range map[string]struct {
		files   []string
		after   time.Duration // noon
		reason  string        // "": nothing found
		message string        // a part
		next    string        // a part
		fatal   bool
		until   string // of FatalAt
		log     bool
	}{
		"crash loop is fatal at once": {files: files("crash-loop"), reason: "CrashLoopBackOff", fatal: true, log: true,
			message: "container app exits with code 1 right after it starts (restarted 3 times)", next: "last log lines"},
		"crash after an hour gets one back-off": {files: files("crash-loop-after-an-hour"), reason: "CrashLoopBackOff", log: true,
			message: "exits with code 1 after running for more than a minute (restarted once)", until: "10:00:10"},
		"crash after an hour that stays is fatal": {files: files("crash-loop-after-an-hour"), after: 10 * time.Second,
			reason: "CrashLoopBackOff", fatal: true, log: true},
		"init container that waits by failing gets one back-off": {files: files("init-crash-loop"), reason: "CrashLoopBackOff",
			message: "init container wait-for-db exits with code 1", until: "10:00:10", log: true},
		"liveness kill names the probe": {files: files("liveness"), reason: "CrashLoopBackOff", fatal: true, log: true, next: "failureThreshold",
			message: "is restarted because its liveness probe fails: command `cat /tmp/alive`, which last failed with: cat: can't open '/tmp/alive': No such file or directory (restarted once)"},
		"missing program is fatal at once": {files: files("start-error"), reason: "StartError", fatal: true,
			message: `executable file not found in $PATH`, next: "correct command"},
		"exit code 128 may be the node's": {files: files("start-error-of-the-node"), reason: "ContainerCannotRun", until: "10:00:10"},
		"ContainerCannotRun is fatal at once": {files: files("container-cannot-run"), reason: "ContainerCannotRun", fatal: true,
			message: "unable to apply cgroup configuration"},
		"RunContainerError of the image is fatal at once": {files: files("run-container-error"), reason: "RunContainerError", fatal: true,
			message: "permission denied", next: "executable"},
		"CreateContainerError of the runtime may heal": {files: files("create-container-error"), reason: "CreateContainerError", until: "10:00:10",
			message: `failed to reserve container name "app_POD_shop_POD_UID_0": name "app_POD_shop_POD_UID_0" is reserved for "ID"`},
		"missing Secret may be on its way": {files: files("missing-secret", "missing-secret-event"), reason: "CreateContainerConfigError",
			message: `secret "db-password" not found`, until: "10:00:18"},
		"missing Secret is fatal after the grace": {files: files("missing-secret", "missing-secret-event"), after: 18 * time.Second,
			reason: "CreateContainerConfigError", fatal: true, next: "create the Secret"},
		"kubelet that fills its cache is no failure": {files: files("cache-sync"), after: time.Hour},
		"missing image is fatal at once": {files: files("image-not-found"), reason: "ErrImagePull", fatal: true,
			message: notFound, next: "the job that pushes it"},
		"missing image is the same during back-off": {files: files("image-not-found-backoff"), reason: "ErrImagePull", fatal: true, message: notFound},
		"back-off without a reason may heal":        {files: files("image-backoff-old"), reason: "ErrImagePull", until: "10:00:50"},
		"back-off takes its reason from the event": {files: files("image-backoff-old", "image-backoff-old-event"), reason: "ErrImagePull", fatal: true,
			message: "manifest unknown"},
		"registry that refuses is fatal at once": {files: files("image-denied"), reason: "ErrImagePull", fatal: true,
			message: "app:v2: failed to authorize: failed to fetch anonymous token: unexpected status", next: "imagePullSecrets"},
		"registry that does not answer may heal": {files: files("image-timeout"), reason: "ErrImagePull", until: "10:00:50", next: "reach the registry"},
		"registry that stays away is fatal":      {files: files("image-timeout"), after: 50 * time.Second, reason: "ErrImagePull", fatal: true},
		"rate limit may end":                     {files: files("image-rate-limit"), reason: "ErrImagePull", until: "10:00:50", next: "mirror"},
		"invalid image name is fatal at once": {files: files("invalid-image"), reason: "InvalidImageName", fatal: true,
			message: "must be lowercase", next: "ROLLSTEP_IMAGE"},
		"second kill for memory is fatal although it runs": {files: files("out-of-memory"), reason: "OOMKilled", fatal: true, log: true,
			message: "container app is killed for using more than its memory limit of 64Mi (restarted 2 times)", next: "limits.memory"},
		"flapping is fatal although it is ready": {files: files("flapping"), reason: "Restarting", fatal: true, log: true,
			message: "container app exits with code 2 within a minute (restarted 5 times)"},
		"evicted pod is replaced": {files: files("evicted")},
		"failed pod is fatal": {files: files("deadline"), reason: "DeadlineExceeded", fatal: true,
			message: "longer than the specified deadline", next: "activeDeadlineSeconds"},
		"unschedulable may heal": {files: files("unschedulable"), reason: "Unschedulable", until: "10:00:50", next: "resources.requests",
			message: "no node takes the pod: 0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu"},
		"unschedulable is fatal after the grace": {files: files("unschedulable"), after: 50 * time.Second, reason: "Unschedulable", fatal: true},
		"autoscaler is waited for": {files: files("unschedulable", "scale-up-event"), after: 5 * time.Minute, reason: "Unschedulable",
			message: "the cluster autoscaler is adding a node"},
		"autoscaler that gave up is not": {files: files("unschedulable", "scale-up-event", "no-scale-up-event"), after: 5 * time.Minute,
			reason: "Unschedulable", fatal: true},
		"quota may be freed": {files: files("quota"), reason: "FailedCreate", until: "10:00:35",
			message: "the pods cannot be created: forbidden: exceeded quota: pods, requested: pods=1", next: "quota"},
		"quota that stays is fatal":     {files: files("quota"), after: 35 * time.Second, reason: "FailedCreate", fatal: true},
		"refused pods are fatal soon":   {files: files("pod-security"), reason: "FailedCreate", fatal: true, next: "securityContext"},
		"missing service account":       {files: files("service-account"), reason: "FailedCreate", fatal: true, next: "ServiceAccount"},
		"webhook without pods may heal": {files: files("webhook"), reason: "FailedCreate", until: "10:00:35", next: "webhook's own pods"},
		"claim that lost its volume is fatal at once": {files: files("claim-pod", "claim-lost-event"), reason: "ClaimLost", fatal: true,
			message: "PersistentVolumeClaim data has lost its volume: Bound claim has lost its PersistentVolume. Data on the volume is lost!", next: "restore the volume"},
		"lost claim by its phase": {files: files("claim-pod", "claim-lost"), reason: "ClaimLost", fatal: true,
			message: "PersistentVolumeClaim data has lost its volume", next: "restore the volume"},
		"claim that lost its volume once and is bound again": {files: files("claim-pod", "claim-bound", "claim-lost-event"), reason: "Unschedulable", until: "10:00:31"},
		"missing storage class explains an unschedulable pod": {files: files("claim-pod", "claim-class-event"), reason: "Unschedulable", until: "10:00:31",
			message: `PersistentVolumeClaim data: storageclass.storage.k8s.io "fast" not found`, next: "create the storage class"},
		"pending claim explains an unschedulable pod": {files: files("claim-pod", "claim-pending"), reason: "Unschedulable", until: "10:00:31",
			message: `PersistentVolumeClaim data of storage class "slow" is pending`, next: "kubectl describe pvc"},
		"pod that only starts is fine": {files: files("mount"), after: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			found := Diagnose(load(t, tt.files...), noon.Add(tt.after))
			if tt.reason == "" {
				assert.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			f := found[0]
			assert.Equal(t, tt.reason, f.Reason)
			assert.Contains(t, f.Message, tt.message)
			assert.Contains(t, f.Next, tt.next)
			assert.NotEmpty(t, f.Next)
			assert.NotContains(t, f.Message, "preemption")
			assert.Equal(t, tt.fatal, f.Fatal)
			assert.Equal(t, tt.log, f.WantsLog)
			until := ""
			if !f.FatalAt.IsZero() {
				until = f.FatalAt.Format(time.TimeOnly)
			}
			assert.Equal(t, tt.until, until)
			assert.False(t, f.Since.IsZero() && f.Reason != "DeadlineExceeded", "since when")
		})
	}
}

func TestDiagnose_tellsRegistriesFromNodes(t *testing.T) {
	for answer, want := range map[string]bool{
		"pull access denied for app, repository does not exist or may require 'docker login'": true,
		"manifest for registry.example.com/shop/app:v2 not found: manifest unknown":           true,
		"no basic auth credentials":                                             true,
		"no match for platform in manifest: not found":                          true,
		"mkdir /var/lib/containerd/tmp: permission denied: unknown":             false,
		"write /var/lib/containerd/ingest: no space left on device":             false,
		"Get \"https://not-found.example.com/denied\": x509: unknown authority": false,
		"lookup registry.example.com on 10.0.0.10:53: no such host":             false,
	} {
		g := load(t, "image-timeout")
		g.Pods[0].Status.ContainerStatuses[0].State.Waiting.Message = answer
		found := Diagnose(g, noon)
		require.Len(t, found, 1)
		assert.Equal(t, want, found[0].Fatal, answer)
	}
}

func TestDiagnose_makesEqualFindingsOfSeveralPodsOne(t *testing.T) {
	found := Diagnose(load(t, "crash-loop", "crash-loop-event"), noon)
	require.Len(t, found, 1)
	assert.Equal(t, []string{"app-canary-7d4b9c6f5-b8qwz", "app-canary-7d4b9c6f5-x2x7k"}, found[0].Pods)
	assert.Equal(t, "09:59:36", found[0].Since.Format(time.TimeOnly), "the first back-off of any pod")
	assert.True(t, found[0].PreviousLog)
	assert.Equal(t, ""+
		"  CrashLoopBackOff: container app exits with code 1 right after it starts (restarted 3 times)\n"+
		"    2 pods: app-canary-7d4b9c6f5-b8qwz, app-canary-7d4b9c6f5-x2x7k, for 24s\n"+
		"    → read its last log lines; fix the application or its configuration\n", found[0].Text(noon))
}

func TestDiagnose_sortsFatalFirstThenMostPods(t *testing.T) {
	found := Diagnose(load(t, "image-timeout", "deadline", "crash-loop", "quota"), noon)
	var reasons []string
	for _, f := range found {
		reasons = append(reasons, f.Reason)
	}
	assert.Equal(t, []string{"CrashLoopBackOff", "DeadlineExceeded", "ErrImagePull"}, reasons)
}

func TestDiagnose_leavesOutPodsThatAreBeingDeleted(t *testing.T) {
	g := load(t, "crash-loop")
	for _, pod := range g.Pods {
		pod.DeletionTimestamp = &metav1.Time{Time: noon}
	}
	assert.Empty(t, Diagnose(g, noon))
	assert.False(t, Hopeless(g, Diagnose(g, noon)))
}

func TestDiagnose_countsRestartsSinceTheStageBegan(t *testing.T) {
	g := load(t, "flapping")
	g.Restarts = map[types.UID]map[string]int32{uid: {"app": 5}}
	assert.Empty(t, Diagnose(g, noon))

	g.Restarts[uid]["app"] = 4
	found := Diagnose(g, noon)
	require.Len(t, found, 1)
	assert.False(t, found[0].Fatal)
	assert.Contains(t, found[0].Message, "(restarted once)")
}

func TestDiagnose_waitsForNeighboursThatStartToo(t *testing.T) {
	g := load(t, "crash-loop")
	g.Together = true
	found := Diagnose(g, noon)
	require.Len(t, found, 1)
	assert.False(t, found[0].Fatal)
	assert.Equal(t, "10:00:30", found[0].FatalAt.Format(time.TimeOnly), "a minute after the older pod was created")
	assert.True(t, Diagnose(g, noon.Add(time.Minute))[0].Fatal)
}

func TestDiagnose_givesInjectedSidecarsOneBackOff(t *testing.T) {
	g := load(t, "crash-loop")
	g.Pods = g.Pods[:1]
	g.ReplicaSet = &appsv1.ReplicaSet{}
	g.ReplicaSet.Spec.Template.Spec.Containers = []corev1.Container{{Name: "web"}}
	found := Diagnose(g, noon)
	require.Len(t, found, 1)
	assert.Equal(t, "10:00:10", found[0].FatalAt.Format(time.TimeOnly))
}

func TestDiagnose_waitsForQuotaThatOldPodsWillFree(t *testing.T) {
	g := load(t, "quota", "mount")
	g.Deployment.Status.Replicas, g.Deployment.Status.UpdatedReplicas = 3, 1
	found := Diagnose(g, noon.Add(time.Hour))
	require.Len(t, found, 1)
	assert.False(t, found[0].Fatal)

	g.Deployment.Status.Replicas = 1
	assert.True(t, Diagnose(g, noon.Add(time.Hour))[0].Fatal, "no old pods are left")
}

func TestSeen_countsGraceFromWhenAReasonWasFirstSeen(t *testing.T) {
	g := load(t, "image-timeout")
	g.Seen = Seen{}
	g.Seen.Note(g.Pods, noon)
	g.Pods[0].Status.ContainerStatuses[0].State.Waiting.Reason = "ImagePullBackOff"
	g.Seen.Note(g.Pods, noon.Add(10*time.Second))
	assert.Equal(t, noon.Add(registryGrace), Diagnose(g, noon.Add(time.Second))[0].FatalAt)
}
