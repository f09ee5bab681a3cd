package podlife

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/kubelet/events"

	"gitlab.com/rollstep/rollstep/lab/internal/behaviour"
)

// pull is how far the pulling of a container's image has come. The states and
// texts follow pkg/kubelet/images/image_manager.go, the errors containerd.
type pull struct {
	failures int
	err      string
}

func (c *container) startPull(s *step) {
	if _, err := reference.ParseNormalizedNamed(c.spec.Image); err != nil {
		c.refuseName(s, err)
		return
	}
	c.event(s, corev1.EventTypeNormal, events.PullingImage, "Pulling image %q", c.spec.Image)
	c.phase, c.until = pulling, s.now.Add(pullTime)
}

// refuseName ends a pull before it begins, as applyDefaultImageTag does.
func (c *container) refuseName(s *step, err error) {
	message := fmt.Sprintf("Failed to apply default image tag %q: couldn't parse image name %q: %v", c.spec.Image, c.spec.Image, err)
	c.event(s, corev1.EventTypeWarning, events.FailedToInspectImage, "%s", message)
	c.event(s, corev1.EventTypeWarning, events.FailedToCreateContainer, "Error: InvalidImageName")
	c.wait("InvalidImageName", message)
	_, real := backOff(1)
	c.phase, c.until = pullBackOff, s.now.Add(real)
}

func (c *container) endPull(s *step) {
	if c.pull.err = pullError(c.does.Name, c.spec.Image); c.pull.err == "" {
		c.event(s, corev1.EventTypeNormal, events.PulledImage, "Successfully pulled image %q in %v (%v including waiting). Image size: 12582912 bytes.", c.spec.Image, pullTime, pullTime)
		c.phase, c.conf = configuring, configuration{}
		return
	}
	c.pull.failures++
	c.event(s, corev1.EventTypeWarning, events.FailedToPullImage, "Failed to pull image %q: %s", c.spec.Image, c.pull.err)
	c.event(s, corev1.EventTypeWarning, events.FailedToCreateContainer, "Error: ErrImagePull")
	c.wait("ErrImagePull", c.pull.err)
	c.phase, c.until = pullFailed, s.now.Add(failureSeen)
}

func (c *container) backOffPull(s *step) {
	message := fmt.Sprintf("Back-off pulling image %q", c.spec.Image)
	c.event(s, corev1.EventTypeNormal, events.BackOffPullImage, "%s", message)
	c.event(s, corev1.EventTypeWarning, events.FailedToCreateContainer, "Error: ImagePullBackOff")
	c.wait("ImagePullBackOff", message+": ErrImagePull: "+c.pull.err)
	_, real := backOff(c.pull.failures)
	c.phase, c.until = pullBackOff, s.now.Add(max(real, time.Second))
}

func (c *container) wait(reason, message string) {
	c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func pullError(name behaviour.Name, image string) string {
	full := fullName(image)
	switch name {
	case behaviour.ImageMissing:
		return fmt.Sprintf("rpc error: code = NotFound desc = failed to pull and unpack image %q: failed to resolve reference %q: %s: not found", full, full, full)
	case behaviour.ImageUnauthorized:
		return fmt.Sprintf("failed to pull and unpack image %q: failed to resolve reference %q: pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials: 401 Unauthorized", full, full)
	default:
		return ""
	}
}

// fullName is the image as the container runtime names it.
func fullName(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return image
	}
	return reference.TagNameOnly(named).String()
}

// imageID is what the runtime would report for the image: one digest per name.
func imageID(image string) string {
	full := fullName(image)
	name, digest, ok := strings.Cut(full, "@")
	if !ok {
		sum := sha256.Sum256([]byte(full))
		digest = "sha256:" + hex.EncodeToString(sum[:])
	}
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		name = name[:i]
	}
	return name + "@" + digest
}
