package rollout

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// imagePull catches images that cannot be pulled: at once if the registry says
// that there is no such image or that it may not be pulled, and if the image's
// signature is wrong; otherwise after registryGrace, since registries and
// networks have hiccups, rate limits among them. Kubelets before 1.32 do not
// repeat the registry's answer while they back off; an event tells it then.
//
// Its Reason is ErrImagePull also while the kubelet backs off between two
// attempts, which takes turns with them.
//
// Sources: kubernetes/pkg/kubelet/images/image_manager.go (pullImage,
// evalCRIPullErr); github.com/Shopify/krane/pull/477 for why a back-off alone
// says too little.
func imagePull(c container) *Finding {
	reason, message := c.waiting()
	switch reason {
	default:
		return nil
	case "ImagePullBackOff":
		reason = "ErrImagePull"
	case "ErrImagePull", "RegistryUnavailable", "SignatureValidationFailed", "ErrImageNeverPull", "ImageInspectError":
	}
	image := cmp.Or(c.spec.Image, c.status.Image)
	answer := pullAnswer(c, message)
	told := strings.TrimPrefix(wrapping.ReplaceAllString(answer, ""), image+": ")
	f := c.finding(reason, "%s cannot pull its image %s: %s", c.name(), image, cmp.Or(told, "no reason given"))
	f.Since = c.waitingSince()

	// The image's own name may read like an answer, and a node's disk like a registry.
	words := strings.NewReplacer(image, "", "permission denied", "").Replace(quotedOrURL.ReplaceAllString(answer, ""))
	switch {
	case reason == "ErrImageNeverPull":
		f.Fatal = true
		f.Next = "set imagePullPolicy to IfNotPresent, or load the image onto the nodes"
	case reason == "SignatureValidationFailed":
		f.Fatal = true
		f.Next = "sign the image as the nodes' policy asks for"
	case rateLimit.MatchString(words):
		f.Next = "wait, or pull through a mirror or with credentials that have a higher limit"
		f.fatalFrom(f.Since.Add(registryGrace), c.now)
	case noImage.MatchString(words):
		f.Fatal = true
		f.Next = fmt.Sprintf("check that %s exists and that the job that pushes it has finished", image)
	case noAccess.MatchString(words):
		f.Fatal = true
		f.Next = pullSecret(c)
	default:
		f.Next = nextFor(answer, reaching)
		f.fatalFrom(f.Since.Add(registryGrace), c.now)
	}
	return f
}

var (
	// wrapping is what containerd puts before an answer, twice naming the image.
	wrapping    = regexp.MustCompile(`^(rpc error: code = \w+ desc = )?(failed to pull and unpack image "[^"]*": )?(failed to resolve reference "[^"]*": )?`)
	quotedOrURL = regexp.MustCompile(`"[^"]*"|https?://[^\s"]+`)
	rateLimit   = regexp.MustCompile(`(?i)toomanyrequests|too many requests|rate limit`)
	noImage     = regexp.MustCompile(`(?i)not ?found|(manifest|name) unknown|no match for platform|no matching manifest`)
	noAccess    = regexp.MustCompile(`(?i)unauthorized|\bdenied\b|forbidden|authentication required|authorization failed|no basic auth credentials`)
)

var reaching = []advice{
	{"no space left", "free disk space on the node"},
	{"x509", "make the nodes trust the registry's certificate"},
	{"no such host", "check the registry's name, and the nodes' DNS"},
	{"", "check that the nodes can reach the registry"},
}

// pullAnswer is what the registry or the runtime said: the message without
// what the kubelet puts before it, else that of the last failed pull.
func pullAnswer(c container, message string) string {
	if rest, ok := strings.CutPrefix(message, "Back-off pulling image "); ok {
		message = ""
		// "Back-off pulling image "x": ErrImagePull: rpc error: …"
		if _, answer, ok := strings.Cut(rest, `": `); ok {
			message = answer
			if before, after, ok := strings.Cut(answer, ": "); ok && !strings.Contains(before, " ") {
				message = after
			}
		}
	}
	if message == "" {
		for _, e := range podEvents(c.group, c.pod, c.status.Name, "Failed") {
			if rest, ok := strings.CutPrefix(e.Message, "Failed to pull image "); ok {
				if _, answer, ok := strings.Cut(rest, `": `); ok {
					message = anonymous(c.pod, answer)
				}
			}
		}
	}
	return message
}

// pullSecret says how to get access: which secrets the pod tries, if any.
func pullSecret(c container) string {
	if e := lastEvent(c.group, c.pod, "", "FailedToRetrieveImagePullSecret"); e != nil {
		return "create the missing image pull secret: " + anonymous(c.pod, e.Message)
	}
	if len(c.pod.Spec.ImagePullSecrets) == 0 {
		return "check the image's name; if it is private, add imagePullSecrets to the pod template or its service account (in GitLab: a deploy token with read_registry)"
	}
	var names []string
	for _, s := range c.pod.Spec.ImagePullSecrets {
		names = append(names, s.Name)
	}
	return fmt.Sprintf("check the image's name, and the credentials in Secret %s: they may have expired", strings.Join(names, ", "))
}
