package storetest

import (
	"path/filepath"
	"testing"

	"github.com/dezky/platform/store"
	"github.com/dezky/platform/store/sqlite"
)

// New is a fresh store on SQLite for one test. The test's end closes it.
func New(t testing.TB) *store.Store {
	t.Helper()
	return Open(t, filepath.Join(t.TempDir(), "test.db"))
}

// Open is a store on a SQLite file, which stands for another process when there
// is one on the same file already. The test's end closes it.
func Open(t testing.TB, file string) *store.Store {
	t.Helper()
	return Around(t, file, func(e store.Engine) store.Engine { return e })
}

// Around is Open with an engine that a test has put its own around.
func Around(t testing.TB, file string, wrap func(store.Engine) store.Engine) *store.Store {
	t.Helper()
	engine, err := sqlite.Open(t.Context(), file, sqlite.Options{Relaxed: true})
	if err != nil {
		t.Fatalf("open %s: %v", file, err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Errorf("close %s: %v", file, err)
		}
	})
	s, err := store.New(t.Context(), wrap(engine))
	if err != nil {
		t.Fatalf("make a store on %s: %v", file, err)
	}
	return s
}
