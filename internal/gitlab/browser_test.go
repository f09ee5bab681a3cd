package gitlab

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each sample as a person's browser shows it, on a phone and on a wide screen,
// by day and by night. With -samples DIR the pictures are kept there.
func TestPage_inABrowser(t *testing.T) {
	dir := *samplesDir
	if dir == "" {
		dir = t.TempDir()
	}
	all := samples()
	all["hostile"], all["large"] = hostileReport(), largeReport()
	ctx := browser(t)
	for name, r := range all {
		require.NoError(t, r.Write(filepath.Join(dir, name)))
		t.Run(name, func(t *testing.T) {
			v := open(t, ctx, filepath.Join(dir, name, PageFile))
			for _, scheme := range []string{"light", "dark"} {
				for _, width := range []int64{360, 1600} {
					v.show(scheme, width)
					v.checkLayout(r)
					if *samplesDir != "" && name != "large" {
						v.picture(filepath.Join(dir, name, fmt.Sprintf("%s-%d.png", scheme, width)))
					}
				}
			}
			assert.NotEqual(t, v.background["light"], v.background["dark"])
			v.checkDetails()
			if *samplesDir != "" && name != "large" {
				v.print(filepath.Join(dir, name, "print.pdf"))
			}
			v.checkSilence()
		})
	}
}

// browser starts Chromium, without a sandbox as the tests may be root's.
func browser(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	require.NoError(t, err, "this test needs Chromium: apt-get install -y chromium")
	ctx, stop := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true))
	t.Cleanup(stop)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() { assert.NoError(t, chromedp.Cancel(ctx)) })
	require.NoError(t, chromedp.Do(ctx))
	return ctx
}

// view is one page in a tab of its own.
type view struct {
	t          *testing.T
	ctx        context.Context
	file       string
	background map[string]string

	mu    sync.Mutex
	heard []string // requests and complaints
}

func open(t *testing.T, browser context.Context, file string) *view {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(browser)
	t.Cleanup(closeTab)
	file, err := filepath.Abs(file)
	require.NoError(t, err)
	v := &view{t: t, ctx: ctx, file: (&url.URL{Scheme: "file", Path: file}).String(), background: map[string]string{}}
	require.NoError(t, chromedp.Listen(ctx, v.listen))
	v.do(command(network.Enable, network.EnableParams{}), chromedp.Navigate(v.file))
	return v
}

func (v *view) listen(event any) {
	said := ""
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if e.Request.URL != v.file && !strings.HasPrefix(e.Request.URL, "data:") {
			said = "requested " + e.Request.URL
		}
	case *log.EventEntryAdded:
		said = "logged " + e.Entry.Text
	case *runtime.EventConsoleAPICalled:
		said = "wrote to the console"
	case *runtime.EventExceptionThrown:
		said = "threw " + e.ExceptionDetails.Text
	case *cdppage.EventJavascriptDialogOpening:
		said = "opened a dialog: " + e.Message
	}
	if said != "" {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.heard = append(v.heard, said)
	}
}

func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

func (v *view) do(steps ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	require.NoError(v.t, chromedp.Do(v.ctx, steps...))
}

func get[T any](v *view, action chromedp.Action[T]) T {
	v.t.Helper()
	value, err := chromedp.Run(v.ctx, action)
	require.NoError(v.t, err)
	return value
}

func (v *view) show(scheme string, width int64) {
	v.do(command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}),
		chromedp.EmulateViewport(width, 900))
	v.background[scheme] = get(v, chromedp.Evaluate[string](`getComputedStyle(document.body).backgroundColor`))
}

// checkLayout sees that nothing is wider than the screen, and the drawings there.
func (v *view) checkLayout(r *Report) {
	type layout struct {
		Width, Screen, Charts, Areas int
		Verdict                      string
		Empty                        []string
	}
	page := get(v, chromedp.Evaluate[layout](`({
		Width: document.documentElement.scrollWidth, Screen: innerWidth,
		Verdict: document.querySelector("h1").innerText,
		Charts: document.querySelectorAll("svg.chart").length,
		Areas: [...document.querySelectorAll(".area rect")].filter(r => r.getBoundingClientRect().width > 0).length,
		Empty: [...document.querySelectorAll("main svg")].filter(s => !s.getBoundingClientRect().width || !s.getBoundingClientRect().height).map(s => s.outerHTML.slice(0, 100)),
	})`))
	assert.LessOrEqual(v.t, page.Width, page.Screen, "the page can be moved sideways")
	assert.NotEmpty(v.t, page.Verdict)
	assert.Empty(v.t, page.Empty, "drawings that cannot be seen")
	assert.Equal(v.t, min(len(r.Timelines), maxTimelines), page.Charts)
	if page.Charts > 0 {
		assert.Positive(v.t, page.Areas)
	}
}

// checkDetails opens and closes the first diff as a person does.
func (v *view) checkDetails() {
	if get(v, chromedp.Evaluate[int](`document.querySelectorAll("details").length`)) == 0 {
		return
	}
	seen := func() bool {
		return get(v, chromedp.Evaluate[bool](`document.querySelector("details pre").checkVisibility({contentVisibilityAuto: true})`))
	}
	before := seen()
	v.do(chromedp.Click(chromedp.CSS("summary")))
	assert.Equal(v.t, !before, seen())
}

// checkSilence ends with the page: all it may have done is known by then.
func (v *view) checkSilence() {
	v.do(chromedp.Navigate("about:blank"))
	v.mu.Lock()
	defer v.mu.Unlock()
	v.heard = slices.DeleteFunc(v.heard, func(s string) bool { return s == "requested about:blank" })
	assert.Empty(v.t, v.heard)
}

func (v *view) picture(file string) {
	require.NoError(v.t, os.WriteFile(file, get(v, chromedp.FullScreenshot(100)), 0o644))
}

func (v *view) print(file string) {
	pdf := get(v, chromedp.PrintToPDF(chromedp.PDFPaper(chromedp.PaperA4), chromedp.PDFMargin(0.6)))
	require.NoError(v.t, os.WriteFile(file, pdf, 0o644))
}
