package record

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

var leases = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}

const (
	// leaseTime is how long a lock outlives its last renewal: a killed job
	// blocks others no longer.
	leaseTime  = 30 * time.Second
	renewEvery = 5 * time.Second
	// giveUpAfter without a renewal the lock is taken for lost, well before
	// others may take it. An API server's restart takes less.
	giveUpAfter = 25 * time.Second
	// sayEvery is how often a job that waits says so.
	sayEvery = 10 * time.Second

	holderAnnotation = "rollstep.gitlab.io/holder"
)

// Lock is held by one job while it works on the release.
type Lock struct {
	store  *Store
	id     string
	by     By
	cancel context.CancelCauseFunc
	done   chan struct{}

	lease *unstructured.Unstructured // of the renewing goroutine until done
}

// Acquire waits at most wait for the lock and takes it. The context returned
// ends when the lock is lost. waiting is told who holds the lock: at first,
// whenever it changes, and every ten seconds.
func (s *Store) Acquire(ctx context.Context, id string, by By, wait time.Duration, waiting func(holder string)) (context.Context, *Lock, error) {
	l := &Lock{store: s, id: id, by: by, done: make(chan struct{})}
	deadline := time.Now().Add(wait)
	seen := observation{}
	for {
		live, err := l.try(ctx, &seen)
		if err != nil {
			return nil, nil, fmt.Errorf("taking the lock (Lease %s/%s): %w", s.namespace, s.Name(), err)
		}
		if live == nil {
			held, cancel := context.WithCancelCause(ctx)
			l.cancel = cancel
			go l.renew(held)
			return held, l, nil
		}
		holder, by := describe(live)
		if time.Now().After(deadline) {
			refusal := &Refusal{Holder: by, error: hint.Errorf(
				"Wait until it has ended, then run this job again; a killed job's lock runs out by itself", "the release is locked by %s", holder)}
			return nil, nil, refusal
		}
		if holder != seen.holder || time.Since(seen.said) >= sayEvery {
			seen.holder, seen.said = holder, time.Now()
			waiting(holder)
		}
		select {
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// observation is when a holder's renewal was first seen here. Clocks differ
// between machines, so a lease runs out by the own clock, as in client-go's
// leader election.
type observation struct {
	renewal string
	at      time.Time
	holder  string
	said    time.Time
}

// claims bounds how often a lease is claimed at once, where others are quicker.
const claims = 5

// try takes the lease if it is free. It returns the lease of whoever holds it.
func (l *Lock) try(ctx context.Context, seen *observation) (live *unstructured.Unstructured, err error) {
	ri := l.leases()
	for i := range claims {
		live, err = ri.Get(ctx, l.store.Name(), metav1.GetOptions{})
		switch {
		case errors.IsNotFound(err):
			l.lease, err = ri.Create(ctx, l.claim(nil), metav1.CreateOptions{})
		case err != nil || l.isHeld(live, seen):
			return live, err
		case i > 0 && field(live, "holderIdentity") == l.id: // the answer was lost on the way
			l.lease = live
			return nil, nil
		default:
			l.lease, err = ri.Update(ctx, l.claim(live), metav1.UpdateOptions{})
		}
		// Somebody was quicker, or this claim itself.
		if !errors.IsConflict(err) && !errors.IsAlreadyExists(err) {
			return nil, err
		}
	}
	if live == nil {
		return nil, err
	}
	return live, nil
}

// isHeld says whether somebody else holds a lease that has not run out.
func (l *Lock) isHeld(live *unstructured.Unstructured, seen *observation) bool {
	if renewal := field(live, "renewTime"); renewal != seen.renewal || seen.at.IsZero() {
		seen.renewal, seen.at = renewal, time.Now()
	}
	holder := field(live, "holderIdentity")
	return holder != "" && holder != l.id && time.Since(seen.at) < leaseTime && !longExpired(live)
}

// longExpired spares the wait for a lease that ran out so long ago that no
// difference between clocks explains it.
func longExpired(lease *unstructured.Unstructured) bool {
	renewed, err := time.Parse(metav1.RFC3339Micro, field(lease, "renewTime"))
	return err == nil && time.Since(renewed) > leaseTime+time.Minute
}

func (l *Lock) claim(live *unstructured.Unstructured) *unstructured.Unstructured {
	lease := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "coordination.k8s.io/v1",
		"kind":       "Lease",
		"metadata":   l.store.metadata(l.store.Name()),
	}}
	if live != nil {
		lease = live.DeepCopy()
	}
	who, err := json.Marshal(l.by)
	if err == nil {
		lease.SetAnnotations(map[string]string{holderAnnotation: string(who)})
	}
	now := time.Now().UTC().Format(metav1.RFC3339Micro)
	acquired := now
	if live != nil && field(live, "holderIdentity") == l.id {
		acquired = field(live, "acquireTime")
	}
	lease.Object["spec"] = map[string]any{
		"holderIdentity":       l.id,
		"leaseDurationSeconds": int64(leaseTime.Seconds()),
		"acquireTime":          acquired,
		"renewTime":            now,
	}
	return lease
}

func (l *Lock) renew(ctx context.Context) {
	defer close(l.done)
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(renewEvery):
		}
		asked := time.Now()
		bounded, cancel := context.WithDeadline(ctx, renewed.Add(giveUpAfter))
		err := l.renewOnce(bounded)
		if ctx.Err() != nil {
			cancel()
			return
		}
		if err != nil {
			if bounded.Err() != nil {
				err = fmt.Errorf("the cluster did not answer for %s", giveUpAfter)
			}
			l.cancel(Refuse("Look with rollstep status, then run the job again: it continues where it stopped",
				"the lock was lost: %w", err))
			cancel()
			return
		}
		cancel()
		renewed = asked
	}
}

func (l *Lock) renewOnce(ctx context.Context) error {
	updated, err := l.leases().Update(ctx, l.claim(l.lease), metav1.UpdateOptions{})
	if errors.IsConflict(err) {
		live, getErr := l.leases().Get(ctx, l.store.Name(), metav1.GetOptions{})
		if getErr != nil {
			return getErr
		}
		if field(live, "holderIdentity") != l.id {
			holder, _ := describe(live)
			return fmt.Errorf("%s took it", holder)
		}
		updated, err = l.leases().Update(ctx, l.claim(live), metav1.UpdateOptions{})
	}
	if err != nil {
		return err
	}
	l.lease = updated
	return nil
}

// Release gives the lock back. If that fails the lease runs out by itself.
func (l *Lock) Release(ctx context.Context) error {
	l.cancel(context.Canceled)
	<-l.done
	for {
		lease := l.lease.DeepCopy()
		lease.SetAnnotations(nil)
		lease.Object["spec"] = map[string]any{"holderIdentity": ""}
		_, err := l.leases().Update(ctx, lease, metav1.UpdateOptions{})
		if !errors.IsConflict(err) {
			return err
		}
		live, err := l.leases().Get(ctx, l.store.Name(), metav1.GetOptions{})
		switch {
		case err != nil:
			return err
		case field(live, "holderIdentity") != l.id:
			return nil // somebody else's by now
		}
		l.lease = live
	}
}

func (l *Lock) leases() dynamic.ResourceInterface {
	return l.store.client.Resource(leases).Namespace(l.store.namespace)
}

func field(lease *unstructured.Unstructured, name string) string {
	s, _, _ := unstructured.NestedString(lease.Object, "spec", name)
	return s
}

func describe(lease *unstructured.Unstructured) (holder string, by *By) {
	since := ""
	if t, err := time.Parse(metav1.RFC3339Micro, field(lease, "acquireTime")); err == nil {
		since = ", since " + t.UTC().Format("15:04:05 UTC")
	}
	if err := json.Unmarshal([]byte(lease.GetAnnotations()[holderAnnotation]), &by); err != nil || by == nil {
		return cmp.Or(field(lease, "holderIdentity"), "another job") + since, nil
	}
	return by.String() + since, by
}
