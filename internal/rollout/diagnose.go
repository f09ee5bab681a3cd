package rollout

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Grace periods: how long what a rule catches may take to heal by itself. A
// rule that is not named here is fatal at once, and says why.
const (
	// retryGrace lets the kubelet try again at least once: its pod workers
	// retry after 10 to 15 s (backOffPeriod and its jitter,
	// kubernetes/pkg/kubelet/kubelet.go and pod_workers.go). A missing Secret
	// may be on its way in that time: github.com/Shopify/krane/pull/885.
	retryGrace = 20 * time.Second
	// registryGrace is for registries that hiccup; the kubelet pulls again
	// after 10, 20 and 40 s: github.com/Shopify/krane/pull/477.
	registryGrace = 60 * time.Second
	// secondChance is more than the kubelet's first back-off of 10 s, counted
	// from a crash: it is over only in the second back-off, of 20 s.
	secondChance = 15 * time.Second
	// togetherGrace is for what crashes until its neighbours have started.
	togetherGrace = 60 * time.Second
	// refusedGrace is for pods that admission refuses: the service account or
	// the policy may be on its way.
	refusedGrace = 10 * time.Second
	// createGrace is for pods that cannot be created for want of quota or of an
	// answer: longer than the 30 s that a pod on its way out may take, and than
	// the 41 s after which a ReplicaSet tries again (5 ms, doubled each time).
	createGrace = 45 * time.Second
	// scheduleGrace lets old pods leave their nodes, and an autoscaler (which
	// looks every 10 s) say that it adds one.
	scheduleGrace = 60 * time.Second
)

// fatalRestarts is how many restarts since the stage began are no accident any
// more, however ready the container looks. Two are: the kubelet restarts a
// first crash at once, and a second may be the same hiccup.
const fatalRestarts = 3

// Group is one workload's newest generation as the cluster shows it: what
// Diagnose judges.
type Group struct {
	Name       string             // "Deployment app-canary"
	Kind       string             // "Deployment"
	Object     string             // name of a workload of another kind
	Deployment *appsv1.Deployment // nil for other kinds
	ReplicaSet *appsv1.ReplicaSet // the newest, nil if there is none yet
	Pods       []*corev1.Pod      // of the newest ReplicaSet, or the current revision
	Events     []*corev1.Event    // of all these; may be empty: they are fetched once something looks wrong

	// Fewer: a workload of another kind has fewer pods than it is asked to have.
	Fewer bool
	// Failure is what a workload of another kind says of its own end.
	Failure *Finding
	// Claims are the PersistentVolumeClaims that the pods mount, by name, as far
	// as they may be read. Events tell most of it too.
	Claims map[string]*corev1.PersistentVolumeClaim

	// Restarts are the restart counts per pod and container when the stage
	// began. Missing is 0: pods created since.
	Restarts map[types.UID]map[string]int32
	// Seen says since when containers wait for what they wait for. Optional:
	// events or, failing these, the start of the pod stand in, which may end a
	// grace period early (pulling an image counts into it).
	Seen Seen
	// Together says that other workloads of the release start at the same time,
	// so that a crash may only be waiting for them.
	Together bool
}

// Seen is when each container was first seen waiting for a reason: the one
// thing about it that its status does not say.
type Seen map[types.UID]map[string]time.Time

// Note adds what the pods' containers wait for now. Call it whenever the pods
// have changed.
func (s Seen) Note(pods []*corev1.Pod, now time.Time) {
	for _, pod := range pods {
		if pod == nil {
			continue
		}
		for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
			for i := range statuses {
				s.note(pod.UID, &statuses[i], now)
			}
		}
	}
}

func (s Seen) note(pod types.UID, c *corev1.ContainerStatus, now time.Time) {
	waiting := c.State.Waiting
	if waiting == nil || isStarting(waiting.Reason) {
		return
	}
	if s[pod] == nil {
		s[pod] = map[string]time.Time{}
	}
	key := seenKey(c.Name, waiting.Reason)
	if _, known := s[pod][key]; !known {
		s[pod][key] = now
	}
}

// seenKey treats both reasons of a failing pull as one, as the kubelet
// alternates between them.
func seenKey(container, reason string) string {
	if reason == "ImagePullBackOff" {
		reason = "ErrImagePull"
	}
	return container + "/" + reason
}

// Finding is one thing that is wrong, for all pods that share it.
type Finding struct {
	Reason      string    // short, stable, as Kubernetes says it: "CrashLoopBackOff"
	Message     string    // what is wrong, with the server's words; one line
	Pods        []string  // names, sorted; empty if it is about the workload itself
	Container   string    // "" if it is not about one
	Since       time.Time // when it began; zero if that is unknown
	Fatal       bool      // hopeless: its grace period, if any, is over
	FatalAt     time.Time // when it becomes hopeless unless it heals; zero if it never does by itself, or is already
	WantsLog    bool      // the container's last log lines explain it
	PreviousLog bool      // these lines are those of the container's previous run
	Next        string    // one likely next action

	restarts int32 // since the stage began; the most of all pods
	whole    bool  // about the workload, although pods are named
}

// fatalFrom makes the finding hopeless from t on.
func (f *Finding) fatalFrom(t, now time.Time) *Finding {
	if f.Fatal = !now.Before(t); !f.Fatal {
		f.FatalAt = t
	}
	return f
}

// Diagnose says what is wrong with a workload's newest generation: fatal
// findings first, then those of most pods. Equal findings of several pods are
// one. Pods that are being deleted are not judged.
func Diagnose(g Group, now time.Time) []Finding {
	return merge(findings(g, now))
}

// findings are those of the workload and of each pod on its own.
func findings(g Group, now time.Time) []*Finding {
	found := []*Finding{g.Failure, createReplicaSet(g, now), createPods(g, now), createOthers(g, now)}
	for _, pod := range judged(g.Pods) {
		found = append(found, podFindings(&g, pod, now)...)
	}
	return spareJob(g, slices.DeleteFunc(found, func(f *Finding) bool { return f == nil }))
}

// Hopeless says whether the workload cannot become ready without a change: its
// pods cannot be created, or have fatal findings. Of a Deployment it takes all
// pods of its newest ReplicaSet, and all that this asks for, since one pod that
// works shows that the others may; of other kinds any pod, as they replace pods
// one after the other.
func Hopeless(g Group, findings []Finding) bool {
	if isStale(g) {
		return false
	}
	doomed := map[string]bool{}
	for _, f := range findings {
		if !f.Fatal {
			continue
		}
		if len(f.Pods) == 0 || f.whole {
			return true
		}
		for _, name := range f.Pods {
			doomed[name] = true
		}
	}
	if g.Deployment == nil {
		return len(doomed) > 0
	}
	all := slices.DeleteFunc(judged(g.Pods), isReplaced)
	if wanted := replicas(g.ReplicaSet); len(all) == 0 || len(all) < wanted {
		return false
	}
	return !slices.ContainsFunc(all, func(p *corev1.Pod) bool { return !doomed[p.Name] })
}

// isStale says that what the cluster shows is about the generation before.
func isStale(g Group) bool {
	return g.Deployment != nil && g.Deployment.Status.ObservedGeneration < g.Deployment.Generation
}

// judged leaves out the pods that are being deleted.
func judged(pods []*corev1.Pod) []*corev1.Pod {
	rest := make([]*corev1.Pod, 0, len(pods))
	for _, pod := range pods {
		if pod != nil && pod.DeletionTimestamp == nil {
			rest = append(rest, pod)
		}
	}
	return rest
}

// active are the pods that a ReplicaSet counts: FilterActivePods in
// kubernetes/pkg/controller/controller_utils.go.
func active(pods []*corev1.Pod) []*corev1.Pod {
	return slices.DeleteFunc(judged(pods), func(p *corev1.Pod) bool {
		return p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
	})
}

// replicas is the number of pods that a ReplicaSet is asked for.
func replicas(rs *appsv1.ReplicaSet) int {
	if rs == nil || rs.Spec.Replicas == nil {
		return 0
	}
	return int(*rs.Spec.Replicas)
}
