package podlife

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/kubelet/events"
)

// shutdown is how long an application goes on after SIGTERM: longer than it takes a busy
// machine to have everybody see that its pod is no endpoint any more.
const shutdown = 3 * time.Second

// stop ends a deleted pod: its running containers are told to stop once their
// preStop hooks have slept, go on serving while they shut down, and are then gone.
func (l *Life) stop(s *step) {
	if l.stopAt.IsZero() {
		var wait time.Duration
		for _, c := range l.all() {
			if c.state.Running != nil {
				wait = max(wait, min(preStop(c.spec)+shutdown, grace(s.pod)))
				c.event(s, corev1.EventTypeNormal, events.KillingContainer, "Stopping container %s", c.spec.Name)
			}
		}
		l.stopAt = s.now.Add(wait)
	}
	if l.stopped || !s.due(l.stopAt) {
		return
	}
	for _, c := range l.all() {
		if c.state.Running != nil {
			c.exit(s, 0, "Completed")
		}
	}
	l.stopped = true
}

func preStop(c *corev1.Container) time.Duration {
	if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil {
		return 0
	}
	return time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
}

func grace(pod *corev1.Pod) time.Duration {
	if pod.DeletionGracePeriodSeconds == nil {
		return shutdown
	}
	return time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
}
