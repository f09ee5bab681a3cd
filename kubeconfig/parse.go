package kubeconfig

import (
	"bytes"
	"encoding/base64"
	"errors"
	"regexp"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// expandHint names the usual reason why parts of a kubeconfig are missing:
// GitLab replaces $word in a variable's value, also in one of type File.
const expandHint = "If the value in GitLab is right, untick \"Expand variable reference\" of the KUBECONFIG variable, so that $ stays as it is"

// parse reads a kubeconfig that must hold a cluster.
func parse(name string, content []byte) (*api.Config, error) {
	config, err := parseAny(name, content)
	if err == nil && len(config.Clusters) == 0 {
		err = noClusters(name)
	}
	return config, err
}

func noClusters(name string) error {
	return hint.Errorf("put a kubeconfig into the variable, such as `kubectl config view --raw --minify --flatten` prints",
		"%s is no kubeconfig: it has no clusters", name)
}

// parseAny reads one of several files to merge. clientcmd's own errors can
// repeat the content (duplicate names print the whole list of users), so what
// it would stumble over is looked for first.
func parseAny(name string, content []byte) (*api.Config, error) {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, hint.Errorf("give the KUBECONFIG variable the kubeconfig as its value. "+expandHint, "%s is empty", name)
	}
	if isBase64Kubeconfig(content) {
		return nil, base64Error(name)
	}
	var top any
	if err := yaml.Unmarshal(content, &top); err != nil {
		return nil, hint.Errorf("paste the kubeconfig again, with its line breaks and indentation. "+expandHint,
			"%s is not YAML: %s", name, withoutContent(err))
	}
	fields, isMapping := top.(map[string]any)
	if !isMapping {
		return nil, hint.Errorf("the variable of type File must hold the kubeconfig itself, not a path or the name of another variable. "+expandHint,
			"%s is no kubeconfig: it holds a single value or a list instead of a mapping", name)
	}
	if kind, _ := fields["kind"].(string); kind != "" && kind != "Config" {
		return nil, hint.Errorf("put a kubeconfig into the variable, such as `kubectl config view --raw --minify --flatten` prints",
			"%s is no kubeconfig: its kind is %q instead of Config", name, kind)
	}
	if err := errors.Join(checkEntries(name, fields)...); err != nil {
		return nil, err
	}
	config, err := clientcmd.Load(content)
	if err != nil {
		return nil, hint.Errorf("compare it with what `kubectl config view --raw` prints. "+expandHint,
			"%s is no kubeconfig: %s", name, withoutContent(err))
	}
	return config, nil
}

// base64Fields are the fields that hold base64, by list and by the key of the
// entry inside it (client-go/tools/clientcmd/api/v1/types.go).
var base64Fields = []struct{ list, entry, field string }{
	{"clusters", "cluster", "certificate-authority-data"},
	{"users", "user", "client-certificate-data"},
	{"users", "user", "client-key-data"},
}

// checkEntries finds the mistakes that keep clientcmd from reading a kubeconfig.
func checkEntries(name string, fields map[string]any) []error {
	var problems []error
	for _, list := range []string{"clusters", "users", "contexts"} {
		entries, isList := fields[list].([]any)
		if fields[list] != nil && !isList {
			problems = append(problems, hint.Errorf("compare it with what `kubectl config view --raw` prints",
				"%s is no kubeconfig: %s is not a list", name, list))
		}
		seen := map[string]bool{}
		for _, entry := range entries {
			problems = append(problems, checkEntry(name, list, entry, seen)...)
		}
	}
	return problems
}

func checkEntry(name, list string, entry any, seen map[string]bool) []error {
	fields, _ := entry.(map[string]any)
	entryName, _ := fields["name"].(string)
	if seen[entryName] && entryName != "" {
		return []error{hint.Errorf("remove one of them", "%s: %s has two entries named %q", name, list, entryName)}
	}
	seen[entryName] = true
	var problems []error
	for _, f := range base64Fields {
		inner, _ := fields[f.entry].(map[string]any)
		text, isText := inner[f.field].(string)
		if f.list != list || !isText {
			continue
		}
		// As encoding/json decodes []byte: standard alphabet, padded, line breaks allowed.
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			problems = append(problems, hint.Errorf("paste the kubeconfig again, unchanged. "+expandHint,
				"%s: %s of %s %q is not base64: %w", name, f.field, f.entry, entryName, err))
		}
	}
	return problems
}

// isBase64Kubeconfig recognizes a kubeconfig that was base64-encoded once more.
func isBase64Kubeconfig(content []byte) bool {
	compact := strings.Join(strings.Fields(string(content)), "")
	decoded, err := base64.StdEncoding.DecodeString(compact)
	return err == nil && (bytes.Contains(decoded, []byte("apiVersion")) || bytes.Contains(decoded, []byte("clusters")))
}

func base64Error(name string) error {
	return hint.Errorf("decode it (`base64 -d`) and store the result as a variable of type File",
		"%s is a kubeconfig encoded as base64", name)
}

// quotedContent matches the places where yaml, json and clientcmd repeat a
// part of what they read.
var quotedContent = regexp.MustCompile(`(?s)((map key|in list|looking at|bytes of)\b.*|\.\.\.\|.*|".*"|` + "`.*`|'[^']{3,}')")

// withoutContent keeps the first line of a parser's error and leaves out what
// it quotes, since that may be a secret.
func withoutContent(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	text = strings.TrimPrefix(text, "error converting YAML to JSON: ")
	return quotedContent.ReplaceAllString(text, "(left out)")
}
