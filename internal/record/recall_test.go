package record

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestInOrder_putsTheReplacedReleaseBehind(t *testing.T) {
	at := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	kept := func(hash, before string, after time.Duration) keptPromotion {
		return keptPromotion{Promotion{Hash: hash, At: at.Add(after)}, before}
	}
	for name, tt := range map[string]struct {
		kept []keptPromotion
		want []string
	}{
		"none":                        {nil, nil},
		"by time":                     {[]keptPromotion{kept("a", "", 0), kept("c", "b", 2*time.Hour), kept("b", "a", time.Hour)}, []string{"c", "b", "a"}},
		"a clock that was behind":     {[]keptPromotion{kept("a", "", 0), kept("b", "a", -time.Minute)}, []string{"b", "a"}},
		"promoted again after others": {[]keptPromotion{kept("a", "c", 3*time.Hour), kept("b", "a", time.Hour), kept("c", "b", 2*time.Hour)}, []string{"a", "c", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range inOrder(tt.kept) {
				got = append(got, p.Hash)
			}
			assert.Equal(t, tt.want, got)
		})
	}
}
