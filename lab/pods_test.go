package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"gitlab.com/rollstep/rollstep/lab/internal/behaviour"
)

func TestLab_runsADeployment(t *testing.T) {
	w := newWorld(t)
	w.deploy("app", "v1", 10)
	w.eventually("10 ready pods", w.ready("app", 10))
	pods, err := w.client.CoreV1().Pods(w.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	addresses := map[string]bool{}
	for _, pod := range pods.Items {
		addresses[pod.Status.PodIP] = true
	}
	assert.Len(t, addresses, 10)
}

func TestLab_podsBehaveByTheirTag(t *testing.T) {
	w := newWorld(t)
	waiting := func(reason, message string) func(corev1.ContainerStatus) bool {
		return func(s corev1.ContainerStatus) bool {
			return s.State.Waiting != nil && s.State.Waiting.Reason == reason && assert.ObjectsAreEqual(message, s.State.Waiting.Message)
		}
	}
	crashed := func(code int32, reason string) func(corev1.ContainerStatus) bool {
		return func(s corev1.ContainerStatus) bool {
			last := s.LastTerminationState.Terminated
			return s.State.Waiting != nil && s.State.Waiting.Reason == "CrashLoopBackOff" && s.RestartCount > 0 &&
				last != nil && last.ExitCode == code && last.Reason == reason
		}
	}
	missing := `failed to pull and unpack image "docker.io/example/app:v2-missing": failed to resolve reference "docker.io/example/app:v2-missing": docker.io/example/app:v2-missing: not found`
	denied := `failed to pull and unpack image "docker.io/example/app:v2-unauthorized": failed to resolve reference "docker.io/example/app:v2-unauthorized": pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials: 401 Unauthorized`
	for _, test := range []struct {
		tag             string
		status          func(corev1.ContainerStatus) bool
		reason, message string // of an event
	}{
		{"v1", func(s corev1.ContainerStatus) bool { return s.Ready }, "Started", "Container started"},
		{"v2-slow", func(s corev1.ContainerStatus) bool { return s.Ready }, "Started", "Container started"},
		{"v2-never-ready", func(s corev1.ContainerStatus) bool { return s.State.Running != nil && !s.Ready }, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"},
		{"v2-crash", crashed(1, "Error"), "Pulled", `Container image "example/app:v2-crash" already present on machine and can be accessed by the pod`},
		{"v2-oom", crashed(137, "OOMKilled"), "Created", "Container created"},
		{"v2-crash-later", crashed(1, "Error"), "Created", "Container created"},
		{"v2-flapping", crashed(1, "Error"), "Created", "Container created"},
		{"v2-not-alive", crashed(137, "Error"), "Killing", "Container app failed liveness probe, will be restarted"},
		{"v2-create-error", func(s corev1.ContainerStatus) bool {
			return s.State.Waiting != nil && s.State.Waiting.Reason == "CreateContainerError"
		}, "Failed", `Error: failed to generate container "CONTAINER_ID" spec: failed to generate spec: no command specified`},
		{"v2-run-error", crashed(128, "StartError"), "Created", "Container created"},
		{"v2-cannot-run", crashed(127, "ContainerCannotRun"), "Created", "Container created"},
		{"v2-missing", waiting("ErrImagePull", "rpc error: code = NotFound desc = "+missing), "Failed", "Error: ErrImagePull"},
		{"v2-image-missing", func(s corev1.ContainerStatus) bool {
			return s.State.Waiting != nil && s.State.Waiting.Reason == "ImagePullBackOff"
		}, "BackOff", `Back-off pulling image "example/app:v2-image-missing"`},
		{"v2-unauthorized", waiting("ImagePullBackOff", `Back-off pulling image "example/app:v2-unauthorized": ErrImagePull: `+denied), "Failed", `Failed to pull image "example/app:v2-unauthorized": ` + denied},
	} {
		t.Run(test.tag, func(t *testing.T) {
			w := w
			w.T = t
			w.pod(test.tag, test.tag, nil)
			t.Parallel()
			w.eventually("the container's status", func() bool { return test.status(w.status(test.tag)) })
			w.eventually("the event", w.event(test.tag, test.reason, test.message))
		})
	}
}

func TestLab_evictedPodsAreReplaced(t *testing.T) {
	w := newWorld(t)
	w.deploy("app", "v1", 2)
	w.eventually("ready", w.ready("app", 2))
	pods := w.client.CoreV1().Pods(w.namespace)
	list, err := pods.List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	victim := list.Items[0].Name
	_, err = pods.Patch(t.Context(), victim, types.MergePatchType, []byte(`{"metadata":{"annotations":{"lab.rollstep/evict":"memory"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	w.eventually("evicted", func() bool {
		pod, err := pods.Get(t.Context(), victim, metav1.GetOptions{})
		return err == nil && pod.Status.Phase == corev1.PodFailed && pod.Status.Reason == "Evicted"
	})
	w.eventually("replaced", func() bool {
		list, err := pods.List(t.Context(), metav1.ListOptions{})
		return err == nil && len(list.Items) == 3 && w.ready("app", 2)()
	})
}

func TestLab_missingConfigurationHeals(t *testing.T) {
	w := newWorld(t)
	w.pod("env", "v1", func(p *corev1.Pod) {
		p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}}}
	})
	w.pod("volume", "v1", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "top", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "top"}}}}
	})
	w.eventually("CreateContainerConfigError", func() bool {
		s := w.status("env").State.Waiting
		return s != nil && s.Reason == "CreateContainerConfigError" && s.Message == `configmap "settings" not found`
	})
	w.eventually("FailedMount", w.event("volume", "FailedMount", `MountVolume.SetUp failed for volume "top" : secret "top" not found`))
	assert.Equal(t, "ContainerCreating", w.status("volume").State.Waiting.Reason)

	_, err := w.client.CoreV1().ConfigMaps(w.namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = w.client.CoreV1().Secrets(w.namespace).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "top"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	w.eventually("both ready", func() bool { return w.status("env").Ready && w.status("volume").Ready })
}

func TestLab_servesLogs(t *testing.T) {
	w := newWorld(t)
	w.pod("good", "v1", func(p *corev1.Pod) { p.Annotations[behaviour.AnnotationLog] = "ERROR: out of stock" })
	w.pod("bad", "v2-crash", nil)
	w.pod("never", "v2-missing", nil)
	w.eventually("ready", func() bool { return w.status("good").Ready })
	log, err := w.log("good", corev1.PodLogOptions{})
	require.NoError(t, err)
	assert.Equal(t, "starting app, version v1\nlistening on :5000, version v1\nERROR: out of stock\n", log)
	_, err = w.log("good", corev1.PodLogOptions{Previous: true})
	assert.ErrorContains(t, err, `previous terminated container "app" in pod "good" not found`)

	w.eventually("restarted", func() bool { return w.status("bad").RestartCount > 0 })
	one := int64(1)
	log, err = w.log("bad", corev1.PodLogOptions{Previous: true, TailLines: &one})
	require.NoError(t, err)
	assert.Equal(t, "exit status 1\n", log)

	w.eventually("image not pulled", func() bool { s := w.status("never").State.Waiting; return s != nil && s.Message != "" })
	_, err = w.log("never", corev1.PodLogOptions{})
	assert.ErrorContains(t, err, `container "app" in pod "never" is waiting to start`)
}

func TestLab_deletedPodsGo(t *testing.T) {
	w := newWorld(t)
	w.pod("graceful", "v1", nil)
	w.pod("forced", "v1", nil)
	w.eventually("both ready", func() bool { return w.status("graceful").Ready && w.status("forced").Ready })
	pods := w.client.CoreV1().Pods(w.namespace)
	require.NoError(t, pods.Delete(t.Context(), "graceful", metav1.DeleteOptions{}))
	assert.True(t, w.status("graceful").Ready, "serves while it shuts down")
	w.eventually("killing", w.event("graceful", "Killing", "Stopping container app"))
	w.eventually("gone", func() bool {
		_, err := pods.Get(t.Context(), "graceful", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	now := int64(0)
	require.NoError(t, pods.Delete(t.Context(), "forced", metav1.DeleteOptions{GracePeriodSeconds: &now}))
	_, err := pods.Get(t.Context(), "forced", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err))
}

func TestLab_ciHasNoRightsWithoutARole(t *testing.T) {
	w := newWorld(t)
	ci := clientFrom(t, variable(t, "LAB_CI_KUBECONFIG"))
	_, err := ci.CoreV1().Pods(w.namespace).List(t.Context(), metav1.ListOptions{})
	assert.True(t, apierrors.IsForbidden(err), err)
	assert.ErrorContains(t, err, `User "ci" cannot list resource "pods"`)
}
