package traffic

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Slices of ports: below the range from which Linux gives ports to clients
// (32768 and up), so that node ports stay free.
const (
	firstPort  = 20000
	sliceWidth = 250
	sliceCount = 50
)

// Slice is a range of ports and loopback addresses that belongs to one lab of
// this machine. Its first port is the traffic listener, which is also the claim.
type Slice struct {
	index    int
	listener net.Listener
}

// Claim takes a slice that no other lab has.
func Claim() (*Slice, error) {
	for _, index := range rand.Perm(sliceCount) {
		if listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+index*sliceWidth)); err == nil {
			return &Slice{index: index, listener: listener}, nil
		}
	}
	return nil, errors.New("no range of ports is free for another lab")
}

// URL is where the lab's traffic enters.
func (s *Slice) URL() string { return "http://" + s.listener.Addr().String() }

// NodePorts is the range for the Services' node ports, as the API server reads it.
func (s *Slice) NodePorts() string {
	from := firstPort + s.index*sliceWidth
	return fmt.Sprintf("%d-%d", from+1, from+sliceWidth-1)
}

// address is the n-th loopback address of the slice, for a Service of type LoadBalancer.
func (s *Slice) address(n int) string {
	return fmt.Sprintf("127.%d.%d.%d", 64+s.index, n/250, n%250+1)
}

// Close gives the slice back.
func (s *Slice) Close() error {
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
