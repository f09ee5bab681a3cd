package podlife

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/kubelet/events"

	"gitlab.com/rollstep/rollstep/lab/internal/behaviour"
)

// runEnds is when a run that starts now ends by itself; zero if it does not.
func (c *container) runEnds(now time.Time) time.Time {
	switch c.does.Name {
	case behaviour.Crash, behaviour.OOM, behaviour.Flapping, behaviour.NotAlive:
		return now.Add(c.does.CrashAfter)
	case behaviour.CrashLater:
		if c.crashes > 0 {
			return now.Add(secondCrash)
		}
		return now.Add(c.does.CrashAfter)
	case behaviour.NeverReady:
		return time.Time{}
	}
	switch c.role {
	case initialiser:
		return now.Add(initTime + c.does.ReadyAfter)
	case task:
		return now.Add(taskTime + c.does.ReadyAfter)
	default:
		return time.Time{}
	}
}

// exitOf is how a run ends that ends by itself.
func (c *container) exitOf() (code int32, reason string) {
	switch c.does.Name {
	case behaviour.Crash, behaviour.CrashLater, behaviour.Flapping:
		return 1, "Error"
	case behaviour.OOM:
		return 137, "OOMKilled"
	case behaviour.NotAlive: // it does not listen to SIGTERM either
		return 137, "Error"
	default:
		return 0, "Completed"
	}
}

// becomesReady is when a run that starts now becomes ready; zero if it does
// not. A container that crashes soon after its start never does, as one with a
// readiness probe would not.
func (c *container) becomesReady(now time.Time) time.Time {
	switch c.does.Name {
	case behaviour.Crash, behaviour.OOM, behaviour.NeverReady:
		return time.Time{}
	case behaviour.CrashLater:
		if c.crashes > 0 {
			return time.Time{}
		}
	}
	if c.role == initialiser {
		return time.Time{} // is "ready" once it has completed
	}
	if c.spec.ReadinessProbe != nil && c.does.ReadyAfter == 0 {
		return now.Add(firstProbe)
	}
	return now.Add(c.does.ReadyAfter)
}

// probe records what a failing readiness probe would.
func (c *container) probe(s *step) {
	failing := c.does.Name == behaviour.NeverReady || c.does.Name == behaviour.Slow && c.spec.ReadinessProbe != nil
	if !failing || !s.due(c.probeAt) {
		return
	}
	c.event(s, corev1.EventTypeWarning, events.ContainerUnhealthy, "Readiness probe failed: %s", probeOutput(c.spec.ReadinessProbe))
	c.probeAt = s.now.Add(probePeriod(c.spec.ReadinessProbe))
	s.due(c.probeAt)
}

// failLiveness records what the kubelet does before it kills a container whose
// liveness probe fails.
func (c *container) failLiveness(s *step) {
	c.event(s, corev1.EventTypeWarning, events.ContainerUnhealthy, "Liveness probe failed: %s", probeOutput(c.spec.LivenessProbe))
	c.event(s, corev1.EventTypeNormal, events.KillingContainer, "Container %s failed liveness probe, will be restarted", c.spec.Name)
}

func probePeriod(probe *corev1.Probe) time.Duration {
	if probe == nil || probe.PeriodSeconds == 0 {
		return 10 * time.Second
	}
	return time.Duration(probe.PeriodSeconds) * time.Second
}

func probeOutput(probe *corev1.Probe) string {
	switch {
	case probe == nil || probe.HTTPGet != nil:
		return "HTTP probe failed with statuscode: 503"
	case probe.TCPSocket != nil:
		return "dial tcp: connect: connection refused"
	case probe.GRPC != nil:
		return `service unhealthy (responded with "NOT_SERVING")`
	default:
		return "not ready"
	}
}
