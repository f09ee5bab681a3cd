package controlplane

import (
	"context"
	_ "embed"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const nodeCount = 3

//go:embed kwok.yaml
var kwokTemplate string

func (p plan) kwokConfig() []byte {
	return []byte(strings.NewReplacer(
		"KUBELET_PORT", strconv.Itoa(p.KubeletPort),
		"KUBELET_VERSION", kubernetesVersion(),
	).Replace(kwokTemplate))
}

// kubernetesVersion is the version of k8s.io/kubernetes that is built in.
func kubernetesVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "k8s.io/kubernetes" {
				return module.Version
			}
		}
	}
	return "v0.0.0"
}

// populate makes the nodes and waits until pods can be created and run.
func (c *ControlPlane) populate(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", c.files.admin)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	for i := 1; i <= nodeCount; i++ {
		if err := createNode(ctx, client, fmt.Sprintf("node-%d", i)); err != nil {
			return err
		}
	}
	if err := c.await(ctx, "the nodes", func(ctx context.Context) bool { return nodesReady(ctx, client) }); err != nil {
		return err
	}
	return c.await(ctx, "service account default/default", func(ctx context.Context) bool {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
}

func createNode(ctx context.Context, client kubernetes.Interface, name string) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:   name,
		Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"},
	}}
	_, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create node %s: %w", name, err)
	}
	return nil
}

// nodesReady tells whether the nodes are ready and their taint "not-ready" has gone.
func nodesReady(ctx context.Context, client kubernetes.Interface) bool {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil || len(nodes.Items) < nodeCount {
		return false
	}
	for _, node := range nodes.Items {
		if len(node.Spec.Taints) > 0 || !ready(&node) {
			return false
		}
	}
	return true
}

func ready(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
