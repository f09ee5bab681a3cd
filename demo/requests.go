package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// shares are percentages by version.
type shares map[string]float64

// result is what a number of requests came to.
type result struct {
	total, failed int
	shares        shares // of those that did not fail
	line          string
}

var (
	counted = regexp.MustCompile(`^([\d,]+) requests:.* failed ([\d,]+)$`)
	share   = regexp.MustCompile(`(\S+) ([\d.]+) %`)
)

// parse reads a line of `lab load`: "1,000 requests: v1 90.4 %  v2 9.6 %  failed 0".
func parse(line string) (result, error) {
	line = strings.TrimSpace(line)
	numbers := counted.FindStringSubmatch(line)
	if numbers == nil {
		return result{}, fmt.Errorf("lab load printed %q", line)
	}
	r := result{total: number(numbers[1]), failed: number(numbers[2]), shares: shares{}, line: line}
	for _, match := range share.FindAllStringSubmatch(line, -1) {
		r.shares[match[1]], _ = strconv.ParseFloat(match[2], 64)
	}
	return r, nil
}

func number(text string) int {
	n, _ := strconv.Atoi(strings.ReplaceAll(text, ",", ""))
	return n
}

// sigmas is how far a share may be from what is wanted: a run of good luck and
// ill luck in ten million.
const sigmas = 5

// wrong says what is not as it must be, "" if nothing is. want may be nil: then
// only failed requests are wrong.
func (r result) wrong(want shares) string {
	if r.failed > 0 {
		return fmt.Sprintf("%d of %d requests failed", r.failed, r.total)
	}
	if want == nil {
		return ""
	}
	versions := maps.Clone(want)
	for version := range r.shares {
		versions[version] += 0
	}
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		p := want[version] / 100
		sigma := 100 * math.Sqrt(p*(1-p)/float64(r.total))
		if got := r.shares[version]; math.Abs(got-want[version]) > sigmas*sigma {
			return fmt.Sprintf("%s got %.1f %% of the requests instead of about %.0f %%", version, got, want[version])
		}
	}
	return ""
}

// send sends requests through the Service app of a namespace.
func (d *demo) send(ctx context.Context, namespace string, requests, parallel int) (result, error) {
	command := exec.CommandContext(ctx, filepath.Join(d.bin, "lab"), "load",
		"--requests", fmt.Sprint(requests), "--parallel", fmt.Sprint(parallel), namespace+"/app")
	stopGently(command)
	out, err := command.Output()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return result{}, ctx.Err()
	case errors.As(err, &exit): // also if no request was answered
		return result{}, errors.New(strings.TrimSpace(string(exit.Stderr)))
	case err != nil:
		return result{}, err
	}
	return parse(string(out))
}

// background are requests that go on until they are stopped.
type background struct {
	quit chan struct{}
	done chan struct{}
	sum  result
	err  error
}

// sendUntilStopped sends some hundred requests a second.
func (d *demo) sendUntilStopped(ctx context.Context, namespace string) *background {
	b := &background{quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(b.done)
		for {
			r, err := d.send(ctx, namespace, 100, 2)
			if err != nil {
				b.err = err
				return
			}
			b.sum.total, b.sum.failed = b.sum.total+r.total, b.sum.failed+r.failed
			select {
			case <-b.quit:
				return
			case <-ctx.Done():
				b.err = ctx.Err()
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return b
}

func (b *background) stop() (result, error) {
	close(b.quit)
	<-b.done
	b.sum.line = fmt.Sprintf("%s requests, failed %s", thousands(b.sum.total), thousands(b.sum.failed))
	return b.sum, b.err
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
