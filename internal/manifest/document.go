package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// document is one document of a YAML or JSON stream.
type document struct {
	file   string
	number int    // 1-based; documents without content do not count
	start  int    // 1-based line of the file at which text begins
	line   int    // 1-based line of the file at which content begins
	text   []byte // from the --- that opens it, if any, up to the next
}

func (d document) String() string {
	return fmt.Sprintf("%s, document %d, line %d", d.file, d.number, d.line)
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// split takes a file apart. A file that begins with { and is a stream of JSON
// values is read as JSON, anything else as YAML.
func split(file string, content []byte) ([]document, error) {
	content = bytes.TrimPrefix(content, byteOrderMark)
	if bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")) {
		return nil, hint.Errorf("save it as UTF-8 (in PowerShell: `Out-File -Encoding utf8`)", "%s is encoded as UTF-16", file)
	}
	if isJSON(content) {
		if documents, err := splitJSON(file, content); err == nil {
			return documents, nil
		}
	}
	return splitYAML(file, content), nil
}

func isJSON(content []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(content, " \t\r\n"), []byte("{"))
}

// splitJSON splits values that follow one another, as kubectl accepts them.
func splitJSON(file string, content []byte) ([]document, error) {
	var documents []document
	for decoder, line, at := json.NewDecoder(bytes.NewReader(content)), 1, 0; ; {
		var value json.RawMessage
		err := decoder.Decode(&value)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, err
		}
		begin := int(decoder.InputOffset()) - len(value)
		line, at = line+bytes.Count(content[at:begin], []byte("\n")), begin
		documents = append(documents, document{file, len(documents) + 1, line, line, value})
	}
}

// splitYAML splits at the lines that YAML reserves for it: --- begins a
// document and ... ends one, neither can be content at the start of a line
// (https://yaml.org/spec/1.2.2/#document-markers). Documents of comments,
// directives and white space only are left out.
func splitYAML(file string, content []byte) []document {
	var documents []document
	current := document{file: file, number: 1, start: 1}
	flush := func() {
		if current.line > 0 {
			documents = append(documents, current)
		}
	}
	for number, offset := 1, 0; offset < len(content); number++ {
		end := len(content)
		if i := bytes.IndexByte(content[offset:], '\n'); i >= 0 {
			end = offset + i + 1
		}
		line := content[offset:end]
		if isMarker(line, "---") || isMarker(line, "...") {
			flush()
			current = document{file: file, number: len(documents) + 1, start: number}
		}
		if !isMarker(line, "...") {
			current.text = append(current.text, line...)
			if current.line == 0 && hasContent(line) {
				current.line = number
			}
		} else {
			current.start = number + 1
		}
		offset = end
	}
	flush()
	return documents
}

func isMarker(line []byte, marker string) bool {
	rest, found := bytes.CutPrefix(line, []byte(marker))
	return found && (len(rest) == 0 || bytes.ContainsRune([]byte(" \t\r\n"), rune(rest[0])))
}

func hasContent(line []byte) bool {
	if isMarker(line, "---") {
		line = line[len("---"):]
	}
	line = bytes.TrimSpace(line)
	return len(line) > 0 && line[0] != '#' && line[0] != '%'
}
