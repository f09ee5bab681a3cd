package step

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/gitlab"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// addressWait bounds the wait for a load balancer's address: the canary serves
// without it.
const addressWait = 30 * time.Second

// reportPreviews says how each preview Service is reached.
func (r *run) reportPreviews(ctx context.Context, tracks []track) {
	for _, t := range tracks {
		if r.Preview == "" || t.goal.Canary == 0 {
			continue
		}
		for _, s := range t.canaryServices {
			ref := record.Object{APIVersion: "v1", Kind: "Service", Namespace: t.stable.Namespace, Name: canary.Name(s)}
			if slices.ContainsFunc(r.report.Previews, func(l gitlab.Link) bool { return strings.HasPrefix(l.Label, ref.Name+" ") }) {
				continue
			}
			r.reportPreview(ctx, t, ref)
		}
	}
}

func (r *run) reportPreview(ctx context.Context, t track, ref record.Object) {
	service, err := r.previewService(ctx, ref)
	if err != nil {
		r.log.Note("preview: the address of Service %s cannot be told: %v", ref.Name, err)
		return
	}
	v := r.watcher.View()
	url := address(service, v.Pods(v.Deployment(t.canary.Namespace, t.canary.Name)))
	if url == "" {
		r.log.Note("preview: Service %s reaches only the canary; it has no address yet", ref.Name)
		return
	}
	where := ""
	if service.Spec.Type == corev1.ServiceTypeClusterIP {
		where = ", inside the cluster"
	}
	r.log.Printf("preview: %s reaches only the canary%s", url, where)
	r.report.Previews = append(r.report.Previews, gitlab.Link{Label: fmt.Sprintf("%s (%s%s)", ref.Name, service.Spec.Type, where), URL: url})
}

// previewService reads a preview Service; that of a load balancer once it has an
// address, if that takes no longer than addressWait.
func (r *run) previewService(ctx context.Context, ref record.Object) (*corev1.Service, error) {
	live, err := r.cluster.Get(ctx, emptyObject(ref))
	if err != nil || live == nil {
		return nil, orNotFound(err, ref)
	}
	service, err := typedService(live)
	if err != nil || service.Spec.Type != corev1.ServiceTypeLoadBalancer || len(service.Status.LoadBalancer.Ingress) > 0 {
		return service, err
	}
	r.log.Printf("waiting for the address of load balancer %s", ref.Name)
	ctx, cancel := context.WithTimeout(ctx, min(addressWait, max(0, time.Until(r.work))))
	defer cancel()
	watch, err := r.cluster.Dynamic.Resource(services).Namespace(ref.Namespace).Watch(ctx, metav1.ListOptions{
		FieldSelector: "metadata.name=" + ref.Name, ResourceVersion: live.GetResourceVersion(),
	})
	if err != nil {
		return service, err
	}
	defer watch.Stop()
	for event := range watch.ResultChan() {
		if o, ok := event.Object.(*unstructured.Unstructured); ok {
			if seen, err := typedService(o); err == nil && len(seen.Status.LoadBalancer.Ingress) > 0 {
				return seen, nil
			}
		}
	}
	return service, nil
}

func orNotFound(err error, ref record.Object) error {
	if err == nil {
		err = fmt.Errorf("%s %s is not there", ref.Kind, ref.Name)
	}
	return err
}

func typedService(o *unstructured.Unstructured) (*corev1.Service, error) {
	s := &corev1.Service{}
	return s, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, s)
}

// address is the URL at which a Service is reached: its load balancer's, else
// its node port on a node that runs one of pods, else its name in the cluster.
// It is "" where a load balancer has none yet.
func address(s *corev1.Service, pods []*corev1.Pod) string {
	if len(s.Spec.Ports) == 0 {
		return ""
	}
	port := s.Spec.Ports[0]
	switch s.Spec.Type {
	case corev1.ServiceTypeLoadBalancer:
		for _, i := range s.Status.LoadBalancer.Ingress {
			return urlOf(cmp.Or(i.IP, i.Hostname), port, port.Port)
		}
		return ""
	case corev1.ServiceTypeNodePort:
		for _, p := range pods {
			if rollout.Ready(p) && p.Status.HostIP != "" {
				return urlOf(p.Status.HostIP, port, port.NodePort)
			}
		}
		return ""
	}
	return urlOf(s.Name+"."+s.Namespace+".svc", port, port.Port)
}

func urlOf(host string, port corev1.ServicePort, number int32) string {
	scheme, usual := "http", int32(80)
	if port.Port == 443 || port.Name == "https" || port.AppProtocol != nil && *port.AppProtocol == "https" {
		scheme, usual = "https", 443
	}
	if strings.Contains(host, ":") { // an IPv6 address
		host = "[" + host + "]"
	}
	if number != usual {
		host += fmt.Sprintf(":%d", number)
	}
	return scheme + "://" + host
}
