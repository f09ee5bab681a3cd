package manifest

import (
	"regexp"
	"strings"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// The grammar of image references, after
// https://github.com/distribution/reference (regexp.go): a registry is told
// from a path by a dot, a port or the name localhost, as docker does.
var (
	registryPattern = regexp.MustCompile(`^(localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|[A-Za-z0-9.-]+:[0-9]+|\[[0-9A-Fa-f:]+\](:[0-9]+)?)$`)
	pathPattern     = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)
	tagPattern      = regexp.MustCompile(`^[\w][\w.-]{0,127}$`)
	digestPattern   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*([-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}$`)
)

// repository returns an image without its tag and digest: of
// "localhost:5000/app:v1@sha256:…" it is "localhost:5000/app".
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndexByte(image, ':'); colon > strings.LastIndexByte(image, '/') {
		return image[:colon]
	}
	return image
}

// checkImage refuses what no registry would accept.
func checkImage(image string) error {
	name, digest, hasDigest := strings.Cut(image, "@")
	repo := repository(name)
	tag, hasTag := strings.CutPrefix(name[len(repo):], ":")
	next := "write it as repository:tag, e.g. registry.example.com/group/app:v2, and make sure that the variables in it are set"
	switch {
	case strings.Contains(image, "$"):
		return hint.Errorf("make sure that the job has the variable, and that it is not protected or scoped away", "it refers to a variable that is not set")
	case repo == "":
		return hint.Errorf(next, "the repository is empty")
	case strings.ToLower(repo) != repo && !validRepository(repo) && validRepository(strings.ToLower(repo)):
		return hint.Errorf("write it in lower case; CI_REGISTRY_IMAGE is", "the repository has upper-case letters")
	case !validRepository(repo):
		return hint.Errorf(next, "the repository is malformed")
	case hasTag && tag == "":
		return hint.Errorf(next, "the tag is empty")
	case hasTag && !tagPattern.MatchString(tag):
		return hint.Errorf(next, "the tag is malformed")
	case hasDigest && !digestPattern.MatchString(digest):
		return hint.Errorf("write the digest in full, e.g. sha256: and 64 hexadecimal digits", "the digest is malformed")
	}
	return nil
}

func validRepository(repo string) bool {
	first, rest, hasMore := strings.Cut(repo, "/")
	if hasMore && registryPattern.MatchString(first) {
		repo = rest
	}
	for component := range strings.SplitSeq(repo, "/") {
		if !pathPattern.MatchString(component) {
			return false
		}
	}
	return len(repo) <= 255
}
