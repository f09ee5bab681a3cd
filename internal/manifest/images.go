package manifest

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// container is one container or init container of a workload.
type container struct {
	workload *unstructured.Unstructured
	fields   map[string]any
	init     bool
}

func (c container) name() string {
	name, _ := c.fields["name"].(string)
	return name
}

func (c container) image() string {
	image, _ := c.fields["image"].(string)
	return image
}

// SetImages sets the images that spec (ROLLSTEP_IMAGE) asks for, in place, in
// the workloads among the objects. It holds entries separated by commas or
// white space; an empty spec changes nothing.
//
//   - "name=repo/app:tag" sets every container and init container of that name
//     (as `kubectl set image`), or whose image has the repository name (as
//     `kustomize edit set image`).
//   - "repo/app:tag" sets every one whose image has the same repository; if
//     there is none, and the workloads have just one container, that one.
//
// On an error, which joins all mistakes, no object is changed.
func SetImages(objects []*unstructured.Unstructured, spec string) error {
	containers := containersOf(objects)
	chosen := make([]string, len(containers))
	var problems []error
	for _, entry := range strings.FieldsFunc(spec, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		name, image, named := strings.Cut(entry, "=")
		if !named {
			name, image = "", entry
		}
		if err := checkImage(image); err != nil {
			problems = append(problems, fmt.Errorf("ROLLSTEP_IMAGE: %q: %w", entry, err))
			continue
		}
		matches, err := matching(containers, name, image, named)
		if err != nil {
			problems = append(problems, err)
		}
		for _, i := range matches {
			if chosen[i] != "" && chosen[i] != image {
				problems = append(problems, hint.Errorf("keep one of the two entries", "ROLLSTEP_IMAGE sets container %s of %s both to %s and to %s",
					containers[i].name(), describe(containers[i].workload), chosen[i], image))
			}
			chosen[i] = image
		}
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	for i, image := range chosen {
		if image != "" {
			containers[i].fields["image"] = image
		}
	}
	return nil
}

// matching returns the indices of the containers that an entry means.
func matching(containers []container, name, image string, named bool) ([]int, error) {
	var matches []int
	for i, c := range containers {
		isNamed := named && (c.name() == name || repository(c.image()) == name)
		if isNamed && name != "" || !named && repository(c.image()) == repository(image) {
			matches = append(matches, i)
		}
	}
	if len(matches) > 0 {
		return matches, nil
	}
	list := "there are no workloads in the manifests"
	if len(containers) > 0 {
		list = "there are " + listContainers(containers)
	}
	if named {
		return nil, hint.Errorf("name one of the containers, or the repository of its image",
			"ROLLSTEP_IMAGE: no container and no image is called %q; %s", name, list)
	}
	if only := onlyContainer(containers); only != nil {
		return only, nil
	}
	return nil, hint.Errorf("write CONTAINER="+image,
		"ROLLSTEP_IMAGE: cannot tell which container %s is for; %s", image, list)
}

// onlyContainer returns the indices of the one container that all workloads
// run, init containers aside; nil if they run several. The two Deployments of
// a hand-made canary run the same one.
func onlyContainer(containers []container) []int {
	var matches []int
	for i, c := range containers {
		if c.init {
			continue
		}
		if len(matches) > 0 {
			first := containers[matches[0]]
			if c.name() != first.name() || repository(c.image()) != repository(first.image()) {
				return nil
			}
		}
		matches = append(matches, i)
	}
	return matches
}

// listContainers describes containers by workload, e.g.
// "Deployment web: app (repo/app:v1), sidecar (proxy:1)".
func listContainers(containers []container) string {
	var text strings.Builder
	var workload *unstructured.Unstructured
	for _, c := range containers {
		switch {
		case workload == nil:
			text.WriteString(describe(c.workload) + ": ")
		case workload != c.workload:
			text.WriteString("; " + describe(c.workload) + ": ")
		default:
			text.WriteString(", ")
		}
		workload = c.workload
		kind := ""
		if c.init {
			kind = "init container "
		}
		fmt.Fprintf(&text, "%s%s (%s)", kind, c.name(), c.image())
	}
	return text.String()
}

func containersOf(objects []*unstructured.Unstructured) []container {
	var containers []container
	for _, o := range objects {
		template, ok := PodTemplate(o)
		if !ok {
			continue
		}
		spec, _ := template["spec"].(map[string]any)
		for _, field := range []string{"initContainers", "containers"} {
			for _, fields := range mappings(spec[field]) {
				containers = append(containers, container{o, fields, field == "initContainers"})
			}
		}
	}
	return containers
}
