package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestResult_wrongToleratesChanceOnly(t *testing.T) {
	tenth := shares{"v1": 90, "v2": 10}
	for _, test := range []struct {
		line string
		want shares
		says string
	}{
		{"1,000 requests: v1 90.4 %  v2 9.6 %  failed 0\n", tenth, ""},
		{"1,000 requests: v1 94.6 %  v2 5.4 %  failed 0", tenth, ""},
		{"1,000 requests: v1 95.0 %  v2 5.0 %  failed 0", tenth, "v1 got 95.0 % of the requests instead of about 90 %"},
		{"1,000 requests: v1 100.0 %  failed 0", tenth, "v1 got 100.0 % of the requests instead of about 90 %"},
		{"1,000 requests: v2 100.0 %  failed 0", shares{"v2": 100}, ""},
		{"1,000 requests: v1 0.1 %  v2 99.9 %  failed 0", shares{"v2": 100}, "v1 got 0.1 % of the requests instead of about 0 %"},
		{"12,345 requests: v2 100.0 %  failed 1,234", nil, "1234 of 12345 requests failed"},
		{"1,000 requests: v2 100.0 %  failed 0", nil, ""},
	} {
		r, err := parse(test.line)
		require.NoError(t, err)
		assert.Equal(t, test.says, r.wrong(test.want), test.line)
	}
}

func TestParse_refusesWhatIsNoResult(t *testing.T) {
	_, err := parse("lab: no such service")
	assert.ErrorContains(t, err, "no such service")
}

func TestShort_keepsFilesAndChangedLines(t *testing.T) {
	assert.Equal(t, "commit 1234567  v2\nk8s/deploy.yaml\n-  replicas: 0\n+  replicas: 1\n", short(`commit 1234567  v2

diff --git k8s/deploy.yaml k8s/deploy.yaml
index 1..2 100644
--- k8s/deploy.yaml
+++ k8s/deploy.yaml
@@ -6 +6 @@ spec:
-  replicas: 0
+  replicas: 1
`))
}
