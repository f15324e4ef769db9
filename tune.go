package main

import (
	"os"
	"runtime/debug"
)

// tune sets how often garbage is collected, unless the environment does (GOGC).
// Nearly all that a request needs is dead when it is answered, so that to
// collect less often costs little memory.
func tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}
