package step

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"gitlab.com/rollstep/rollstep/internal/gitlab"
)

// A long wait fills no log, but is never silent for long: GitLab learns of a
// cancelled job only when it prints.
func TestProgress_saysLessTheLongerItTakes(t *testing.T) {
	began := time.Unix(1_800_000_000, 0)
	for name, tt := range map[string]struct {
		moves       bool
		from, until time.Duration
		least, most int // lines
	}{
		"at first":             {true, 0, 10 * time.Second, 8, 10},
		"after half a minute":  {true, 30 * time.Second, time.Minute, 6, 11},
		"after minutes":        {true, 5 * time.Minute, 10 * time.Minute, 29, 31},
		"while nothing moves":  {false, 0, 2 * time.Minute, 11, 13},
		"a wait that is short": {true, 0, 900 * time.Millisecond, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			p := progress{log: gitlab.NewLog(&out, false, false, time.Now), began: began, at: began.Add(tt.from)}
			for at, n := tt.from, 0; at < tt.until; n++ {
				ready := 0
				if tt.moves {
					ready = n
				}
				again := p.sayAt(began.Add(at), []string{fmt.Sprintf("app: %d of 1000 pods available", ready)})
				assert.LessOrEqual(t, again, heartbeat)
				at += min(again, 250*time.Millisecond) // as often as the pods change
			}
			lines := strings.Count(out.String(), "\n")
			assert.GreaterOrEqual(t, lines, tt.least)
			assert.LessOrEqual(t, lines, tt.most)
		})
	}
}
