package manifest

import (
	"bytes"
	"errors"
	"regexp"
	"strconv"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// decode reads a document as kubectl does (YAML 1.1 by way of JSON), but
// refuses duplicate keys. It returns nil for a document that is null.
func decode(d document) (map[string]any, error) {
	var value any
	if isJSON(d.text) {
		duplicates, err := json.UnmarshalStrict(d.text, &value, json.DisallowDuplicateFields)
		if err == nil && len(duplicates) > 0 {
			return nil, hint.Errorf("remove one of them", "%s: %w", d, errors.Join(duplicates...))
		}
		if err == nil {
			return mapping(d, value)
		}
		// Not JSON after all; YAML may begin with { too.
	}
	asJSON, err := yaml.YAMLToJSONStrict(d.text)
	if err != nil {
		return nil, explain(d, err)
	}
	if err := utiljson.Unmarshal(asJSON, &value); err != nil {
		return nil, explain(d, err)
	}
	return mapping(d, value)
}

func mapping(d document, value any) (map[string]any, error) {
	switch value := value.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return value, nil
	case []any:
		return nil, hint.Errorf("separate objects with a line of ---, or make them the items of a List", "%s: the document is a list instead of an object", d)
	}
	return nil, hint.Errorf("remove it, or move it to a file of another extension", "%s: the document is a single value instead of an object", d)
}

// parserProblem matches the errors of go-yaml's parser, as opposed to its
// scanner. Their lines count from 0 (go.yaml.in/yaml/v2 decode.go, fail;
// messages in parserc.go).
var parserProblem = regexp.MustCompile(`did not find expected (<|node content|'-' indicator|key|',' or)`)

var lineNumber = regexp.MustCompile(`^line (\d+): `)

// quotedValue matches where an error repeats what was read, possibly a Secret.
var quotedValue = regexp.MustCompile(`(?s)map key: .*|map key of type.*`)

// explain turns an error of the YAML reader into one error per mistake, with
// the file's line numbers.
func explain(d document, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = quotedValue.ReplaceAllString(text, "map key: a mapping or a list cannot be a key")
	var problems []error
	for problem := range strings.SplitSeq(strings.TrimPrefix(text, "unmarshal errors:\n"), "\n") {
		problems = append(problems, explainOne(d, strings.TrimSpace(problem)))
	}
	return errors.Join(problems...)
}

func explainOne(d document, problem string) error {
	at := d
	if match := lineNumber.FindStringSubmatch(problem); match != nil {
		number, _ := strconv.Atoi(match[1])
		if parserProblem.MatchString(problem) {
			number++
		}
		at.line = d.start + number - 1
		problem = strings.TrimPrefix(problem, match[0])
	}
	next := "correct the YAML"
	switch {
	case strings.Contains(problem, "already set in map"):
		next = "remove one of the two"
	case strings.Contains(problem, "cannot start any token") && indentedByTab(d, at.line):
		problem, next = "a tab in the indentation", "indent by spaces"
	case bytes.Contains(d.text, []byte("{{")):
		next = "render the template first: {{ }} is a placeholder of Helm or another tool, and rollstep reads finished manifests"
	}
	return hint.Errorf(next, "%s: %s", at, problem)
}

// indentedByTab reports whether a line of the file, or the one before it
// (go-yaml reports where the token began), has a tab in its indentation.
func indentedByTab(d document, line int) bool {
	lines := bytes.Split(d.text, []byte("\n"))
	for _, i := range []int{line - d.start, line - d.start - 1} {
		if i < 0 || i >= len(lines) {
			continue
		}
		indentation := lines[i][:len(lines[i])-len(bytes.TrimLeft(lines[i], " \t"))]
		if bytes.ContainsRune(indentation, '\t') {
			return true
		}
	}
	return false
}
