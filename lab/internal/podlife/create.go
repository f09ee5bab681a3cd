package podlife

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/kubelet/events"

	"gitlab.com/rollstep/rollstep/lab/internal/behaviour"
)

// What the runtimes say: containerd, but for cannotRun, which is dockerd's.
const (
	noCommand = "failed to generate container \"CONTAINER_ID\" spec: failed to generate spec: no command specified"
	noProgram = `failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: ` +
		`unable to start container process: error during container init: exec: "app": executable file not found in $PATH: unknown`
	cannotRun = `OCI runtime create failed: runc create failed: unable to start container process: exec: "app": executable file not found in $PATH: unknown`
)

// create lets the runtime create and start the container, which may fail. The
// states and texts follow startContainer in
// pkg/kubelet/kuberuntime/kuberuntime_container.go.
func (c *container) create(s *step) {
	switch c.does.Name {
	case behaviour.CreateError:
		c.event(s, corev1.EventTypeWarning, events.FailedToCreateContainer, "Error: %s", noCommand)
		c.wait("CreateContainerError", noCommand)
		// Nothing was made that could be restarted: the next sync of the pod tries again.
		_, real := backOff(1)
		c.phase, c.until = creating, s.now.Add(real)
	case behaviour.RunError:
		c.failStart(s, 128, "StartError", noProgram)
		c.remember()
		c.wait("RunContainerError", noProgram)
	case behaviour.CannotRun:
		c.failStart(s, 127, "ContainerCannotRun", cannotRun)
	default:
		c.start(s)
	}
}

// failStart leaves a container that was created and never ran.
func (c *container) failStart(s *step, code int32, reason, message string) {
	c.event(s, corev1.EventTypeNormal, events.CreatedContainer, "Container created")
	c.event(s, corev1.EventTypeWarning, events.FailedToStartContainer, "Error: %s", message)
	c.id, c.log, c.previousLog = newID(), nil, c.log
	c.state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: code, Reason: reason, Message: message, ContainerID: c.id,
		// Runtimes report the start that never was as the Unix epoch.
		StartedAt: metav1.Unix(0, 0), FinishedAt: metav1.NewTime(s.now),
	}}
	c.crashes++
	c.phase, c.until = exited, s.now.Add(failureSeen)
	if !c.restartable(s.pod) {
		c.phase = finished
	}
}
