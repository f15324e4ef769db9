// Package sqlite is the store's engine over one SQLite file in this process. A
// second process may use the same file at the same time.
//
// A collection is a table of JSON texts, its indexes are indexes on expressions
// over them. One connection writes and several read; a commit is on the disk
// before it is answered. The position of a row is given at its insertion and is
// the order of the commits, because only one process writes at a time.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/ncruces/go-sqlite3"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// Memory, in the place of a path, is a database that nobody else sees and that
// is gone when it is closed. It is a temporary file: SQLite's own databases in
// memory have no log, and a reader there holds up the writer.
const Memory = ":memory:"

// Options are how an engine runs.
type Options struct {
	// Clock times the waits for other processes; nil is the machine's. A clock
	// that stands still makes them wait until it is moved.
	Clock platform.Clock
	// Relaxed lets a commit be answered before it is on the disk: when the machine
	// fails, the last ones may be lost, all of each. When the process fails,
	// nothing is.
	Relaxed bool
}

// reading is how many reads run at once.
const reading = 4

// Engine is a store.Engine over one file.
type Engine struct {
	reader
	path    string
	clock   platform.Clock
	writer  *writer
	beats   *conn
	readers chan *conn
	watch   *watch
	witness *Witness

	// life ends when the engine is closed.
	life    context.Context
	closing sync.Once
	end     func() error
}

var _ store.Engine = (*Engine)(nil)

// Open opens the database in a file, and makes the file and its folder if they
// are missing.
func Open(ctx context.Context, path string, o Options) (*Engine, error) {
	e, err := open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", path, failed(ctx, err))
	}
	return e, nil
}

func open(ctx context.Context, path string, o Options) (*Engine, error) {
	if o.Clock == nil {
		o.Clock = platform.NewSystemClock()
	}
	synchronous := "FULL"
	if o.Relaxed {
		synchronous = "NORMAL"
	}
	cleanUp := func() error { return nil }
	if path == Memory {
		dir, err := os.MkdirTemp("", "sqlite")
		if err != nil {
			return nil, err
		}
		path, synchronous = filepath.Join(dir, "memory.db"), "OFF"
		cleanUp = func() error { return os.RemoveAll(dir) }
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	var conns []*conn
	shut := func() error {
		var errs []error
		for _, c := range conns {
			errs = append(errs, c.close())
		}
		return errors.Join(append(errs, cleanUp())...)
	}
	for range 3 + reading {
		err := patiently(ctx, o.Clock, func() error {
			c, err := dial(path, synchronous)
			if err == nil {
				conns = append(conns, c)
			}
			return err
		})
		if err != nil {
			return nil, errors.Join(err, shut())
		}
	}

	life, die := context.WithCancel(context.WithoutCancel(ctx))
	e := &Engine{
		path:    path,
		clock:   o.Clock,
		watch:   &watch{conn: conns[0], clock: o.Clock, news: make(chan struct{})},
		beats:   conns[1],
		readers: make(chan *conn, reading),
		witness: &Witness{folder: path + ".sessions", held: map[platform.ID]*os.File{}},
		life:    life,
	}
	e.writer = &writer{conn: conns[2], clock: o.Clock, committed: e.watch.wake}
	e.reader = reader{&catalog{}, e.read}
	for _, c := range conns[3:] {
		e.readers <- c
	}
	e.end = func() error {
		e.writer.close()
		e.watch.close(die)
		for range reading {
			<-e.readers
		}
		return shut()
	}
	return e, nil
}

// Close waits for the transactions and reads that are under way, and ends the
// watches. It is safe to call it again.
func (e *Engine) Close() (err error) {
	e.closing.Do(func() { err = e.end() })
	return err
}

// read runs a statement on one of the connections that read.
func (e *Engine) read(ctx context.Context, st statement, row func(*sqlite3.Stmt)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.life.Err() != nil {
		return closed()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.life.Done():
		return closed()
	case c := <-e.readers:
		defer func() { e.readers <- c }()
		defer c.db.SetInterrupt(c.db.SetInterrupt(ctx))
		return failed(ctx, patiently(ctx, e.clock, func() error { return c.run(st, row) }))
	}
}

func (e *Engine) FindEach(ctx context.Context, coll, by string, keys []string, q store.Query) ([]store.Doc, error) {
	return e.docs(ctx, coll, func(c store.Collection) (statement, error) { return findEach(c, by, keys, q) })
}

func (e *Engine) Explain(ctx context.Context, coll string, q store.Query) ([]string, error) {
	c, err := e.collection(coll)
	if err != nil {
		return nil, err
	}
	st, err := find(c, q)
	if err != nil {
		return nil, err
	}
	st.sql = "EXPLAIN QUERY PLAN " + st.sql
	var steps []string
	err = e.read(ctx, st, func(row *sqlite3.Stmt) { steps = append(steps, row.ColumnText(3)) })
	return steps, err
}

// Beat goes before all who wait to write in this process.
func (e *Engine) Beat(ctx context.Context, coll string, session platform.ID, at platform.Time) error {
	c, err := e.collection(coll)
	if err != nil {
		return err
	}
	if err := e.writer.enter(ctx, first); err != nil {
		return err
	}
	defer e.writer.leave()
	err = e.immediately(ctx, e.beats, func() error {
		err := e.beats.run(statement{
			"UPDATE " + table(c.Name) + " SET version=version+1, doc=json_set(doc,'$.beatAt',?) WHERE id=?",
			[]any{at.String(), string(session)},
		}, nil)
		if err == nil && e.beats.db.Changes() == 0 {
			return store.ErrNoDocument
		}
		return err
	})
	return failed(ctx, err)
}

// immediately runs do in a transaction of its own on a connection. The caller
// has the turn.
func (e *Engine) immediately(ctx context.Context, c *conn, do func() error) error {
	if err := begin(ctx, e.clock, c); err != nil {
		return err
	}
	return end(c, do())
}
