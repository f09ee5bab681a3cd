package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// ofJob judges a Job: done once it is complete, or as many pods as may run at
// once are ready and none has failed. A deployment must not wait for a Job that
// takes long.
//
// Source: deploy_succeeded? in krane's kubernetes_resource/job.rb.
func ofJob(o *unstructured.Unstructured) Progress {
	job, err := toJob(o)
	if err != nil {
		return Progress{Message: err.Error()}
	}
	for _, c := range job.Status.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobSuspended) {
			return Progress{Done: true}
		}
	}
	ready := int32(0)
	if job.Status.Ready != nil {
		ready = *job.Status.Ready
	}
	p := Progress{Message: fmt.Sprintf("%d pods active, %d succeeded, %d failed", job.Status.Active, job.Status.Succeeded, job.Status.Failed)}
	p.Done = job.Status.Failed == 0 && job.Status.Active > 0 && ready >= job.Status.Active && jobFailure(job) == nil
	return p
}

// ofPod judges a pod that no controller replaces.
func ofPod(o *unstructured.Unstructured) Progress {
	pod := &corev1.Pod{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, pod); err != nil {
		return Progress{Message: err.Error()}
	}
	return Progress{
		Done:    pod.Status.Phase == corev1.PodSucceeded || isTrue(pod, corev1.PodReady),
		Message: "the pod is not ready",
	}
}

func toJob(o *unstructured.Unstructured) (*batchv1.Job, error) {
	job := &batchv1.Job{}
	return job, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, job)
}

func jobFailure(job *batchv1.Job) *batchv1.JobCondition {
	for i, c := range job.Status.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobFailed || c.Type == batchv1.JobFailureTarget) {
			return &job.Status.Conditions[i]
		}
	}
	return nil
}

// FailedJob catches a Job that has failed or is over its backoff limit, at
// once: the Job's own controller has given it up. The last of its pods that
// failed says why.
//
// Sources: JobFailed and JobFailureTarget, with the reasons
// BackoffLimitExceeded, DeadlineExceeded and PodFailurePolicy, in
// k8s.io/api/batch/v1; deploy_failed? in krane's kubernetes_resource/job.rb.
func FailedJob(o *unstructured.Unstructured, pods []*corev1.Pod) *Finding {
	if o.GetKind() != "Job" {
		return nil
	}
	job, err := toJob(o)
	if err != nil {
		return nil
	}
	c := jobFailure(job)
	if c == nil {
		return nil
	}
	f := &Finding{
		Reason: cmp.Or(c.Reason, "JobFailed"), Message: "the Job has failed: " + cmp.Or(oneLine(c.Message), "no reason given"),
		Since: c.LastTransitionTime.Time, Fatal: true, whole: true,
		Next: "read the log of its pod; correct the Job, and give it a new name if it was applied before",
	}
	if c.Reason == batchv1.JobReasonDeadlineExceeded {
		f.Next = "raise activeDeadlineSeconds of the Job, or make it faster"
	}
	pod, container := lastFailed(pods)
	if pod != nil {
		f.Pods, f.Container, f.WantsLog = []string{pod.Name}, container.Name, true
		f.PreviousLog = container.State.Terminated == nil
		t := cmp.Or(container.State.Terminated, container.LastTerminationState.Terminated)
		f.Message += fmt.Sprintf("; container %s exited with code %d", container.Name, t.ExitCode)
	}
	return f
}

// lastFailed is the container that failed last, and its pod.
func lastFailed(pods []*corev1.Pod) (last *corev1.Pod, container corev1.ContainerStatus) {
	var at *corev1.ContainerStateTerminated
	for _, pod := range pods {
		if pod == nil {
			continue
		}
		for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			t := cmp.Or(s.State.Terminated, s.LastTerminationState.Terminated)
			if t != nil && t.ExitCode != 0 && (at == nil || !t.FinishedAt.Before(&at.FinishedAt)) {
				last, container, at = pod, s, t
			}
		}
	}
	return last, container
}

// spareJob takes the fatality from findings about pods of a Job that only
// failed: how often its pods may fail, its backoff limit says.
func spareJob(g Group, found []*Finding) []*Finding {
	if g.Kind != "Job" {
		return found
	}
	for _, f := range found {
		switch f.Reason {
		case "CrashLoopBackOff", "Restarting", "OOMKilled", "Failed":
			f.Fatal, f.FatalAt = false, time.Time{}
		}
	}
	return found
}
