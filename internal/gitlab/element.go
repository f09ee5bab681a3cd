package gitlab

import g "maragu.dev/gomponents"

// Elements, attributes and escaped text. What gomponents returns are closures:
// without noinline each use of one is compiled anew, half a megabyte in all.

//go:noinline
func el(name string, children ...g.Node) g.Node { return g.El(name, children...) }

//go:noinline
func attr(name, value string) g.Node { return g.Attr(name, value) }

//go:noinline
func escaped(s string) g.Node { return g.Text(s) }

func classed(name string) g.Node { return attr("class", name) }
