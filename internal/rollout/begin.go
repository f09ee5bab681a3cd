package rollout

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

const (
	// beginWithin is how long a server may be silent at the beginning of a
	// watch, before it has sent what there is.
	beginWithin = 10 * time.Second
	// completeWithin is how long all watches may take to begin, with every
	// beginning that is tried again.
	completeWithin = 45 * time.Second
)

// refusedFor is how long a view that was complete may be refused: an API server
// that has just started forbids everything until it has read its roles. It is
// longer than the reflector's first pauses.
const refusedFor = 20 * time.Second

// refusals are those of one watch in a row.
type refusals struct{ first, newest time.Time }

// last says whether a refusal now is one too many.
func (r *refusals) last(now time.Time) bool {
	if now.Sub(r.newest) > 2*refusedFor { // it was accepted in between
		r.first = now
	}
	r.newest = now
	return now.Sub(r.first) > refusedFor
}

// errSilent ends a view that does not become complete.
var errSilent = hint.Errorf("Run the job again; if it stays so, look at the API server and at what stands between it and this job",
	"the API server accepts watches but does not send what there is (waited for %s)", completeWithin)

// complete waits until every informer has what there is.
func complete(ctx context.Context, synced []cache.DoneChecker) error {
	bounded, cancel := context.WithTimeoutCause(ctx, completeWithin, errSilent)
	defer cancel()
	if cache.WaitFor(bounded, "", synced...) { // without polling
		return nil
	}
	if err := context.Cause(bounded); !errors.Is(err, errSilent) {
		return context.Cause(ctx)
	}
	return errSilent
}

// beginning ends a watch that was promised to start with what there is, and is
// silent before it has: the reflector then begins another one. A server that
// goes on later may be silent for as long as nothing changes.
func beginning(w watch.Interface, options metav1.ListOptions) watch.Interface {
	if options.SendInitialEvents == nil || !*options.SendInitialEvents {
		return w
	}
	silent := time.AfterFunc(beginWithin, w.Stop)
	begun := false
	return watch.Filter(w, func(e watch.Event) (watch.Event, bool) {
		if begun = begun || isComplete(e); begun {
			silent.Stop()
		} else {
			silent.Reset(beginWithin)
		}
		return e, true
	})
}

// isComplete says whether an event is the mark behind what there is.
func isComplete(e watch.Event) bool {
	o, err := meta.Accessor(e.Object)
	return err == nil && e.Type == watch.Bookmark && o.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
}
