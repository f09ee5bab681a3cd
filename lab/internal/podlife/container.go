package podlife

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/kubernetes/pkg/kubelet/events"

	"gitlab.com/rollstep/rollstep/lab/internal/behaviour"
)

// role is what a container is for in its pod.
type role int

const (
	service     role = iota // runs as long as the pod
	task                    // ends by itself: restartPolicy Never or OnFailure
	initialiser             // ends by itself, before the others start
	sidecar                 // an init container that goes on running
)

// phase is where a container is on its way.
type phase int

const (
	created phase = iota
	pulling
	pullFailed
	pullBackOff
	configuring
	creating
	running
	exited
	crashBackOff
	finished
)

// How long the parts of a container's way take.
const (
	pullTime    = 200 * time.Millisecond
	failureSeen = 300 * time.Millisecond // between a failure and its back-off
	firstProbe  = 300 * time.Millisecond
	initTime    = 200 * time.Millisecond
	taskTime    = time.Second
	secondCrash = 500 * time.Millisecond // how long the runs after the first crash last
)

type container struct {
	spec *corev1.Container
	role role
	does behaviour.Behaviour

	phase phase
	until time.Time // when the phase ends, for phases that end by themselves
	pull  pull
	conf  configuration

	id       string
	state    corev1.ContainerState
	last     corev1.ContainerState
	restarts int32
	ready    bool
	readyAt  time.Time
	probeAt  time.Time
	crashes  int

	log, previousLog []Line
}

// advance takes every step of the way that is due.
func (c *container) advance(s *step) {
	for c.proceed(s) {
	}
}

// proceed takes one step if it is due, and tells whether it did.
func (c *container) proceed(s *step) bool {
	switch c.phase {
	case created:
		c.startPull(s)
	case pulling:
		if !s.due(c.until) {
			return false
		}
		c.endPull(s)
	case pullFailed:
		if !s.due(c.until) {
			return false
		}
		c.backOffPull(s)
	case pullBackOff:
		if !s.due(c.until) {
			return false
		}
		c.startPull(s)
	case configuring:
		if !c.configured(s) {
			return false
		}
		c.phase, c.until = creating, s.now
	case creating:
		if !s.due(c.until) {
			return false
		}
		c.create(s)
	case running:
		return c.runOn(s)
	case exited:
		if !s.due(c.until) {
			return false
		}
		c.afterExit(s)
	case crashBackOff:
		if !s.due(c.until) {
			return false
		}
		c.restart(s)
	case finished:
		return false
	}
	return true
}

// initialised tells that the containers after this init container may start.
func (c *container) initialised() bool {
	if c.role == sidecar {
		return c.phase == running
	}
	return c.phase == finished && c.state.Terminated.ExitCode == 0
}

func (c *container) start(s *step) {
	c.event(s, corev1.EventTypeNormal, events.CreatedContainer, "Container created")
	c.event(s, corev1.EventTypeNormal, events.StartedContainer, "Container started")
	c.phase = running
	c.id = newID()
	c.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(s.now)}}
	c.until = c.runEnds(s.now)
	c.readyAt, c.probeAt = c.becomesReady(s.now), s.now.Add(firstProbe)
	c.previousLog, c.log = c.log, startLines(s.pod, c, s.now)
}

func (c *container) restart(s *step) {
	c.event(s, corev1.EventTypeNormal, events.PulledImage, "Container image %q already present on machine and can be accessed by the pod", c.spec.Image)
	c.remember()
	c.restarts++
	c.create(s)
}

func (c *container) runOn(s *step) bool {
	if !c.readyAt.IsZero() && !c.ready && s.due(c.readyAt) {
		c.ready = true
	}
	if !c.ready {
		c.probe(s)
	}
	if c.until.IsZero() || !s.due(c.until) {
		return false
	}
	if c.does.Name == behaviour.NotAlive {
		c.failLiveness(s)
	}
	code, reason := c.exitOf()
	c.exit(s, code, reason)
	return true
}

// exit ends the run; whether another follows is decided in afterExit.
func (c *container) exit(s *step, code int32, reason string) {
	c.log = append(c.log, endLines(c, code, reason, s.now)...)
	c.state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: code, Reason: reason, ContainerID: c.id,
		StartedAt: c.state.Running.StartedAt, FinishedAt: metav1.NewTime(s.now),
	}}
	c.ready = false
	c.phase, c.until = exited, s.now.Add(failureSeen)
	if code != 0 {
		c.crashes++
	}
	if !c.restartable(s.pod) {
		c.phase = finished
	}
}

func (c *container) restartable(pod *corev1.Pod) bool {
	code := c.state.Terminated.ExitCode
	switch c.role {
	case service, sidecar:
		return true
	default:
		return code != 0 && pod.Spec.RestartPolicy != corev1.RestartPolicyNever
	}
}

// afterExit restarts after the first crash at once and backs off after later
// ones, as doBackOff in pkg/kubelet/kuberuntime/kuberuntime_manager.go does.
func (c *container) afterExit(s *step) {
	if c.crashes < 2 {
		c.restart(s)
		return
	}
	named, real := c.crashBackOff()
	pod := fmt.Sprintf("%s_%s(%s)", s.pod.Name, s.pod.Namespace, s.pod.UID)
	c.event(s, corev1.EventTypeWarning, events.BackOffStartContainer, "Back-off restarting failed container %s in pod %s", c.spec.Name, pod)
	c.remember()
	c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason:  "CrashLoopBackOff",
		Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", named, c.spec.Name, pod),
	}}
	c.phase, c.until = crashBackOff, s.now.Add(real)
}

// remember keeps how the last run ended, as the kubelet's lastState does.
func (c *container) remember() {
	if c.state.Terminated != nil {
		c.last = corev1.ContainerState{Terminated: c.state.Terminated}
	}
}

// crashBackOff returns the kubelet's back-off, which messages name, and the
// tenth of it that the lab waits, so that tests see a restart soon.
func (c *container) crashBackOff() (named, real time.Duration) {
	if c.does.Name == behaviour.Flapping {
		return 10 * time.Second, time.Second
	}
	return backOff(c.crashes - 1)
}

// backOff returns the kubelet's n-th back-off and the lab's shorter one.
func backOff(n int) (named, real time.Duration) {
	named = min(10*time.Second<<min(n-1, 10), 5*time.Minute)
	return named, named / 10
}

func (c *container) event(s *step, eventType, reason, format string, args ...any) {
	field := "spec.containers"
	if c.role == initialiser || c.role == sidecar {
		field = "spec.initContainers"
	}
	s.events = append(s.events, Event{
		Type: eventType, Reason: reason, Message: fmt.Sprintf(format, args...),
		FieldPath: fmt.Sprintf("%s{%s}", field, c.spec.Name),
	})
}

// newID looks like a container's ID at containerd.
func newID() string {
	sum := sha256.Sum256([]byte(rand.String(32)))
	return "containerd://" + hex.EncodeToString(sum[:])
}
