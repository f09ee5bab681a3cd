package labtest

import (
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"time"
)

// Between stands between jobs and the API server, to count requests, to let
// what is watched arrive late, and to cut jobs off.
type Between struct {
	Lag time.Duration // of watches

	t          testing.TB
	kubeconfig string

	mu       sync.Mutex
	requests []string
	writes   int
	cutAfter int // writes; 0 for never
	cut      bool
	cutting  chan struct{}
	hangAt   string
	hanging  chan struct{}
	held     string // of watches that are held up
	until    string // of the request that ends it
	passing  chan struct{}
}

// Between begins to stand there. Pipelines pass it by Through.
func (s *Space) Between() *Between {
	s.t.Helper()
	b := &Between{t: s.t}
	b.kubeconfig = s.Front(func(forward *httputil.ReverseProxy) http.Handler {
		forward.ModifyResponse = func(r *http.Response) error {
			if r.Request.URL.Query().Get("watch") != "" {
				if b.Lag > 0 {
					r.Body = late(r.Body, b.Lag)
				}
				r.Body = heldBody{r.Body, b, r.Request.URL.RequestURI()}
			}
			return nil
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case !b.admit(r):
				hangUp(w)
			case b.hang(r):
				_, _ = io.Copy(io.Discard, r.Body) // else the client's end is not noticed
				<-r.Context().Done()
			default:
				forward.ServeHTTP(w, r)
			}
		})
	})
	return b
}

// Through lets the jobs of a pipeline reach the API server through b.
func (p Pipeline) Through(b *Between) Pipeline { return p.With("KUBECONFIG=" + b.kubeconfig) }

// admit notes a request and says whether it may pass.
func (b *Between) admit(r *http.Request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut {
		return false
	}
	request := r.Method + " " + r.URL.RequestURI()
	b.requests = append(b.requests, request)
	if b.until != "" && strings.Contains(request, b.until) {
		b.pass()
	}
	if r.Method != http.MethodGet && r.URL.Query().Get("dryRun") == "" {
		b.writes++
		if b.cut = b.cutAfter > 0 && b.writes >= b.cutAfter; b.cut {
			close(b.cutting)
		}
	}
	return true
}

// CutAfter lets so many more writes through, the last one with its answer, and
// then nothing at all.
func (b *Between) CutAfter(writes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writes, b.cutAfter, b.cut, b.cutting = 0, writes, false, make(chan struct{})
}

// HangAt leaves requests unanswered whose method and URI contain a text.
func (b *Between) HangAt(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hangAt, b.hanging = text, make(chan struct{})
}

// Hold holds up what watches bring whose URI contains a text, until a request
// comes whose method and URI contain another.
func (b *Between) Hold(watches, until string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held, b.until, b.passing = watches, until, make(chan struct{})
	b.t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.pass()
	})
}

func (b *Between) pass() {
	if b.until != "" {
		b.until = ""
		close(b.passing)
	}
}

// heldBody is the body of a watch that Hold may hold up.
type heldBody struct {
	io.ReadCloser
	between *Between
	uri     string
}

func (h heldBody) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	b := h.between
	b.mu.Lock()
	held, passing := b.until != "" && strings.Contains(h.uri, b.held), b.passing
	b.mu.Unlock()
	if held {
		<-passing
	}
	return n, err
}

func (b *Between) hang(r *http.Request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hangAt == "" || !strings.Contains(r.Method+" "+r.URL.RequestURI(), b.hangAt) {
		return false
	}
	select {
	case <-b.hanging:
	default:
		close(b.hanging)
	}
	return true
}

// CancelHanging cancels the job once one of its requests hangs.
func (j *Job) CancelHanging(b *Between) {
	j.t.Helper()
	select {
	case <-b.hanging:
	case <-j.ended:
		j.t.Fatalf("no request of the job contains %q", b.hangAt)
	}
	j.Cancel()
	j.Wait()
}

// Kill ends the job once it is cut off: to the cluster it is as if it had been
// killed after that write.
func (j *Job) Kill(b *Between) {
	j.t.Helper()
	select {
	case <-b.cutting:
		j.Cancel()
	case <-j.ended:
	}
	j.Wait()
}

// Writes are the writes so far, dry runs left out.
func (b *Between) Writes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.writes
}

// Requests are the requests so far: method and path.
func (b *Between) Requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.requests...)
}

// late delays what is read by lag, and keeps its order.
func late(body io.ReadCloser, lag time.Duration) io.ReadCloser {
	type chunk struct {
		at   time.Time
		data []byte
	}
	reader, writer := io.Pipe()
	chunks := make(chan chunk, 1024)
	go func() {
		defer close(chunks)
		for {
			buffer := make([]byte, 32<<10)
			n, err := body.Read(buffer)
			if n > 0 {
				chunks <- chunk{time.Now().Add(lag), buffer[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		defer writer.Close()
		for c := range chunks {
			<-time.After(time.Until(c.at))
			if _, err := writer.Write(c.data); err != nil {
				for range chunks { // let the reader end
				}
				return
			}
		}
	}()
	return struct {
		io.Reader
		io.Closer
	}{reader, closers{body, reader}}
}

type closers []io.Closer

func (c closers) Close() error {
	for _, closer := range c {
		_ = closer.Close()
	}
	return nil
}
