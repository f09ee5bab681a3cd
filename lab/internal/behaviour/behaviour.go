// Package behaviour decides from a pod alone how the lab lets it behave.
package behaviour

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Annotations a pod may carry; each wins over what the image tag says.
const (
	Annotation           = "lab.rollstep/behaviour"
	AnnotationContainer  = "lab.rollstep/container"
	AnnotationVersion    = "lab.rollstep/version"
	AnnotationLog        = "lab.rollstep/log"
	AnnotationReadyAfter = "lab.rollstep/ready-after"
	AnnotationCrashAfter = "lab.rollstep/crash-after"
	// AnnotationEvict lets a running pod be evicted; its value is what the node is short of.
	AnnotationEvict = "lab.rollstep/evict"
)

// Name is one way for a container to behave.
type Name string

const (
	Healthy           Name = "healthy"
	Slow              Name = "slow"
	NeverReady        Name = "never-ready"
	Crash             Name = "crash"
	CrashLater        Name = "crash-later"
	OOM               Name = "oom"
	Flapping          Name = "flapping"
	ImageMissing      Name = "image-missing"
	ImageUnauthorized Name = "image-unauthorized"
	NotAlive          Name = "not-alive"
	CreateError       Name = "create-error"
	RunError          Name = "run-error"
	CannotRun         Name = "cannot-run"
)

// byWord maps what a tag or the annotation may say to a behaviour.
var byWord = map[string]Name{
	"healthy": Healthy, "slow": Slow, "never-ready": NeverReady, "unready": NeverReady,
	"crash": Crash, "crash-later": CrashLater, "oom": OOM, "flapping": Flapping,
	"missing": ImageMissing, "image-missing": ImageMissing,
	"unauthorized": ImageUnauthorized, "image-unauthorized": ImageUnauthorized,
	"not-alive": NotAlive, "create-error": CreateError, "run-error": RunError, "cannot-run": CannotRun,
}

// Behaviour is what one container of a pod does.
type Behaviour struct {
	Name Name
	// ReadyAfter is how long a started container takes until it is ready.
	ReadyAfter time.Duration
	// CrashAfter is how long the first run lasts, for behaviours that end by a crash.
	CrashAfter time.Duration
}

// Of returns how the named container of the pod behaves. Containers that the
// behaviour is not meant for are healthy. The error tells an annotation that
// could not be understood; the returned behaviour is usable all the same.
func Of(pod *corev1.Pod, container string) (Behaviour, error) {
	if container != subject(pod) {
		return Behaviour{Name: Healthy, ReadyAfter: readyAfter[Healthy]}, nil
	}
	name, err := named(pod)
	b := Behaviour{Name: name, ReadyAfter: readyAfter[name], CrashAfter: crashAfter[name]}
	if e := override(pod, AnnotationReadyAfter, &b.ReadyAfter); e != nil {
		err = e
	}
	if e := override(pod, AnnotationCrashAfter, &b.CrashAfter); e != nil {
		err = e
	}
	return b, err
}

var readyAfter = map[Name]time.Duration{Slow: 8 * time.Second}

var crashAfter = map[Name]time.Duration{
	Crash:      500 * time.Millisecond,
	OOM:        500 * time.Millisecond,
	CrashLater: 4 * time.Second,
	Flapping:   5 * time.Second,
	NotAlive:   2 * time.Second,
}

// subject is the container that the pod's behaviour is about.
func subject(pod *corev1.Pod) string {
	if name := pod.Annotations[AnnotationContainer]; name != "" {
		return name
	}
	if len(pod.Spec.Containers) == 0 {
		return ""
	}
	return pod.Spec.Containers[0].Name
}

func named(pod *corev1.Pod) (Name, error) {
	word, ok := pod.Annotations[Annotation]
	if !ok {
		return fromTag(Tag(imageOf(pod, subject(pod)))), nil
	}
	if name, ok := byWord[word]; ok {
		return name, nil
	}
	return Healthy, fmt.Errorf("annotation %s: unknown behaviour %q, known are %s", Annotation, word, strings.Join(words(), ", "))
}

func fromTag(tag string) Name {
	if name, ok := byWord[tag]; ok {
		return name
	}
	// Several words may end the same tag ("v2-image-missing"); they then mean the same.
	for word, name := range byWord {
		if strings.HasSuffix(tag, "-"+word) {
			return name
		}
	}
	return Healthy
}

func words() []string {
	var all []string
	for word := range byWord {
		all = append(all, word)
	}
	slices.Sort(all)
	return all
}

func override(pod *corev1.Pod, annotation string, d *time.Duration) error {
	text, ok := pod.Annotations[annotation]
	if !ok {
		return nil
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("annotation %s: %w", annotation, err)
	}
	*d = parsed
	return nil
}

func imageOf(pod *corev1.Pod, container string) string {
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}
