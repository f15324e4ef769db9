package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
	"github.com/dezky/platform/store"
)

const notes = "notes"

func openNotes(t testing.TB, path string, clock platform.Clock) *Engine {
	t.Helper()
	e, err := Open(t.Context(), path, Options{Clock: clock})
	if err != nil {
		t.Fatalf("Open(%s): %v", path, err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if err := e.EnsureIndexes(t.Context(), []store.Collection{{Name: notes}}); err != nil {
		t.Fatalf("EnsureIndexes: %v", err)
	}
	return e
}

func note(id platform.ID) store.Doc {
	return store.Doc{ID: id, Body: json.RawMessage(`{"id":"` + string(id) + `"}`)}
}

func inNotes(t testing.TB, e *Engine) []platform.ID {
	t.Helper()
	docs, err := e.Find(t.Context(), notes, store.Query{})
	if err != nil {
		t.Fatalf("Find: %v", err)
	}
	ids := []platform.ID{}
	for _, d := range docs {
		ids = append(ids, d.ID)
	}
	return ids
}

// hold has the turn until release is called, while others come and wait. It is
// the first of their group.
func hold(t *testing.T, e *Engine) (release func() error) {
	t.Helper()
	held, free, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- e.Tx(t.Context(), func(tx store.Tx) error {
			close(held)
			<-free
			return nil
		})
	}()
	<-held
	return func() error {
		close(free)
		return <-done
	}
}

// waiting waits until n wait for the turn.
func waiting(t *testing.T, e *Engine, n int) {
	t.Helper()
	for range 5000 {
		e.writer.mu.Lock()
		got := len(e.writer.queue)
		e.writer.mu.Unlock()
		if got == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("there are never %d in the queue", n)
}

// TestGroup has every way to end a transaction in one group: those that are
// kept share one commit, and those that fail do so alone.
func TestGroup(t *testing.T) {
	t.Parallel()
	e := openNotes(t, Memory, nil)
	commits := 0
	wake := e.writer.committed
	e.writer.committed = func() { commits++; wake() }
	no := errors.New("no")

	type attempt struct {
		tx     store.Tx
		ctx    context.Context
		cancel context.CancelFunc
	}
	release := hold(t, e)
	var all sync.WaitGroup
	var quit context.CancelFunc
	for i, member := range []struct {
		what string
		then func(a attempt) error
		want string
	}{
		{"is kept", func(attempt) error { return nil }, ""},
		{"returns an error", func(attempt) error { return no }, "no"},
		{"panics", func(attempt) error { panic("oh") }, "panic: oh"},
		{"leaves by Goexit", func(attempt) error { runtime.Goexit(); return nil }, "nothing"},
		{"is cancelled at its end", func(a attempt) error { a.cancel(); return nil }, "context canceled"},
		{"is cancelled between its writes", func(a attempt) error {
			a.cancel()
			return a.tx.Insert(a.ctx, notes, note("not_more"))
		}, "context canceled"},
		{"keeps quiet about a duplicate", func(a attempt) error {
			a.tx.Insert(a.ctx, notes, note("not_0"))
			return nil
		}, "duplicate in notes, index id"},
		{"gives up in the queue", func(attempt) error { return nil }, "context canceled"},
		{"is kept as well", func(attempt) error { return nil }, ""},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		all.Go(func() {
			got := "nothing"
			defer func() {
				if r := recover(); r != nil {
					got = fmt.Sprint("panic: ", r)
				}
				if got != member.want {
					t.Errorf("one that %s: got %q, want %q", member.what, got, member.want)
				}
			}()
			err := e.Tx(ctx, func(tx store.Tx) error {
				if err := tx.Insert(ctx, notes, note(platform.ID(fmt.Sprint("not_", i)))); err != nil {
					return err
				}
				return member.then(attempt{tx, ctx, cancel})
			})
			if got = ""; err != nil {
				got = err.Error()
			}
		})
		waiting(t, e, i+1)
		if member.what == "gives up in the queue" {
			quit = cancel
		}
	}
	quit()
	waiting(t, e, 8)
	if err := release(); err != nil {
		t.Errorf("the holder: %v", err)
	}
	all.Wait()
	if diff := cmp.Diff([]platform.ID{"not_0", "not_8"}, inNotes(t, e)); diff != "" {
		t.Errorf("stored (- expected, + found):\n%s", diff)
	}
	if commits != 1 {
		t.Errorf("%d commits, want one for all", commits)
	}
}

// TestGroupFails: when the disk is full, SQLite takes back what all of a group
// have written, so all of them have failed; what comes after succeeds.
func TestGroupFails(t *testing.T) {
	t.Parallel()
	e := openNotes(t, Memory, nil)
	var pages int64
	if err := e.writer.conn.run(statement{sql: "PRAGMA page_count"}, func(row *sqlite3.Stmt) { pages = row.ColumnInt64(0) }); err != nil {
		t.Fatal(err)
	}
	if err := e.writer.conn.exec(fmt.Sprint("PRAGMA max_page_count=", pages+10)); err != nil {
		t.Fatal(err)
	}
	release := hold(t, e)
	var all sync.WaitGroup
	for i := range 5 {
		all.Go(func() {
			d := note(platform.ID(fmt.Sprint("not_", i)))
			if i == 2 {
				d.Body = json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)
			}
			err := e.Tx(t.Context(), func(tx store.Tx) error { return tx.Insert(t.Context(), notes, d) })
			if i <= 2 && (platform.CodeOf(err) != platform.Unavailable || !errors.Is(err, sqlite3.FULL)) {
				t.Errorf("%s, in the group: got %v, want UNAVAILABLE because the disk is full", d.ID, err)
			}
			if i > 2 && err != nil {
				t.Errorf("%s, after the group: %v", d.ID, err)
			}
		})
		waiting(t, e, i+1)
	}
	if err := release(); !errors.Is(err, sqlite3.FULL) {
		t.Errorf("the first of the group: got %v, want the full disk", err)
	}
	all.Wait()
	if diff := cmp.Diff([]platform.ID{"not_3", "not_4"}, inNotes(t, e)); diff != "" {
		t.Errorf("stored (- expected, + found):\n%s", diff)
	}
}

// TestBeatGoesFirst: a beat waits for the transaction that runs, and for none
// of those that wait.
func TestBeatGoesFirst(t *testing.T) {
	t.Parallel()
	e := openNotes(t, Memory, nil)
	if err := e.Tx(t.Context(), func(tx store.Tx) error { return tx.Insert(t.Context(), notes, note("not_session")) }); err != nil {
		t.Fatal(err)
	}
	release := hold(t, e)
	var all sync.WaitGroup
	all.Go(func() {
		err := e.Tx(t.Context(), func(tx store.Tx) error {
			docs, err := tx.Get(t.Context(), notes, []platform.ID{"not_session"})
			if len(docs) != 1 || docs[0].Version != 2 {
				t.Errorf("the first in the queue reads %+v, want version 2, after the beat", docs)
			}
			return err
		})
		if err != nil {
			t.Errorf("Tx: %v", err)
		}
	})
	waiting(t, e, 1)
	all.Go(func() {
		if err := e.Beat(t.Context(), notes, "not_session", platform.At(time.Unix(0, 0))); err != nil {
			t.Errorf("Beat: %v", err)
		}
	})
	waiting(t, e, 2)
	if err := release(); err != nil {
		t.Errorf("the holder: %v", err)
	}
	all.Wait()
}

// TestLocked: another process's lock is waited for, but not for ever.
func TestLocked(t *testing.T) {
	t.Parallel()
	path, clock := filepath.Join(t.TempDir(), "test.db"), clocktest.New(time.Unix(0, 0))
	e, other := openNotes(t, path, clock), openNotes(t, path, nil)
	release := hold(t, other)
	write := func(ctx context.Context, id platform.ID) error {
		return e.Tx(ctx, func(tx store.Tx) error { return tx.Insert(ctx, notes, note(id)) })
	}

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- write(ctx, "not_1") }()
	if err := clock.Sleeping(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a wait whose context ends: got %v, want %v", err, context.Canceled)
	}

	go func() { done <- write(t.Context(), "not_2") }()
	if err := clock.Sleeping(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	clock.Advance(patience + time.Millisecond)
	if err := <-done; platform.CodeOf(err) != platform.Unavailable || !errors.Is(err, sqlite3.BUSY) {
		t.Errorf("a wait of over %v: got %v, want UNAVAILABLE because it is busy", patience, err)
	}

	go func() { done <- write(t.Context(), "not_3") }()
	if err := clock.Sleeping(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Errorf("the holder: %v", err)
	}
	clock.Advance(time.Millisecond)
	if err := <-done; err != nil {
		t.Errorf("a wait that has an end: %v", err)
	}
	if diff := cmp.Diff([]platform.ID{"not_3"}, inNotes(t, other)); diff != "" {
		t.Errorf("stored (- expected, + found):\n%s", diff)
	}
}

// TestStatementsAreBounded: a connection forgets statements and goes on.
func TestStatementsAreBounded(t *testing.T) {
	t.Parallel()
	e := openNotes(t, Memory, nil)
	c := e.writer.conn
	for i := range 2 * cached {
		got := int64(0)
		err := c.run(statement{fmt.Sprint("SELECT ?+", i), []any{int64(1)}}, func(row *sqlite3.Stmt) { got = row.ColumnInt64(0) })
		if err != nil || got != int64(i)+1 || len(c.stmts) > cached {
			t.Fatalf("1+%d: got %d, %v, with %d statements; want at most %d", i, got, err, len(c.stmts), cached)
		}
	}
}

func TestPast(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{
		"":                     "",
		"a":                    "b",
		"an":                   "ao",
		"z":                    "{",
		"Ä":                    "Å",
		"a\uD7FF":              "a\uE000",
		"a\U0010FFFF":          "b",
		"\U0010FFFF\U0010FFFF": "",
	} {
		if got := past(prefix); got != want {
			t.Errorf("past(%q): got %q, want %q", prefix, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"a": true, "tenantId": true, "place.desk2": true, "Z": true,
		"": false, ".": false, "a.": false, ".a": false, "a..b": false, "2a": false, "a.2": false,
		"a_b": false, "a'b": false, `a"b`: false, "a b": false, "ä": false, "a[0]": false, "a@": false, "a`": false, "a[": false, "a{": false,
	} {
		if got := plain(name); got != want {
			t.Errorf("plain(%q): got %v, want %v", name, got, want)
		}
	}
}
