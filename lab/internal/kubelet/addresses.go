package kubelet

import "fmt"

// addresses hands out pod addresses from 10.244.0.0/16.
type addresses struct {
	last int
	used map[int]bool
}

// take returns the address that was unused the longest, as far as that is known.
func (a *addresses) take() string {
	if a.used == nil {
		a.used = map[int]bool{}
	}
	for range 1 << 16 {
		a.last = (a.last + 1) % (1 << 16)
		if low := a.last % 256; low != 0 && low != 255 && !a.used[a.last] {
			break
		}
	}
	a.used[a.last] = true
	return fmt.Sprintf("10.244.%d.%d", a.last/256, a.last%256)
}

func (a *addresses) free(ip string) {
	var high, low int
	if _, err := fmt.Sscanf(ip, "10.244.%d.%d", &high, &low); err == nil {
		delete(a.used, high*256+low)
	}
}
