// Package load sends requests through a Service and tells who answered.
package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Result is what a number of requests came to.
type Result struct {
	Versions map[string]int
	Failed   int
	// LastFailure describes one of the failed requests.
	LastFailure string
}

// Send sends so many requests to the URL, a few at the same time. Each uses a
// connection of its own if the client's transport says so.
func Send(ctx context.Context, client *http.Client, url string, requests, parallel int) Result {
	result := Result{Versions: map[string]int{}}
	var mu sync.Mutex
	var next atomic.Int64
	var wait sync.WaitGroup
	for range parallel {
		wait.Go(func() {
			for next.Add(1) <= int64(requests) && ctx.Err() == nil {
				version, err := ask(ctx, client, url)
				mu.Lock()
				if err != nil {
					result.Failed++
					result.LastFailure = err.Error()
				} else {
					result.Versions[version]++
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return result
}

func ask(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return "", fmt.Errorf("%s: %s", response.Status, shorten(string(body), 300))
	}
	return Version(body), nil
}

// Version is what an answer says about who gave it: its JSON field "version",
// else "app" or "message", else the start of its text.
func Version(body []byte) string {
	var fields map[string]any
	if json.Unmarshal(body, &fields) == nil {
		for _, name := range []string{"version", "app", "message"} {
			if value, ok := fields[name].(string); ok && value != "" {
				return value
			}
		}
	}
	return shorten(string(body), 20)
}

func shorten(text string, limit int) string {
	runes := []rune(strings.TrimSpace(text))
	return string(runes[:min(len(runes), limit)])
}

// Answered is how many requests did not fail.
func (r Result) Answered() int {
	sum := 0
	for _, n := range r.Versions {
		sum += n
	}
	return sum
}

// String is one line: "1,000 requests: v1 90.4 %  v2 9.6 %  failed 0". The
// shares are those of the answered requests.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s requests:", thousands(r.Answered()+r.Failed))
	for _, version := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&b, " %s %.1f %% ", version, 100*float64(r.Versions[version])/float64(r.Answered()))
	}
	fmt.Fprintf(&b, " failed %s", thousands(r.Failed))
	return b.String()
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
