package kubeconfig

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd/api"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// check finds the mistakes in the cluster and the user of one context. The
// other contexts do not matter.
func check(src source, contextName string, environ map[string]string) error {
	context := src.config.Contexts[contextName]
	at := fmt.Sprintf("%s: context %q", src.name, contextName)
	var problems []error

	cluster := src.config.Clusters[context.Cluster]
	if cluster == nil {
		problems = append(problems, dangling(at, "cluster", context.Cluster))
	} else {
		problems = append(problems, checkCluster(fmt.Sprintf("%s: cluster %q", src.name, context.Cluster), cluster)...)
	}

	user := src.config.AuthInfos[context.AuthInfo]
	// Plain HTTP carries no credentials (clientcmd drops them); it is what
	// `kubectl proxy` and test servers speak.
	plainHTTP := cluster != nil && strings.HasPrefix(cluster.Server, "http://")
	switch {
	case user != nil:
		problems = append(problems, checkUser(fmt.Sprintf("%s: user %q", src.name, context.AuthInfo), user, plainHTTP, environ)...)
	case context.AuthInfo != "" || !plainHTTP:
		problems = append(problems, dangling(at, "user", context.AuthInfo))
	}
	return errors.Join(problems...)
}

func dangling(at, what, name string) error {
	next := fmt.Sprintf("add that %s to the kubeconfig, or choose another context with KUBE_CONTEXT. %s", what, expandHint)
	if name == "" {
		return hint.Errorf(next, "%s names no %s", at, what)
	}
	return hint.Errorf(next, "%s refers to %s %q, which does not exist", at, what, name)
}

func checkCluster(at string, cluster *api.Cluster) []error {
	problems := []error{checkServer(at, cluster.Server)}
	if cluster.ProxyURL != "" {
		// The URL itself may hold a password.
		if proxy, err := url.Parse(cluster.ProxyURL); err != nil || !slices.Contains([]string{"http", "https", "socks5"}, proxy.Scheme) {
			problems = append(problems, hint.Errorf("correct proxy-url, or remove it", "%s: proxy-url is no http, https or socks5 URL", at))
		}
	}
	return append(problems, checkFile(at, "certificate-authority", cluster.CertificateAuthority))
}

func checkServer(at, server string) error {
	if server == "" {
		return hint.Errorf("write the API server's address into the kubeconfig, e.g. https://203.0.113.7:6443. "+expandHint, "%s has no server", at)
	}
	// kubectl accepts a host and port without scheme too.
	address, _, err := rest.DefaultServerURL(server, "", schema.GroupVersion{}, true)
	if err != nil || address.Hostname() == "" || (address.Scheme != "https" && address.Scheme != "http") {
		shown := fmt.Sprintf("%q", server)
		if strings.Contains(server, "@") || len(server) > 100 {
			shown = "its value"
		}
		return hint.Errorf("write the API server's address into the kubeconfig, e.g. https://203.0.113.7:6443. "+expandHint,
			"%s: server: %s is no http or https URL", at, shown)
	}
	return nil
}

func checkUser(at string, user *api.AuthInfo, plainHTTP bool, environ map[string]string) []error {
	var problems []error
	if user.Exec != nil {
		problems = append(problems, checkExec(at, user.Exec, environ["PATH"]))
	}
	if user.AuthProvider != nil {
		problems = append(problems, hint.Errorf(credentialHint,
			"%s uses the auth-provider %q, which client-go no longer has and this image does not hold", at, user.AuthProvider.Name))
	}
	hasCredentials := user.Exec != nil || user.AuthProvider != nil || user.Token != "" || user.TokenFile != "" || user.Username != "" ||
		user.ClientCertificate != "" || len(user.ClientCertificateData) > 0
	if !hasCredentials && !plainHTTP {
		problems = append(problems, hint.Errorf(credentialHint+". "+expandHint, "%s has no credentials: no token, client certificate or exec plugin", at))
	}
	return append(problems,
		checkFile(at, "client-certificate", user.ClientCertificate),
		checkFile(at, "client-key", user.ClientKey),
		checkFile(at, "tokenFile", user.TokenFile))
}

func checkFile(at, field, path string) error {
	if path == "" {
		return nil
	}
	file, err := os.Open(path)
	if err == nil {
		file.Close()
		return nil
	}
	return hint.Errorf("put the file's content into the kubeconfig: `kubectl config view --raw --minify --flatten` prints it that way",
		"%s: %s %s: %w", at, field, path, cause(err))
}

const credentialHint = "use the token of a service account, or the GitLab agent for Kubernetes"

// checkExec finds out whether the image has the command that a kubeconfig
// made by a cloud's CLI runs for credentials.
func checkExec(at string, exec *api.ExecConfig, path string) error {
	if exec.Command == "" {
		return hint.Errorf(credentialHint+". "+expandHint, "%s has an exec plugin without a command", at)
	}
	if onPath(exec.Command, path) {
		return nil
	}
	return hint.Errorf(credentialHint, "%s gets its credentials from the command %q, which is not in this image: the rollstep image holds no cloud CLIs",
		at, exec.Command)
}

// onPath is exec.LookPath with PATH as a parameter.
func onPath(command, path string) bool {
	candidates := []string{command}
	if !strings.ContainsRune(command, filepath.Separator) {
		candidates = nil
		for _, dir := range filepath.SplitList(path) {
			candidates = append(candidates, filepath.Join(dir, command))
		}
	}
	return slices.ContainsFunc(candidates, func(candidate string) bool {
		info, err := os.Stat(candidate)
		return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
	})
}
