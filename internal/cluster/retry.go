package cluster

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

const (
	// attemptTimeout bounds one try of a request that is not a watch: a
	// server that accepts a request and never answers it must not hold a stage.
	attemptTimeout = 15 * time.Second
	// retryFor bounds all tries of a request: an API server's restart takes
	// less, an outage more.
	retryFor = 45 * time.Second

	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// retrier repeats requests that failed for a passing reason. All requests of
// rollstep may be repeated: reads, server-side apply, deletes, and writes with
// a resourceVersion, whose lost answer shows as a conflict that the writer
// resolves by reading.
type retrier struct{ next http.RoundTripper }

func (r *retrier) RoundTrip(request *http.Request) (*http.Response, error) {
	deadline := time.Now().Add(retryFor)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		response, err := r.attempt(request)
		if !passing(request, response, err) {
			return response, err
		}
		wait := jitter(pause)
		if response != nil {
			if after, e := strconv.Atoi(response.Header.Get("Retry-After")); e == nil {
				wait = max(wait, time.Duration(after)*time.Second)
			}
		}
		if time.Now().Add(wait).After(deadline) {
			return response, err
		}
		if response != nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
			response.Body.Close()
		}
		select {
		case <-request.Context().Done():
			return nil, request.Context().Err()
		case <-time.After(wait):
		}
		if request.GetBody != nil {
			body, err := request.GetBody()
			if err != nil {
				return nil, err
			}
			request = request.Clone(request.Context())
			request.Body = body
		}
	}
}

// passing says whether the failure is likely to go away by itself.
func passing(request *http.Request, response *http.Response, err error) bool {
	if request.Context().Err() != nil || (request.Body != nil && request.GetBody == nil) {
		return false
	}
	if err != nil {
		return !permanent(err)
	}
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func (r *retrier) attempt(request *http.Request) (*http.Response, error) {
	if request.URL.Query().Get("watch") != "" {
		return r.next.RoundTrip(request)
	}
	ctx, cancel := context.WithTimeout(request.Context(), attemptTimeout)
	response, err := r.next.RoundTrip(request.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	response.Body = &cancelOnClose{response.Body, cancel}
	return response, nil
}

type cancelOnClose struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (c *cancelOnClose) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}

func jitter(d time.Duration) time.Duration {
	return d + rand.N(d/2)
}

// permanent says that a connection cannot come to be by trying again: the name
// does not exist, the certificate is not trusted.
func permanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent() || isTLS(err) || isNoSuchHost(err)
}
