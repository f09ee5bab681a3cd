package e2e

import (
	"maps"
	"slices"

	"github.com/stretchr/testify/require"
)

// has checks how many pods the tracks of Deployment app ask for.
func (p *project) has(stable, canary int) {
	p.t.Helper()
	require.Equal(p.t, [2]int{stable, canary}, [2]int{p.Replicas("app"), max(0, p.Replicas("app-canary"))}, "pods of stable and canary")
}

// serving are the versions that answer.
func (p *project) serving() []string {
	p.t.Helper()
	answers := p.Ask("app", 100, "v1", "v2", "v3")
	return slices.Sorted(maps.Keys(answers))
}
