package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Explain says at the deadline why a workload is not ready: what Diagnose
// finds, and for pods without a finding what merely takes long. It needs the
// events.
func Explain(g Group, now time.Time) []Finding {
	found := findings(g, now)
	broken := map[string]bool{}
	for _, f := range found {
		for _, name := range f.Pods {
			broken[name] = true
		}
	}
	for _, pod := range judged(g.Pods) {
		switch {
		case isReplaced(pod):
			found = append(found, replaced(pod))
		case !broken[pod.Name]:
			found = append(found, slow(&g, pod, now)...)
		}
	}
	if len(found) == 0 {
		found = append(found, noPods(g)...)
	}
	return merge(found)
}

// noPods explains a workload that has none.
func noPods(g Group) []*Finding {
	switch {
	case len(judged(g.Pods)) > 0:
		return nil
	case g.Deployment != nil && g.Deployment.Spec.Paused:
		return []*Finding{{
			Reason: "DeploymentPaused", Message: "the Deployment is paused: its pods are not replaced",
			Next: "remove spec.paused, or run kubectl rollout resume",
		}}
	case g.ReplicaSet != nil && replicas(g.ReplicaSet) == 0:
		return nil
	}
	return []*Finding{{
		Reason: "NoPods", Message: "no pod has been created yet",
		Next: "look at the events with kubectl describe; the cluster's controllers may be down or busy",
	}}
}

// replaced explains a pod that failedPhase lets pass.
func replaced(pod *corev1.Pod) *Finding {
	f := about(pod, cmp.Or(pod.Status.Reason, "Disrupted"), "the pod was ended by its node or the cluster, and is replaced")
	f.Message += strings.TrimSuffix(": "+anonymous(pod, pod.Status.Message), ": ")
	f.Next = "look at the node with kubectl describe node: it may be full or going away"
	return f
}

// slow is the first thing that explains why a pod is not ready; nothing if it
// is.
func slow(g *Group, pod *corev1.Pod, now time.Time) []*Finding {
	if isTrue(pod, corev1.PodReady) {
		return nil
	}
	for _, rule := range []func(*Group, *corev1.Pod) *Finding{unscheduled, notPrepared} {
		if f := rule(g, pod); f != nil {
			return []*Finding{f}
		}
	}
	var found []*Finding
	for c := range containers(g, pod, now) {
		for _, rule := range []func(container) *Finding{pulling, stillWaiting, initRunning, probing} {
			if f := rule(c); f != nil {
				found = append(found, f)
				break
			}
		}
		if c.init && len(found) > 0 {
			return found // the others wait for it
		}
	}
	if len(found) > 0 {
		return found
	}
	if f := gated(pod); f != nil {
		return []*Finding{f}
	}
	f := about(pod, "NotReady", "the pod is not ready")
	if ready := condition(pod, corev1.PodReady); ready != nil {
		f.Message += strings.TrimSuffix(": "+anonymous(pod, ready.Message), ": ")
		f.Since = ready.LastTransitionTime.Time
	}
	f.Next = "look at the pod with kubectl describe pod"
	return []*Finding{f}
}

// unscheduled explains a pod that no scheduler has looked at, that waits for its
// scheduling gates to be removed, or at which the scheduler fails.
//
// Source: PodReasonSchedulingGated and PodReasonSchedulerError in
// k8s.io/api/core/v1.
func unscheduled(g *Group, pod *corev1.Pod) *Finding {
	scheduled := condition(pod, corev1.PodScheduled)
	switch {
	case pod.Spec.NodeName != "" || pod.Status.Phase != corev1.PodPending:
		return nil
	case scheduled == nil:
		f := about(pod, "Pending", fmt.Sprintf("scheduler %q has not looked at the pod", cmp.Or(pod.Spec.SchedulerName, corev1.DefaultSchedulerName)))
		f.Since = pod.CreationTimestamp.Time
		f.Next = "correct schedulerName in the pod template, or see that this scheduler runs"
		return f
	case scheduled.Reason == corev1.PodReasonSchedulingGated:
		f := about(pod, scheduled.Reason, "the pod waits for its scheduling gates: "+gates(pod))
		f.Since = scheduled.LastTransitionTime.Time
		f.Next = "see that the controller that removes the gates runs"
		return f
	case scheduled.Status == corev1.ConditionFalse: // the scheduler met an error
		f := about(pod, cmp.Or(scheduled.Reason, "Pending"), "the pod is not scheduled: "+anonymous(pod, scheduled.Message))
		f.Since = scheduled.LastTransitionTime.Time
		f.Next = nextFor(scheduled.Message, scheduling)
		if why, next := pendingClaim(g, pod); why != "" {
			f.Message += "; " + why
			f.Next = next
		}
		return f
	}
	return nil
}

func gates(pod *corev1.Pod) string {
	var names []string
	for _, gate := range pod.Spec.SchedulingGates {
		names = append(names, gate.Name)
	}
	return strings.Join(names, ", ")
}

// notPrepared explains a pod whose node cannot prepare it: the volume, Secret
// or ConfigMap to mount is missing, or the network. Only events say that.
//
// Source: kubernetes/pkg/kubelet/events/event.go.
func notPrepared(g *Group, pod *corev1.Pod) *Finding {
	if slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.State.Running != nil }) {
		return nil // what failed has healed
	}
	e := lastEvent(g, pod, "", "FailedMount", "FailedAttachVolume", "FailedMapVolume",
		"FailedCreatePodSandBox", "NetworkNotReady", "FailedPrepareDynamicResources")
	if e == nil {
		return nil
	}
	f := about(pod, e.Reason, "the node cannot prepare the pod: "+anonymous(pod, e.Message))
	f.Since = firstTime(e)
	f.Next = nextFor(e.Message, preparing)
	return f
}

var preparing = []advice{
	{"references non-existent secret key", "add the key to the Secret, or correct it in the pod template"},
	{"references non-existent config key", "add the key to the ConfigMap, or correct it in the pod template"},
	{"configmap", "add the ConfigMap to the manifests, or correct its name in the pod template"},
	{"secret", "create the Secret in this namespace, or correct its name in the pod template"},
	{"Multi-Attach", "a ReadWriteOnce volume is still in use by another pod: use strategy Recreate, or another volume"},
	{"olume", "look at the volume with kubectl describe pvc"},
	{"", "the node or its network is at fault: look at it with kubectl describe node"},
}

// pulling explains a container whose image is still on its way.
func pulling(c container) *Finding {
	e := lastEvent(c.group, c.pod, c.status.Name, "Pulling", "Pulled")
	reason, _ := c.waiting()
	if e == nil || e.Reason != "Pulling" || !isStarting(reason) || c.status.State.Running != nil {
		return nil
	}
	f := c.finding("Pulling", "%s is still pulling its image %s", c.name(), c.spec.Image)
	f.Since = LastTime(e)
	f.Next = "make the image smaller, or raise ROLLSTEP_TIMEOUT"
	return f
}

// stillWaiting explains a container that waits for another reason than that of
// a finding. Waiting for init containers is theirs to explain.
func stillWaiting(c container) *Finding {
	reason, message := c.waiting()
	if reason == "" || reason == "PodInitializing" {
		return nil
	}
	f := c.finding(reason, "%s waits to be started%s", c.name(), strings.TrimSuffix(": "+message, ": "))
	f.Since = c.waitingSince()
	f.Next = "look at the pod with kubectl describe pod"
	return f
}

// initRunning explains a pod whose init container has not finished. One that
// keeps running beside the others (a sidecar) only has to have started.
func initRunning(c container) *Finding {
	sidecar := c.spec.RestartPolicy != nil && *c.spec.RestartPolicy == corev1.ContainerRestartPolicyAlways
	if !c.init || sidecar || c.status.Ready || c.status.State.Running == nil || isTrue(c.pod, corev1.PodInitialized) {
		return nil
	}
	f := c.finding("PodInitializing", "%s is still running: the others wait for it to finish", c.name())
	f.Since = c.status.State.Running.StartedAt.Time
	f.WantsLog = true
	f.Next = "read its log lines for what it waits for"
	return f
}

// gated explains a pod whose containers are ready but whose readiness gates are
// not: a load balancer or another controller has not confirmed it.
func gated(pod *corev1.Pod) *Finding {
	for _, gate := range pod.Spec.ReadinessGates {
		if !isTrue(pod, gate.ConditionType) {
			f := about(pod, "ReadinessGatesNotReady", fmt.Sprintf("the pod waits for its readiness gate %s", gate.ConditionType))
			f.Next = "see that the controller that sets this condition runs"
			return f
		}
	}
	return nil
}
