package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What troubleshooting.md quotes from the log, in the first column of its tables,
// is what the program says: some text of its sources, or a line of testdata/logs.
// In both, something that differs from case to case may stand where the quote has
// an ellipsis or the source a verb.
func TestTroubleshooting_quotesWhatTheProgramSays(t *testing.T) {
	texts := textsOf(t, allTexts, "*.go", "step/*.go", "kubeconfig/*.go", "internal/*/*.go")
	logs := goldenLogs(t)
	for _, q := range quotes(t) {
		said := pattern(q).MatchString(logs) || slices.ContainsFunc(texts, func(m message) bool { return m.says(q) })
		assert.True(t, said, "nothing says %q", q)
	}
}

// Everything that stops a stage because of KUBECONFIG, the record or the lock, and
// every diagnosis and warning, is explained.
func TestTroubleshooting_explainsWhatTheProgramSays(t *testing.T) {
	all := quotes(t)
	for what, texts := range map[string][]message{
		"kubeconfig": textsOf(t, argument("Errorf", 1), "kubeconfig/*.go"),
		"record":     textsOf(t, argument("Refuse", 1), "internal/record/*.go", "step/*.go"),
		"lock":       textsOf(t, argument("Errorf", 1), "internal/record/lease.go"),
		"stages":     textsOf(t, argument("Errorf", 1), "step/*.go"),
		"diagnosis":  textsOf(t, findings, "internal/rollout/diagnose*.go"),
		"warnings":   append(textsOf(t, argument("warn", 0), "internal/canary/warnings.go"), textsOf(t, argument("Sprintf", 0), "internal/canary/warnings.go")...),
	} {
		assert.NotEmpty(t, texts, what)
		for _, text := range texts {
			glue := text.letters < enough // "%s: context %q: %w"
			assert.True(t, glue || slices.ContainsFunc(all, text.says), "%s: docs/troubleshooting.md does not explain %q", what, text.text)
		}
	}
}

// quotes are the code spans in the first column of the tables of the page.
func quotes(t *testing.T) []string {
	t.Helper()
	var list []string
	for line := range strings.Lines(readPage(t, "docs/troubleshooting.md").prose) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, code := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			list = append(list, code[1])
		}
	}
	require.NotEmpty(t, list)
	return list
}

// message is a text of the sources, with verbs for what differs.
type message struct {
	text    string
	letters int // that are always the same
	pattern *regexp.Regexp
}

// enough letters make a message more than glue.
const enough = 8

var (
	verb    = regexp.MustCompile(`%[-+#0 ]*[\d.]*[a-zA-Z]`)
	letter  = regexp.MustCompile(`\p{L}`)
	subject = strings.NewReplacer("KUBECONFIG (…)", "…")
)

func newMessage(text string) message {
	whole := pattern(verb.ReplaceAllString(text, "…")).String()
	return message{text, letters(text), regexp.MustCompile("^" + whole + `(\P{L}.*)?$`)}
}

// says says whether the quote may come out of the message, or begin with it, and
// the message is most of the quote.
func (m message) says(quote string) bool {
	if strings.Contains(m.text, quote) {
		return true
	}
	quote = subject.Replace(quote)
	return m.letters >= enough-1 && 2*m.letters >= letters(quote) && m.pattern.MatchString(quote)
}

func letters(text string) int { return len(letter.FindAllString(verb.ReplaceAllString(text, ""), -1)) }

// pattern lets anything stand for an ellipsis.
func pattern(text string) *regexp.Regexp {
	return regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(strings.ReplaceAll(text, "%%", "%")), "…", ".*"))
}

func goldenLogs(t *testing.T) string {
	t.Helper()
	paths, err := filepath.Glob("testdata/logs/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	var all strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}

// textsOf collects texts of Go files that are no tests.
func textsOf(t *testing.T, of func(ast.Node) []string, patterns ...string) []message {
	t.Helper()
	var texts []message
	for _, p := range patterns {
		paths, err := filepath.Glob(p)
		require.NoError(t, err)
		require.NotEmpty(t, paths, p)
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				for _, text := range of(n) {
					texts = append(texts, newMessage(text))
				}
				return true
			})
		}
	}
	return texts
}

func allTexts(n ast.Node) []string {
	if text, ok := literal(n); ok && len(text) > 3 {
		return []string{text}
	}
	return nil
}

// literal is a string constant, also one that is put together.
func literal(n ast.Node) (string, bool) {
	switch e := n.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return text, true
		}
	case *ast.BinaryExpr:
		left, l := literal(e.X)
		right, r := literal(e.Y)
		return left + right, l && r && e.Op == token.ADD
	}
	return "", false
}

// argument picks an argument of the calls of a function.
func argument(function string, i int) func(ast.Node) []string {
	return func(n ast.Node) []string {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) <= i || name(call.Fun) != function {
			return nil
		}
		return first(call.Args[i])
	}
}

func name(e ast.Expr) string {
	switch f := e.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// findings picks the messages of the diagnosis.
func findings(n ast.Node) []string {
	if field, ok := n.(*ast.KeyValueExpr); ok && name(field.Key) == "Message" {
		return first(field.Value)
	}
	return append(argument("finding", 1)(n), argument("about", 2)(n)...)
}

// first is the first text in an expression, what follows it left open.
func first(e ast.Expr) []string {
	var texts []string
	ast.Inspect(e, func(n ast.Node) bool {
		if text, ok := literal(n); ok && len(texts) == 0 {
			texts = append(texts, text)
		}
		return len(texts) == 0
	})
	return texts
}
