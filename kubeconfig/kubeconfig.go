// Package kubeconfig turns what a GitLab job says about its cluster into a
// client configuration, and explains every mistake made on the way there.
package kubeconfig

import (
	"errors"
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// Input is what a job says about its cluster. Empty fields count as unset.
type Input struct {
	// Kubeconfig (KUBECONFIG) is the path of a kubeconfig file, several paths
	// joined by the list separator, or the content of a kubeconfig itself.
	Kubeconfig string
	// Context (KUBE_CONTEXT) is the name of a context; by default the current
	// one, else the only one.
	Context string
	// Namespace (KUBE_NAMESPACE) is by default the context's, else "default".
	Namespace string

	// Environ is the job's environment. CI_* variables sharpen the hints, PATH
	// tells whether an exec plugin exists, KUBERNETES_SERVICE_HOST and _PORT
	// whether the job runs in a pod.
	Environ map[string]string
	// ServiceAccountDir is where a pod finds its service account; empty means
	// the place where Kubernetes mounts it.
	ServiceAccountDir string
}

// Result is a cluster to talk to.
type Result struct {
	// Config has no client-side rate limit, no timeout and no user agent.
	Config *rest.Config
	// Namespace is the default namespace, a valid DNS-1123 label.
	Namespace string
	// Context is the name of the chosen context, "" inside a pod.
	Context string
	// Notes tell the reader of the job log what was done differently from
	// what they may expect, one sentence each.
	Notes []string
}

// Load turns GitLab's KUBECONFIG file variable, or what users set instead of
// it, into a client configuration. It reads files and talks to no server.
// All mistakes found come back in one joined error; each says what to do next
// (hint.Of), and none shows what the kubeconfig contains beyond names.
func Load(in Input) (*Result, error) {
	in = in.normalized()
	if in.Kubeconfig == "" {
		return loadWithoutKubeconfig(in)
	}
	src, notes, err := read(in)
	if err != nil {
		return nil, errors.Join(err, checkNamespace(in.Namespace, "KUBE_NAMESPACE"))
	}
	name, err := chooseContext(src.config, in.Context, src.name)
	if err != nil {
		return nil, errors.Join(err, checkNamespace(in.Namespace, "KUBE_NAMESPACE"))
	}
	namespace, err := chooseNamespace(in.Namespace, src.config.Contexts[name].Namespace, fmt.Sprintf("context %q", name))
	if err := errors.Join(check(src, name, in.Environ), err); err != nil {
		return nil, err
	}
	config, err := restConfig(src, name)
	if err != nil {
		return nil, err
	}
	return &Result{Config: config, Namespace: namespace, Context: name, Notes: notes}, nil
}

// restConfig converts the chosen context, which check has found sound.
func restConfig(src source, context string) (*rest.Config, error) {
	fail := func(err error) error {
		return hint.Errorf("repair the kubeconfig, or make a new one; `kubectl --kubeconfig FILE version` must work with it",
			"%s: context %q: %w", src.name, context, err)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*src.config, context, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, fail(err)
	}
	// Certificates are parsed only when the first connection is made; parsing
	// them here turns a puzzling connection error into one about the file.
	if _, err := rest.TLSConfigFor(config); err != nil {
		return nil, fail(err)
	}
	return unlimited(config), nil
}

// unlimited turns client-go's own rate limit off (a negative QPS, see
// rest.Config.QPS): the server's priority and fairness limits clients already.
func unlimited(config *rest.Config) *rest.Config {
	config.QPS = -1
	return config
}
