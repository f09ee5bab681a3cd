package rollout

import (
	"cmp"
	"fmt"
	"iter"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// container is one container of a pod, as the rules see it.
type container struct {
	group  *Group
	pod    *corev1.Pod
	spec   *corev1.Container // empty if the pod does not declare it
	status *corev1.ContainerStatus
	init   bool
	now    time.Time
}

// containers are the init containers and the ordinary ones that have a status.
func containers(g *Group, pod *corev1.Pod, now time.Time) iter.Seq[container] {
	return func(yield func(container) bool) {
		each := func(statuses []corev1.ContainerStatus, specs []corev1.Container, init bool) bool {
			for i := range statuses {
				c := container{group: g, pod: pod, spec: specOf(specs, statuses[i].Name), status: &statuses[i], init: init, now: now}
				if !yield(c) {
					return false
				}
			}
			return true
		}
		_ = each(pod.Status.InitContainerStatuses, pod.Spec.InitContainers, true) &&
			each(pod.Status.ContainerStatuses, pod.Spec.Containers, false)
	}
}

func specOf(specs []corev1.Container, name string) *corev1.Container {
	for i := range specs {
		if specs[i].Name == name {
			return &specs[i]
		}
	}
	return &corev1.Container{}
}

// containerRules are tried in this order; the first that finds something
// speaks for the container.
var containerRules = []func(container) *Finding{
	invalidImage,
	imagePull,
	missingConfig,
	cannotCreate,
	cannotStart,
	outOfMemory,
	crashLoop,
	restarting,
}

func (c container) name() string {
	if c.init {
		return "init container " + c.status.Name
	}
	return "container " + c.status.Name
}

func (c container) finding(reason, format string, args ...any) *Finding {
	f := about(c.pod, reason, fmt.Sprintf(format, args...))
	f.Container = c.status.Name
	return f
}

// waiting is the reason and the message of a container that waits.
func (c container) waiting() (reason, message string) {
	if w := c.status.State.Waiting; w != nil {
		return w.Reason, anonymous(c.pod, w.Message)
	}
	return "", ""
}

// isStarting says that a container only waits for its turn.
func isStarting(reason string) bool {
	return reason == "" || reason == "ContainerCreating" || reason == "PodInitializing"
}

// waitingSince is when the container began to wait for its present reason:
// what an event of it says, else when it was first seen so, else the last
// moment before which it cannot have.
func (c container) waitingSince() time.Time {
	reason, message := c.waiting()
	said := cmp.Or(message, reason)
	key := seenKey(c.status.Name, reason)
	if key == seenKey(c.status.Name, "ErrImagePull") {
		said = "Failed to pull image"
	}
	for _, e := range podEvents(c.group, c.pod, c.status.Name, "Failed") {
		if strings.Contains(anonymous(c.pod, e.Message), said) {
			return firstTime(e)
		}
	}
	if t, ok := c.group.Seen[c.pod.UID][key]; ok {
		return t
	}
	return c.startable()
}

// startable is since when the kubelet has been able to start the container.
func (c container) startable() time.Time {
	since := c.pod.CreationTimestamp.Time
	if c.pod.Status.StartTime != nil {
		since = latest(since, c.pod.Status.StartTime.Time)
	}
	if !c.init && isTrue(c.pod, corev1.PodInitialized) {
		since = latest(since, condition(c.pod, corev1.PodInitialized).LastTransitionTime.Time)
	}
	if last := c.status.LastTerminationState.Terminated; last != nil {
		since = latest(since, last.FinishedAt.Time)
	}
	return since
}

// invalidImage catches an image name that nothing can be pulled by, at once:
// it is wrong in the manifest.
//
// Source: ErrInvalidImageName in kubernetes/pkg/kubelet/images/types.go.
func invalidImage(c container) *Finding {
	reason, message := c.waiting()
	if reason != "InvalidImageName" {
		return nil
	}
	f := c.finding(reason, "%s has an invalid image name %q: %s", c.name(), c.spec.Image, message)
	f.Fatal, f.Since = true, c.waitingSince()
	f.Next = "correct the image name in the manifest or in ROLLSTEP_IMAGE"
	return f
}

// missingConfig catches a ConfigMap, a Secret or a key of them that is not
// there, and settings that contradict the image (runAsNonRoot), after
// retryGrace. Except while the kubelet only says that its own cache of them is
// not filled: github.com/kubernetes/kubernetes/pull/75260.
//
// Source: ErrCreateContainerConfig in
// kubernetes/pkg/kubelet/kuberuntime/kuberuntime_container.go; krane's pod.rb.
func missingConfig(c container) *Finding {
	reason, message := c.waiting()
	if reason != "CreateContainerConfigError" || syncsCache.MatchString(message) {
		return nil
	}
	f := c.finding(reason, "%s cannot be configured: %s", c.name(), message)
	f.Since = c.waitingSince()
	f.Next = nextFor(message, configuring)
	return f.fatalFrom(f.Since.Add(retryGrace), c.now)
}

var syncsCache = regexp.MustCompile(`failed to sync .*cache`)

var configuring = []advice{
	{"couldn't find key", "add the key to the ConfigMap or Secret, or correct it in the pod template"},
	{"configmap", "add the ConfigMap to the manifests, or correct its name in the pod template"},
	{"secret", "create the Secret in this namespace, or correct its name in the pod template"},
	{"runAsNonRoot", "set runAsUser in the pod template, or a numeric USER in the image"},
	{"", "correct what the pod template refers to"},
}

// cannotCreate catches containers that the runtime cannot create or start, at
// once if the message names something that the image or the manifest lacks,
// else after retryGrace, since nodes have hiccups too:
// github.com/Shopify/krane/pull/694.
//
// Source: the errors of startContainer in
// kubernetes/pkg/kubelet/kuberuntime/kuberuntime_container.go.
func cannotCreate(c container) *Finding {
	reason, message := c.waiting()
	switch reason {
	default:
		return nil
	case "CreateContainerError", "RunContainerError", "PreCreateHookError", "PreStartHookError", "PostStartHookError":
	}
	f := c.finding(reason, "%s cannot be started: %s", c.name(), cmp.Or(message, reason))
	f.Since = c.waitingSince()
	f.WantsLog = reason == "PostStartHookError"
	f.Next = nextFor(message, starting)
	if isPermanent(message) {
		return f.fatalFrom(f.Since, c.now)
	}
	return f.fatalFrom(f.Since.Add(retryGrace), c.now)
}

// isPermanent says that a runtime's error is about the image or the manifest,
// not about the node.
func isPermanent(message string) bool {
	return notInImage.MatchString(message)
}

var notInImage = regexp.MustCompile(`executable file not found|no such file or directory|[Pp]ermission denied|` +
	`exec format error|[Nn]o command specified|is a directory|invalid capability`)

var starting = []advice{
	{"executable file not found", "correct command in the pod template: the image has no such program"},
	{"no such file or directory", "correct command, workingDir or the mounts in the pod template: the image has no such file"},
	{"ermission denied", "make the program executable in the image, or correct command in the pod template"},
	{"exec format error", "build the image for the nodes' processor architecture"},
	{"o command specified", "set command in the pod template, or CMD in the image"},
	{"", "look at the pod with kubectl describe pod; if other pods on its node fail too, the node is broken"},
}
