package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// crash is how the container ended last: just now, or before its present run.
func (c container) crash() *corev1.ContainerStateTerminated {
	if t := c.status.State.Terminated; t != nil {
		return t
	}
	return c.status.LastTerminationState.Terminated
}

// ran is how long the crashed run lasted. A container that never started
// started in 1970.
func ran(t *corev1.ContainerStateTerminated) time.Duration {
	if t == nil || t.StartedAt.Unix() <= 0 {
		return 0
	}
	return max(0, t.FinishedAt.Sub(t.StartedAt.Time))
}

// restarts are those since the stage began.
func (c container) restarts() int32 {
	return max(0, c.status.RestartCount-c.group.Restarts[c.pod.UID][c.status.Name])
}

// crashed adds what all findings on crashes have in common.
func (c container) crashed(f *Finding) *Finding {
	f.restarts = c.restarts()
	f.WantsLog = true
	f.PreviousLog = c.status.State.Terminated == nil && c.status.LastTerminationState.Terminated != nil
	if t := c.crash(); t != nil {
		f.Since = t.FinishedAt.Time
	}
	for _, e := range podEvents(c.group, c.pod, c.status.Name, "BackOff") {
		f.Since = earliest(f.Since, firstTime(e))
	}
	return f
}

// cannotStart catches containers whose process could not be started, as
// runtimes report it afterwards: at once, except with exit code 128 and no
// cause that lies in the image or the manifest, which nodes with a hiccup
// report too; then after secondChance. A container that runs by now is fine.
//
// Sources: github.com/Shopify/krane/pull/694; setExitReason and
// errorStartReason ("StartError", always 128) in containerd's internal/cri.
func cannotStart(c container) *Finding {
	t := c.crash()
	if t == nil || c.status.State.Running != nil || t.Reason != "ContainerCannotRun" && t.Reason != "StartError" {
		return nil
	}
	message := anonymous(c.pod, t.Message)
	f := c.crashed(c.finding(t.Reason, "%s cannot be started: %s", c.name(), cmp.Or(message, t.Reason)))
	f.WantsLog, f.PreviousLog = false, false // it never ran
	f.Next = nextFor(message, starting)
	if t.ExitCode == 128 && !isPermanent(message) {
		return f.fatalFrom(t.FinishedAt.Add(secondChance), c.now)
	}
	return f.fatalFrom(time.Time{}, c.now)
}

// outOfMemory catches containers that are killed for their memory again and
// again: at once when the kubelet backs off or at the second restart. A single
// kill is only noted.
//
// Source: OOMKilled in kubernetes/pkg/kubelet/kuberuntime and the runtimes.
func outOfMemory(c container) *Finding {
	t := c.crash()
	if t == nil || t.Reason != "OOMKilled" || c.restarts() == 0 && c.status.State.Running != nil {
		return nil
	}
	limit := "its memory limit"
	if q, ok := c.spec.Resources.Limits[corev1.ResourceMemory]; ok {
		limit += " of " + q.String()
	}
	f := c.crashed(c.finding("OOMKilled", "%s is killed for using more than %s", c.name(), limit))
	reason, _ := c.waiting()
	f.Fatal = reason == "CrashLoopBackOff" || c.restarts() >= 2
	f.Next = "raise resources.limits.memory, or make the application use less"
	return f
}

// crashLoop catches containers that crash again and again, as soon as the
// kubelet backs off: it restarts a first crash at once, so that by then the
// container has crashed twice, whatever the reason. Exceptions, each with its
// own grace period:
//   - init containers, which often wait for something by failing, containers
//     that ran for a minute (they worked, and what they need may be restarting)
//     and containers that a webhook injected (a sidecar whose control plane is
//     slow: github.com/Shopify/krane/issues/819) get one back-off
//     (secondChance);
//   - if other workloads start at the same time, it may be waiting for one of
//     them (togetherGrace).
//
// Sources: doBackOff in kubernetes/pkg/kubelet/kuberuntime/kuberuntime_manager.go;
// krane's pod.rb.
func crashLoop(c container) *Finding {
	reason, _ := c.waiting()
	if reason != "CrashLoopBackOff" {
		return nil
	}
	message, next := c.howItCrashes()
	f := c.crashed(c.finding(reason, "%s", message))
	f.Next = next
	var fatal time.Time
	t := c.crash()
	if t != nil && (c.init || ran(t) >= time.Minute || c.injected()) {
		fatal = t.FinishedAt.Add(secondChance)
	}
	if c.group.Together {
		fatal = latest(fatal, c.pod.CreationTimestamp.Add(togetherGrace))
	}
	return f.fatalFrom(fatal, c.now)
}

// restarting catches containers that look well between two crashes: fatal at
// fatalRestarts since the stage began, however ready they are. Fewer are noted.
//
// Source: github.com/argoproj/argo-rollouts/issues/3765, a crash loop that
// passed for a day.
func restarting(c container) *Finding {
	if c.restarts() == 0 {
		return nil
	}
	message, next := c.howItCrashes()
	f := c.crashed(c.finding("Restarting", "%s", message))
	f.Fatal = c.restarts() >= fatalRestarts
	f.Next = next
	return f
}

// injected says that the container is not in the ReplicaSet's template.
func (c container) injected() bool {
	if c.group.ReplicaSet == nil {
		return false
	}
	spec := c.group.ReplicaSet.Spec.Template.Spec
	is := func(s corev1.Container) bool { return s.Name == c.status.Name }
	return len(spec.Containers) > 0 && !slices.ContainsFunc(spec.Containers, is) && !slices.ContainsFunc(spec.InitContainers, is)
}

// howItCrashes says how the container ended last, and what to do about it.
func (c container) howItCrashes() (message, next string) {
	if failure := c.probeKill(); failure != "" {
		return fmt.Sprintf("%s is restarted because %s", c.name(), failure),
			"fix what the probe asks for, or give it more time (startupProbe, failureThreshold)"
	}
	t := c.crash()
	if t == nil {
		return c.name() + " crashes", "read its log"
	}
	when := "after running for more than a minute"
	switch d := ran(t); {
	case d < 10*time.Second:
		when = "right after it starts"
	case d < time.Minute:
		when = "within a minute"
	}
	message = fmt.Sprintf("%s exits with code %d %s", c.name(), t.ExitCode, when)
	switch t.ExitCode {
	case 0:
		next = "keep the container's process running in the foreground: it ends without an error"
	case 126, 127:
		next = "correct command and args in the pod template: the program is not in the image, or not executable"
	case 137:
		next = "find out who killed it (SIGKILL): look at the events and at the memory it uses"
	default:
		next = "read its last log lines; fix the application or its configuration"
	}
	return message, next
}

// probeKill says which probe made the kubelet kill the container last, if one
// did.
//
// Source: kubernetes/pkg/kubelet/kuberuntime/kuberuntime_manager.go
// (computePodActions: "Container %s failed liveness probe").
func (c container) probeKill() string {
	kill := lastEvent(c.group, c.pod, c.status.Name, "Killing")
	switch {
	case kill == nil:
		return ""
	case strings.Contains(kill.Message, "failed liveness probe"):
		return fmt.Sprintf("its liveness probe fails: %s%s", describeProbe(c.spec.LivenessProbe), c.probeFailure("liveness"))
	case strings.Contains(kill.Message, "failed startup probe"):
		return fmt.Sprintf("its startup probe fails: %s%s", describeProbe(c.spec.StartupProbe), c.probeFailure("startup"))
	}
	return ""
}
