package traffic

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// listenOn makes the front listen on these addresses and no others. It returns those that it could not.
func (f *front) listenOn(addresses []string) map[string]error {
	for address, server := range f.open {
		if !slices.Contains(addresses, address) {
			_ = server.Close()
			delete(f.open, address)
		}
	}
	failed := map[string]error{}
	for _, address := range addresses {
		if f.open[address] != nil {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			failed[address] = rootCause(err)
			continue
		}
		server := &http.Server{Handler: &portHandler{}, ReadHeaderTimeout: 10 * time.Second}
		f.open[address] = server
		go func() { _ = server.Serve(listener) }()
	}
	return failed
}

// rootCause leaves away the address, which is said otherwise.
func rootCause(err error) error {
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Err
	}
	return err
}

// portHandler answers for one port of a Service, as the Service last was.
type portHandler struct {
	now atomic.Pointer[http.HandlerFunc]
}

func (h *portHandler) set(t *Traffic, service *corev1.Service, port corev1.ServicePort) {
	respond := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { t.respond(w, service, port) })
	h.now.Store(&respond)
}

func (h *portHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if respond := h.now.Load(); respond != nil {
		respond.ServeHTTP(w, r)
		return
	}
	writeJSON(w, http.StatusServiceUnavailable, failure{"the Service is about to be served"})
}

func (t *Traffic) patchStatus(ctx context.Context, service *corev1.Service, patch string) error {
	_, err := t.client.CoreV1().Services(service.Namespace).Patch(ctx, service.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
