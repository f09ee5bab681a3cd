package rollout

import (
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// podFindings are what is wrong with one pod as a whole, else with each of its
// containers.
func podFindings(g *Group, pod *corev1.Pod, now time.Time) []*Finding {
	switch pod.Status.Phase {
	case corev1.PodSucceeded:
		return nil
	case corev1.PodFailed: // its containers say what was, not what is
		return []*Finding{failedPhase(pod)}
	}
	for _, f := range []*Finding{lostClaim(g, pod), unschedulable(g, pod, now)} {
		if f != nil {
			return []*Finding{f}
		}
	}
	var found []*Finding
	for c := range containers(g, pod, now) {
		for _, rule := range containerRules {
			if f := rule(c); f != nil {
				found = append(found, f)
				break
			}
		}
	}
	return found
}

// failedPhase catches pods that ended for good, at once: nothing brings such a
// pod back. Except those whose end says nothing about the release
// (isReplaced).
//
// Source: failed_phase? in krane's kubernetes_resource/pod.rb.
func failedPhase(pod *corev1.Pod) *Finding {
	if isReplaced(pod) {
		return nil
	}
	f := about(pod, "Failed", "the pod has failed")
	f.Fatal = true
	f.Next = "look at the pod with kubectl describe pod"
	if pod.Status.Reason != "" {
		f.Reason = pod.Status.Reason
	}
	if pod.Status.Message != "" {
		f.Message += ": " + anonymous(pod, pod.Status.Message)
	}
	if pod.Status.Reason == "DeadlineExceeded" {
		f.Next = "remove activeDeadlineSeconds from the pod template"
	}
	return f
}

// disrupted are the reasons with which a node or the cluster ends a pod, or
// does not take it after all, for causes of its own.
//
// Sources: kubernetes/pkg/kubelet/eviction/helpers.go (Evicted),
// pkg/kubelet/preemption (Preempting), pkg/kubelet/nodeshutdown (Terminated,
// NodeShutdown), pkg/kubelet/lifecycle/predicate.go (NodeAffinity,
// UnexpectedAdmissionError, OutOf…), pkg/util/node (NodeLost).
var disrupted = map[string]bool{
	"Evicted": true, "Preempting": true, "Terminated": true, "NodeShutdown": true,
	"Shutdown": true, "NodeLost": true, "NodeAffinity": true, "UnexpectedAdmissionError": true,
}

// isReplaced says that a pod failed for no fault of its own: evicted,
// preempted, refused by a full node, or lost with it. Its controller does not
// count it any more and makes another.
func isReplaced(pod *corev1.Pod) bool {
	if pod.Status.Phase != corev1.PodFailed {
		return false
	}
	return disrupted[pod.Status.Reason] || strings.HasPrefix(pod.Status.Reason, "OutOf") || isTrue(pod, corev1.DisruptionTarget)
}

// unschedulable catches pods that no node takes, after scheduleGrace. Except
// while an autoscaler adds a node for the pod, or the scheduler makes room for
// it by preemption: then only the stage's timeout ends it.
//
// Source: failed_schedule_reason in krane's kubernetes_resource/pod.rb;
// kubernetes/pkg/scheduler/schedule_one.go writes the condition.
func unschedulable(g *Group, pod *corev1.Pod, now time.Time) *Finding {
	scheduled := condition(pod, corev1.PodScheduled)
	if scheduled == nil || scheduled.Status != corev1.ConditionFalse || scheduled.Reason != corev1.PodReasonUnschedulable {
		return nil
	}
	message := preemption.ReplaceAllString(scheduled.Message, "")
	f := about(pod, "Unschedulable", "no node takes the pod: "+anonymous(pod, message))
	f.Since = scheduled.LastTransitionTime.Time
	f.Next = nextFor(message, scheduling)
	if why, next := pendingClaim(g, pod); why != "" {
		f.Message += "; " + why
		f.Next = next
	}
	if scalingUp(g, pod) {
		f.Message += " (the cluster autoscaler is adding a node)"
		f.Next = "wait for the node; if it takes longer than the stage may, raise ROLLSTEP_TIMEOUT"
		return f
	}
	if pod.Status.NominatedNodeName != "" {
		f.Message += " (the scheduler is making room on a node)"
		return f
	}
	return f.fatalFrom(f.Since.Add(scheduleGrace), now)
}

// preemption is tried for every such pod, and its outcome adds nothing.
var preemption = regexp.MustCompile(`[.,]?( no new claims to deallocate,)? preemption: .*`)

// scalingUp says whether the newest word of an autoscaler on a pod is that a
// node is coming for it.
//
// Sources: the events of kubernetes/autoscaler
// cluster-autoscaler/processors/status/eventing_scale_up_processor.go
// (TriggeredScaleUp, NotTriggerScaleUp) and of Karpenter (Nominated:
// karpenter.sh/docs/troubleshooting).
func scalingUp(g *Group, pod *corev1.Pod) bool {
	newest := lastEvent(g, pod, "", "TriggeredScaleUp", "NotTriggerScaleUp", "Nominated")
	return newest != nil && newest.Reason != "NotTriggerScaleUp"
}

// advice is a next action for messages that contain a text.
type advice struct{ text, next string }

var scheduling = []advice{
	{"unbound immediate PersistentVolumeClaims", "look at the claim with kubectl describe pvc: its storage class may be missing or unable to provide a volume"},
	{"persistentvolumeclaim", "create the PersistentVolumeClaim, or correct its name in the pod template"},
	{"volume node affinity conflict", "the volume lives in another zone than the free nodes: add a node there, or use another volume"},
	{"Insufficient", "lower resources.requests, free capacity, or add a node"},
	{"Too many pods", "free capacity, or add a node"},
	{"untolerated taint", "add a toleration for the taint to the pod template, or remove it from a node"},
	{"node affinity/selector", "correct nodeSelector or nodeAffinity in the pod template, or label a node"},
	{"anti-affinity", "relax podAntiAffinity in the pod template, or add a node"},
	{"topology spread constraints", "relax topologySpreadConstraints in the pod template, or add a node"},
	{"node(s) were unschedulable", "let a node take pods again (kubectl uncordon), or add a node"},
	{"free ports", "remove hostPort from the pod template, or run fewer pods than nodes"},
	{"", "look at the pod with kubectl describe pod"},
}

// nextFor is the action of the first advice whose text is in the message.
func nextFor(message string, list []advice) string {
	for _, h := range list {
		if strings.Contains(message, h.text) {
			return h.next
		}
	}
	return ""
}

// about starts a finding on one pod.
func about(pod *corev1.Pod, reason, message string) *Finding {
	return &Finding{Reason: reason, Message: message, Pods: []string{pod.Name}}
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

func isTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	c := condition(pod, kind)
	return c != nil && c.Status == corev1.ConditionTrue
}
