package load

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestVersion(t *testing.T) {
	for body, want := range map[string]string{
		`{"version":"v1","app":"x"}`:     "v1",
		`{"app":"v2"}`:                   "v2",
		`{"message":"hello v3"}`:         "hello v3",
		`{"other":"v4"}`:                 `{"other":"v4"}`,
		"  plain\n":                      "plain",
		"a text longer than that may be": "a text longer than t",
	} {
		assert.Equal(t, want, Version([]byte(body)), body)
	}
}

func TestResult_isOneLine(t *testing.T) {
	assert.Equal(t, "1,000 requests: v1 90.4 %  v2 9.6 %  failed 0", Result{Versions: map[string]int{"v2": 96, "v1": 904}}.String())
	assert.Equal(t, "12,345 requests: v1 100.0 %  failed 5", Result{Versions: map[string]int{"v1": 12340}, Failed: 5}.String())
	assert.Equal(t, "3 requests: failed 3", Result{Failed: 3}.String())
}

func TestSend_countsAnswersAndFailures(t *testing.T) {
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%4 == 0 {
			http.Error(w, "refused", http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, `{"version":"v1"}`)
	}))
	defer server.Close()
	result := Send(context.Background(), server.Client(), server.URL, 100, 7)
	assert.Equal(t, map[string]int{"v1": 75}, result.Versions)
	assert.Equal(t, 25, result.Failed)
	assert.Equal(t, "502 Bad Gateway: refused", result.LastFailure)
}

func TestParseTarget(t *testing.T) {
	target, err := ParseTarget("shop/app:web")
	assert.NoError(t, err)
	assert.Equal(t, Target{Namespace: "shop", Service: "app", Port: "web"}, target)
	for _, wrong := range []string{"app", "/app", "shop/", ""} {
		_, err := ParseTarget(wrong)
		assert.ErrorContains(t, err, "is not NAMESPACE/SERVICE")
	}
}
