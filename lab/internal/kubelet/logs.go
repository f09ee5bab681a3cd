package kubelet

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"gitlab.com/rollstep/rollstep/lab/internal/podlife"
)

// followFor bounds how long a followed log is kept open.
const followFor = 10 * time.Minute

// Handler serves the part of the kubelet's API that the API server's log
// sub-resource asks.
func (k *Kubelet) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.serveLog)
	return mux
}

func (k *Kubelet) serveLog(w http.ResponseWriter, r *http.Request) {
	key := types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("pod")}
	options, err := parseLogOptions(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	life := k.life(key)
	if life == nil {
		http.Error(w, fmt.Sprintf("pod %q does not exist", key.Name), http.StatusNotFound)
		return
	}
	lines, err := life.Log(key.Name, r.PathValue("container"), options.previous)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	out := &limited{w: w, left: options.limitBytes}
	options.write(out, options.choose(lines, time.Now()))
	if options.follow && !options.previous {
		options.followRun(r.Context(), life, r.PathValue("container"), key.Name, len(lines), w, out)
	}
}

// logOptions are those of corev1.PodLogOptions that matter here.
type logOptions struct {
	previous, follow, timestamps bool
	tail                         int // negative: all
	since                        time.Duration
	sinceTime                    time.Time
	limitBytes                   int // negative: no limit
}

func parseLogOptions(query url.Values) (logOptions, error) {
	o := logOptions{tail: -1, limitBytes: -1}
	var seconds int
	for name, set := range map[string]func(string) error{
		"previous":     func(v string) (err error) { o.previous, err = strconv.ParseBool(v); return },
		"follow":       func(v string) (err error) { o.follow, err = strconv.ParseBool(v); return },
		"timestamps":   func(v string) (err error) { o.timestamps, err = strconv.ParseBool(v); return },
		"tailLines":    func(v string) (err error) { o.tail, err = strconv.Atoi(v); return },
		"limitBytes":   func(v string) (err error) { o.limitBytes, err = strconv.Atoi(v); return },
		"sinceSeconds": func(v string) (err error) { seconds, err = strconv.Atoi(v); return },
		"sinceTime":    func(v string) (err error) { o.sinceTime, err = time.Parse(time.RFC3339, v); return },
	} {
		if v := query.Get(name); v != "" {
			if err := set(v); err != nil {
				return o, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	o.since = time.Duration(seconds) * time.Second
	return o, nil
}

// choose returns the lines that the options ask for.
func (o logOptions) choose(lines []podlife.Line, now time.Time) []podlife.Line {
	from := o.sinceTime
	if o.since > 0 {
		from = now.Add(-o.since)
	}
	for len(lines) > 0 && lines[0].Time.Before(from) {
		lines = lines[1:]
	}
	if o.tail >= 0 && len(lines) > o.tail {
		lines = lines[len(lines)-o.tail:]
	}
	return lines
}

func (o logOptions) write(w io.Writer, lines []podlife.Line) {
	for _, line := range lines {
		if o.timestamps {
			_, _ = io.WriteString(w, line.Time.UTC().Format("2006-01-02T15:04:05.000000000Z07:00")+" ")
		}
		_, _ = io.WriteString(w, line.Text+"\n")
	}
}

// followRun writes what the container logs until its run ends.
func (o logOptions) followRun(ctx context.Context, life *podlife.Life, container, pod string, seen int, w http.ResponseWriter, out io.Writer) {
	ctx, cancel := context.WithTimeout(ctx, followFor)
	defer cancel()
	flush := http.NewResponseController(w)
	for running := true; running; {
		_ = flush.Flush()
		select {
		case <-ctx.Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
		running = life.Running(container) && !life.Stopped()
		lines, err := life.Log(pod, container, false)
		if err != nil || len(lines) < seen {
			return // another run has begun
		}
		o.write(out, lines[seen:])
		seen = len(lines)
	}
}

// limited drops what goes over the limit.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left < 0 {
		return l.w.Write(p)
	}
	cut := p[:min(len(p), l.left)]
	l.left -= len(cut)
	_, err := l.w.Write(cut)
	return len(p), err
}
