package rollout

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Autoscaling judges a HorizontalPodAutoscaler. done: its controller has looked
// at its newest spec and can scale, or only lacks metrics, which a new pod does
// too (FailedGetResourceMetric and the like), or has nothing to do
// (ScalingDisabled: no pods are asked for). A finding is fatal: the spec is
// wrong, and no metric helps.
//
// Sources: setCondition ScalingActive in
// kubernetes/pkg/controller/podautoscaler/horizontal.go;
// krane's horizontal_pod_autoscaler.rb (recoverable?).
func Autoscaling(o *unstructured.Unstructured) (done bool, f *Finding) {
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, hpa); err != nil {
		return true, nil
	}
	if observed := hpa.Status.ObservedGeneration; observed != nil && *observed < hpa.Generation {
		return false, nil
	}
	for _, c := range hpa.Status.Conditions {
		switch {
		case c.Type != autoscalingv2.ScalingActive:
			continue
		case c.Status == corev1.ConditionTrue, merelyMissing(c.Reason), c.Reason == "ScalingDisabled":
			return true, nil
		case c.Status == corev1.ConditionFalse:
			return true, &Finding{
				Reason:  cmp.Or(c.Reason, "ScalingActive"),
				Message: fmt.Sprintf("HorizontalPodAutoscaler %s cannot scale: %s", hpa.Name, cmp.Or(oneLine(c.Message), c.Reason)),
				Since:   c.LastTransitionTime.Time, Fatal: true,
				Next: nextFor(c.Reason, autoscaling),
			}
		}
	}
	return false, nil
}

// merelyMissing says that metrics are not there, or not yet.
func merelyMissing(reason string) bool {
	return strings.HasPrefix(reason, "FailedGet") || reason == "FailedComputeMetricsReplicas"
}

var autoscaling = []advice{
	{"AmbiguousSelector", "let one HorizontalPodAutoscaler alone select these pods"},
	{"InvalidSelector", "correct scaleTargetRef of the HorizontalPodAutoscaler: what it scales must have a selector"},
	{"InvalidMetricSourceType", "correct spec.metrics of the HorizontalPodAutoscaler"},
	{"", "look at it with kubectl describe hpa"},
}

// AutoscalingGrace is how long a HorizontalPodAutoscaler's controller may take
// to look at it: it does so every 15 s.
const AutoscalingGrace = 30 * time.Second
