package gitlab

import (
	"html"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"a\x00b\x1b[31mred\x1b[0m\r\n\tc":    "abred\n\tc",
		"\uFFFE\uFFFF\xff":                   "\uFFFD",
		"user\u202E\u2066 admin\u2069\u202C": "user[U+202E][U+2066] admin[U+2069][U+202C]",
		"\u05e9\u05dc\u05d5\u05dd":           "\u05e9\u05dc\u05d5\u05dd",
	} {
		assert.Equal(t, want, plain(in))
	}
}

func TestCutTo(t *testing.T) {
	assert.Equal(t, "short", cutTo("short", 5))
	assert.Equal(t, "ab…", cutTo("abcdef", 5))
	assert.Equal(t, "aö…", cutTo("aöööö", 7))
	assert.Equal(t, "…", cutTo("öööö", 3))
}

func TestWebAddress(t *testing.T) {
	for in, want := range map[string]string{
		"https://a.test/x?y=1#z": "https://a.test/x?y=1#z",
		"HTTP://a.test":          "http://a.test",
		"javascript:alert(1)":    "",
		"java\nscript:alert(1)":  "",
		" https://a.test":        "",
		"//a.test":               "",
		"https:///x":             "",
		"data:text/html,x":       "",
		"https://a.test/\"><b>":  "https://a.test/%22%3E%3Cb%3E",
		"":                       "",
	} {
		got, ok := webAddress(in)
		assert.Equal(t, want, got, in)
		assert.Equal(t, want != "", ok, in)
	}
}

func TestBudget_countsWhatHTMLTakes(t *testing.T) {
	b := budget(3 * (len("&#34;&#34;\n") + perLine))
	kept, left := b.text(strings.Repeat("\"\"\n", 10), 1000)
	assert.Equal(t, strings.Repeat("\"\"\n", 3), kept)
	assert.Equal(t, 7, left)
	assert.Zero(t, int(b))
	assert.Len(t, html.EscapeString(kept), 3*len("&#34;&#34;\n"))

	kept, left = b.text("more", 1000)
	assert.Empty(t, kept)
	assert.Equal(t, 1, left)

	b = 1000
	kept, left = b.text("all of it\n\n", 1000)
	assert.Equal(t, "all of it", kept)
	assert.Zero(t, left)
}

func TestTook(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:            "0 ms",
		41 * time.Millisecond:   "41 ms",
		9400 * time.Millisecond: "9.4 s",
		33 * time.Second:        "33 s",
		94 * time.Second:        "1 min 34 s",
		3 * time.Hour:           "3 h 0 min",
	} {
		assert.Equal(t, want, took(d))
	}
}

func TestPercent(t *testing.T) {
	assert.Equal(t, "9.1 %", percent(9.0909))
	assert.Equal(t, "20.0 %", percent(20))
	assert.Equal(t, "20 %", share(20))
	assert.Equal(t, "33.3 %", share(100.0/3))
	assert.Equal(t, "? %", percent(1e300))
}
