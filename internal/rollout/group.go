package rollout

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// revisionAnnotation numbers a Deployment's ReplicaSets; the Deployment carries
// that of its newest.
const revisionAnnotation = "deployment.kubernetes.io/revision"

// Group returns what Diagnose judges of a Deployment: its newest ReplicaSet
// and that one's pods. Before the controller has seen the Deployment's newest
// template there is none.
func (v *View) Group(d *appsv1.Deployment) Group {
	g := Group{Name: "Deployment " + d.Name, Kind: "Deployment", Deployment: d}
	if d.Status.ObservedGeneration < d.Generation {
		return g
	}
	newest := -1
	for _, rs := range v.replicaSets {
		revision, err := strconv.Atoi(rs.Annotations[revisionAnnotation])
		if owned(rs, d.UID) && err == nil && revision > newest {
			g.ReplicaSet, newest = rs, revision
		}
	}
	if g.ReplicaSet != nil {
		g.Pods = v.podsOf(map[types.UID]bool{g.ReplicaSet.UID: true})
	}
	return g
}

// GroupOf returns what Diagnose judges of a workload of any other kind: the
// pods of its current revision, which Fewer says are not all there yet.
func (v *View) GroupOf(o *unstructured.Unstructured) Group {
	g := Group{Name: o.GetKind() + " " + o.GetName(), Kind: o.GetKind(), Object: o.GetName()}
	if observed, has, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration"); has && observed < o.GetGeneration() {
		return g
	}
	if o.GetKind() == "Pod" {
		for _, p := range v.pods {
			if p.UID == o.GetUID() {
				g.Pods = append(g.Pods, p)
			}
		}
		return g
	}
	label, value := revisionOf(o)
	for _, p := range v.podsOf(map[types.UID]bool{o.GetUID(): true}) {
		if label == "" || p.Labels[label] == value {
			g.Pods = append(g.Pods, p)
		}
	}
	g.Fewer = len(active(g.Pods)) < wanted(o)
	return g
}

// revisionOf is the label by which a workload's pods say that they have its
// newest template, and its value; "" where all have.
//
// Sources: ControllerRevisionHashLabelKey of StatefulSets and, of DaemonSets,
// DeprecatedTemplateGeneration with DaemonSetTemplateGenerationKey, in
// k8s.io/api/apps/v1 and v1beta2.
func revisionOf(o *unstructured.Unstructured) (label, value string) {
	switch o.GetKind() {
	case "StatefulSet":
		revision, _, _ := unstructured.NestedString(o.Object, "status", "updateRevision")
		return appsv1.ControllerRevisionHashLabelKey, revision
	case "DaemonSet":
		return "pod-template-generation", o.GetAnnotations()[appsv1.DeprecatedTemplateGeneration]
	}
	return "", ""
}

// wanted is how many pods a workload is asked to have at once.
func wanted(o *unstructured.Unstructured) int {
	fields := map[string][]string{
		"StatefulSet": {"spec", "replicas"}, "ReplicaSet": {"spec", "replicas"},
		"DaemonSet": {"status", "desiredNumberScheduled"}, "Job": {"spec", "parallelism"},
	}[o.GetKind()]
	if fields == nil {
		return 0
	}
	n, has, _ := unstructured.NestedInt64(o.Object, fields...)
	if !has && o.GetKind() != "DaemonSet" {
		n = 1
	}
	return int(n)
}

// ClaimNames are the names of the PersistentVolumeClaims that the group's pods
// mount.
func (g Group) ClaimNames() []string {
	seen := map[string]bool{}
	var names []string
	for _, pod := range judged(g.Pods) {
		for _, name := range claimsOf(pod) {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}

func claimsOf(pod *corev1.Pod) []string {
	var names []string
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		case v.Ephemeral != nil:
			names = append(names, pod.Name+"-"+v.Name)
		}
	}
	return names
}
