package traffic

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"

	corev1 "k8s.io/api/core/v1"

	"gitlab.com/rollstep/rollstep/lab/internal/behaviour"
)

// The API server dials pods, for its service and pod proxies, and kubelets. Pod
// addresses mean nothing on this machine, and must not be asked for on its
// network; so the API server dials all of them through here (its "egress
// selector"), by HTTP CONNECT.

// Connect answers as the pod with that address, or passes on to the kubelet.
func (t *Traffic) Connect(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.URL.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.URL.Host == t.kubelet {
		kubelet, err := net.Dial("tcp", t.kubelet)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		accept(w, func(conn net.Conn, in *bufio.Reader) {
			go func() {
				_, _ = io.Copy(kubelet, in)
				_ = kubelet.Close()
			}()
			_, _ = io.Copy(conn, kubelet)
			_ = kubelet.Close()
		})
		return
	}
	pod := t.podAt(host)
	if pod == nil || !listens(pod) {
		http.Error(w, "connection refused: no pod listens at "+host, http.StatusBadGateway)
		return
	}
	accept(w, func(conn net.Conn, in *bufio.Reader) {
		for {
			request, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, request.Body)
			if err := answerOf(pod).Write(conn); err != nil {
				return
			}
		}
	})
}

// accept opens the tunnel and closes it after serve.
func accept(w http.ResponseWriter, serve func(net.Conn, *bufio.Reader)) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprint(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	serve(conn, buffered.Reader)
}

// answerOf is the pod's own answer to any request.
func answerOf(pod *corev1.Pod) *http.Response {
	body := answer{Version: behaviour.Version(pod), Pod: pod.Name, Namespace: pod.Namespace}.bytes()
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}
}

func (t *Traffic) podAt(ip string) *corev1.Pod {
	pods, err := t.podsByIP.ByIndex(byIP, ip)
	if err != nil || len(pods) == 0 {
		return nil
	}
	return pods[0].(*corev1.Pod)
}
