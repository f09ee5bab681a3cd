package gitlab

import (
	"fmt"
	"html"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// plain is s for files with a reader of their own: valid UTF-8 without what XML
// and HTML forbid, and with marks that reorder text made visible, as a diff
// could look like another one by them.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r
	}, visible.Replace(clean(strings.ToValidUTF8(s, "\uFFFD"))))
}

// Embeddings, overrides and isolates: https://trojansource.codes.
var visible = strings.NewReplacer(
	"\u202A", "[U+202A]", "\u202B", "[U+202B]", "\u202C", "[U+202C]", "\u202D", "[U+202D]", "\u202E", "[U+202E]",
	"\u2066", "[U+2066]", "\u2067", "[U+2067]", "\u2068", "[U+2068]", "\u2069", "[U+2069]",
)

// line is s on one line.
func line(s string) string { return strings.Join(strings.Fields(plain(s)), " ") }

// cutTo is the beginning of s in at most size bytes, with an ellipsis if that is
// not all of it.
func cutTo(s string, size int) string {
	if len(s) <= size {
		return s
	}
	size -= len("…")
	for size > 0 && !utf8.RuneStart(s[size]) {
		size--
	}
	return s[:max(size, 0)] + "…"
}

// webAddress returns s as an address that a browser opens from a page that
// anybody may have written: http or https, and nothing else.
func webAddress(s string) (string, bool) {
	u, err := url.Parse(plain(s))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", false
	}
	return u.String(), true
}

// budget is how many bytes of HTML may still be written.
type budget int

// perLine is what the markup of a line may take.
const perLine = len("<strong></strong>")

// text returns the whole lines of s that fit into the budget, and into size
// bytes, and how many lines had to be left out.
func (b *budget) text(s string, size int) (kept string, left int) {
	size = min(size, int(*b))
	s = strings.TrimRight(plain(s), "\n")
	end, used := 0, 0
	for end < len(s) {
		n := strings.IndexByte(s[end:], '\n') + 1
		if n == 0 {
			n = len(s) - end
		}
		cost := len(html.EscapeString(s[end:end+n])) + perLine
		if used+cost > size {
			break
		}
		used, end = used+cost, end+n
	}
	*b -= budget(used)
	rest := s[end:]
	if rest == "" {
		return s, 0
	}
	return s[:end], strings.Count(rest, "\n") + 1
}

func leftOut(lines int) string {
	if lines == 1 {
		return "… 1 more line is left out here"
	}
	return fmt.Sprintf("… %s more lines are left out here", thousands(lines))
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + one + "s"
}

func percent(x float64) string {
	if math.IsNaN(x) || math.Abs(x) > 1000 {
		return "? %"
	}
	return strconv.FormatFloat(x, 'f', 1, 64) + " %"
}

// share is a share that was asked for, which mostly is a whole number.
func share(x float64) string { return strings.Replace(percent(x), ".0 ", " ", 1) }

// took tells a duration as people say it, in at most two units.
func took(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	d = d.Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h > 0:
		return fmt.Sprintf("%d h %d min", h, m)
	case m > 0:
		return fmt.Sprintf("%d min %d s", m, s)
	default:
		return fmt.Sprintf("%d s", s)
	}
}
