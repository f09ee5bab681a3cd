package kubeconfig

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

const defaultServiceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// loadWithoutKubeconfig uses the service account of the pod that the job runs
// in, as kubectl does. Not if a context is asked for: then a kubeconfig is
// missing, and the runner's own account may well reach the wrong cluster.
func loadWithoutKubeconfig(in Input) (*Result, error) {
	config, podNamespace := inCluster(in)
	if in.Context != "" || config == nil {
		return nil, errors.Join(notSet(in), checkNamespace(in.Namespace, "KUBE_NAMESPACE"))
	}
	namespace, err := chooseNamespace(in.Namespace, podNamespace, "the service account's namespace file")
	if err != nil {
		return nil, err
	}
	note := "KUBECONFIG is not set: using the service account of the pod that this job runs in."
	return &Result{Config: config, Namespace: namespace, Notes: []string{note}}, nil
}

// inCluster is rest.InClusterConfig with the environment and the directory as
// parameters; nil outside a pod, or in one without a token.
func inCluster(in Input) (*rest.Config, string) {
	dir := in.ServiceAccountDir
	if dir == "" {
		dir = defaultServiceAccountDir
	}
	host, port := in.Environ["KUBERNETES_SERVICE_HOST"], in.Environ["KUBERNETES_SERVICE_PORT"]
	tokenFile := filepath.Join(dir, "token")
	token, err := os.ReadFile(tokenFile)
	if err != nil || host == "" {
		return nil, ""
	}
	if port == "" {
		port = "443"
	}
	config := &rest.Config{
		Host:            "https://" + net.JoinHostPort(host, port),
		BearerToken:     strings.TrimSpace(string(token)),
		BearerTokenFile: tokenFile,
	}
	// Without a CA file the system's certificates decide, as in client-go.
	if _, err := cert.NewPool(filepath.Join(dir, "ca.crt")); err == nil {
		config.CAFile = filepath.Join(dir, "ca.crt")
	}
	namespace, _ := os.ReadFile(filepath.Join(dir, "namespace"))
	return unlimited(config), strings.TrimSpace(string(namespace))
}

func notSet(in Input) error {
	if in.Context != "" {
		return hint.Errorf("for the GitLab agent, list this project under ci_access in the agent's config.yaml (GitLab then sets KUBECONFIG); otherwise: "+notSetHint(in.Environ),
			"KUBE_CONTEXT is %q, but KUBECONFIG is not set", in.Context)
	}
	return hint.Errorf(notSetHint(in.Environ), "KUBECONFIG is not set")
}

// notSetHint says why a variable that exists in GitLab may be absent in the job.
func notSetHint(environ map[string]string) string {
	var why []string
	if environ["CI_COMMIT_REF_PROTECTED"] == "false" {
		why = append(why, "if it exists, it may be a protected variable, which jobs on this unprotected branch or tag do not get: protect the ref, or untick \"Protect variable\"")
	}
	switch environment := environ["CI_ENVIRONMENT_NAME"]; {
	case environ["CI"] == "":
	case environment != "":
		why = append(why, "if it exists, it may be scoped to another environment than "+environment)
	default:
		why = append(why, "if it exists, it may be scoped to an environment, and this job has no environment: add `environment:` to "+jobName(environ)+", or set the variable's scope to *")
	}
	next := "add a CI/CD variable KUBECONFIG of type File that holds the kubeconfig, or connect the project with the GitLab agent for Kubernetes"
	if len(why) == 0 {
		return next
	}
	return strings.Join(why, "; ") + "; otherwise " + next
}

func jobName(environ map[string]string) string {
	if name := environ["CI_JOB_NAME"]; name != "" {
		return "job " + name
	}
	return "the job"
}
