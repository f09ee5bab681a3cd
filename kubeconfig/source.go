package kubeconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// source is a kubeconfig that was read.
type source struct {
	name   string // for messages, e.g. "KUBECONFIG (/builds/group/app.tmp/KUBECONFIG)"
	config *api.Config
}

// normalized trims the white space that a value pasted into GitLab's form
// often carries at its ends.
func (in Input) normalized() Input {
	in.Kubeconfig = strings.TrimSpace(in.Kubeconfig)
	in.Context = strings.TrimSpace(in.Context)
	in.Namespace = strings.TrimSpace(in.Namespace)
	return in
}

// read gets the kubeconfig that in.Kubeconfig names or holds.
func read(in Input) (source, []string, error) {
	const name = "KUBECONFIG"
	value := in.Kubeconfig
	switch {
	case variableReference.MatchString(value):
		return source{}, nil, hint.Errorf(notSetHint(in.Environ),
			"%s is %s: the job has no variable of that name", name, value)
	case looksLikeContent(value):
		config, err := parse(name+" (its value)", []byte(value))
		if err != nil {
			return source{}, nil, err
		}
		note := "KUBECONFIG holds the kubeconfig itself instead of a path; it is used. Better make it a variable of type File, so that it cannot end up in a log."
		return source{name + " (its value)", config}, []string{note}, nil
	case isBase64Kubeconfig([]byte(value)):
		return source{}, nil, base64Error(name + " (its value)")
	}
	return readFiles(name, filepath.SplitList(value))
}

// readFiles merges the files as kubectl does: the first file to set a value
// wins, and of several files some may be missing. Relative paths inside each
// resolve against its directory.
func readFiles(name string, paths []string) (source, []string, error) {
	var found []string
	var absent, broken []error
	var notes []string
	for _, path := range paths {
		if path == "" {
			continue
		}
		err := readable(name, path)
		switch {
		case err == nil:
			found = append(found, path)
		case errors.Is(err, fs.ErrNotExist):
			absent = append(absent, err)
			notes = append(notes, fmt.Sprintf("%s: %s does not exist and is left out.", name, show(path)))
		default:
			broken = append(broken, err)
		}
	}
	if len(found) == 0 {
		broken = append(absent, broken...)
	}
	if len(broken) > 0 {
		return source{}, nil, errors.Join(broken...)
	}
	// Relative paths in the files become absolute, so merging needs no
	// knowledge of where each came from.
	config, err := (&clientcmd.ClientConfigLoadingRules{Precedence: found}).Load()
	if err != nil {
		// readable has parsed each file, so only the file system can be at fault here.
		return source{}, nil, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	src := source{fmt.Sprintf("%s (%s)", name, strings.Join(found, string(filepath.ListSeparator))), config}
	if len(config.Clusters) == 0 {
		return source{}, nil, noClusters(src.name)
	}
	return src, notes, nil
}

// readable tells what is wrong with one kubeconfig file. Its mode is never
// looked at: GitLab writes file variables world-readable.
func readable(name, path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing(name, path)
	case err == nil && info.IsDir():
		return hint.Errorf("name the kubeconfig file itself", "%s is %s, which is a directory", name, show(path))
	}
	if err != nil {
		// The path may hold a secret pasted by mistake, and os errors repeat it.
		return hint.Errorf("make KUBECONFIG a variable of type File", "%s is %s, which cannot be read: %w", name, show(path), cause(err))
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return hint.Errorf("let the user that the job runs as read the file", "%s is %s, which cannot be read: %w", name, show(path), cause(err))
	}
	_, err = parseAny(fmt.Sprintf("%s (%s)", name, path), content)
	return err
}

func missing(name, path string) error {
	next := "make KUBECONFIG a variable of type File whose value is the kubeconfig; GitLab then sets it to the path of a file that it writes"
	if strings.HasPrefix(path, "~") {
		next = "write the path in full: nothing expands ~ in a variable. Or " + next
	}
	return hint.Errorf(next, "%s is %s, which does not exist%w", name, show(path), hidden{fs.ErrNotExist})
}

// hidden wraps an error for errors.Is without repeating its text.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }

// cause is the reason inside an error of package os, without the path.
func cause(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// show returns a path for messages, unless it may be no path at all but a
// token or a certificate that was pasted into the variable.
func show(path string) string {
	looksLikePath := strings.HasPrefix(path, "/") || strings.HasPrefix(path, ".") || strings.HasPrefix(path, "~") ||
		strings.Contains(strings.ToLower(path), "kube") || filepath.Ext(path) == ".yaml" || filepath.Ext(path) == ".yml"
	if looksLikePath && len(path) <= 300 {
		return path
	}
	return fmt.Sprintf("a value of %d characters that looks like no path", len(path))
}

// variableReference matches a value that GitLab left alone because the job
// has no such variable, e.g. "$KUBECONFIG_PRODUCTION".
var variableReference = regexp.MustCompile(`^\$(\w+|\{\w+\})$`)

// looksLikeContent tells YAML or JSON from a path.
func looksLikeContent(value string) bool {
	return strings.Contains(value, "\n") || strings.HasPrefix(value, "{") ||
		strings.Contains(value, "apiVersion:") || strings.Contains(value, "clusters:")
}
