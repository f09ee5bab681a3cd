package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// attemptTimeout bounds one try of a request, of a watch its beginning: a
	// server that accepts a request and never answers it must not hold a stage.
	attemptTimeout = 15 * time.Second
	// retryFor bounds all tries of a request: an API server's restart takes
	// less, an outage more.
	retryFor = 45 * time.Second
	// firstContact bounds them until the server has answered once: it may not
	// be there at all, and whoever wrote its address should not wait.
	firstContact = 10 * time.Second

	// rolesGrace is for an API server that has just started: until it has read
	// its roles it forbids everything.
	rolesGrace = 20 * time.Second

	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// retrier repeats requests that failed for a passing reason. All requests of
// rollstep may be repeated: reads, server-side apply, deletes, and writes with
// a resourceVersion, whose lost answer shows as a conflict that the writer
// resolves by reading.
type retrier struct {
	next    http.RoundTripper
	reached atomic.Bool
	broken  atomic.Int64 // when a connection was last broken or refused, in Unix nanoseconds
}

func (r *retrier) RoundTrip(request *http.Request) (*http.Response, error) {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		response, err := r.attempt(request)
		if !passing(request, response, err) && !r.startsUp(request, response) {
			r.reached.CompareAndSwap(false, err == nil)
			return response, err
		}
		wait := jitter(pause)
		if response != nil {
			if after, e := strconv.Atoi(response.Header.Get("Retry-After")); e == nil {
				wait = max(wait, time.Duration(after)*time.Second)
			}
		}
		bound := retryFor
		if !r.reached.Load() {
			bound = firstContact
		}
		if time.Since(began)+wait > bound {
			if response != nil {
				response.Header.Del("Retry-After") // or client-go begins anew, ten times
			}
			return response, gaveUp(err, bound)
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

// startsUp says whether a refusal may only mean that the API server has been
// back for too short a time to know its roles.
//
// Source: the RBAC authorizer's informers, which
// kubernetes/pkg/kubeapiserver/authorizer does not wait for.
func (r *retrier) startsUp(request *http.Request, response *http.Response) bool {
	return response != nil && response.StatusCode == http.StatusForbidden && request.Context().Err() == nil &&
		(request.Body == nil || request.GetBody != nil) && time.Since(time.Unix(0, r.broken.Load())) < rolesGrace
}

// gaveUp is err in words that do not make client-go try another ten times, as it
// does after what it takes for a broken connection.
//
// Source: IsProbableEOF and IsConnectionReset in apimachinery/pkg/util/net.
func gaveUp(err error, after time.Duration) error {
	if err == nil {
		return nil
	}
	text := strings.ReplaceAll(err.Error(), "connection reset by peer", "connection reset")
	return fmt.Errorf("%s (tried for %s)", text, after)
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
	case http.StatusConflict:
		return unconditional(request, response)
	case http.StatusInternalServerError:
		return !refusesManifest(status(response).Message)
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// refusesManifest says whether an internal error of the server, by its code, is
// about the manifest all the same: a field that the kind does not have, or of
// another type.
//
// Source: Apply in apimachinery/pkg/util/managedfields/internal/structuredmerge.go.
func refusesManifest(message string) bool {
	return strings.Contains(message, "failed to create typed patch object") ||
		strings.Contains(message, "failed to convert new object")
}

// ManifestRefused says the same of an error.
func ManifestRefused(err error) bool { return refusesManifest(err.Error()) }

// unconditional says whether a conflict can only be among writes of the server
// at the same time (a quota's count, for example): creations that do not say
// AlreadyExists, and patches and deletes that name no resourceVersion. JSON
// patches are rollstep's only ones that do.
func unconditional(request *http.Request, response *http.Response) bool {
	switch request.Method {
	case http.MethodPost:
		return status(response).Reason == metav1.StatusReasonConflict
	case http.MethodPatch:
		return request.Header.Get("Content-Type") != string(types.JSONPatchType)
	case http.MethodDelete:
		return true
	}
	return false
}

// status reads what the server says of a failure, and leaves the body to be read
// again.
func status(response *http.Response) metav1.Status {
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	var s metav1.Status
	if err != nil || json.Unmarshal(body, &s) != nil {
		return metav1.Status{}
	}
	return s
}

func (r *retrier) attempt(request *http.Request) (*http.Response, error) {
	timeout := attemptTimeout
	if !r.reached.Load() {
		timeout = firstContact
	}
	ctx, cancel := context.WithCancel(request.Context())
	timer := time.AfterFunc(timeout, cancel)
	response, err := r.next.RoundTrip(request.WithContext(ctx))
	if err != nil {
		if r.reached.Load() && request.Context().Err() == nil {
			r.broken.Store(time.Now().UnixNano())
		}
		cancel()
		return nil, err
	}
	if request.URL.Query().Get("watch") != "" {
		timer.Stop() // it has begun, and may last
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
