package kubelet

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"gitlab.com/rollstep/rollstep/lab/internal/podlife"
)

func TestLogOptions(t *testing.T) {
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	lines := []podlife.Line{
		{Time: start, Text: "one"},
		{Time: start.Add(10 * time.Second), Text: "two"},
		{Time: start.Add(20 * time.Second), Text: "three"},
	}
	for query, want := range map[string]string{
		"":                               "one\ntwo\nthree\n",
		"tailLines=2":                    "two\nthree\n",
		"tailLines=0":                    "",
		"tailLines=9":                    "one\ntwo\nthree\n",
		"sinceSeconds=15":                "two\nthree\n",
		"sinceTime=2030-01-02T03:04:20Z": "three\n",
		"limitBytes=5":                   "one\nt",
		"tailLines=1&timestamps=true":    "2030-01-02T03:04:25.000000000Z three\n",
	} {
		values, err := url.ParseQuery(query)
		assert.NoError(t, err)
		options, err := parseLogOptions(values)
		assert.NoError(t, err)
		var out strings.Builder
		options.write(&limited{w: &out, left: options.limitBytes}, options.choose(lines, start.Add(25*time.Second)))
		assert.Equal(t, want, out.String(), query)
	}
	_, err := parseLogOptions(url.Values{"tailLines": {"many"}})
	assert.ErrorContains(t, err, "tailLines")
}

func TestAddresses_areUnique(t *testing.T) {
	var pool addresses
	seen := map[string]bool{}
	for range 2000 {
		ip := pool.take()
		assert.False(t, seen[ip], ip)
		seen[ip] = true
	}
	assert.Equal(t, "10.244.0.1", (&addresses{}).take())
	pool.last = 0
	pool.free("10.244.0.7")
	assert.Equal(t, "10.244.0.7", pool.take())
}
