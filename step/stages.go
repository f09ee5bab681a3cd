// Package step holds the stages: what one GitLab job does. Each stage is a
// recipe; what it decides and how it talks to the cluster lies in internal/.
package step

import "context"

// Stage is what one job does.
type Stage struct {
	Name     string
	Argument string // as shown in the help, "" for none
	Does     string

	manifests bool // it reads the manifests
	changes   bool // it changes the cluster, so it needs the lock
	run       func(ctx context.Context, r *run) error
}

// Stages in the order in which a pipeline has them.
var Stages = []Stage{
	{Name: "plan", Does: "prints what the later stages would do; changes nothing", manifests: true, run: plan},
	{Name: "apply", Does: "brings everything in the manifests live and waits until it is ready", manifests: true, changes: true, run: apply},
	{Name: "canary", Argument: "[WEIGHT]", Does: "brings the new version to WEIGHT percent; again for another weight, up or down", manifests: true, changes: true, run: canaryStage},
	{Name: "promote", Does: "gives the new version to everyone; the canary goes", manifests: true, changes: true, run: promote},
	{Name: "rollback", Does: "back to stable; after a promotion, back to the release before it", changes: true, run: rollback},
	{Name: "sweep", Does: "rolls back abandoned rollouts and removes orphans, of all releases in the namespace", run: sweep},
	{Name: "rbac", Does: "prints, as YAML, the Role that the jobs need for these manifests; asks no cluster"},
	{Name: "status", Does: "prints where the release stands; changes nothing", run: status},
}

// Find returns the stage of that name.
func Find(name string) (Stage, bool) {
	for _, s := range Stages {
		if s.Name == name {
			return s, true
		}
	}
	return Stage{}, false
}
