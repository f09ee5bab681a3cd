package faults

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// tally is what was done and seen in all trials.
var tally = sums{pods: map[int]least{}}

type sums struct {
	mu                       sync.Mutex
	kills, terms, faults     int
	compared, asked, refused int
	pods                     map[int]least // by how many were promised
	slowest                  time.Duration // from SIGTERM to the end
}

// least is the fewest pods that were ready in a number of trials.
type least struct{ ready, trials int }

// fault counts a fault of the server.
func (s *sums) fault() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults++
}

// strike counts a signal that met its stage.
func (s *sums) strike(signal syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if signal == syscall.SIGKILL {
		s.kills++
	} else {
		s.terms++
	}
}

// stopped notes how long a stage took to end after SIGTERM.
func (s *sums) stopped(after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slowest = max(s.slowest, after)
}

// end counts a final state that was compared, and what the guard saw on the way
// there, if there was one.
func (s *sums) end(guard *labtest.Guard, promised int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compared++
	if guard == nil {
		return
	}
	ready := guard.Fewest()
	if before, ok := s.pods[promised]; ok {
		ready = min(ready, before.ready)
	}
	s.pods[promised] = least{ready, s.pods[promised].trials + 1}
	answered, failed := guard.Requests()
	s.asked += answered + failed
	s.refused += failed
}

func (s *sums) print() {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Printf("injected: %d kills, %d terminations, %d bad answers of the server\n", s.kills, s.terms, s.faults)
	fmt.Printf("slowest end after a termination: %.1f s\n", s.slowest.Seconds())
	fmt.Printf("compared: %d final states\n", s.compared)
	for _, promised := range slices.Sorted(maps.Keys(s.pods)) {
		fmt.Printf("fewest ready pods seen where %d are promised: %d, in %d trials\n", promised, s.pods[promised].ready, s.pods[promised].trials)
	}
	fmt.Printf("client requests meanwhile: %d, failed: %d\n", s.asked, s.refused)
}
