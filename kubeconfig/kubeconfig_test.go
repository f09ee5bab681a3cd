package kubeconfig

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// secret is the token of every kubeconfig here; no message may show it.
const secret = "s3cr3t-t0k3n"

// config returns a sound kubeconfig with one context per name, the first
// current.
func config(contexts ...string) string {
	text := `apiVersion: v1
kind: Config
clusters:
- name: prod
  cluster: {server: "https://203.0.113.7:6443"}
users:
- name: deployer
  user: {token: ` + secret + `}
current-context: "` + contexts[0] + `"
contexts:
`
	for _, name := range contexts {
		text += `- {name: "` + name + `", context: {cluster: prod, user: deployer, namespace: shop}}` + "\n"
	}
	return text
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "KUBECONFIG")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
	return path
}

func TestLoad_usesTheFileThatTheVariableNames(t *testing.T) {
	got, err := Load(Input{Kubeconfig: write(t, config("ci"))})
	require.NoError(t, err)
	assert.Equal(t, "https://203.0.113.7:6443", got.Config.Host)
	assert.Equal(t, secret, got.Config.BearerToken)
	assert.Equal(t, "ci", got.Context)
	assert.Equal(t, "shop", got.Namespace)
	assert.Empty(t, got.Notes)
	assert.Equal(t, float32(-1), got.Config.QPS)
	assert.Equal(t, time.Duration(0), got.Config.Timeout)
	assert.Empty(t, got.Config.UserAgent)
}

func TestLoad_usesContentAndSaysToMakeItAFile(t *testing.T) {
	got, err := Load(Input{Kubeconfig: config("ci")})
	require.NoError(t, err)
	assert.Equal(t, secret, got.Config.BearerToken)
	require.Len(t, got.Notes, 1)
	assert.Contains(t, got.Notes[0], "type File")
}

func TestLoad_acceptsWindowsLineEndingsAndByteOrderMark(t *testing.T) {
	got, err := Load(Input{Kubeconfig: write(t, "\xef\xbb\xbf"+strings.ReplaceAll(config("ci"), "\n", "\r\n"))})
	require.NoError(t, err)
	assert.Equal(t, secret, got.Config.BearerToken)
}

func TestLoad_choosesContextAndNamespace(t *testing.T) {
	none := strings.Replace(config("a"), `current-context: "a"`, "", 1)
	for name, tt := range map[string]struct {
		content, context, namespace string
		wantContext, wantNamespace  string
	}{
		"current context":           {content: config("a", "b"), wantContext: "a", wantNamespace: "shop"},
		"wanted context":            {content: config("a", "b"), context: "b", wantContext: "b", wantNamespace: "shop"},
		"white space is trimmed":    {content: config("a", "b"), context: " b\n", wantContext: "b", wantNamespace: "shop"},
		"only context":              {content: none, wantContext: "a", wantNamespace: "shop"},
		"wanted namespace":          {content: config("a"), namespace: "web", wantContext: "a", wantNamespace: "web"},
		"default namespace":         {content: strings.ReplaceAll(config("a"), ", namespace: shop", ""), wantContext: "a", wantNamespace: "default"},
		"context of a GitLab agent": {content: config("", "g/p:one", "g/p:two"), context: "g/p:two", wantContext: "g/p:two", wantNamespace: "shop"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "context of a GitLab agent" {
				tt.content = strings.Replace(tt.content, `- {name: "", context: {cluster: prod, user: deployer, namespace: shop}}`+"\n", "", 1)
			}
			got, err := Load(Input{Kubeconfig: write(t, tt.content), Context: tt.context, Namespace: tt.namespace})
			require.NoError(t, err)
			assert.Equal(t, tt.wantContext, got.Context)
			assert.Equal(t, tt.wantNamespace, got.Namespace)
		})
	}
}

func TestLoad_resolvesFilesRelativeToTheKubeconfig(t *testing.T) {
	dir := t.TempDir()
	content := strings.Replace(config("ci"), "token: "+secret, "tokenFile: token", 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config"), []byte(content), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte(secret), 0o600))
	got, err := Load(Input{Kubeconfig: filepath.Join(dir, "config")})
	require.NoError(t, err)
	assert.Equal(t, secret, got.Config.BearerToken)
	assert.Equal(t, filepath.Join(dir, "token"), got.Config.BearerTokenFile)
}

func TestLoad_mergesSeveralFilesAndNotesMissingOnes(t *testing.T) {
	clusters := write(t, "clusters: [{name: c, cluster: {server: 'https://one'}}]\n")
	rest := write(t, "users: [{name: u, user: {token: x}}]\ncontexts: [{name: ci, context: {cluster: c, user: u}}]\n")
	got, err := Load(Input{Kubeconfig: strings.Join([]string{clusters, "/does/not/exist", rest}, ":")})
	require.NoError(t, err)
	assert.Equal(t, "https://one", got.Config.Host)
	require.Len(t, got.Notes, 1)
	assert.Contains(t, got.Notes[0], "/does/not/exist")
}

func TestLoad_acceptsNoUserOverPlainHTTP(t *testing.T) {
	_, err := Load(Input{Kubeconfig: "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:8001'}}]\ncontexts: [{name: p, context: {cluster: c}}]\n"})
	assert.NoError(t, err)
}

func TestLoad_usesTheExecPluginThatIsOnPath(t *testing.T) {
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "get-token"), []byte("#!/bin/sh\n"), 0o755))
	content := strings.Replace(config("ci"), "token: "+secret, "exec: {command: get-token, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}", 1)
	got, err := Load(Input{Kubeconfig: write(t, content), Environ: map[string]string{"PATH": "/nowhere:" + bin}})
	require.NoError(t, err)
	assert.Equal(t, "get-token", got.Config.ExecProvider.Command)
}

func TestLoad_explainsMistakes(t *testing.T) {
	replaced := func(old, new string) string {
		content := config("ci")
		require.Contains(t, content, old)
		return strings.Replace(content, old, new, 1)
	}
	twice := strings.Replace(config("g/p:one", "g/p:two"), `current-context: "g/p:one"`, "", 1)
	protected := map[string]string{"CI": "true", "CI_COMMIT_REF_PROTECTED": "false", "CI_ENVIRONMENT_NAME": "prod"}
	noEnvironment := map[string]string{"CI": "true", "CI_COMMIT_REF_PROTECTED": "true", "CI_JOB_NAME": "deploy"}
	both := map[string]string{"CI": "true", "CI_COMMIT_REF_PROTECTED": "false"}

	for name, tt := range map[string]struct {
		value     string // KUBECONFIG
		content   string // or what the file named by it holds
		context   string
		namespace string
		environ   map[string]string
		want      []string // in the error
		next      []string // in the next action
	}{
		"unset":                            {want: []string{"KUBECONFIG is not set"}, next: []string{"type File", "GitLab agent"}},
		"unset on an unprotected ref":      {environ: protected, want: []string{"not set"}, next: []string{"protected variable", "unprotected branch"}},
		"unset in a job of no environment": {environ: noEnvironment, want: []string{"not set"}, next: []string{"`environment:`", "job deploy"}},
		"unset for both reasons":           {environ: both, want: []string{"not set"}, next: []string{"protected variable", "`environment:`"}},
		"unset but a context asked for":    {context: "g/p:one", want: []string{"KUBE_CONTEXT", "g/p:one"}, next: []string{"ci_access"}},
		"blank":                            {value: " \n", want: []string{"KUBECONFIG is not set"}},
		"another variable, undefined":      {value: "$KUBECONFIG_PROD", environ: protected, want: []string{"$KUBECONFIG_PROD", "no variable"}, next: []string{"protected"}},
		"missing file":                     {value: "/builds/app.tmp/KUBECONFIG", want: []string{"/builds/app.tmp/KUBECONFIG", "does not exist"}, next: []string{"type File"}},
		"home directory":                   {value: "~/.kube/config", want: []string{"does not exist"}, next: []string{"~"}},
		"a token instead of a path":        {value: secret, want: []string{"12 characters", "no path"}},
		"directory":                        {value: t.TempDir(), want: []string{"directory"}, next: []string{"file itself"}},
		"base64 in the variable":           {value: base64.StdEncoding.EncodeToString([]byte(config("ci"))), want: []string{"base64"}, next: []string{"base64 -d"}},
		"base64 in the file":               {content: base64.StdEncoding.EncodeToString([]byte(config("ci"))), want: []string{"base64"}},
		"empty file":                       {content: "\n", want: []string{"is empty"}, next: []string{"Expand variable reference"}},
		"no YAML":                          {content: "clusters:\n- name: {{x\n\ttoken: " + secret, want: []string{"not YAML", "line"}, next: []string{"indentation"}},
		"secret as a YAML key":             {content: "? {token: " + secret + "}\n: x\n", want: []string{"not YAML"}},
		"only a word":                      {content: "/builds/other/KUBECONFIG", want: []string{"single value"}, next: []string{"not a path"}},
		"not a kubeconfig":                 {content: "apiVersion: apps/v1\nkind: Deployment\n", want: []string{"no kubeconfig", "Deployment"}},
		"no clusters":                      {content: "apiVersion: v1\nkind: Config\n", want: []string{"no clusters"}, next: []string{"--flatten"}},
		"no contexts":                      {content: "clusters: [{name: c, cluster: {server: 'https://c'}}]", want: []string{"no contexts"}},
		"clusters is no list":              {content: "clusters: {a: b}\n", want: []string{"clusters is not a list"}},
		"duplicate user":                   {content: replaced("users:", "users:\n- {name: deployer, user: {token: "+secret+"}}"), want: []string{`users has two entries named "deployer"`}},
		"several contexts, none current":   {content: twice, want: []string{`"g/p:one", "g/p:two"`, "no current-context"}, next: []string{"KUBE_CONTEXT", "GitLab agent"}},
		"context not found":                {content: twice, context: "two", want: []string{`"two"`, `"g/p:one", "g/p:two"`}, next: []string{"in full"}},
		"current context not found":        {content: replaced(`current-context: "ci"`, "current-context: gone"), want: []string{`"gone"`, `"ci"`}},
		"context of a missing cluster":     {content: replaced("cluster: prod,", "cluster: gone,"), want: []string{`context "ci" refers to cluster "gone"`}},
		"context of a missing user":        {content: replaced("user: deployer,", "user: gone,"), want: []string{`context "ci" refers to user "gone"`}},
		"expanded names":                   {content: replaced("cluster: prod, user: deployer", `cluster: "", user: ""`), want: []string{"names no cluster", "names no user"}, next: []string{"Expand variable reference"}},
		"expanded server":                  {content: replaced("https://203.0.113.7:6443", ""), want: []string{`cluster "prod" has no server`}, next: []string{"Expand variable reference"}},
		"expanded token":                   {content: replaced(secret, `""`), want: []string{`user "deployer" has no credentials`}, next: []string{"Expand variable reference"}},
		"server is no URL":                 {content: replaced("https://203.0.113.7:6443", "https://"), want: []string{`"https://" is no http or https URL`}},
		"server with a space":              {content: replaced("https://203.0.113.7:6443", "https://a b"), want: []string{"no http or https URL"}},
		"server of another scheme":         {content: replaced("https://203.0.113.7:6443", "ftp://a"), want: []string{"no http or https URL"}},
		"proxy is no URL":                  {content: replaced("{server", "{proxy-url: '"+secret+"', server"), want: []string{"proxy-url"}},
		"certificate is no base64":         {content: replaced("{server", "{certificate-authority-data: 'LS0!', server"), want: []string{`certificate-authority-data of cluster "prod"`, "byte 3"}, next: []string{"Expand variable reference"}},
		"key is no base64":                 {content: replaced("token: ", "client-key-data: abc, token: "), want: []string{`client-key-data of user "deployer"`}},
		"certificate is no PEM":            {content: replaced("{server", "{certificate-authority-data: 'aGVsbG8=', server"), want: []string{"root certificates"}},
		"certificate without key":          {content: replaced("token: "+secret, "client-certificate-data: aGVsbG8="), want: []string{"client-key"}},
		"certificate file missing":         {content: replaced("{server", "{certificate-authority: ca.crt, server"), want: []string{"certificate-authority", "ca.crt", "no such file"}, next: []string{"--flatten"}},
		"client certificate files missing": {content: replaced("token: "+secret, "client-certificate: a.crt, client-key: a.key"), want: []string{"a.crt", "a.key"}},
		"exec plugin missing":              {content: replaced("token: "+secret, "exec: {command: aws, apiVersion: client.authentication.k8s.io/v1}"), environ: map[string]string{"PATH": "/nowhere"}, want: []string{`"aws"`, "no cloud CLIs"}, next: []string{"service account", "GitLab agent"}},
		"auth provider":                    {content: replaced("token: "+secret, "auth-provider: {name: gcp}"), want: []string{`"gcp"`}, next: []string{"service account"}},
		"two ways to authenticate":         {content: replaced("token: ", "username: u, token: "), want: []string{"more than one authentication method"}},
		"namespace is no label":            {content: config("ci"), namespace: "My_App", want: []string{"KUBE_NAMESPACE", `"My_App"`}},
		"context's namespace is no label":  {content: replaced("namespace: shop", "namespace: My_App"), want: []string{`context "ci"`, `"My_App"`}},
		"several mistakes": {content: strings.Replace(replaced("https://203.0.113.7:6443", ""), secret, "''", 1), namespace: "A",
			want: []string{"has no server", "has no credentials", "KUBE_NAMESPACE"}},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.content != "" {
				tt.value = write(t, tt.content)
			}
			got, err := Load(Input{Kubeconfig: tt.value, Context: tt.context, Namespace: tt.namespace, Environ: tt.environ, ServiceAccountDir: t.TempDir()})
			require.Error(t, err)
			assert.Nil(t, got)
			for _, want := range tt.want {
				assert.Contains(t, err.Error(), want)
			}
			require.NotEmpty(t, hint.Of(err))
			for _, next := range tt.next {
				assert.Contains(t, hint.Of(err), next)
			}
			assert.NotContains(t, err.Error()+hint.Of(err), secret)
		})
	}
}

// FuzzLoad reads any text as a kubeconfig.
func FuzzLoad(f *testing.F) {
	f.Add(config("ci"))
	f.Add("clusters: [1, {name: 2}]\ncontexts: [{name: a}]")
	f.Add("{")
	f.Fuzz(func(t *testing.T, value string) {
		config, err := parse("KUBECONFIG", []byte(value))
		if err != nil {
			return
		}
		src := source{"KUBECONFIG", config}
		name, err := chooseContext(config, "", src.name)
		if err != nil || check(src, name, nil) != nil {
			return
		}
		if _, err := restConfig(src, name); err != nil && hint.Of(err) == "" {
			t.Error("no next action:", err)
		}
	})
}
