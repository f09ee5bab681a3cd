package podlife

import corev1 "k8s.io/api/core/v1"

// podPhase follows getPhase in pkg/kubelet/kubelet_pods.go.
func (l *Life) podPhase(pod *corev1.Pod) corev1.PodPhase {
	for _, c := range l.inits {
		if c.phase == finished && c.state.Terminated.ExitCode != 0 {
			return corev1.PodFailed
		}
		if !c.initialised() && !l.anyStarted() && !l.stopped {
			return corev1.PodPending
		}
	}
	var waiting, running, ended, succeeded int
	for _, c := range l.mains {
		switch {
		case c.state.Running != nil:
			running++
		case c.state.Terminated != nil && (c.phase == finished || l.stopped):
			ended++
			if c.state.Terminated.ExitCode == 0 {
				succeeded++
			}
		case c.state.Terminated == nil && c.last.Terminated == nil:
			waiting++
		}
	}
	switch {
	case waiting > 0:
		return corev1.PodPending
	case running > 0:
		return corev1.PodRunning
	case succeeded == len(l.mains):
		return corev1.PodSucceeded
	case ended == len(l.mains):
		return corev1.PodFailed
	case l.stopped:
		return corev1.PodFailed
	default:
		return corev1.PodRunning
	}
}

func (l *Life) anyStarted() bool {
	for _, c := range l.mains {
		if c.id != "" {
			return true
		}
	}
	return false
}
