package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// secret is in several manifests here; no message may show it.
const secret = "s3cr3t-w0rd"

// files writes a tree of files, makes it the working directory, so that
// messages show the paths that users see, and returns "k8s".
func files(t *testing.T, contents map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range contents {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	t.Chdir(dir)
	return "k8s"
}

// configMap is a minimal object.
func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n"
}

// parse reads a YAML stream as a file of that name.
func parse(t *testing.T, content string) []*unstructured.Unstructured {
	t.Helper()
	c := newCollection()
	c.addContent("test.yaml", []byte(content))
	require.Empty(t, c.problems)
	return c.objects
}

func names(objects []*unstructured.Unstructured) []string {
	var all []string
	for _, o := range objects {
		all = append(all, o.GetName())
	}
	return all
}

func origins(m *Manifests) []string {
	var all []string
	for _, o := range m.Objects {
		all = append(all, m.Origin(o))
	}
	return all
}

func TestLoad_readsADirectoryInLexicalOrder(t *testing.T) {
	m, err := Load(files(t, map[string]string{
		"k8s/b.yml":         "# nothing yet\n---\n" + configMap("b1") + "---\n\n---\n# the second\n" + configMap("b2") + "...\n",
		"k8s/a.json":        "\n" + `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}` + "\n",
		"k8s/c/d.yaml":      configMap("d"),
		"k8s/.hidden.yaml":  "not: read",
		"k8s/.git/x.yaml":   "not: read",
		"k8s/README.md":     "not read",
		"k8s/empty.yaml":    "# only a comment\n",
		"elsewhere/no.yaml": "not: read",
	}))
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b1", "b2", "d"}, names(m.Objects))
	assert.Equal(t, []string{
		"k8s/a.json, document 1, line 2",
		"k8s/b.yml, document 1, line 3",
		"k8s/b.yml, document 2, line 11",
		"k8s/c/d.yaml, document 1, line 1",
	}, origins(m))
}

func TestLoad_readsASingleFileOfAnyName(t *testing.T) {
	files(t, map[string]string{"all.txt": configMap("a")})
	m, err := Load("./all.txt")
	require.NoError(t, err)
	assert.Equal(t, []string{"all.txt, document 1, line 1"}, origins(m))
}

func TestLoad_acceptsWhatKubectlAccepts(t *testing.T) {
	for name, tt := range map[string]struct {
		content string
		want    []string
	}{
		"Windows line endings":      {strings.ReplaceAll(configMap("a")+"---\n"+configMap("b"), "\n", "\r\n"), []string{"a", "b"}},
		"byte order mark":           {"\xef\xbb\xbf" + configMap("a"), []string{"a"}},
		"JSON values in a row":      {`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}} {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"\ud83d\ude00"}}`, []string{"a", "😀"}},
		"flow style that is YAML":   {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n" + configMap("b"), []string{"a", "b"}},
		"directives":                {"%YAML 1.1\n---\n" + configMap("a"), []string{"a"}},
		"comment after the marker":  {"--- # one\n" + configMap("a") + "---\t\n" + configMap("b"), []string{"a", "b"}},
		"content after end marker":  {configMap("a") + "...\n" + configMap("b"), []string{"a", "b"}},
		"null document":             {"~\n---\n" + configMap("a"), []string{"a"}},
		"markers inside a value":    {configMap("a") + "data:\n  x: |\n    ---\n    y\n", []string{"a"}},
		"anchors":                   {configMap("a") + "data: &d {x: y}\nbinaryData: *d\n", []string{"a"}},
		"placeholder inside a text": {configMap("a") + "data:\n  x: \"{{ .Values.x }} ${Y} __Z__\"\n", []string{"a"}},
		"list":                      {"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}]}\n", []string{"a", "b"}},
		"typed list":                {"apiVersion: v1\nkind: ConfigMapList\nitems: [{metadata: {name: a}}]\n", []string{"a"}},
		"kind that ends in List":    {"apiVersion: example.com/v1\nkind: AllowList\nmetadata: {name: a}\nspec: {items: []}\n", []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, names(parse(t, tt.content)))
		})
	}
}

func TestLoad_keepsIntegersAndFloatsApart(t *testing.T) {
	spec := "spec: {big: 9007199254740993, small: 3, ratio: 0.5, text: '3', on: yes}\n"
	for name, content := range map[string]string{
		"YAML": configMap("a") + spec,
		"JSON": `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"spec":{"big":9007199254740993,"small":3,"ratio":0.5,"text":"3","true":true}}`,
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, map[string]any{"big": int64(9007199254740993), "small": int64(3), "ratio": 0.5, "text": "3", "true": true},
				parse(t, content)[0].Object["spec"])
		})
	}
}

func TestLoad_explainsMistakes(t *testing.T) {
	for name, tt := range map[string]struct {
		content string
		want    []string // in the error
		next    string   // in the next action
	}{
		"unfinished mapping":        {configMap("a") + "---\n" + configMap("b") + "data:\n   x: y\n  z: w\n", []string{"k8s/x.yaml, document 2, line 12: did not find expected key"}, "YAML"},
		"colon in a value":          {configMap("a") + "x:\n  a: b: c\n", []string{"k8s/x.yaml, document 1, line 6: mapping values are not allowed"}, "YAML"},
		"tab":                       {configMap("a") + "data:\n\tx: y\n", []string{"k8s/x.yaml, document 1, line 6: a tab in the indentation"}, "spaces"},
		"duplicate keys":            {configMap("a") + "---\n" + configMap("b") + "kind: Secret\napiVersion: v1\n", []string{`document 2, line 10: key "kind" already set`, `document 2, line 11: key "apiVersion" already set`}, "remove one"},
		"duplicate keys in JSON":    {`{"apiVersion":"v1","kind":"ConfigMap","kind":"Secret"}`, []string{`k8s/x.yaml, document 1, line 1: duplicate field "kind"`}, "remove one"},
		"template as a value":       {configMap("a") + "spec:\n  replicas: {{ .Values." + secret + " }}\n", []string{"k8s/x.yaml, document 1", "map key"}, "render the template"},
		"template as a line":        {"{{- if .Values.x }}\n" + configMap("a") + "{{- end }}\n", []string{"k8s/x.yaml, document 1, line"}, "render the template"},
		"secret as a key":           {configMap("a") + "? {p: " + secret + "}\n: x\n", []string{"cannot be a key"}, "YAML"},
		"list at the top":           {"- " + secret + "\n", []string{"document 1, line 1: the document is a list"}, "List"},
		"text at the top":           {secret + "\n", []string{"single value"}, "remove"},
		"not a number":              {configMap("a") + "spec: {x: .nan}\n", []string{"NaN"}, "YAML"},
		"UTF-16":                    {"\xff\xfea\x00", []string{"UTF-16"}, "UTF-8"},
		"no apiVersion":             {"kind: ConfigMap\nmetadata: {name: a}\n", []string{"document 1, line 1: apiVersion is missing"}, "apps/v1"},
		"malformed apiVersion":      {"apiVersion: a/b/c\nkind: X\nmetadata: {name: a}\n", []string{"apiVersion: ", "a/b/c"}, "GROUP/VERSION"},
		"no kind":                   {"apiVersion: v1\nmetadata: {name: a}\n", []string{"kind is missing"}, "Deployment"},
		"kind is a number":          {"apiVersion: v1\nkind: 1\nmetadata: {name: a}\n", []string{"kind is no string"}, "quotes"},
		"no metadata":               {"apiVersion: v1\nkind: ConfigMap\n", []string{"metadata.name of ConfigMap is missing"}, "add it"},
		"metadata is a list":        {"apiVersion: v1\nkind: ConfigMap\nmetadata: []\n", []string{"metadata of ConfigMap is no mapping"}, "name"},
		"generateName":              {"apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: a-}\n", []string{"generateName", "every run"}, "metadata.name"},
		"name is a number":          {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 12}\n", []string{"metadata.name of ConfigMap is no string"}, "quotes"},
		"namespace is a number":     {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: 12}\n", []string{"metadata.namespace of ConfigMap is no string"}, "quotes"},
		"label is a number":         {configMap("a") + "  labels: {version: 1.0, ok: 'yes', on: yes}\n", []string{"metadata.labels of ConfigMap a: the value of version", "the value of true"}, "quotes"},
		"SOPS":                      {configMap("a") + "sops: {mac: x}\n", []string{"SOPS"}, "decrypt"},
		"kustomization by its name": {"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", []string{"kustomize"}, "kustomization.yaml"},
		"item is no object":         {"apiVersion: v1\nkind: List\nitems: [3]\n", []string{"item 1: the item of the list is no object"}, "remove"},
		"item without kind":         {"apiVersion: v1\nkind: List\nitems: [{metadata: {name: a}}]\n", []string{"document 1, line 1, item 1: apiVersion is missing", "kind is missing"}, "apps/v1"},
		"same object twice":         {configMap("a") + "---\n" + configMap("a"), []string{"k8s/x.yaml, document 2, line 6: ConfigMap a is already declared in k8s/x.yaml, document 1, line 1"}, "remove one"},
		"same object, two versions": {"apiVersion: apps/v1\nkind: X\nmetadata: {name: a}\n---\napiVersion: apps/v2\nkind: X\nmetadata: {name: a}\n", []string{"already declared"}, "remove one"},
		"only comments":             {"# nothing\n", []string{"k8s holds no Kubernetes objects"}, "ROLLSTEP_MANIFESTS"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Load(files(t, map[string]string{"k8s/x.yaml": tt.content}))
			require.Error(t, err)
			assert.Nil(t, m)
			for _, want := range tt.want {
				assert.Contains(t, err.Error(), want)
			}
			assert.Contains(t, hint.Of(err), tt.next)
			assert.NotContains(t, err.Error()+hint.Of(err), secret)
		})
	}
}

func TestLoad_reportsAllMistakesInOrderOfTheFiles(t *testing.T) {
	_, err := Load(files(t, map[string]string{
		"k8s/a.yaml": "kind: A\n---\n" + configMap("same") + "---\n\tx\n",
		"k8s/b.yaml": configMap("same"),
		"k8s/c.yaml": "apiVersion: v1\nkind: C\n",
	}))
	require.Error(t, err)
	var starts []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		starts = append(starts, line[:len("k8s/a.yaml, document 1")])
	}
	assert.Equal(t, []string{
		"k8s/a.yaml, document 1", "k8s/a.yaml, document 1", "k8s/a.yaml, document 3",
		"k8s/b.yaml, document 1", "k8s/c.yaml, document 1",
	}, starts)
}

func TestLoad_allowsOneNameInTwoNamespacesOrGroups(t *testing.T) {
	assert.Len(t, parse(t, configMap("a")+"---\n"+configMap("a")+"  namespace: other\n---\napiVersion: apps/v1\nkind: ConfigMap\nmetadata: {name: a}\n"), 3)
}

func TestLoad_suggestsWhereManifestsAre(t *testing.T) {
	files(t, map[string]string{
		"deploy/k8s/app.yaml":             configMap("a"),
		"overlays/prod/kustomization.yml": "resources: []\n",
		"ci/settings.yaml":                "just: settings\n",
		"chart/Chart.yaml":                "apiVersion: v2\nkind: x\n",
		"node_modules/x/x.yaml":           configMap("x"),
	})
	_, err := Load("k8s")
	require.ErrorContains(t, err, "ROLLSTEP_MANIFESTS: k8s does not exist")
	assert.Contains(t, hint.Of(err), "e.g. deploy/k8s, overlays/prod")

	_, err = Load("")
	assert.ErrorContains(t, err, "ROLLSTEP_MANIFESTS is empty")
	_, err = Load("/no/such/directory")
	assert.ErrorContains(t, err, "does not exist")
}

func TestLoad_refusesAChart(t *testing.T) {
	_, err := Load(files(t, map[string]string{"k8s/Chart.yaml": "apiVersion: v2\n", "k8s/templates/x.yaml": "{{ x }}"}))
	assert.ErrorContains(t, err, "Helm chart")
}
