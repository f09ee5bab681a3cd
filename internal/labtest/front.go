package labtest

import (
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Front starts a server before the lab's API server and returns a kubeconfig for
// it. Its handler forwards requests, as user ci, by what it is made of.
func (s *Space) Front(handler func(forward *httputil.ReverseProxy) http.Handler) (kubeconfig string) {
	s.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.lab.ciKubeconfig)
	require.NoError(s.t, err)
	transport, err := rest.TransportFor(config)
	require.NoError(s.t, err)
	target, err := url.Parse(config.Host)
	require.NoError(s.t, err)
	quiet := stdlog.New(io.Discard, "", 0) // broken connections are the purpose
	server := httptest.NewUnstartedServer(handler(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // watches
		ErrorLog:      quiet,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { hangUp(w) },
	}))
	server.Config.ErrorLog = quiet
	server.Start()
	s.t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	kubeconfig = filepath.Join(s.t.TempDir(), "kubeconfig")
	require.NoError(s.t, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"lab": {Server: server.URL}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"ci": {}},
		Contexts:       map[string]*clientcmdapi.Context{"lab": {Cluster: "lab", AuthInfo: "ci"}},
		CurrentContext: "lab",
	}, kubeconfig))
	return kubeconfig
}

// hangUp ends a connection without an answer.
func hangUp(w http.ResponseWriter) {
	if hijacker, ok := w.(http.Hijacker); ok {
		if connection, _, err := hijacker.Hijack(); err == nil {
			if tcp, ok := connection.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = connection.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}
