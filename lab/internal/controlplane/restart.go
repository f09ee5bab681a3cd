package controlplane

import (
	"context"
	"fmt"
	"slices"

	"gitlab.com/rollstep/rollstep/lab/internal/part"
)

// RestartAPIServer kills the API server and starts it again at the same
// address. It returns once it is ready: until then nobody is answered, and
// every watch has ended.
func (c *ControlPlane) RestartAPIServer(ctx context.Context) error {
	old := c.take(APIServer)
	if old == nil {
		return fmt.Errorf("%s is not running, or is being restarted", APIServer)
	}
	old.Kill()
	return c.startAPIServer(ctx)
}

// take returns a part that is about to end on purpose, and is from now on none
// of the control plane's.
func (c *ControlPlane) take(name string) *part.Part {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.parts, func(p *part.Part) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	taken := c.parts[i]
	c.parts = slices.Delete(c.parts, i, i+1)
	return taken
}

func (c *ControlPlane) has(p *part.Part) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.parts, p)
}

func (c *ControlPlane) last() *part.Part {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parts[len(c.parts)-1]
}
