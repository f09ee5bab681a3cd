package canary

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"gitlab.com/rollstep/rollstep/internal/cluster"
)

const app = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
  namespace: shop
  labels: {id: app}
spec:
  replicas: 10
  selector: {matchLabels: {id: app, type: main}}
  template:
    metadata: {labels: {id: app, type: main}}
    spec:
      containers:
      - name: app
        image: repo/app:v1
        envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: keys}}]
`

const service = `
apiVersion: v1
kind: Service
metadata: {name: app, namespace: shop, labels: {id: app}}
spec:
  type: LoadBalancer
  ports: [{port: 80, targetPort: 5000, nodePort: 30080, protocol: TCP}]
  selector: {id: app}
`

const settings = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
immutable: true
data: {colour: blue}
`

var options = Options{Release: "shop", TrackLabel: "type", App: "group-shop", Env: "production", Namespace: "shop"}

func object(t *testing.T, text string, replace ...string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	require.NoError(t, yaml.Unmarshal([]byte(strings.NewReplacer(replace...).Replace(text)), &o.Object))
	json, err := o.MarshalJSON() // integers become int64, as the server's are
	require.NoError(t, err)
	require.NoError(t, o.UnmarshalJSON(json))
	return o
}

func preview(manifest, live *unstructured.Unstructured) cluster.Preview {
	return cluster.Preview{Manifest: manifest, Live: live, Result: manifest}
}

func names(parts []Part) (list []string) {
	for _, p := range parts {
		list = append(list, p.Manifest.GetName()+": "+p.Why())
	}
	return list
}

func TestParts_templateOrConfigurationChanges(t *testing.T) {
	v1, v2 := object(t, app), object(t, app, ":v1", ":v2")
	blue, red := object(t, settings), object(t, settings, "blue", "red")
	for name, c := range map[string]struct {
		previews []cluster.Preview
		want     []string
	}{
		"nothing":                        {[]cluster.Preview{preview(v1, v1), preview(blue, blue)}, nil},
		"the image":                      {[]cluster.Preview{preview(v2, v1), preview(blue, blue)}, []string{"app: pod template"}},
		"the configuration":              {[]cluster.Preview{preview(v1, v1), preview(red, blue)}, []string{"app: ConfigMap settings"}},
		"both":                           {[]cluster.Preview{preview(v2, v1), preview(red, blue)}, []string{"app: pod template, ConfigMap settings"}},
		"only the replica count":         {[]cluster.Preview{preview(object(t, app, "replicas: 10", "replicas: 3"), v1)}, nil},
		"new configuration":              {[]cluster.Preview{preview(v1, v1), preview(red, nil)}, nil},
		"a new Deployment":               {[]cluster.Preview{preview(v1, nil)}, nil},
		"configuration of somebody else": {[]cluster.Preview{preview(v1, v1), preview(object(t, settings, "blue", "red", "namespace: shop", "namespace: other"), object(t, settings, "namespace: shop", "namespace: other"))}, nil},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, names(Parts(c.previews))) })
	}
}

func TestPart_restartsOnlyForConfigurationAlone(t *testing.T) {
	v1, v2 := object(t, app), object(t, app, ":v1", ":v2")
	blue, red := object(t, settings), object(t, settings, "blue", "red")
	require.True(t, Parts([]cluster.Preview{preview(v1, v1), preview(red, blue)})[0].Restart())
	require.False(t, Parts([]cluster.Preview{preview(v2, v1), preview(red, blue)})[0].Restart())
}

func TestDeployment_isTheManifestOnAnotherTrack(t *testing.T) {
	v2 := object(t, app, ":v1", ":v2")
	before := v2.DeepCopy()
	red := object(t, settings, "blue", "red")
	part := Parts([]cluster.Preview{preview(v2, object(t, app)), preview(red, object(t, settings))})[0]
	copies := []*unstructured.Unstructured{options.Copy(red)}

	got := options.Deployment(part, 1, 10, copies)

	want := object(t, `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-canary
  namespace: shop
  labels: {id: app, type: canary, rollstep.gitlab.io/release: shop}
  annotations:
    app.gitlab.com/app: group-shop
    app.gitlab.com/env: production
    rollstep.gitlab.io/stable: app
    rollstep.gitlab.io/stable-replicas: "10"
    rollstep.gitlab.io/record-namespace: shop
spec:
  replicas: 1
  selector: {matchLabels: {id: app, type: canary}}
  template:
    metadata:
      labels: {id: app, type: canary, rollstep.gitlab.io/release: shop}
      annotations:
        app.gitlab.com/app: group-shop
        app.gitlab.com/env: production
    spec:
      containers:
      - name: app
        image: repo/app:v2
        envFrom: [{configMapRef: {name: settings-canary}}, {secretRef: {name: keys}}]
`)
	config, _, _ := unstructured.NestedString(got.Object, "spec", "template", "metadata", "annotations", configAnnotation)
	require.Len(t, config, 16)
	unstructured.RemoveNestedField(got.Object, "spec", "template", "metadata", "annotations", configAnnotation)
	require.Equal(t, want.Object, got.Object)
	require.Equal(t, before.Object, v2.Object, "the manifest itself is left alone")
	require.True(t, options.Owns(got))
}

func TestDeployment_podsAreReplacedWhenACopyChanges(t *testing.T) {
	part := Part{Manifest: object(t, app)}
	annotation := func(copies ...*unstructured.Unstructured) string {
		s, _, _ := unstructured.NestedString(options.Deployment(part, 1, 10, copies).Object, "spec", "template", "metadata", "annotations", configAnnotation)
		return s
	}
	blue, red := options.Copy(object(t, settings)), options.Copy(object(t, settings, "blue", "red"))
	require.NotEqual(t, annotation(blue), annotation(red))
	require.Equal(t, annotation(red), annotation(red))
	require.Empty(t, annotation())
}

func TestDeployment_ofALongOrBareManifestDoesNotPanic(t *testing.T) {
	bare := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "x"}}}
	require.Equal(t, "x-canary", options.Deployment(Part{Manifest: bare}, 0, 0, nil).GetName())
}

func TestCopy_carriesTheContentUnderTheCanarysName(t *testing.T) {
	c := options.Copy(object(t, settings))
	require.Equal(t, "settings-canary", c.GetName())
	require.Equal(t, map[string]any{"colour": "blue"}, c.Object["data"])
	require.NotContains(t, c.Object, "immutable")
	require.True(t, options.Owns(c))
}

func TestPreview_selectsOnlyTheCanary(t *testing.T) {
	want := object(t, `
apiVersion: v1
kind: Service
metadata:
  name: app-canary
  namespace: shop
  labels: {id: app, type: canary, rollstep.gitlab.io/release: shop}
spec:
  type: NodePort
  ports: [{port: 80, targetPort: 5000, protocol: TCP}]
  selector: {id: app, type: canary}
`)
	require.Equal(t, want.Object, options.Preview(object(t, service), "NodePort").Object)
}

func TestReaching_leavesOutPreviewsAndServicesOfTheStableOnly(t *testing.T) {
	part := Part{Manifest: object(t, app)}
	all := []*unstructured.Unstructured{
		object(t, service),
		object(t, service, "name: app,", "name: stable-only,", "selector: {id: app}", "selector: {id: app, type: main}"),
		object(t, service, "name: app,", "name: elsewhere,", "namespace: shop", "namespace: other"),
		object(t, service, "name: app,", "name: no-selector,", "  selector: {id: app}\n", ""),
		options.Preview(object(t, service), "ClusterIP"),
	}
	var got []string
	for _, s := range options.Reaching(part, all) {
		got = append(got, s.GetName())
	}
	require.Equal(t, []string{"app"}, got)
}

const hpa = `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: scaler, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: app}
`

const pdb = `
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: budget, namespace: shop}
spec: {selector: {matchLabels: {id: app}}}
`

func TestWarnings_nameWhatMakesRatiosLie(t *testing.T) {
	list := func(objects ...*unstructured.Unstructured) []*unstructured.Unstructured { return objects }
	single := func(extra ...string) *unstructured.Unstructured {
		return object(t, app, append([]string{"{id: app, type: main}", "{id: app}"}, extra...)...)
	}
	for name, c := range map[string]struct {
		live   *unstructured.Unstructured
		around Surroundings
		want   []string
	}{
		"nothing to warn of":              {object(t, app), Surroundings{Services: list(object(t, service))}, nil},
		"one label for both tracks works": {single(), Surroundings{Services: list(object(t, service))}, nil},
		"session affinity": {object(t, app), Surroundings{Services: list(object(t, service, "type: LoadBalancer", "sessionAffinity: ClientIP"))},
			[]string{"session affinity"}},
		"headless":               {object(t, app), Surroundings{Services: list(object(t, service, "type: LoadBalancer", "clusterIP: None"))}, []string{"headless"}},
		"topology-aware routing": {object(t, app), Surroundings{Services: list(object(t, service, "type: LoadBalancer", "trafficDistribution: PreferClose"))}, []string{"prefers near pods"}},
		"a Service of the stable only": {object(t, app), Surroundings{Services: list(object(t, service, "selector: {id: app}", "selector: {id: app, type: main}"))},
			[]string{"Service app selects only stable pods (id=app,type=main): its users never reach the canary"}},
		"pods of others": {object(t, app), Surroundings{Services: list(object(t, service)), Deployments: list(object(t, app, "name: app\n", "name: other\n"))},
			[]string{"Service app also reaches pods of 1 other Deployments"}},
		"an autoscaler":                 {object(t, app, "  replicas: 10\n", ""), Surroundings{Autoscalers: list(object(t, hpa))}, []string{"HorizontalPodAutoscaler scaler decides"}},
		"an autoscaler beside replicas": {object(t, app), Surroundings{Autoscalers: list(object(t, hpa))}, []string{"HorizontalPodAutoscaler scaler decides", "leave replicas out"}},
		"an autoscaler of both tracks": {single("  replicas: 10\n", ""), Surroundings{Autoscalers: list(object(t, hpa)), Budgets: list(object(t, pdb))},
			[]string{"HorizontalPodAutoscaler scaler decides", "HorizontalPodAutoscaler scaler counts canary pods too; PodDisruptionBudget budget counts canary pods too"}},
		"Recreate": {object(t, app, "  replicas: 10\n", "  strategy: {type: Recreate}\n"), Surroundings{}, []string{"strategy Recreate"}},
		"a volume": {object(t, app, "    spec:\n", "    spec:\n      volumes: [{name: d, persistentVolumeClaim: {claimName: data}}]\n"), Surroundings{},
			[]string{"PersistentVolumeClaim data"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := options.Warnings(Part{Manifest: c.live, Live: c.live}, c.around)
			require.Len(t, got, len(c.want), "%q", got)
			for i, want := range c.want {
				require.Contains(t, got[i], want)
			}
		})
	}
}

func TestAutoscaler_isThatOfTheDeployment(t *testing.T) {
	require.NotNil(t, Autoscaler(object(t, app), []*unstructured.Unstructured{object(t, hpa)}))
	require.Nil(t, Autoscaler(object(t, app), []*unstructured.Unstructured{
		object(t, hpa, "name: app}", "name: other}"), object(t, hpa, "kind: Deployment", "kind: StatefulSet"), object(t, hpa, "namespace: shop", "namespace: x"),
	}))
}
