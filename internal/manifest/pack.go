package manifest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// Hash identifies a release by its content: the SHA-256, in hexadecimal, of
// the objects as JSON. Neither their order nor how they were written (YAML,
// JSON, key order, comments) matters.
func Hash(objects []*unstructured.Unstructured) string {
	lines := make([]string, len(objects))
	for i, o := range objects {
		line, err := json.Marshal(o.Object) // sorts keys
		if err != nil {
			// Only objects made by hand can hold what JSON has no form for,
			// such as NaN. fmt sorts keys too.
			line = fmt.Appendf(nil, "%v", o.Object)
		}
		lines[i] = string(line)
	}
	slices.Sort(lines)
	hash := sha256.New()
	for _, line := range lines {
		hash.Write([]byte(line + "\n")) // JSON has no line breaks inside
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// maxUnpacked bounds what Unpack expands, in bytes. What Pack makes must fit
// into a Secret of 1 MiB, so real releases stay far below.
const maxUnpacked = 64 << 20

// Pack writes objects as gzipped JSON, one object a line. The same objects
// give the same bytes.
func Pack(objects []*unstructured.Unstructured) ([]byte, error) {
	var packed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	encoder := json.NewEncoder(writer)
	encoder.SetEscapeHTML(false)
	for _, o := range objects {
		if err := encoder.Encode(o.Object); err != nil {
			return nil, fmt.Errorf("pack %s: %w", describe(o), err)
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// Unpack reads what Pack wrote.
func Unpack(packed []byte) ([]*unstructured.Unstructured, error) {
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	content, err := io.ReadAll(io.LimitReader(reader, maxUnpacked+1))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	if len(content) > maxUnpacked {
		return nil, errors.New("unpack: more than 64 MiB of manifests")
	}
	var objects []*unstructured.Unstructured
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, maxUnpacked+1)
	for lines.Scan() {
		var fields map[string]any
		if err := utiljson.Unmarshal(lines.Bytes(), &fields); err != nil {
			return nil, fmt.Errorf("unpack: object %d: %w", len(objects)+1, err)
		}
		o := &unstructured.Unstructured{Object: fields}
		if o.GetKind() == "" || o.GetName() == "" {
			return nil, fmt.Errorf("unpack: object %d has no kind or no name", len(objects)+1)
		}
		objects = append(objects, o)
	}
	return objects, lines.Err()
}
