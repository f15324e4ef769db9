package sqlite

import (
	"context"
	"iter"
	"strconv"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

const (
	// pollEvery is how often another process's commits are looked for.
	pollEvery = 20 * time.Millisecond
	// batch is how many changes are read at once.
	batch = 100
)

// watch wakes the watchers of an engine: at once after a commit of this
// process, and after another process's when PRAGMA data_version says so. That
// number is a connection's own, so one connection asks for it and does nothing
// else. It asks while somebody watches.
type watch struct {
	conn  *conn
	clock platform.Clock

	mu       sync.Mutex
	news     chan struct{}
	watchers int
	polling  bool
	polls    sync.WaitGroup
}

// wake closes the channel that the watchers wait on.
func (w *watch) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.news)
	w.news = make(chan struct{})
}

// next is closed after the first commit from now on.
func (w *watch) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.news
}

func (w *watch) join(life context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watchers++
	if !w.polling && life.Err() == nil {
		w.polling = true
		w.polls.Go(func() { w.poll(life) })
	}
}

func (w *watch) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watchers--
}

// poll wakes everyone also when it begins, or cannot tell: a needless look
// costs little.
func (w *watch) poll(life context.Context) {
	seen := int64(-1)
	for w.clock.Sleep(life, pollEvery) == nil && w.needed() {
		version := int64(-1)
		err := w.conn.run(statement{sql: "PRAGMA data_version"}, func(row *sqlite3.Stmt) { version = row.ColumnInt64(0) })
		if err != nil || version != seen {
			w.wake()
		}
		seen = version
	}
}

func (w *watch) needed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polling = w.watchers > 0
	return w.polling
}

// close ends the polling with the engine's life.
func (w *watch) close(die context.CancelFunc) {
	w.mu.Lock()
	die()
	w.mu.Unlock()
	w.polls.Wait()
}

// Watch reads the rows behind its position. A document that was replaced before
// it was read comes as it is then. The sequence ends in silence with ctx, and
// with an error when the engine is closed.
func (e *Engine) Watch(ctx context.Context, coll string, after store.Position) iter.Seq2[store.Change, error] {
	return func(yield func(store.Change, error) bool) {
		if err := e.follow(ctx, coll, after, yield); err != nil && ctx.Err() == nil {
			yield(store.Change{}, err)
		}
	}
}

func (e *Engine) follow(ctx context.Context, coll string, after store.Position, yield func(store.Change, error) bool) error {
	c, err := e.collection(coll)
	if err != nil {
		return err
	}
	e.watch.join(e.life)
	defer e.watch.leave()
	at, err := e.stand(ctx, c, after)
	if err != nil || !yield(store.Change{Position: position(at)}, nil) {
		return err
	}
	for {
		news := e.watch.next()
		changes, err := e.since(ctx, c, at)
		if err != nil {
			return err
		}
		for _, change := range changes {
			if !yield(store.Change{Position: position(change.at), Doc: change.doc}, nil) {
				return nil
			}
			at = change.at
		}
		if len(changes) == batch {
			continue
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		case <-e.life.Done():
			return closed()
		}
	}
}

func position(at int64) store.Position { return store.Position(strconv.FormatInt(at, 10)) }

// stand is the row behind which a watch begins. What was pruned begins with the
// oldest rows, so a position is lost when the row after it is gone.
func (e *Engine) stand(ctx context.Context, c store.Collection, after store.Position) (int64, error) {
	var newest, oldest int64
	err := e.read(ctx, statement{
		"SELECT ifnull((SELECT seq FROM sqlite_sequence WHERE name=?), 0), (SELECT min(position) FROM " + table(c.Name) + ")",
		[]any{c.Name},
	}, func(row *sqlite3.Stmt) {
		newest = row.ColumnInt64(0)
		oldest = newest + 1
		if row.ColumnType(1) != sqlite3.NULL {
			oldest = row.ColumnInt64(1)
		}
	})
	if err != nil || after == "" {
		return newest, err
	}
	at, err := strconv.ParseInt(string(after), 10, 64)
	if err != nil || at < oldest-1 || at > newest {
		return 0, store.ErrPositionLost
	}
	return at, nil
}

type insertion struct {
	at  int64
	doc store.Doc
}

func (e *Engine) since(ctx context.Context, c store.Collection, at int64) ([]insertion, error) {
	var found []insertion
	err := e.read(ctx, statement{
		"SELECT position, " + columns + " FROM " + table(c.Name) + " WHERE position>? ORDER BY position LIMIT ?",
		[]any{at, int64(batch)},
	}, func(row *sqlite3.Stmt) { found = append(found, insertion{row.ColumnInt64(0), doc(row, 1)}) })
	return found, err
}
