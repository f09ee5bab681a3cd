package traffic

import (
	"maps"
	"sync"
)

// Count is what the requests to one Service came to.
type Count struct {
	Versions map[string]int `json:"versions"`
	Failed   int            `json:"failed"`
}

// counts are kept per "namespace/service".
type counts struct {
	mu        sync.Mutex
	byService map[string]*Count
}

// add counts one answer; version "" is a failed request.
func (c *counts) add(service, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byService == nil {
		c.byService = map[string]*Count{}
	}
	count := c.byService[service]
	if count == nil {
		count = &Count{Versions: map[string]int{}}
		c.byService[service] = count
	}
	if version == "" {
		count.Failed++
		return
	}
	count.Versions[version]++
}

func (c *counts) all() map[string]Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]Count{}
	for service, count := range c.byService {
		all[service] = Count{Versions: maps.Clone(count.Versions), Failed: count.Failed}
	}
	return all
}

func (c *counts) reset(service string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byService, service)
}
