package traffic

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"gitlab.com/rollstep/rollstep/lab/internal/behaviour"
)

// answer is what a pod says.
type answer struct {
	Version   string `json:"version"`
	Pod       string `json:"pod"`
	Namespace string `json:"namespace"`
}

func (a answer) bytes() []byte {
	data, _ := json.Marshal(a) // strings only
	return append(data, '\n')
}

type failure struct {
	Error string `json:"error"`
}

// respond answers one request to a port of a Service.
func (t *Traffic) respond(w http.ResponseWriter, service *corev1.Service, port corev1.ServicePort) {
	name := service.Namespace + "/" + service.Name
	pod, status, err := t.pick(name, port)
	if err != nil {
		t.counts.add(name, "")
		writeJSON(w, status, failure{err.Error()})
		return
	}
	version := behaviour.Version(pod)
	t.counts.add(name, version)
	writeJSON(w, http.StatusOK, answer{Version: version, Pod: pod.Name, Namespace: pod.Namespace})
}

// pick chooses an endpoint at random and returns the pod behind it, or the
// status with which the request fails.
func (t *Traffic) pick(service string, port corev1.ServicePort) (*corev1.Pod, int, error) {
	objects, err := t.slices.ByIndex(byService, service)
	if err != nil {
		return nil, http.StatusInternalServerError, err
	}
	var slices []*discoveryv1.EndpointSlice
	for _, object := range objects {
		slices = append(slices, object.(*discoveryv1.EndpointSlice))
	}
	endpoints := candidates(slices, port)
	if len(endpoints) == 0 {
		return nil, http.StatusServiceUnavailable, fmt.Errorf("service %s has no ready endpoint for port %d", service, port.Port)
	}
	pod, err := t.dial(endpoints[rand.IntN(len(endpoints))])
	if err != nil {
		return nil, http.StatusBadGateway, err
	}
	return pod, http.StatusOK, nil
}

// dial returns the pod at the endpoint if something listens there.
func (t *Traffic) dial(endpoint discoveryv1.Endpoint) (*corev1.Pod, error) {
	ref := endpoint.TargetRef
	if ref == nil || ref.Kind != "Pod" {
		return nil, fmt.Errorf("connection refused: %s is not a pod of the lab", endpoint.Addresses[0])
	}
	for began := time.Now(); ; time.Sleep(lagPause) {
		pod, err := t.pods.Pods(ref.Namespace).Get(ref.Name)
		switch {
		case err != nil || pod.UID != ref.UID:
			return nil, fmt.Errorf("connection refused: pod %s is gone", ref.Name)
		case listens(pod):
			return pod, nil
		case pod.Status.Phase != corev1.PodPending || time.Since(began) > lag:
			return nil, fmt.Errorf("connection refused: nothing listens in pod %s", ref.Name)
		}
	}
}

// A pod that starts may be seen as an endpoint before it is seen running, as the
// two are watched apart: lag is how long that is put up with.
const (
	lag      = 2 * time.Second
	lagPause = 10 * time.Millisecond
)

// listens tells whether the pod's application runs: its first container is the one that serves.
func listens(pod *corev1.Pod) bool {
	if pod.Status.Phase != corev1.PodRunning {
		return false
	}
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == pod.Spec.Containers[0].Name {
			return status.State.Running != nil
		}
	}
	return false
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
