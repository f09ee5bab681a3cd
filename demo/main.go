// Command demo plays both ways to roll out with rollstep, with real commits and
// on a real API server, while requests run through the Service. It fails if
// anything does not go as it tells. `make demo` starts it.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const image = "example-app:" // what tells one version's image from another's

var story = []chapter{{
	title:     "Declared: Git spells out every step",
	text:      "Two Deployments stand behind one Service; Git says how many pods each has.\nEvery push runs the same job: rollstep apply.",
	example:   "declared",
	manifests: "i/k8s",
	scenes: []scene{{
		title:   "Initial: everyone gets v1",
		message: "Ten pods of v1, no canary",
		jobs:    []job{{run: "apply", want: shares{"v1": 100}}},
	}, {
		title:   "Step 1: some users get v2",
		message: "One pod of ten is v2",
		edits:   []edit{{"deploy-canary.yaml", "replicas: 0", "replicas: 1"}, {"deploy.yaml", "replicas: 10", "replicas: 9"}},
		jobs:    []job{{run: "apply", want: shares{"v1": 90, "v2": 10}}},
	}, {
		title:   "Step 2: everyone gets v2",
		text:    "The canary serves until the ten new pods do, and goes only then.",
		message: "Ten pods of v2, no canary",
		edits: []edit{{"deploy.yaml", "replicas: 9", "replicas: 10"}, {"deploy.yaml", image + "v1", image + "v2"},
			{"deploy-canary.yaml", "replicas: 1", "replicas: 0"}},
		jobs: []job{{run: "apply", want: shares{"v2": 100}}},
	}},
}, {
	title:     "Staged: one commit says where to go, its pipeline walks there",
	text:      "Git knows one Deployment. rollstep makes the canary and removes it again;\na person who runs a manual job is the gate between two steps.",
	example:   "staged",
	manifests: "k8s",
	scenes: []scene{{
		title:   "v1: the first release",
		message: "Ten pods of v1",
		jobs:    []job{{run: "canary 10%", want: shares{"v1": 100}}},
	}, {
		title:   "v2: a canary, two gates, promoted",
		message: "v2",
		edits:   []edit{{"deploy.yaml", image + "v1", image + "v2"}},
		jobs: []job{
			{run: "plan"},
			{run: "canary 10%", want: shares{"v1": 90, "v2": 10}},
			{run: "canary 50%", gate: "looks at the canary", want: shares{"v1": 50, "v2": 50}},
			{run: "promote", gate: "looks at the canary again", want: shares{"v2": 100}},
		},
	}, {
		title:   "v3: a canary that crashes",
		text:    "The job fails as soon as it is hopeless (exit code 3), and takes the canary back.",
		message: "v3, which cannot start",
		edits:   []edit{{"deploy.yaml", image + "v2", image + "v3-crash"}},
		jobs: []job{
			{run: "canary 10%", exit: 3, want: shares{"v2": 100}},
			{run: "status"},
		},
	}, {
		title: "Back to v1, after all",
		text:  "v2 is everywhere. The rollback job of its pipeline brings back the release before.",
		jobs:  []job{{run: "rollback", pipeline: 2, gate: "has second thoughts about v2", want: shares{"v1": 100}}},
	}},
}}

func main() {
	// SIGPIPE too: whoever pages the output and quits wants it cleaned up.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	err := play(ctx)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted:
		fmt.Fprintln(os.Stderr, "demo: interrupted")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func play(ctx context.Context) (err error) {
	d, err := newDemo()
	if err != nil {
		return err
	}
	defer func() {
		if e := d.cleanUp(); e != nil {
			fmt.Fprintln(os.Stderr, "demo:", e)
			err = cmp.Or(err, e)
		}
	}()
	for n, c := range story {
		if err := d.chapter(ctx, n+1, c); err != nil {
			return err
		}
	}
	return d.sum()
}
