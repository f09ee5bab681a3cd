package manifest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// deploy is a Deployment whose containers are "name=image", those of names
// that begin with "init" being init containers.
func deploy(name string, containers ...string) string {
	text := "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name + "}\nspec:\n  template:\n    spec:\n"
	for _, list := range []string{"initContainers", "containers"} {
		text += "      " + list + ":\n"
		for _, c := range containers {
			name, image, _ := strings.Cut(c, "=")
			if strings.HasPrefix(name, "init") == (list == "initContainers") {
				text += "      - {name: " + name + ", image: \"" + image + "\"}\n"
			}
		}
	}
	return text
}

func images(objects []*unstructured.Unstructured) []string {
	var all []string
	for _, c := range containersOf(objects) {
		all = append(all, c.name()+"="+c.image())
	}
	return all
}

func TestSetImages(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, tt := range map[string]struct {
		manifests, spec string
		want            []string
	}{
		"nothing asked for":             {deploy("web", "app=a:1"), " ", []string{"app=a:1"}},
		"same repository":               {deploy("web", "app=r.io/g/app:1", "sidecar=proxy:1"), "r.io/g/app:2", []string{"app=r.io/g/app:2", "sidecar=proxy:1"}},
		"same repository in init":       {deploy("web", "initdb=app:1", "app=app:1"), "app:2", []string{"initdb=app:2", "app=app:2"}},
		"same repository everywhere":    {deploy("web", "app=app:1") + deploy("web-canary", "app=app:1", "x=x"), "app:2", []string{"app=app:2", "app=app:2", "x=x"}},
		"registry with a port":          {deploy("web", "app=localhost:5000/app", "x=x:1"), "localhost:5000/app:v2", []string{"app=localhost:5000/app:v2", "x=x:1"}},
		"from tag to digest":            {deploy("web", "app=app:1", "x=x:1"), "app" + digest, []string{"app=app" + digest, "x=x:1"}},
		"from digest to tag":            {deploy("web", "app=app:1"+digest, "x=x:1"), "app:2", []string{"app=app:2", "x=x:1"}},
		"the only container":            {deploy("web", "initdb=db:1", "app=IMAGE"), "r.io/app:2", []string{"initdb=db:1", "app=r.io/app:2"}},
		"the only container of several": {deploy("web", "app=a:1") + deploy("web-canary", "app=a:2"), "r.io/app:3", []string{"app=r.io/app:3", "app=r.io/app:3"}},
		"by container name":             {deploy("web", "app=a:1", "sidecar=b:1"), "app=c:2", []string{"app=c:2", "sidecar=b:1"}},
		"by init container name":        {deploy("web", "initdb=a:1", "app=b:1"), "initdb=c:2", []string{"initdb=c:2", "app=b:1"}},
		"by image name":                 {deploy("web", "app=r.io/a:1", "sidecar=b:1"), "r.io/a=c:2", []string{"app=c:2", "sidecar=b:1"}},
		"several":                       {deploy("web", "app=a:1", "sidecar=b:1"), "app=a:2, sidecar=b:2\n", []string{"app=a:2", "sidecar=b:2"}},
		"CronJob":                       {"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c}\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: 'a:1'}]}}}}}", "a:2", []string{"c=a:2"}},
		"Pod":                           {"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: 'a:1'}]}", "a:2", []string{"c=a:2"}},
	} {
		t.Run(name, func(t *testing.T) {
			objects := parse(t, tt.manifests)
			require.NoError(t, SetImages(objects, tt.spec))
			assert.Equal(t, tt.want, images(objects))
		})
	}
}

func TestSetImages_refuses(t *testing.T) {
	web := deploy("web", "initdb=db:1", "app=r.io/a:1", "sidecar=b:1") + deploy("worker", "app=w:1")
	for name, tt := range map[string]struct {
		manifests, spec string
		want            []string
		next            string
	}{
		"ambiguous":             {web, "c:2", []string{"Deployment web: init container initdb (db:1), app (r.io/a:1), sidecar (b:1); Deployment worker: app (w:1)"}, "CONTAINER=c:2"},
		"unknown name":          {web, "gone=c:2", []string{`"gone"`, "sidecar (b:1)"}, "name one"},
		"last part of an image": {web, "a=c:2", []string{`"a"`}, "name one"},
		"no workloads":          {configMap("a"), "c:2", []string{"no workloads"}, "CONTAINER"},
		"two images for one":    {web, "sidecar=c:1 b=c:2", []string{"sidecar of Deployment web both to c:1 and to c:2"}, "keep one"},
		"empty tag":             {web, "r.io/a:", []string{"tag is empty"}, "variables"},
		"no repository":         {web, ":v1", []string{"repository is empty"}, "variables"},
		"no image":              {web, "app=", []string{"repository is empty"}, "variables"},
		"no name":               {web, "=c:1", []string{`called ""`}, "name one"},
		"upper case":            {web, "r.io/Group/a:1", []string{"upper-case"}, "CI_REGISTRY_IMAGE"},
		"unset variable":        {web, "$IMAGE:v1", []string{"not set"}, "protected"},
		"malformed tag":         {web, "r.io/a:v1/2:!", []string{"malformed"}, "repository:tag"},
		"URL":                   {web, "https://r.io/a:1", []string{"malformed"}, "repository:tag"},
		"short digest":          {web, "r.io/a@sha256:12", []string{"digest"}, "64"},
		"two mistakes":          {web, "r.io/a:,gone=c:1", []string{"tag is empty", `"gone"`}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			objects := parse(t, tt.manifests)
			before := images(objects)
			err := SetImages(objects, tt.spec)
			require.Error(t, err)
			for _, want := range tt.want {
				assert.Contains(t, err.Error(), want)
			}
			assert.Contains(t, hint.Of(err), tt.next)
			assert.Contains(t, err.Error(), "ROLLSTEP_IMAGE")
			assert.Equal(t, before, images(objects), "an error leaves the objects alone")
		})
	}
}

func TestCheckImage_acceptsRegistriesOfAllKinds(t *testing.T) {
	for _, image := range []string{
		"nginx", "nginx:1.27-alpine", "group/app:v1", "localhost/app:1", "localhost:5000/app", "registry:5000/a/b_c/d--e:1",
		"registry.example.com/group/sub.group/app:v1.2.3_x", "[fd00::1]:5000/app:1", "Registry.Example.com/app:1",
	} {
		assert.NoError(t, checkImage(image), image)
	}
}
