package step

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Weight is a share of the traffic in percent, 0 to 100.
type Weight int

// UnmarshalText reads "25" or "25%".
func (w *Weight) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(string(text)), "%"))
	if err != nil || n < 0 || n > 100 {
		return fmt.Errorf("%q is no weight", text)
	}
	*w = Weight(n)
	return nil
}

// Count is a number of pods.
type Count int

// UnmarshalText reads a number, 0 or more.
func (c *Count) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no number of pods", text)
	}
	*c = Count(n)
	return nil
}

// Preview is the type of the preview Service, "" for none.
type Preview string

// UnmarshalText reads a Service type, or off.
func (p *Preview) UnmarshalText(text []byte) error {
	return oneOf(p, string(text), map[string]Preview{
		"clusterip": "ClusterIP", "nodeport": "NodePort", "loadbalancer": "LoadBalancer", "off": "",
	})
}

// OnFailure is what happens to a rollout that failed.
type OnFailure string

// UnmarshalText reads rollback or hold.
func (o *OnFailure) UnmarshalText(text []byte) error {
	return oneOf(o, string(text), map[string]OnFailure{"rollback": RollBack, "hold": Hold})
}

func oneOf[T ~string](to *T, text string, values map[string]T) error {
	value, ok := values[strings.ToLower(text)]
	if !ok {
		return fmt.Errorf("%q is none of %s", text, strings.Join(slices.Sorted(maps.Keys(values)), ", "))
	}
	*to = value
	return nil
}
