package rollout

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzDiagnose holds that no object makes the rules panic, and that what they
// find is whole.
func FuzzDiagnose(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.yaml")
	require.NoError(f, err)
	for _, path := range paths {
		g := load(f, path[len("testdata/"):len(path)-len(".yaml")])
		for _, o := range []any{g.Pods, g.Events, g.ReplicaSet, g.Deployment} {
			content, err := json.Marshal(o)
			require.NoError(f, err)
			f.Add(content, content)
		}
	}
	f.Add([]byte(`[null,{"status":{"containerStatuses":[{"state":{"waiting":{}}}]}}]`), []byte(`{"status":{}}`))
	f.Fuzz(func(t *testing.T, pods, rest []byte) {
		var g Group
		_ = json.Unmarshal(pods, &g.Pods)
		_ = json.Unmarshal(rest, &g.Events)
		_ = json.Unmarshal(rest, &g.ReplicaSet)
		_ = json.Unmarshal(rest, &g.Deployment)
		g.Seen = Seen{}
		g.Seen.Note(g.Pods, noon)
		for _, found := range [][]Finding{Diagnose(g, noon), Explain(g, noon)} {
			Hopeless(g, found)
			for _, f := range found {
				if f.Reason == "" || f.Message == "" || f.Next == "" && !f.Fatal && f.FatalAt.IsZero() {
					t.Errorf("incomplete: %+v", f)
				}
				if f.Fatal && !f.FatalAt.IsZero() || !f.FatalAt.IsZero() && !f.FatalAt.After(noon) {
					t.Errorf("fatal when? %+v", f)
				}
				_ = f.Text(noon)
			}
		}
	})
}
