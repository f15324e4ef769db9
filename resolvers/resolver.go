// Package resolvers answers the fields of the graph, a line or two each. A
// resolver that needs an "if" is in the wrong package.
package resolvers

import "github.com/dezky/platform/platform"

// Resolver is the root of all resolvers.
type Resolver struct{ platform *platform.Platform }

// New makes the resolvers of a platform.
func New(p *platform.Platform) *Resolver { return &Resolver{p} }
