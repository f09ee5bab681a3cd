package controlplane

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"gitlab.com/rollstep/rollstep/lab/internal/pki"
)

// files is what the parts read, and the keys that the lab itself uses.
type files struct {
	admin, ci string // kubeconfigs
	server    tls.Certificate
	roots     *x509.CertPool
	client    *http.Client // to the parts, as the administrator
}

// masters is the group that Kubernetes lets do anything.
const masters = "system:masters"

// writeFiles makes all keys anew and writes them beside what else the parts read.
func writeFiles(p plan) (*files, error) {
	if err := os.RemoveAll(p.path("etcd")); err != nil { // of an earlier attempt
		return nil, err
	}
	ca, err := pki.NewAuthority()
	if err != nil {
		return nil, err
	}
	server, err1 := ca.Server("kubernetes", "kubernetes.default", "kubernetes.default.svc")
	admin, err2 := ca.Client("lab:admin", masters)
	ci, err3 := ca.Client("ci", "lab:ci")
	tokens, err4 := pki.SigningKey()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	f := &files{admin: p.path("kubeconfig"), ci: p.path("ci.kubeconfig"), roots: x509.NewCertPool()}
	f.roots.AppendCertsFromPEM(ca.Cert)
	if f.server, err = tls.X509KeyPair(server.Cert, server.Key); err != nil {
		return nil, err
	}
	adminPair, err := tls.X509KeyPair(admin.Cert, admin.Key)
	if err != nil {
		return nil, err
	}
	f.client = httpClient(adminPair, f.roots)

	for name, data := range map[string][]byte{
		"ca.crt": ca.Cert, "ca.key": ca.Key,
		"server.crt": server.Cert, "server.key": server.Key,
		"client.crt": admin.Cert, "client.key": admin.Key,
		"tokens.pub": tokens.Cert, "tokens.key": tokens.Key,
		"kwok.yaml": p.kwokConfig(), "egress.yaml": p.egressConfig(),
	} {
		if err := os.WriteFile(p.path(name), data, 0o600); err != nil {
			return nil, err
		}
	}
	url := fmt.Sprintf("https://127.0.0.1:%d", p.apiPort)
	if err := errors.Join(
		ca.WriteKubeconfig(f.admin, url, admin),
		ca.WriteKubeconfig(f.ci, url, ci),
	); err != nil {
		return nil, err
	}
	// Each part has a name of its own in the API server's eyes.
	for _, name := range []string{ControllerManager, Scheduler, Kwok} {
		client, err := ca.Client("system:"+name, masters)
		if err != nil {
			return nil, err
		}
		if err := ca.WriteKubeconfig(p.path(name+".kubeconfig"), url, client); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (s Settings) path(name string) string { return filepath.Join(s.Dir, name) }
