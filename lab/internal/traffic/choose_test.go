package traffic

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

func endpoint(address string, ready, serving, terminating bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{
		Addresses:  []string{address},
		Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating},
	}
}

func slice(portName string, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	number := int32(5000)
	return &discoveryv1.EndpointSlice{Ports: []discoveryv1.EndpointPort{{Name: &portName, Port: &number}}, Endpoints: endpoints}
}

func TestCandidates(t *testing.T) {
	ready := endpoint("a", true, true, false)
	other := endpoint("b", true, true, false)
	unready := endpoint("c", false, false, false)
	terminating := endpoint("d", false, true, true)
	dying := endpoint("e", false, false, true)
	for _, test := range []struct {
		name   string
		slices []*discoveryv1.EndpointSlice
		port   string
		want   []string
	}{
		{name: "no slice"},
		{name: "no endpoint", slices: []*discoveryv1.EndpointSlice{slice("")}},
		{name: "ready ones of all slices", slices: []*discoveryv1.EndpointSlice{slice("", ready, unready), slice("", other)}, want: []string{"a", "b"}},
		{name: "one that is in two slices counts once", slices: []*discoveryv1.EndpointSlice{slice("", ready), slice("", ready)}, want: []string{"a"}},
		{name: "terminating ones rest while there are ready ones", slices: []*discoveryv1.EndpointSlice{slice("", terminating, ready)}, want: []string{"a"}},
		{name: "terminating ones serve where none is ready", slices: []*discoveryv1.EndpointSlice{slice("", terminating, dying, unready)}, want: []string{"d"}},
		{name: "unknown readiness is ready", slices: []*discoveryv1.EndpointSlice{slice("", discoveryv1.Endpoint{Addresses: []string{"x"}})}, want: []string{"x"}},
		{name: "port by name", slices: []*discoveryv1.EndpointSlice{slice("web", ready), slice("admin", other)}, port: "admin", want: []string{"b"}},
		{name: "port that no pod has", slices: []*discoveryv1.EndpointSlice{slice("web", ready)}, port: "metrics"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, e := range candidates(test.slices, corev1.ServicePort{Name: test.port}) {
				got = append(got, e.Addresses[0])
			}
			assert.Equal(t, test.want, got)
		})
	}
}

func TestFindPort(t *testing.T) {
	service := &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "web", Port: 80}, {Name: "admin", Port: 81}}}}
	for wanted, port := range map[string]int32{"": 80, "web": 80, "admin": 81, "81": 81} {
		got, ok := findPort(service, wanted)
		assert.True(t, ok)
		assert.Equal(t, port, got.Port, wanted)
	}
	_, ok := findPort(service, "5000")
	assert.False(t, ok)
}

func TestSlice_addressesAreItsOwn(t *testing.T) {
	first, second := &Slice{index: 0}, &Slice{index: 1}
	assert.Equal(t, "127.64.0.1", first.address(0))
	assert.Equal(t, "127.64.1.1", first.address(250))
	assert.Equal(t, "127.65.0.1", second.address(0))
	assert.Equal(t, "20001-20249", first.NodePorts())
	assert.Equal(t, "20251-20499", second.NodePorts())
}
