package rollout

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/labels"
)

func TestSelecting(t *testing.T) {
	web, db := labels.Set{"app": "web", "tier": "front"}, labels.Set{"app": "db", "tier": "back"}
	for name, tt := range map[string]struct {
		sets     []labels.Set
		selector string
	}{
		"one workload":                     {[]labels.Set{web}, "app in (web),tier in (front)"},
		"two":                              {[]labels.Set{web, db}, "app in (db,web),tier in (back,front)"},
		"the same twice":                   {[]labels.Set{web, web}, "app in (web),tier in (front)"},
		"a Service that selects by less":   {[]labels.Set{web, db, {"app": "web"}}, "app in (db,web)"},
		"nothing in common":                {[]labels.Set{{"app": "web"}, {"name": "db"}}, ""},
		"a pod without labels":             {[]labels.Set{web, nil}, ""},
		"a label without a value":          {[]labels.Set{{"app": ""}, {"app": "web"}}, "app in (,web)"},
		"a value that no label may have":   {[]labels.Set{{"app": "not a value", "tier": "front"}}, "tier in (front)"},
		"more values than fit into an URL": {many(200), "tier in (front)"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Selecting(tt.sets)
			assert.Equal(t, tt.selector, s.String())
			_, err := labels.Parse(s.String())
			assert.NoError(t, err, "the server reads it")
			for _, set := range tt.sets {
				assert.True(t, s.Matches(set), set.String())
			}
		})
	}
}

func many(n int) (sets []labels.Set) {
	for i := range n {
		sets = append(sets, labels.Set{"app": fmt.Sprintf("workload-number-%d", i), "tier": "front"})
	}
	return sets
}

func TestEndpointsOf(t *testing.T) {
	assert.Equal(t, "kubernetes.io/service-name in (db,web)", EndpointsOf([]string{"web", "db"}).String())
	assert.Empty(t, EndpointsOf(strings.Fields(strings.Repeat("a-service-with-a-long-name ", 2)+strings.Repeat("x", longestSelector))).String())
}

func TestMaySelect(t *testing.T) {
	pods := Selecting([]labels.Set{{"app": "web"}, {"app": "db"}})
	for name, tt := range map[string]struct {
		selector map[string]string
		may      bool
	}{
		"the same":              {map[string]string{"app": "web"}, true},
		"one more label":        {map[string]string{"app": "db", "track": "stable"}, true},
		"by another label":      {map[string]string{"tier": "front"}, true},
		"other pods":            {map[string]string{"app": "cache"}, false},
		"a Service without any": {nil, false},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.may, MaySelect(tt.selector, pods)) })
	}
	assert.True(t, MaySelect(map[string]string{"app": "cache"}, labels.Everything()))
}
