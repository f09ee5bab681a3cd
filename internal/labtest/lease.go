package labtest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// lease is the name of the lock of the release that pipelines have.
const lease = "rollstep-shop-app"

// AwaitLock waits until a job holds the lock of the release.
func (s *Space) AwaitLock() {
	s.t.Helper()
	s.Await(Leases, lease, func(o *unstructured.Unstructured) bool {
		if o == nil {
			return false
		}
		holder, _, _ := unstructured.NestedString(o.Object, "spec", "holderIdentity")
		return holder != ""
	})
}

// Lock takes the lock of the release, whoever holds it, as a job of another
// pipeline that renewed it last at that time and was killed then.
func (s *Space) Lock(pipeline int, person string, renewed time.Time) {
	s.t.Helper()
	require.NoError(s.t, s.lock(s.context(), pipeline, person, renewed))
}

// HoldLock takes the lock of the release and renews it until the test ends.
func (s *Space) HoldLock(pipeline int, person string) {
	s.t.Helper()
	s.Lock(pipeline, person, time.Now())
	go func() {
		renew := time.NewTicker(5 * time.Second)
		defer renew.Stop()
		for {
			select {
			case <-s.context().Done():
				return
			case now := <-renew.C:
				_ = s.lock(s.context(), pipeline, person, now)
			}
		}
	}()
}

func (s *Space) lock(ctx context.Context, pipeline int, person string, renewed time.Time) error {
	holder, err := json.Marshal(map[string]any{
		"person": person, "job": "promote", "pipelineID": pipeline,
		"jobURL": fmt.Sprintf("https://gitlab.example.com/shop/app/-/jobs/%d00", pipeline),
	})
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{"rollstep.gitlab.io/holder": string(holder)}},
		"spec": map[string]any{
			"holderIdentity": fmt.Sprintf("%d00", pipeline), "leaseDurationSeconds": 30,
			"acquireTime": "2026-01-02T03:04:05.000000Z", "renewTime": renewed.UTC().Format(metav1.RFC3339Micro),
		},
	})
	if err != nil {
		return err
	}
	_, err = s.of(Leases).Patch(ctx, lease, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}
