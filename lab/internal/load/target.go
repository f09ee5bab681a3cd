package load

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const requestTimeout = 30 * time.Second

// Target is a Service, "NAMESPACE/SERVICE" or "NAMESPACE/SERVICE:PORT".
type Target struct{ Namespace, Service, Port string }

// ParseTarget reads a target from the command line.
func ParseTarget(text string) (Target, error) {
	namespace, service, ok := strings.Cut(text, "/")
	service, port, _ := strings.Cut(service, ":")
	if !ok || namespace == "" || service == "" {
		return Target{}, fmt.Errorf("%q is not NAMESPACE/SERVICE", text)
	}
	return Target{namespace, service, port}, nil
}

// ThroughLab is the way through a lab's traffic listener.
func (t Target) ThroughLab(traffic string) (*http.Client, string) {
	name := t.Service
	if t.Port != "" {
		name += ":" + t.Port
	}
	return &http.Client{Timeout: requestTimeout}, fmt.Sprintf("%s/%s/%s/", strings.TrimRight(traffic, "/"), t.Namespace, name)
}

// ThroughAPIServer is the way through the API server's service proxy, on any cluster.
func (t Target) ThroughAPIServer(ctx context.Context, kubeconfig string) (*http.Client, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, "", err
	}
	config.Timeout = requestTimeout
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, "", err
	}
	api, err := kubernetes.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, "", err
	}
	port := t.Port
	if port == "" {
		service, err := api.CoreV1().Services(t.Namespace).Get(ctx, t.Service, metav1.GetOptions{})
		if err != nil {
			return nil, "", err
		}
		if len(service.Spec.Ports) == 0 {
			return nil, "", fmt.Errorf("service %s/%s has no port", t.Namespace, t.Service)
		}
		port = fmt.Sprint(service.Spec.Ports[0].Port)
	}
	url := api.CoreV1().RESTClient().Get().Namespace(t.Namespace).Resource("services").
		Name(t.Service + ":" + port).SubResource("proxy").URL()
	return client, strings.TrimRight(url.String(), "/") + "/", nil
}
