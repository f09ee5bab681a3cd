package rollout

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// lostClaim catches a pod whose PersistentVolumeClaim has lost its volume, at
// once: the data is gone, and nothing binds such a claim again.
//
// Source: syncBoundClaim in
// kubernetes/pkg/controller/volume/persistentvolume/pv_controller.go (phase
// Lost, events ClaimLost and ClaimMisbound); krane's persistent_volume_claim.rb.
func lostClaim(g *Group, pod *corev1.Pod) *Finding {
	for _, name := range claimsOf(pod) {
		claim := g.Claims[name]
		e := claimEvent(g, name, "ClaimLost", "ClaimMisbound")
		if claim == nil && e == nil || claim != nil && claim.Status.Phase != corev1.ClaimLost {
			continue
		}
		f := about(pod, "ClaimLost", fmt.Sprintf("PersistentVolumeClaim %s has lost its volume", name))
		f.Fatal = true
		f.Next = "restore the volume, or delete the claim and let a new one be made: its data is lost"
		f.Since = pod.CreationTimestamp.Time
		if e != nil {
			f.Message += ": " + oneLine(e.Message)
			f.Since = firstTime(e)
		}
		return f
	}
	return nil
}

// pendingClaim says why a claim of the pod has no volume yet, and what to do;
// "" if that is not known.
//
// Source: provisionClaimOperation and syncUnboundClaim in
// kubernetes/pkg/controller/volume/persistentvolume/pv_controller.go; an
// external provisioner's events have the same reasons
// (sigs.k8s.io/sig-storage-lib-external-provisioner).
func pendingClaim(g *Group, pod *corev1.Pod) (why, next string) {
	for _, name := range claimsOf(pod) {
		claim := g.Claims[name]
		if claim != nil && claim.Status.Phase == corev1.ClaimBound {
			continue
		}
		e := claimEvent(g, name, "ProvisioningFailed", "FailedBinding", "ExternalProvisioning")
		switch {
		case e != nil:
			return fmt.Sprintf("PersistentVolumeClaim %s: %s", name, oneLine(e.Message)), nextFor(e.Message, binding)
		case claim != nil:
			class := "without a storage class"
			if claim.Spec.StorageClassName != nil {
				class = fmt.Sprintf("of storage class %q", *claim.Spec.StorageClassName)
			}
			return fmt.Sprintf("PersistentVolumeClaim %s %s is pending", name, class), nextFor("", binding)
		}
	}
	return "", ""
}

var binding = []advice{
	{"storageclass.storage.k8s.io", "create the storage class, or correct the claim's storageClassName (kubectl get storageclass)"},
	{"no storage class is set", "set storageClassName in the claim, or make a storage class the default one"},
	{"waiting for a volume to be created", "see that the storage class's provisioner runs"},
	{"", "look at the claim with kubectl describe pvc"},
}

// claimEvent is the newest event with one of the reasons about a claim, or nil.
func claimEvent(g *Group, name string, reasons ...string) *corev1.Event {
	var newest *corev1.Event
	for _, e := range g.Events {
		if e == nil || e.InvolvedObject.Kind != "PersistentVolumeClaim" || e.InvolvedObject.Name != name || !slices.Contains(reasons, e.Reason) {
			continue
		}
		if claim := g.Claims[name]; claim != nil && e.InvolvedObject.UID != "" && e.InvolvedObject.UID != claim.UID {
			continue // an earlier claim of that name
		}
		if newest == nil || !LastTime(e).Before(LastTime(newest)) {
			newest = e
		}
	}
	return newest
}
