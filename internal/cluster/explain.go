package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// Explain adds to an error of the API server what to do about it.
func Explain(err error) error {
	if err == nil || hint.Of(err) != "" {
		return err
	}
	var network *url.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &network):
		return err
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), " cannot "):
		return hint.With(err, "Give the CI identity that permission: rollstep rbac prints the Role that these manifests need")
	case apierrors.IsUnauthorized(err):
		return hint.Errorf("Renew the token or certificate in KUBECONFIG; a GitLab agent's token lives only as long as its job",
			"the cluster does not accept the credentials in KUBECONFIG: %w", err)
	case apierrors.IsNotFound(err) && strings.Contains(err.Error(), "namespaces \""):
		return hint.With(err, "Create the namespace (kubectl create namespace …), put it into the manifests, or correct KUBE_NAMESPACE")
	case isTLS(err):
		return hint.With(err, "The server's certificate does not fit KUBECONFIG: check certificate-authority-data and the host name in server")
	case isNoSuchHost(err):
		return hint.With(err, "The server in KUBECONFIG has no address here: check its name, and that this runner can reach the cluster")
	case errors.As(err, &network):
		return hint.With(fmt.Errorf("the cluster cannot be reached: %w", err),
			"Check that the server in KUBECONFIG can be reached from this runner, then run the job again: it continues where it stopped")
	case apierrors.IsServiceUnavailable(err), apierrors.IsTooManyRequests(err), apierrors.IsServerTimeout(err), apierrors.IsTimeout(err):
		return hint.With(fmt.Errorf("the API server is not available: %w", err),
			"It may be restarting or overloaded: run the job again later, it continues where it stopped")
	case apierrors.IsInternalError(err) && strings.Contains(err.Error(), "webhook"):
		return hint.With(err, "An admission webhook of the cluster does not answer; the cluster's administrators can repair it")
	}
	return err
}

func isTLS(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		record       tls.RecordHeaderError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &record)
}

func isNoSuchHost(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// redact removes the values of a Secret from the text of an error about it.
func redact(o *unstructured.Unstructured, err error) error {
	if err == nil || o.GetKind() != "Secret" {
		return err
	}
	text := err.Error()
	clean := text
	for _, field := range []string{"data", "stringData"} {
		values, _, _ := unstructured.NestedMap(o.Object, field)
		for _, v := range values {
			value, _ := v.(string)
			for _, secret := range []string{value, decoded(value)} {
				if len(secret) > 2 {
					clean = strings.ReplaceAll(clean, secret, "***")
				}
			}
		}
	}
	if clean == text {
		return err
	}
	return hint.Errorf(hint.Of(err), "%s", clean)
}

func decoded(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(b)
}
