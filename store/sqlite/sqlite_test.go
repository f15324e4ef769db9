package sqlite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
	"github.com/dezky/platform/store"
	"github.com/dezky/platform/store/sqlite"
	"github.com/dezky/platform/store/storetest"
)

func TestEngine(t *testing.T) {
	t.Parallel()
	storetest.Run(t, database, indexed)
}

func database(t testing.TB) func() store.Engine {
	path := filepath.Join(t.TempDir(), "test.db")
	return func() store.Engine { return open(t, path, sqlite.Options{Relaxed: true}) }
}

func open(t testing.TB, path string, o sqlite.Options) *sqlite.Engine {
	t.Helper()
	e, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		t.Fatalf("Open(%s): %v", path, err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

// indexed refuses a plan that reads what it does not return, makes an index for
// itself, or sorts. Only who wants everything walks through a whole index.
func indexed(q store.Query, plan []string) error {
	bad := regexp.MustCompile(`^SCAN \w|AUTOMATIC|TEMP B-TREE`)
	walk := regexp.MustCompile(`^SCAN \w+ USING INDEX`)
	for _, step := range plan {
		if bad.MatchString(step) && !(len(q.Where) == 0 && walk.MatchString(step)) {
			return fmt.Errorf("no index serves this: %s", step)
		}
	}
	return nil
}

// notes has two indexes; older programs know it without the words.
func notes(words bool) []store.Collection {
	c := store.Collection{Name: "notes", Indexes: []store.Index{{Name: "tenant", Fields: []string{"tenantId", "createdAt"}}}}
	if words {
		c.Indexes = append(c.Indexes, store.Index{Name: "search", Fields: []string{"name"}, Words: true})
	}
	return []store.Collection{c}
}

func openNotes(t testing.TB, path string, o sqlite.Options) *sqlite.Engine {
	t.Helper()
	e := open(t, path, o)
	if err := e.EnsureIndexes(t.Context(), notes(false)); err != nil {
		t.Fatalf("EnsureIndexes: %v", err)
	}
	return e
}

func note(id string, fields map[string]any) store.Doc {
	all := map[string]any{"id": id, "name": "Anna"}
	for name, value := range fields {
		all[name] = value
	}
	body, err := json.Marshal(all)
	if err != nil {
		panic(err) // a test's own mistake
	}
	return store.Doc{ID: platform.ID(id), Body: body}
}

func insert(ctx context.Context, e store.Engine, docs ...store.Doc) error {
	return e.Tx(ctx, func(tx store.Tx) error {
		for _, d := range docs {
			if err := tx.Insert(ctx, "notes", d); err != nil {
				return err
			}
		}
		return nil
	})
}

// watching begins a watch and hands out its changes, the first excepted.
func watching(t testing.TB, e store.Engine, after store.Position) <-chan store.Change {
	t.Helper()
	changes, stands := make(chan store.Change, 100), make(chan error, 1)
	go func() {
		defer close(changes)
		for change, err := range e.Watch(t.Context(), "notes", after) {
			if change.Doc.ID == "" {
				stands <- err
				continue
			}
			changes <- change
		}
	}()
	if err := <-stands; err != nil {
		t.Fatalf("Watch after %q: %v", after, err)
	}
	return changes
}

// TestWake: a watcher learns of its own process's commits at once, without the
// clock that polls for others', and of these at the next poll.
func TestWake(t *testing.T) {
	t.Parallel()
	path, clock := filepath.Join(t.TempDir(), "test.db"), clocktest.New(time.Unix(0, 0))
	e, other := openNotes(t, path, sqlite.Options{Clock: clock}), openNotes(t, path, sqlite.Options{})
	changes := watching(t, e, "")
	if err := insert(t.Context(), e, note("not_1", nil)); err != nil {
		t.Fatal(err)
	}
	if got := <-changes; got.Doc.ID != "not_1" {
		t.Errorf("the watch sees %s, want not_1", got.Doc.ID)
	}

	for i := range 5 {
		d := note(fmt.Sprint("not_other_", i), nil)
		if err := insert(t.Context(), other, d); err != nil {
			t.Fatal(err)
		}
		if err := clock.Sleeping(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		clock.Advance(20 * time.Millisecond)
		if got := <-changes; got.Doc.ID != d.ID {
			t.Errorf("after a poll the watch sees %s, want %s", got.Doc.ID, d.ID)
		}
	}
}

// TestPositions: what is pruned begins with the oldest; a position is good as
// long as nothing behind it is gone.
func TestPositions(t *testing.T) {
	t.Parallel()
	e := openNotes(t, sqlite.Memory, sqlite.Options{})
	if err := insert(t.Context(), e, note("not_1", nil), note("not_2", nil), note("not_3", nil), note("not_4", nil)); err != nil {
		t.Fatal(err)
	}
	err := e.Tx(t.Context(), func(tx store.Tx) error {
		return errors.Join(tx.Delete(t.Context(), "notes", "not_1", 1), tx.Delete(t.Context(), "notes", "not_2", 1))
	})
	if err != nil {
		t.Fatal(err)
	}
	for position, want := range map[store.Position]error{
		"0": store.ErrPositionLost, "1": store.ErrPositionLost, "2": nil, "3": nil, "4": nil, "5": store.ErrPositionLost, "two": store.ErrPositionLost,
	} {
		for _, err := range e.Watch(t.Context(), "notes", position) {
			if !errors.Is(err, want) {
				t.Errorf("Watch after %q: got %v, want %v", position, err, want)
			}
			break
		}
	}
}

// TestOlderProgram: a process that does not know a words index keeps it all
// the same, because the database does.
func TestOlderProgram(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	older := openNotes(t, path, sqlite.Options{})
	newer := open(t, path, sqlite.Options{})
	if err := newer.EnsureIndexes(t.Context(), notes(true)); err != nil {
		t.Fatalf("EnsureIndexes: %v", err)
	}
	if err := insert(t.Context(), older, note("not_1", nil)); err != nil {
		t.Fatalf("insert by the older: %v", err)
	}
	word := store.Query{Where: []store.Condition{{Field: "search", Op: store.Word, Values: []any{"anna"}}}}
	if docs, err := newer.Find(t.Context(), "notes", word); err != nil || len(docs) != 1 {
		t.Errorf("the word anna finds %v, %v, want not_1", docs, err)
	}
}

func TestOpenTogether(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "folder", "in a folder?", "te#st%20.db")
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			e := openNotes(t, path, sqlite.Options{})
			if err := insert(t.Context(), e, note(fmt.Sprint("not_", i), nil)); err != nil {
				t.Errorf("insert: %v", err)
			}
		})
	}
	all.Wait()
	e := openNotes(t, path, sqlite.Options{})
	if docs, err := e.Find(t.Context(), "notes", store.Query{}); err != nil || len(docs) != 6 {
		t.Errorf("found %d, %v, want 6", len(docs), err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file is not where it should be: %v", err)
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("this is a text, and as long as the head of a database, which is a hundred bytes, so that it is looked at"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, path := range map[string]string{
		"a folder":               dir,
		"a folder under a file":  filepath.Join(text, "folder", "test.db"),
		"a file of another kind": text,
	} {
		if e, err := sqlite.Open(t.Context(), path, sqlite.Options{}); err == nil {
			t.Errorf("Open of %s: no error", what)
			e.Close()
		}
	}
}

// TestMemory: nobody else sees it, and nothing stays.
func TestMemory(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	a, b := openNotes(t, sqlite.Memory, sqlite.Options{}), openNotes(t, sqlite.Memory, sqlite.Options{})
	if err := insert(t.Context(), a, note("not_1", nil)); err != nil {
		t.Fatal(err)
	}
	if docs, err := b.Find(t.Context(), "notes", store.Query{}); err != nil || len(docs) != 0 {
		t.Errorf("another one has %v, %v, want nothing", docs, err)
	}
	for _, e := range []*sqlite.Engine{a, b} {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("after Close there is %v, %v, want nothing", left, err)
	}
}

// TestBackup copies while pairs are written: each copy has whole pairs, and
// can be opened.
func TestBackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, file := filepath.Join(dir, "test.db"), filepath.Join(dir, "copy.db")
	e := openNotes(t, path, sqlite.Options{Relaxed: true})
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if err := insert(t.Context(), e, note(fmt.Sprint("not_a", i), nil), note(fmt.Sprint("not_b", i), nil)); err != nil {
				t.Errorf("insert: %v", err)
			}
		}
	})
	had := 0
	for range 3 {
		if err := e.Backup(t.Context(), file); err != nil {
			t.Fatalf("Backup: %v", err)
		}
		c, err := sqlite.Open(t.Context(), file, sqlite.Options{})
		if err != nil {
			t.Fatalf("Open of the copy: %v", err)
		}
		if err := c.EnsureIndexes(t.Context(), notes(false)); err != nil {
			t.Fatalf("EnsureIndexes of the copy: %v", err)
		}
		docs, err := c.Find(t.Context(), "notes", store.Query{})
		if err != nil || len(docs)%2 != 0 || len(docs) < had {
			t.Errorf("the copy has %d, %v, want pairs, and no fewer than %d", len(docs), err, had)
		}
		had = len(docs)
		if err := c.Close(); err != nil {
			t.Errorf("Close of the copy: %v", err)
		}
	}
	stop()
	writing.Wait()

	if err := e.Backup(t.Context(), path); err == nil {
		t.Error("Backup onto the database itself: no error")
	}
	if err := e.Backup(ctx, file); !errors.Is(err, context.Canceled) {
		t.Errorf("Backup with a context that ended: got %v, want %v", err, context.Canceled)
	}
	names := []string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if diff := cmp.Diff([]string{"copy.db", "test.db", "test.db-shm", "test.db-wal"}, names); diff != "" {
		t.Errorf("in the folder (- expected, + found):\n%s", diff)
	}
}
