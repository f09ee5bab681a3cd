// Package podlife is the life of one pod on a node, as a kubelet would run it:
// a state machine over a given time, without any API access. It is told the
// time, says what happened (events), what is (status) and when it is next due.
package podlife

import (
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"

	"gitlab.com/rollstep/rollstep/lab/internal/behaviour"
)

// Life is one pod's life. Its methods may be called from several goroutines.
type Life struct {
	mu sync.Mutex

	ip      string
	started metav1.Time
	mounts  mounts
	inits   []*container
	mains   []*container
	// stopAt is when a deleted pod's containers have shut down; zero while it is not deleted.
	stopAt  time.Time
	stopped bool
	evicted string // why; empty if it was not
	notices []Event
}

// Event is what a kubelet would record about the pod, or about one container of it.
type Event struct {
	Type, Reason, Message string
	// FieldPath names the container as events do, "" for the pod.
	FieldPath string
}

// New begins the life of a pod that was just seen on its node.
func New(pod *corev1.Pod, ip string, now time.Time) *Life {
	l := &Life{ip: ip, started: metav1.NewTime(now)}
	for i := range pod.Spec.InitContainers {
		spec := &pod.Spec.InitContainers[i]
		role := initialiser
		if podutil.IsRestartableInitContainer(spec) {
			role = sidecar
		}
		l.inits = append(l.inits, l.container(pod, spec, role))
	}
	for i := range pod.Spec.Containers {
		role := service
		if pod.Spec.RestartPolicy != corev1.RestartPolicyAlways {
			role = task
		}
		l.mains = append(l.mains, l.container(pod, &pod.Spec.Containers[i], role))
	}
	return l
}

func (l *Life) container(pod *corev1.Pod, spec *corev1.Container, role role) *container {
	does, err := behaviour.Of(pod, spec.Name)
	if err != nil {
		l.notices = append(l.notices, Event{Type: corev1.EventTypeWarning, Reason: "LabBehaviour", Message: err.Error()})
	}
	c := &container{spec: spec, role: role, does: does}
	c.state.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	if len(pod.Spec.InitContainers) > 0 {
		c.state.Waiting.Reason = "PodInitializing"
	}
	return c
}

// Step lets everything happen that is due by now. It returns the events and
// when to step next; the zero time means: not before the pod changes.
func (l *Life) Step(pod *corev1.Pod, objects Objects, now time.Time) (events []Event, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &step{pod: pod, objects: objects, now: now, events: l.notices}
	l.notices = nil
	switch {
	case pod.DeletionTimestamp != nil:
		l.stop(s)
	case l.mounts.ready(s):
		l.run(s)
		l.evict(s)
	}
	return s.events, s.next
}

// run advances the init containers one after the other, then the others together.
func (l *Life) run(s *step) {
	for _, c := range l.inits {
		c.advance(s)
		if !c.initialised() {
			return
		}
	}
	for _, c := range l.mains {
		c.advance(s)
	}
}

// Stopped tells that a deleted pod has shut down, so that it can be removed from the API.
func (l *Life) Stopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped
}

func (l *Life) all() []*container {
	return append(append([]*container{}, l.inits...), l.mains...)
}

func (l *Life) find(name string) *container {
	for _, c := range l.all() {
		if c.spec.Name == name {
			return c
		}
	}
	return nil
}

// step is one moment in a life: its circumstances, and what comes of it.
type step struct {
	pod     *corev1.Pod
	objects Objects
	now     time.Time
	events  []Event
	next    time.Time
}

// due tells whether a moment has come, and else asks for a step at that moment.
func (s *step) due(at time.Time) bool {
	if !s.now.Before(at) {
		return true
	}
	if s.next.IsZero() || at.Before(s.next) {
		s.next = at
	}
	return false
}

func (s *step) podEvent(eventType, reason, format string, args ...any) {
	s.events = append(s.events, Event{Type: eventType, Reason: reason, Message: fmt.Sprintf(format, args...)})
}
