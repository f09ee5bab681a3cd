package rollout

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

func TestRefusals_passWhereTheyEndSoon(t *testing.T) {
	r := refusals{}
	for _, step := range []struct {
		at   time.Duration
		last bool
	}{{0, false}, {10 * time.Second, false}, {20 * time.Second, false}, {21 * time.Second, true}, {2 * time.Minute, false}, {150 * time.Second, true}} {
		assert.Equal(t, step.last, r.last(noon.Add(step.at)), step.at)
	}
}

func TestBeginning_leavesAloneWhatPromisesNothing(t *testing.T) {
	w := watch.NewFake()
	assert.Same(t, w, beginning(w, metav1.ListOptions{}))
}

func TestBeginning_passesEventsOn(t *testing.T) {
	w := watch.NewFake()
	defer w.Stop()
	b := beginning(w, metav1.ListOptions{SendInitialEvents: new(true)})
	mark := &unstructured.Unstructured{}
	mark.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	go func() {
		w.Add(&unstructured.Unstructured{})
		w.Action(watch.Bookmark, mark)
		w.Modify(&unstructured.Unstructured{})
	}()
	for _, want := range []watch.EventType{watch.Added, watch.Bookmark, watch.Modified} {
		assert.Equal(t, want, (<-b.ResultChan()).Type)
	}
	assert.True(t, isComplete(watch.Event{Type: watch.Bookmark, Object: mark}))
	assert.False(t, isComplete(watch.Event{Type: watch.Added, Object: mark}))
	assert.False(t, isComplete(watch.Event{Type: watch.Bookmark, Object: &unstructured.Unstructured{}}))
}
