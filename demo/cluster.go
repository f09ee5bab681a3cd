package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"gitlab.com/rollstep/rollstep/kubeconfig"
)

// cluster is where the demonstration plays: a lab, or the cluster in KUBECONFIG.
type cluster struct {
	lab        bool
	context    string
	server     string
	namespaces dynamic.NamespaceableResourceInterface
	made       []string
}

func connect(environ []string) (*cluster, error) {
	variables := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		variables[name] = value
	}
	if variables["KUBE_CONTEXT"] != "" {
		return nil, errors.New("KUBE_CONTEXT is set, but requests go through the current context of KUBECONFIG: set that, and unset KUBE_CONTEXT")
	}
	kube, err := kubeconfig.Load(kubeconfig.Input{Kubeconfig: variables["KUBECONFIG"], Environ: variables})
	if err != nil {
		return nil, err
	}
	lab := variables["LAB_TRAFFIC"] != ""
	if host, err := url.Parse(kube.Config.Host); !lab && kube.Context == "lab" && err == nil && host.Hostname() == "127.0.0.1" {
		// Its pods have invented addresses: the API server's service proxy would
		// send the requests out into whatever network has them.
		return nil, errors.New("KUBECONFIG is a lab's: set LAB_TRAFFIC too, as lab up prints it")
	}
	client, err := dynamic.NewForConfig(kube.Config)
	if err != nil {
		return nil, err
	}
	return &cluster{
		lab: lab, context: kube.Context, server: kube.Config.Host,
		namespaces: client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}),
	}, nil
}

func (c *cluster) String() string {
	if c.lab {
		return "the lab. Its Kubernetes control plane is real, its nodes and pods are played."
	}
	return fmt.Sprintf("context %s, %s", c.context, c.server)
}

func (c *cluster) newNamespace(ctx context.Context) (string, error) {
	namespace, err := c.namespaces.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"generateName": "rollstep-demo-"},
	}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	c.made = append(c.made, namespace.GetName())
	return namespace.GetName(), nil
}

// removeNamespaces has the cluster remove what the demonstration made. It goes on
// to do so by itself, which takes it some seconds.
func (c *cluster) removeNamespaces() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // also after Ctrl-C
	defer cancel()
	var failed []error
	for _, name := range c.made {
		if err := c.namespaces.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			failed = append(failed, fmt.Errorf("namespace %s is left: %w", name, err))
		}
	}
	return errors.Join(failed...)
}
