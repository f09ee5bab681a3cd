package behaviour

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func pod(annotations map[string]string, images ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: annotations}}
	for i, image := range images {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: string(rune('a' + i)), Image: image})
	}
	return p
}

func TestOf_choosesByTagOrAnnotation(t *testing.T) {
	for _, test := range []struct {
		name        string
		image       string
		annotations map[string]string
		want        Behaviour
	}{
		{name: "plain tag", image: "app:v1", want: Behaviour{Name: Healthy}},
		{name: "no tag", image: "app", want: Behaviour{Name: Healthy}},
		{name: "tag is the word", image: "host:5000/x/app:crash", want: Behaviour{Name: Crash, CrashAfter: 500 * time.Millisecond}},
		{name: "tag ends in the word", image: "app:v3-crash", want: Behaviour{Name: Crash, CrashAfter: 500 * time.Millisecond}},
		{name: "longer word that ends in another", image: "app:v3-crash-later", want: Behaviour{Name: CrashLater, CrashAfter: 4 * time.Second}},
		{name: "word without a dash before it", image: "app:v1icecrash", want: Behaviour{Name: Healthy}},
		{name: "word in the middle", image: "app:crash-v2", want: Behaviour{Name: Healthy}},
		{name: "word in the name", image: "crash/app-crash:v1", want: Behaviour{Name: Healthy}},
		{name: "synonym", image: "app:v2-unready", want: Behaviour{Name: NeverReady}},
		{name: "two words end the tag", image: "app:v2-image-missing", want: Behaviour{Name: ImageMissing}},
		{name: "short word", image: "app:missing", want: Behaviour{Name: ImageMissing}},
		{name: "unauthorized", image: "app:v2-unauthorized", want: Behaviour{Name: ImageUnauthorized}},
		{name: "tag beside a digest", image: "app:v2-oom@sha256:0123456789abcdef", want: Behaviour{Name: OOM, CrashAfter: 500 * time.Millisecond}},
		{name: "killed by its liveness probe", image: "app:v2-not-alive", want: Behaviour{Name: NotAlive, CrashAfter: 2 * time.Second}},
		{name: "cannot be created", image: "app:v2-create-error", want: Behaviour{Name: CreateError}},
		{name: "annotation wins", image: "app:v3-crash", annotations: map[string]string{Annotation: "healthy"}, want: Behaviour{Name: Healthy}},
		{name: "slow", image: "app:v2-slow", want: Behaviour{Name: Slow, ReadyAfter: 8 * time.Second}},
		{name: "slow, its own time", image: "app:v2-slow", annotations: map[string]string{AnnotationReadyAfter: "3s"}, want: Behaviour{Name: Slow, ReadyAfter: 3 * time.Second}},
		{name: "crash later, its own time", image: "app:crash-later", annotations: map[string]string{AnnotationCrashAfter: "6s"}, want: Behaviour{Name: CrashLater, CrashAfter: 6 * time.Second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Of(pod(test.annotations, test.image), "a")
			assert.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestOf_isAboutOneContainer(t *testing.T) {
	two := pod(nil, "app:v1-crash", "sidecar:v1")
	first, _ := Of(two, "a")
	second, _ := Of(two, "b")
	assert.Equal(t, Crash, first.Name)
	assert.Equal(t, Healthy, second.Name)

	two.Annotations = map[string]string{AnnotationContainer: "b", Annotation: "oom"}
	first, _ = Of(two, "a")
	second, _ = Of(two, "b")
	assert.Equal(t, Healthy, first.Name)
	assert.Equal(t, OOM, second.Name)
}

func TestOf_reportsWhatItCannotUnderstand(t *testing.T) {
	got, err := Of(pod(map[string]string{Annotation: "sloow"}, "app:v1"), "a")
	assert.Equal(t, Healthy, got.Name)
	assert.ErrorContains(t, err, `unknown behaviour "sloow", known are cannot-run, crash, crash-later`)

	_, err = Of(pod(map[string]string{AnnotationReadyAfter: "soon"}, "app:v1"), "a")
	assert.ErrorContains(t, err, AnnotationReadyAfter)
}

func TestVersion(t *testing.T) {
	for image, want := range map[string]string{
		"app:v1":                             "v1",
		"host:5000/app:v2-slow":              "v2-slow",
		"host:5000/app":                      "latest",
		"app@sha256:0123456789abcdef":        "0123456789ab",
		"host:5000/app:v3@sha256:0123456789": "v3",
	} {
		assert.Equal(t, want, Version(pod(nil, image)), image)
	}
	assert.Equal(t, "blue", Version(pod(map[string]string{AnnotationVersion: "blue"}, "app:v1")))
}
