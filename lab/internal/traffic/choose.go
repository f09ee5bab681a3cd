package traffic

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// candidates are the endpoints that a request to the Service's port may reach,
// as kube-proxy chooses them: the ready ones; without any, those that still
// serve while they terminate.
// See CategorizeEndpoints in k8s.io/kubernetes/pkg/proxy/topology.go.
func candidates(slices []*discoveryv1.EndpointSlice, port corev1.ServicePort) []discoveryv1.Endpoint {
	var ready, terminating []discoveryv1.Endpoint
	seen := map[string]bool{} // while slices are rearranged, an endpoint may be in two
	for _, slice := range slices {
		if !serves(slice, port) {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			if len(endpoint.Addresses) == 0 || seen[endpoint.Addresses[0]] {
				continue
			}
			c := endpoint.Conditions
			switch {
			case c.Ready == nil || *c.Ready:
				ready = append(ready, endpoint)
			case isTrue(c.Serving) && isTrue(c.Terminating):
				terminating = append(terminating, endpoint)
			default:
				continue
			}
			seen[endpoint.Addresses[0]] = true
		}
	}
	if len(ready) > 0 {
		return ready
	}
	return terminating
}

// serves tells whether the slice's endpoints have the Service's port: the two are matched by name.
func serves(slice *discoveryv1.EndpointSlice, port corev1.ServicePort) bool {
	for _, p := range slice.Ports {
		name := ""
		if p.Name != nil {
			name = *p.Name
		}
		if name == port.Name && p.Port != nil {
			return true
		}
	}
	return false
}

func isTrue(b *bool) bool { return b != nil && *b }

// findPort returns the port of the Service that "name" or "number" means; "" is the first.
func findPort(service *corev1.Service, wanted string) (corev1.ServicePort, bool) {
	for _, port := range service.Spec.Ports {
		if wanted == "" || wanted == port.Name || wanted == strconv.Itoa(int(port.Port)) {
			return port, true
		}
	}
	return corev1.ServicePort{}, false
}
