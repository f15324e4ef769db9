package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/dezky/platform/platform"
)

// Witness tells whether processes on this database have ended: each session
// holds the lock of a file of its own, which the kernel frees when its process
// ends, however that comes about. A process that is stopped keeps it.
//
// Where a system has no such locks, nobody holds any, and nobody is dead.
type Witness struct {
	folder string

	mu   sync.Mutex
	held map[platform.ID]*os.File
}

// Witness is for the sessions of the database. Its files are in a folder beside it.
func (e *Engine) Witness() *Witness { return e.witness }

func (w *Witness) file(session platform.ID) string { return filepath.Join(w.folder, string(session)) }

// Hold takes a session's lock, until Forget or the end of the process. Nobody may
// know of the session yet: before it is locked, its file tells of a dead one.
func (w *Witness) Hold(session platform.ID) error {
	if err := os.MkdirAll(w.folder, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(w.file(session), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := lock(f, false); err != nil {
		err = errors.Join(err, f.Close(), os.Remove(w.file(session)))
		if errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held[session] = f
	return nil
}

// Dead says whether a session's process has certainly ended. Of one that holds
// no lock, or that was forgotten, nobody can say that.
func (w *Witness) Dead(session platform.ID) bool {
	f, err := os.OpenFile(w.file(session), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // nothing was written
	// Those who ask do not get into each other's way.
	return lock(f, true) == nil
}

// Forget is for a session that was buried, this process's own or another's.
func (w *Witness) Forget(session platform.ID) {
	os.Remove(w.file(session)) //nolint:errcheck // another one was quicker
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.held[session]; f != nil {
		f.Close() //nolint:errcheck // nothing was written
		delete(w.held, session)
	}
}
