package main

import (
	"io"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func named(prefix string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix}}
}

// deploy makes a Deployment whose pods carry the labels app=app and name=NAME.
func (w world) deploy(name, tag string, replicas int32) {
	w.Helper()
	labels := map[string]string{"app": "app", "name": name}
	_, err := w.client.AppsV1().Deployments(w.namespace).Create(w.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "example/app:" + tag}}},
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(w.T, err)
}

func (w world) ready(name string, replicas int32) func() bool {
	return func() bool {
		d, err := w.client.AppsV1().Deployments(w.namespace).Get(w.Context(), name, metav1.GetOptions{})
		return err == nil && d.Status.ReadyReplicas == replicas && d.Status.Replicas == replicas && d.Status.AvailableReplicas == replicas
	}
}

// pod makes a pod of one container, changed by edit.
func (w world) pod(name, tag string, edit func(*corev1.Pod)) {
	w.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "example/app:" + tag}}},
	}
	if edit != nil {
		edit(pod)
	}
	_, err := w.client.CoreV1().Pods(w.namespace).Create(w.Context(), pod, metav1.CreateOptions{})
	require.NoError(w.T, err)
}

// status returns the pod's first container's status; empty while there is none.
func (w world) status(pod string) corev1.ContainerStatus {
	p, err := w.client.CoreV1().Pods(w.namespace).Get(w.Context(), pod, metav1.GetOptions{})
	if err != nil || len(p.Status.ContainerStatuses) == 0 {
		return corev1.ContainerStatus{}
	}
	return p.Status.ContainerStatuses[0]
}

// event tells whether the kubelet recorded an event about the pod.
func (w world) event(pod, reason, message string) func() bool {
	return func() bool {
		events, err := w.client.CoreV1().Events(w.namespace).List(w.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + pod + ",reason=" + reason})
		if err != nil {
			return false
		}
		for _, e := range events.Items {
			if e.Source.Component == "kubelet" && e.Source.Host != "" && e.Message == message {
				return true
			}
		}
		return false
	}
}

func (w world) log(pod string, options corev1.PodLogOptions) (string, error) {
	stream, err := w.client.CoreV1().Pods(w.namespace).GetLogs(pod, &options).Stream(w.Context())
	if err != nil {
		return "", err
	}
	defer func() { _ = stream.Close() }()
	data, err := io.ReadAll(stream)
	return string(data), err
}

// expose makes a Service over all pods that deploy makes.
func (w world) expose(name string, kind corev1.ServiceType) {
	w.Helper()
	_, err := w.client.CoreV1().Services(w.namespace).Create(w.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: kind, Selector: map[string]string{"app": "app"},
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(5000)}},
		},
	}, metav1.CreateOptions{})
	require.NoError(w.T, err)
}
