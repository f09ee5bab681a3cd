package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// get asks on a connection of its own, as curl does, and decodes the answer.
func get(url string) (status int, fields map[string]any) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	_ = json.Unmarshal(body, &fields)
	return response.StatusCode, fields
}

func TestTraffic_isSharedByReadyPods(t *testing.T) {
	w := newWorld(t)
	w.deploy("app", "v1", 9)
	w.deploy("app-canary", "v2", 1)
	w.expose("app", corev1.ServiceTypeClusterIP)
	w.eventually("all ready", func() bool { return w.ready("app", 9)() && w.ready("app-canary", 1)() })

	traffic := variable(t, "LAB_TRAFFIC")
	service := w.namespace + "/app"
	// The load balancer learns of endpoints later than the Deployments do.
	answered := map[any]bool{}
	w.eventually("all pods answer", func() bool {
		status, a := get(traffic + "/" + service + "/any/path")
		if status == http.StatusOK {
			answered[a["pod"]] = true
		}
		return len(answered) == 10
	})
	reset, err := http.NewRequest(http.MethodDelete, traffic+"/counts/"+service, nil)
	require.NoError(t, err)
	_, err = http.DefaultClient.Do(reset)
	require.NoError(t, err)

	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"load", "--requests", "2000", service}, shared.Variables(), nil, &stdout, &stderr)
	assert.Equal(t, 0, code, stderr.String())
	assert.Regexp(t, `^2,000 requests: v1 [89]\d\.\d %  v2 \d{1,2}\.\d %  failed 0\n$`, stdout.String())

	stdout.Reset()
	code = run(t.Context(), []string{"load", "--requests", "200", service}, []string{"KUBECONFIG=" + variable(t, "KUBECONFIG")}, nil, &stdout, &stderr)
	assert.Equal(t, 0, code, stderr.String())
	assert.Regexp(t, `^200 requests: v1 .* failed 0\n$`, stdout.String(), "through the API server as well")

	_, counts := get(traffic + "/counts")
	count := counts[service].(map[string]any)
	assert.Equal(t, 0.0, count["failed"])
	versions := count["versions"].(map[string]any)
	assert.Equal(t, 2000.0, versions["v1"].(float64)+versions["v2"].(float64))
	// One of ten endpoints: 2,000 draws miss 5 to 15 percent about never.
	assert.InDelta(t, 200, versions["v2"].(float64), 100)
}

func TestTraffic_failsAsItWould(t *testing.T) {
	w := newWorld(t)
	traffic := variable(t, "LAB_TRAFFIC")
	status, _ := get(traffic + "/" + w.namespace + "/nothing/")
	assert.Equal(t, http.StatusNotFound, status)

	w.deploy("app", "v2-never-ready", 1)
	w.expose("app", corev1.ServiceTypeClusterIP)
	w.eventually("503", func() bool {
		status, _ := get(traffic + "/" + w.namespace + "/app/")
		return status == http.StatusServiceUnavailable
	})

	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"load", "--requests", "3", w.namespace + "/app"}, shared.Variables(), nil, &stdout, &stderr)
	assert.Equal(t, 1, code)
	assert.Equal(t, "3 requests: failed 3\n", stdout.String())
	assert.Contains(t, stderr.String(), "has no ready endpoint for port 80")
}

func TestTraffic_rollingUpdateLosesNothing(t *testing.T) {
	w := newWorld(t)
	w.deploy("app", "v1", 5)
	w.expose("app", corev1.ServiceTypeClusterIP)
	url := variable(t, "LAB_TRAFFIC") + "/" + w.namespace + "/app/"
	w.eventually("ready", w.ready("app", 5))
	w.eventually("reached", func() bool { status, _ := get(url); return status == http.StatusOK })
	_, err := w.client.AppsV1().Deployments(w.namespace).Patch(t.Context(), "app", types.StrategicMergePatchType,
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"example/app:v2"}]}}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	w.eventually("only v2", func() bool {
		versions := map[any]bool{}
		for range 20 {
			status, answer := get(url)
			require.Equal(t, http.StatusOK, status, answer)
			versions[answer["version"]] = true
		}
		return len(versions) == 1 && versions["v2"]
	})
}

func TestTraffic_loadBalancerAndNodePort(t *testing.T) {
	w := newWorld(t)
	w.deploy("app", "v1", 1)
	w.expose("app", corev1.ServiceTypeLoadBalancer)
	w.eventually("ready", w.ready("app", 1))
	services := w.client.CoreV1().Services(w.namespace)
	var address, nodePort string
	w.eventually("an address", func() bool {
		service, err := services.Get(t.Context(), "app", metav1.GetOptions{})
		if err != nil || len(service.Status.LoadBalancer.Ingress) == 0 {
			return false
		}
		nodePort = fmt.Sprintf("http://127.0.0.1:%d/", service.Spec.Ports[0].NodePort)
		address = "http://" + service.Status.LoadBalancer.Ingress[0].IP + "/"
		if service.Status.LoadBalancer.Ingress[0].IP == "127.0.0.1" { // where a lab may not listen on port 80
			address = nodePort
		}
		return true
	})
	w.eventually("an answer at the address", func() bool { _, a := get(address); return a["version"] == "v1" })
	w.eventually("an answer at the node port", func() bool { _, a := get(nodePort); return a["version"] == "v1" })

	_, err := services.Patch(t.Context(), "app", types.MergePatchType, []byte(`{"spec":{"type":"ClusterIP"}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	w.eventually("no answer any more", func() bool {
		atAddress, _ := get(address)
		atNodePort, _ := get(nodePort)
		return atAddress == 0 && atNodePort == 0
	})
	w.eventually("no address any more", func() bool {
		service, err := services.Get(t.Context(), "app", metav1.GetOptions{})
		return err == nil && len(service.Status.LoadBalancer.Ingress) == 0
	})
}
