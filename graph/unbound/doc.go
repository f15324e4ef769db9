// Package unbound is where the generator drops a Go type that the platform
// lacks. It must hold nothing but this file: a test sees to it.
package unbound
