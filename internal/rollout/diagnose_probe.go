package rollout

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// probing explains a container that runs but has not passed its startup or
// readiness probe: what the probe asks for, and how it failed last.
//
// Source: readiness_fail_reason in krane's kubernetes_resource/pod.rb.
func probing(c container) *Finding {
	if c.status.State.Running == nil || c.status.Ready {
		return nil
	}
	kind, p := "readiness", c.spec.ReadinessProbe
	if c.spec.StartupProbe != nil && (c.status.Started == nil || !*c.status.Started) {
		kind, p = "startup", c.spec.StartupProbe
	}
	if p == nil {
		return nil
	}
	f := c.finding("Unhealthy", "%s has not passed its %s probe: %s%s", c.name(), kind, describeProbe(p), c.probeFailure(kind))
	f.Since = c.status.State.Running.StartedAt.Time
	f.WantsLog = true
	f.Next = "read the container's log; check that the probe asks for what the application serves"
	if p.InitialDelaySeconds > 0 {
		f.Message += fmt.Sprintf(" (first tried after %d s: initialDelaySeconds)", p.InitialDelaySeconds)
	}
	return f
}

// describeProbe says what a probe asks for: "GET /healthz on port 8080".
func describeProbe(p *corev1.Probe) string {
	switch {
	case p == nil:
		return "the probe"
	case p.HTTPGet != nil:
		path := "/" + strings.TrimPrefix(p.HTTPGet.Path, "/")
		return fmt.Sprintf("GET %s on port %s", path, p.HTTPGet.Port.String())
	case p.TCPSocket != nil:
		return fmt.Sprintf("a connection to port %s", p.TCPSocket.Port.String())
	case p.GRPC != nil:
		return fmt.Sprintf("gRPC health check on port %d", p.GRPC.Port)
	case p.Exec != nil:
		return fmt.Sprintf("command `%s`", strings.Join(p.Exec.Command, " "))
	}
	return "the probe"
}

// probeFailure is how the probe failed last: ", which last failed with: HTTP
// probe failed with statuscode: 503". Empty if no event tells.
//
// Source: kubernetes/pkg/kubelet/prober/prober.go ("%s probe failed: %s",
// "%s probe errored and resulted in %s state: %s").
func (c container) probeFailure(kind string) string {
	events := podEvents(c.group, c.pod, c.status.Name, "Unhealthy")
	for i := len(events) - 1; i >= 0; i-- {
		first, failure, ok := strings.Cut(events[i].Message, ": ")
		if ok && strings.HasPrefix(strings.ToLower(first), kind+" probe ") {
			return ", which last failed with: " + anonymous(c.pod, failure)
		}
	}
	return ""
}
