package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// Whatever its last write was, the state that a killed job leaves serves, and
// the next run ends where one that was never killed would have.
func TestStages_killedAfterAnyWriteAreContinued(t *testing.T) {
	for name, test := range map[string]struct {
		before, args []string // what ran before, and what is killed
		final        [2]int
		answers      []string
	}{
		"canary":                       {nil, []string{"canary", "50%"}, [2]int{2, 2}, []string{"v1", "v2"}},
		"canary on its way down":       {[]string{"canary", "75%"}, []string{"canary", "25%"}, [2]int{3, 1}, []string{"v1", "v2"}},
		"promote":                      {[]string{"canary", "50%"}, []string{"promote"}, [2]int{4, 0}, []string{"v2"}},
		"rollback":                     {[]string{"canary", "50%"}, []string{"rollback"}, [2]int{4, 0}, []string{"v1"}},
		"rollback after the promotion": {[]string{"promote"}, []string{"rollback"}, [2]int{4, 0}, []string{"v1"}},
		"promote without a canary":     {nil, []string{"promote"}, [2]int{4, 0}, []string{"v2"}},
		"apply":                        {nil, []string{"apply"}, [2]int{4, 0}, []string{"v2"}},
	} {
		files := func(t *testing.T, tag, settings, credentials string) labtest.Files {
			return configured(t, tag, settings, credentials).Edit("deploy.yaml", "replicas: 3", "replicas: 4")
		}
		// prepare returns a space in which the jobs before have run, and the
		// pipeline whose next job is to be killed.
		prepare := func(t *testing.T) (*labtest.Space, labtest.Pipeline) {
			s := released(t, files(t, "v1", settingsV1, credentialsV1))
			p := s.Pipeline(2, files(t, "v2", settingsV2, credentialsV2)).With("ROLLSTEP_SKIP_CANARY=true")
			if test.before != nil {
				p.Run(test.before...).Succeeds()
			}
			return s, p
		}
		t.Run(name, func(t *testing.T) {
			s, p := prepare(t)
			between := s.Between()
			p.Through(between).Run(test.args...).Succeeds()
			for writes := range between.Writes() {
				t.Run(fmt.Sprintf("write %d", writes+1), func(t *testing.T) {
					s, p := prepare(t)
					guard := s.Guard("app", 4)
					between := s.Between()
					between.CutAfter(writes + 1)
					p.Through(between).Start(test.args...).Kill(between)
					guard.Check(4)

					s.Patch(labtest.Leases, "rollstep-shop-app", `{"spec":{"holderIdentity":""}}`) // or it runs out by itself
					p.Run(test.args...).Succeeds()
					guard.Check(4)
					if test.final[1] > 0 {
						assert.Equal(t, test.final, counts(s, "app"))
					} else {
						complete(t, s, "app", 4)
						assert.Empty(t, s.Leftovers())
						assert.Equal(t, test.answers[0] == "v2", s.Data("settings")["colour"] == "green")
						assert.Equal(t, test.answers[0] == "v2", password(t, s, "credentials") == "second")
					}
					s.Ask("app", 100, test.answers...)
				})
			}
		})
	}
}
