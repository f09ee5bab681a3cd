package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// scene is one stage of a rollout, with the version that its commit declares.
type scene struct {
	stage   string
	version string
}

// rollout is the whole way of a release, as its pipeline's jobs take it.
var rollout = []scene{
	{"apply", "v1"}, {"plan", "v2"}, {"canary 10%", "v2"}, {"canary 10% again", "v2"}, {"canary 50%", "v2"},
	{"promote", "v2"}, {"status", "v2"}, {"rollback", "v2"},
}

// command is the stage's job. Its pipeline is that of its version.
func (s scene) command(dirs map[string]string, namespace string, more ...string) command {
	args := append([]string{"rollstep"}, strings.Fields(strings.TrimSuffix(s.stage, " again"))...)
	return command{args: args, env: append([]string{
		"ROLLSTEP_MANIFESTS=" + filepath.Join(dirs[s.version], "k8s"), "KUBE_NAMESPACE=" + namespace,
	}, more...)}
}

// versions writes the manifests of the versions of a release.
func (b *bench) versions(name string, manifests func(version string) string) (map[string]string, error) {
	dirs := map[string]string{}
	for _, version := range []string{"v1", "v2"} {
		dir, err := b.release(name+"-"+version, manifests(version))
		if err != nil {
			return nil, err
		}
		dirs[version] = dir
	}
	return dirs, nil
}

func (b *bench) articleVersions() (map[string]string, error) {
	manifests, err := article()
	if err != nil {
		return nil, err
	}
	return b.versions("article", func(version string) string {
		return strings.ReplaceAll(manifests, "example-app:v1", "example-app:"+version)
	})
}

// stages measures what each stage takes beside the pods.
func (b *bench) stages(ctx context.Context) error {
	dirs, err := b.articleVersions()
	if err != nil {
		return err
	}
	own, wall := map[string]values{}, map[string]values{}
	for range b.rounds {
		if err := b.roundOfStages(ctx, dirs, own, wall); err != nil {
			return err
		}
	}
	t := table{
		title: "What a stage takes beside its pods, on the article's release",
		about: "The pods' own time is that in which the cluster's pods and endpoints are not what the Deployments ask for, as a watch of the bench sees it. " +
			"All other time, from the start of the process to its end, is what rollstep adds. ROLLSTEP_SETTLE is 0s.",
		head: []string{"stage", "all, s", "added by rollstep, s"},
	}
	worst := 0.0
	for _, s := range rollout {
		t.rows = append(t.rows, []string{s.stage, wall[s.stage].spread(""), own[s.stage].spread("")})
		worst = max(worst, own[s.stage].median())
	}
	b.report.add(t)
	b.report.hold("added by a stage to what its pods take, the worst stage", "≤ 0.3 s", round(worst)+" s", worst <= 0.3)
	return nil
}

func (b *bench) roundOfStages(ctx context.Context, dirs map[string]string, own, wall map[string]values) error {
	namespace, err := b.namespace(ctx)
	if err != nil {
		return err
	}
	f, err := b.follow(ctx, namespace)
	if err != nil {
		return err
	}
	defer f.stop()
	for _, s := range rollout {
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		ran, err := b.run(ctx, s.command(dirs, namespace))
		if err != nil {
			return err
		}
		added := ran.wall() - f.unsettled(ran.Began, ran.Ended)
		b.progress("%s: %.2f s, of it rollstep's %.2f s", s.stage, ran.wall().Seconds(), added.Seconds())
		own[s.stage] = insert(own[s.stage], added.Seconds())
		wall[s.stage] = insert(wall[s.stage], ran.wall().Seconds())
	}
	return nil
}

// failures measures how soon a version that cannot run is reported.
func (b *bench) failures(ctx context.Context) error {
	t := table{
		title: "From a container's bad status to the end of the job",
		about: "The status as a watch of the bench sees it. kubectl and helm were stopped after 30 s: left alone, kubectl waits for the Deployment's progress deadline (10 minutes), helm for its --timeout (5 minutes).",
		head:  []string{"", "crash loop, s", "missing image, s"},
	}
	rows := map[string][]string{}
	for _, fault := range []struct {
		tag     string
		reasons []string
	}{
		{"v2-crash", []string{"CrashLoopBackOff"}},
		{"v2-missing", []string{"ErrImagePull", "ImagePullBackOff"}},
	} {
		var took values
		for range b.rounds {
			d, err := b.detect(ctx, fault.tag, fault.reasons)
			if err != nil {
				return err
			}
			b.progress("%s: reported %.2f s after the status", fault.tag, d.Seconds())
			took = insert(took, d.Seconds())
		}
		rows["rollstep canary"] = append(rows["rollstep canary"], took.spread(""))
		b.report.hold(fmt.Sprintf("%s is reported", strings.Join(fault.reasons, " or ")), "≤ 2 s after the status", round(took.median())+" s", took.median() <= 2)
		for name, text := range b.others(ctx, fault.tag, fault.reasons) {
			rows[name] = append(rows[name], text)
		}
	}
	for _, name := range []string{"rollstep canary", "kubectl rollout status", "helm upgrade --wait"} {
		t.rows = append(t.rows, append([]string{name}, rows[name]...))
	}
	b.report.add(t)
	return nil
}
