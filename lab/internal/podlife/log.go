package podlife

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"gitlab.com/rollstep/rollstep/lab/internal/behaviour"
)

// Line is one line of a container's log.
type Line struct {
	Time time.Time
	Text string
}

// Log returns the log of a container's current or previous run. It refuses as
// validateContainerLogStatus in pkg/kubelet/kubelet_pods.go does.
func (l *Life) Log(pod, container string, previous bool) ([]Line, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.find(container)
	switch {
	case c == nil:
		return nil, fmt.Errorf("container %q in pod %q is not available", container, pod)
	case previous && c.last.Terminated == nil:
		return nil, fmt.Errorf("previous terminated container %q in pod %q not found", container, pod)
	case previous && c.state.Waiting != nil:
		// The run before this wait is both the previous and the last one.
		return c.log, nil
	case previous:
		return c.previousLog, nil
	case c.id != "":
		return c.log, nil
	case c.state.Waiting == nil:
		return nil, fmt.Errorf("container %q in pod %q is terminated", container, pod)
	}
	switch reason := c.state.Waiting.Reason; reason {
	case "ErrImagePull":
		return nil, fmt.Errorf("container %q in pod %q is waiting to start: image can't be pulled", container, pod)
	case "ImagePullBackOff":
		return nil, fmt.Errorf("container %q in pod %q is waiting to start: trying and failing to pull image", container, pod)
	default:
		return nil, fmt.Errorf("container %q in pod %q is waiting to start: %s", container, pod, reason)
	}
}

// Running tells whether the container's current run goes on.
func (l *Life) Running(container string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.find(container)
	return c != nil && c.state.Running != nil
}

// startLines is what a container logs when it starts.
func startLines(pod *corev1.Pod, c *container, now time.Time) []Line {
	version := behaviour.Tag(c.spec.Image)
	if version == "" {
		version = behaviour.Version(pod)
	}
	texts := []string{fmt.Sprintf("starting %s, version %s", c.spec.Name, version)}
	switch {
	case c.role == initialiser:
		texts = append(texts, "initialising")
	case c.role == task:
		texts = append(texts, "working")
	case c.does.Name == behaviour.Crash || c.does.Name == behaviour.CrashLater && c.crashes > 0:
		texts = append(texts, "connecting to database db:5432")
	case c.does.Name == behaviour.OOM:
		texts = append(texts, "loading all records into memory")
	case c.does.Name == behaviour.NeverReady:
		texts = append(texts, "waiting for upstream: not ready yet")
	default:
		texts = append(texts, fmt.Sprintf("listening on :%d, version %s", port(c.spec), version))
	}
	if more := pod.Annotations[behaviour.AnnotationLog]; more != "" {
		texts = append(texts, strings.Split(strings.TrimRight(more, "\n"), "\n")...)
	}
	return lines(now, texts)
}

// endLines is what a container logs last.
func endLines(c *container, code int32, reason string, now time.Time) []Line {
	switch {
	case reason == "OOMKilled":
		return nil // killed without a word
	case code != 0:
		return lines(now, []string{"panic: cannot open database: connection refused", fmt.Sprintf("exit status %d", code)})
	case c.role == task || c.role == initialiser:
		return lines(now, []string{"done"})
	default:
		return lines(now, []string{"shutting down"})
	}
}

func lines(now time.Time, texts []string) []Line {
	var all []Line
	for _, text := range texts {
		all = append(all, Line{Time: now, Text: text})
	}
	return all
}

// port is where the application listens: its first declared port, else 5000.
func port(c *corev1.Container) int32 {
	if len(c.Ports) > 0 {
		return c.Ports[0].ContainerPort
	}
	return 5000
}
