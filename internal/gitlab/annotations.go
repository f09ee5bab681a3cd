package gitlab

import (
	"encoding/json"
)

// Bounds that keep the file below the 80 KiB that GitLab takes by default
// (https://docs.gitlab.com/administration/instance_limits/).
const (
	maxAnnotations     = 20
	maxAnnotationLabel = 200
	maxAnnotationURL   = 2000
)

type annotation struct {
	ExternalLink struct {
		Label string `json:"label"`
		URL   string `json:"url"`
	} `json:"external_link"`
}

// annotations are links on the job's page; its format is
// https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsannotations.
// Without any it is an empty object, which GitLab takes too.
func (r *Report) annotations() ([]byte, error) {
	sections := map[string][]annotation{}
	for _, l := range r.links() {
		var a annotation
		address, ok := webAddress(l.URL)
		if !ok || len(address) > maxAnnotationURL || len(sections["rollstep"]) == maxAnnotations {
			continue
		}
		a.ExternalLink.Label = cutTo(line(l.Label), maxAnnotationLabel)
		a.ExternalLink.URL = address
		if a.ExternalLink.Label == "" {
			a.ExternalLink.Label = cutTo(address, maxAnnotationLabel)
		}
		sections["rollstep"] = append(sections["rollstep"], a)
	}
	text, err := json.MarshalIndent(sections, "", "  ")
	return append(text, '\n'), err
}

// links are all there is to open, the most wanted first.
func (r *Report) links() []Link {
	var links []Link
	if r.Holder != nil {
		links = append(links, Link{"in the way: " + r.Holder.Label, r.Holder.URL})
	}
	for _, p := range r.Previews {
		links = append(links, Link{"canary: " + p.Label, p.URL})
	}
	environment := "environment"
	if r.Job.Environment != "" {
		environment += " " + r.Job.Environment
	}
	return append(links, Link{environment, r.EnvironmentURL}, Link{"report of " + r.Stage, r.URL})
}
