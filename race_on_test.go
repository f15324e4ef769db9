//go:build race

package main

// raced says that the race detector watches, with which a process starts and
// works several times slower.
const raced = true
