package kubeconfig

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/clientcmd/api"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// chooseContext returns the name of the context to use: the one wanted, else
// the current one, else the only one.
func chooseContext(config *api.Config, wanted, source string) (string, error) {
	names := slices.Sorted(maps.Keys(config.Contexts))
	switch {
	case len(names) == 0:
		return "", hint.Errorf("add a context that joins the cluster and the user; `kubectl config view --raw --minify --flatten` prints a complete kubeconfig",
			"%s has clusters but no contexts", source)
	case wanted != "" && config.Contexts[wanted] == nil:
		return "", hint.Errorf(notFoundHint(names), "KUBE_CONTEXT is %q, but %s has no such context; it has %s", wanted, source, quoted(names))
	case wanted != "":
		return wanted, nil
	case config.CurrentContext != "" && config.Contexts[config.CurrentContext] == nil:
		return "", hint.Errorf("set KUBE_CONTEXT to one of them, or repair current-context. "+expandHint,
			"%s: current-context is %q, but there is no such context; there are %s", source, config.CurrentContext, quoted(names))
	case config.CurrentContext != "":
		return config.CurrentContext, nil
	case len(names) == 1:
		return names[0], nil
	}
	next := "set KUBE_CONTEXT to one of them"
	if fromAgent(names) {
		next += "; the GitLab agent's contexts are named group/project:agent, and none of them is current"
	}
	return "", hint.Errorf(next, "%s has no current-context and %d contexts: %s", source, len(names), quoted(names))
}

func notFoundHint(names []string) string {
	if fromAgent(names) {
		return "set KUBE_CONTEXT to one of them, in full: group/project:agent"
	}
	return "set KUBE_CONTEXT to one of them, or remove it to use the current context"
}

// fromAgent recognizes the contexts that GitLab writes for its agent,
// e.g. "group/project:agent"
// (https://docs.gitlab.com/user/clusters/agent/ci_cd_workflow/).
func fromAgent(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		project, agent, found := strings.Cut(name, ":")
		return found && strings.Contains(project, "/") && validation.IsDNS1123Label(agent) == nil
	})
}

func quoted(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(quoted, ", ")
}

// chooseNamespace returns the namespace wanted, else the one that its source
// declares, else "default".
func chooseNamespace(wanted, declared, source string) (string, error) {
	switch {
	case wanted != "":
		return wanted, checkNamespace(wanted, "KUBE_NAMESPACE")
	case declared != "":
		return declared, checkNamespace(declared, source)
	}
	return "default", nil
}

// checkNamespace accepts DNS-1123 labels and nothing.
func checkNamespace(namespace, source string) error {
	if namespace == "" {
		return nil
	}
	if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
		return hint.Errorf("set KUBE_NAMESPACE to the name of a namespace",
			"%s: %q is no valid namespace: %s", source, namespace, strings.Join(problems, "; "))
	}
	return nil
}
