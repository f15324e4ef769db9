//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package sqlite

import (
	"errors"
	"os"
)

// lock is not to be had here.
func lock(*os.File, bool) error { return errors.ErrUnsupported }
