package podlife

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"gitlab.com/rollstep/rollstep/lab/internal/behaviour"
)

// existing are the names of the ConfigMaps and Secrets that exist, with one key each.
type existing map[string]string

func (e existing) ConfigMap(_, name string) (*corev1.ConfigMap, error) {
	if key, ok := e[name]; ok {
		return &corev1.ConfigMap{Data: map[string]string{key: ""}}, nil
	}
	return nil, errors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, name)
}

func (e existing) Secret(_, name string) (*corev1.Secret, error) {
	if key, ok := e[name]; ok {
		return &corev1.Secret{Data: map[string][]byte{key: nil}}, nil
	}
	return nil, errors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
}

func podOf(tag string, policy corev1.RestartPolicy) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "u"},
		Spec: corev1.PodSpec{
			RestartPolicy: policy,
			Containers:    []corev1.Container{{Name: "app", Image: "example/app:" + tag}},
		},
	}
}

// film plays a life over simulated time and keeps what changed.
type film struct {
	life   *Life
	pod    *corev1.Pod
	now    time.Time
	states []string
	events []string
}

func record(pod *corev1.Pod) *film {
	now := time.Unix(1_000_000, 0)
	return &film{life: New(pod, "10.244.0.1", now), pod: pod, now: now}
}

// play steps whenever something is due, for so long.
func (f *film) play(objects Objects, length time.Duration) *film {
	end := f.now.Add(length)
	for {
		events, next := f.life.Step(f.pod, objects, f.now)
		for _, e := range events {
			f.events = append(f.events, e.Reason+" "+e.FieldPath+": "+e.Message)
		}
		f.pod.Status = f.life.Status(f.pod, &f.pod.Status, metav1.NewTime(f.now))
		if state := describe(f.pod.Status); len(f.states) == 0 || f.states[len(f.states)-1] != state {
			f.states = append(f.states, state)
		}
		if next.IsZero() || next.After(end) {
			f.now = end
			return f
		}
		f.now = next
	}
}

// describe is a status in short, as kubectl would print it.
func describe(s corev1.PodStatus) string {
	c := s.ContainerStatuses[0]
	text := string(s.Phase) + " "
	switch {
	case c.State.Waiting != nil:
		text += c.State.Waiting.Reason
	case c.State.Terminated != nil:
		text += fmt.Sprintf("%s(%d)", c.State.Terminated.Reason, c.State.Terminated.ExitCode)
	default:
		text += "running"
	}
	if c.Ready {
		text += " ready"
	}
	if c.RestartCount > 0 {
		text += fmt.Sprintf(" %d", c.RestartCount)
	}
	return text
}

func TestLife_statesOfEachBehaviour(t *testing.T) {
	for _, test := range []struct {
		tag    string
		policy corev1.RestartPolicy
		length time.Duration
		want   []string
	}{
		{"v1", "Always", time.Minute, []string{"Pending ContainerCreating", "Running running ready"}},
		{"slow", "Always", time.Minute, []string{"Pending ContainerCreating", "Running running", "Running running ready"}},
		{"never-ready", "Always", time.Minute, []string{"Pending ContainerCreating", "Running running"}},
		{"crash", "Always", 4 * time.Second, []string{
			"Pending ContainerCreating", "Running running", "Running Error(1)",
			"Running running 1", "Running Error(1) 1", "Running CrashLoopBackOff 1",
			"Running running 2", "Running Error(1) 2", "Running CrashLoopBackOff 2",
		}},
		{"oom", "Always", 2 * time.Second, []string{
			"Pending ContainerCreating", "Running running", "Running OOMKilled(137)",
			"Running running 1", "Running OOMKilled(137) 1", "Running CrashLoopBackOff 1",
		}},
		{"crash-later", "Always", 6 * time.Second, []string{
			"Pending ContainerCreating", "Running running ready", "Running Error(1)",
			"Running running 1", "Running Error(1) 1", "Running CrashLoopBackOff 1",
		}},
		{"flapping", "Always", 14 * time.Second, []string{
			"Pending ContainerCreating", "Running running ready", "Running Error(1)",
			"Running running ready 1", "Running Error(1) 1", "Running CrashLoopBackOff 1",
			"Running running ready 2",
		}},
		{"image-missing", "Always", 1900 * time.Millisecond, []string{
			"Pending ContainerCreating", "Pending ErrImagePull", "Pending ImagePullBackOff", "Pending ErrImagePull",
		}},
		{"not-alive", "Always", 5500 * time.Millisecond, []string{
			"Pending ContainerCreating", "Running running ready", "Running Error(137)",
			"Running running ready 1", "Running Error(137) 1", "Running CrashLoopBackOff 1",
		}},
		{"create-error", "Always", 3 * time.Second, []string{"Pending ContainerCreating", "Pending CreateContainerError"}},
		{"run-error", "Always", time.Second, []string{
			"Pending ContainerCreating", "Running RunContainerError", "Running RunContainerError 1", "Running CrashLoopBackOff 1",
		}},
		{"cannot-run", "Always", time.Second, []string{
			"Pending ContainerCreating", "Running ContainerCannotRun(127)", "Running ContainerCannotRun(127) 1", "Running CrashLoopBackOff 1",
		}},
		{"v1", "Never", time.Minute, []string{"Pending ContainerCreating", "Running running ready", "Succeeded Completed(0)"}},
		{"crash", "Never", time.Minute, []string{"Pending ContainerCreating", "Running running", "Failed Error(1)"}},
		{"crash", "OnFailure", time.Second + 100*time.Millisecond, []string{
			"Pending ContainerCreating", "Running running", "Running Error(1)", "Running running 1",
		}},
	} {
		t.Run(test.tag+" "+string(test.policy), func(t *testing.T) {
			assert.Equal(t, test.want, record(podOf(test.tag, test.policy)).play(existing{}, test.length).states)
		})
	}
}

func TestLife_crashLoopReadsAsTheKubelets(t *testing.T) {
	f := record(podOf("v2-crash", "Always")).play(existing{}, 2*time.Second)
	status := f.pod.Status.ContainerStatuses[0]
	assert.Equal(t, "back-off 10s restarting failed container=app pod=p_n(u)", status.State.Waiting.Message)
	assert.Equal(t, int32(1), status.LastTerminationState.Terminated.ExitCode)
	assert.Equal(t, []string{
		`Pulling spec.containers{app}: Pulling image "example/app:v2-crash"`,
		`Pulled spec.containers{app}: Successfully pulled image "example/app:v2-crash" in 200ms (200ms including waiting). Image size: 12582912 bytes.`,
		`Created spec.containers{app}: Container created`,
		`Started spec.containers{app}: Container started`,
		`Pulled spec.containers{app}: Container image "example/app:v2-crash" already present on machine and can be accessed by the pod`,
		`Created spec.containers{app}: Container created`,
		`Started spec.containers{app}: Container started`,
		`BackOff spec.containers{app}: Back-off restarting failed container app in pod p_n(u)`,
	}, f.events)
	log, err := f.life.Log("p", "app", true)
	assert.NoError(t, err)
	assert.Equal(t, "exit status 1", log[len(log)-1].Text)
}

func TestLife_pullsNothingByAnInvalidName(t *testing.T) {
	pod := podOf("v1", "Always")
	pod.Spec.Containers[0].Image = "example/App:v1"
	f := record(pod).play(existing{}, 500*time.Millisecond)
	assert.Equal(t, []string{"Pending InvalidImageName"}, f.states)
	assert.Equal(t, `Failed to apply default image tag "example/App:v1": couldn't parse image name "example/App:v1": `+
		`invalid reference format: repository name (example/App) must be lowercase`, pod.Status.ContainerStatuses[0].State.Waiting.Message)
}

func TestLife_killsWhatIsNotAlive(t *testing.T) {
	f := record(podOf("v2-not-alive", "Always")).play(existing{}, 2500*time.Millisecond)
	assert.Equal(t, []string{
		`Unhealthy spec.containers{app}: Liveness probe failed: HTTP probe failed with statuscode: 503`,
		`Killing spec.containers{app}: Container app failed liveness probe, will be restarted`,
	}, f.events[4:6])
}

func TestLife_saysWhyAContainerNeverRan(t *testing.T) {
	f := record(podOf("v2-run-error", "Always")).play(existing{}, time.Second)
	last := f.pod.Status.ContainerStatuses[0].LastTerminationState.Terminated
	assert.Equal(t, "StartError", last.Reason)
	assert.Equal(t, noProgram, last.Message)
	assert.Equal(t, int64(0), last.StartedAt.Unix())
	assert.Contains(t, f.events, "Failed spec.containers{app}: Error: "+noProgram)
	log, err := f.life.Log("p", "app", false)
	assert.NoError(t, err)
	assert.Empty(t, log)
}

func TestLife_evictsARunningPod(t *testing.T) {
	pod := podOf("v1", "Always")
	f := record(pod).play(existing{}, 5*time.Second)
	pod.Annotations = map[string]string{behaviour.AnnotationEvict: "memory"}
	f.play(existing{}, time.Minute)
	assert.Equal(t, []string{"Pending ContainerCreating", "Running running ready", "Failed Error(137)"}, f.states)
	assert.Equal(t, "Evicted", pod.Status.Reason)
	assert.Equal(t, "The node was low on resource: memory. ", pod.Status.Message)
	assert.Equal(t, "Evicted : The node was low on resource: memory. ", f.events[len(f.events)-1])
	assert.False(t, f.life.Stopped(), "it stays until somebody deletes it")
}

func TestLife_waitsForConfiguration(t *testing.T) {
	env := podOf("v1", "Always")
	env.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "top"}}}}
	f := record(env).play(existing{}, 3*time.Second)
	assert.Equal(t, "Pending CreateContainerConfigError", f.states[len(f.states)-1])
	assert.Equal(t, `secret "top" not found`, env.Status.ContainerStatuses[0].State.Waiting.Message)
	f.play(existing{"top": "key"}, time.Second)
	assert.Equal(t, "Running running ready", f.states[len(f.states)-1])

	mount := podOf("v1", "Always")
	mount.Spec.Volumes = []corev1.Volume{{Name: "settings", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}}}}}
	f = record(mount).play(existing{}, 3*time.Second)
	assert.Equal(t, []string{"Pending ContainerCreating"}, f.states)
	assert.Equal(t, []string{`FailedMount : MountVolume.SetUp failed for volume "settings" : configmap "cm" not found`}, f.events)
	f.play(existing{"cm": "key"}, time.Second)
	assert.Equal(t, "Running running ready", f.states[len(f.states)-1])
}

func TestLife_sparesWhatAppearsSoonAfterThePod(t *testing.T) {
	pod := podOf("v1", "Always")
	pod.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}}}}
	f := record(pod).play(existing{}, 400*time.Millisecond).play(existing{"cm": "key"}, time.Second)
	assert.Equal(t, []string{"Pending ContainerCreating", "Running running ready"}, f.states)
	assert.NotContains(t, strings.Join(f.events, "\n"), "not found")
}

func TestLife_servesUntilItHasShutDown(t *testing.T) {
	for _, sleep := range []int64{0, 20} {
		pod := podOf("v1", "Always")
		pod.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: sleep}}}
		f := record(pod).play(existing{}, 5*time.Second)
		deleted, grace := metav1.NewTime(f.now), int64(30)
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &deleted, &grace
		f.play(existing{}, time.Duration(sleep)*time.Second+shutdown-time.Second)
		assert.False(t, f.life.Stopped())
		assert.Equal(t, "Running running ready", f.states[len(f.states)-1])
		f.play(existing{}, 2*time.Second)
		assert.True(t, f.life.Stopped())
		assert.Equal(t, "Succeeded Completed(0)", f.states[len(f.states)-1])
		assert.Equal(t, "Killing spec.containers{app}: Stopping container app", f.events[len(f.events)-1])
	}
}

func TestLife_runsInitContainersFirst(t *testing.T) {
	pod := podOf("v1", "Always")
	pod.Spec.InitContainers = []corev1.Container{{Name: "prepare", Image: "example/tool:v1"}}
	f := record(pod).play(existing{}, 5*time.Second)
	assert.Equal(t, []string{"Pending PodInitializing", "Running running ready"}, f.states)
	assert.Equal(t, "Completed", pod.Status.InitContainerStatuses[0].State.Terminated.Reason)

	pod = podOf("v1", "Always")
	pod.Annotations = map[string]string{behaviour.AnnotationContainer: "prepare", behaviour.Annotation: "crash"}
	pod.Spec.InitContainers = []corev1.Container{{Name: "prepare", Image: "example/tool:v1"}}
	f = record(pod).play(existing{}, 2*time.Second)
	assert.Equal(t, []string{"Pending PodInitializing"}, f.states)
	assert.Equal(t, "CrashLoopBackOff", pod.Status.InitContainerStatuses[0].State.Waiting.Reason)
}
