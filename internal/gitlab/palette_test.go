package gitlab

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPalette(t *testing.T) {
	timelines := []Timeline{
		{Series: []Series{{"v1", false}, {"v2", true}, {"v2", false}}},
		{Series: []Series{{"4bf5b8cbf3a0", false}, {"v2", true}}},
	}
	p := newPalette(timelines, []string{"r/app:v1", "other:v7"}, []string{"r/app:v8"})
	for _, c := range []struct {
		why    string
		images []string
		want   []int
	}{
		{"as in the timeline", []string{"r.test:5000/app:v1", "r/app:v2"}, []int{0, 1}},
		{"by the beginning of a digest", []string{"r/app@sha256:4bf5b8cbf3a0dc4a"}, []int{0}},
		{"stable and canary without a timeline", []string{"other:v7", "r/app:v8"}, []int{0, 1}},
		{"two of one colour are told apart", []string{"a:v2", "b:v2", "c:v2"}, []int{1, 0, 2}},
		{"unknown ones take what is free", []string{"x", "r/app:v1", "y:latest"}, []int{1, 0, 2}},
		{"a port is no tag", []string{"r.test:5000/app"}, []int{0}},
	} {
		assert.Equal(t, c.want, p.of(c.images), c.why)
	}
}
