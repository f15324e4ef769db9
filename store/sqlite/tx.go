package sqlite

import (
	"context"
	"errors"

	"github.com/ncruces/go-sqlite3"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// tx is one transaction in its savepoint.
type tx struct {
	reader
	conn *conn
	// err is what ended it.
	err error
}

var errEnded = errors.New("the transaction has ended")

// Tx runs do on the caller's goroutine. A Tx inside of do waits for itself.
func (e *Engine) Tx(ctx context.Context, do func(tx store.Tx) error) error {
	g, err := e.inTurn(ctx, do)
	if g == nil {
		return err
	}
	// Also one that failed waits: it may have failed over what another one of the
	// group wrote, and that exists only when the group was committed. The wait
	// does not end with ctx, because it has an answer.
	<-g.done
	if g.err != nil {
		return failed(ctx, g.err)
	}
	return err
}

// inTurn runs do in a savepoint. The statements run to their end even when ctx
// ends: one that is interrupted takes the whole group with it.
func (e *Engine) inTurn(ctx context.Context, do func(tx store.Tx) error) (g *group, err error) {
	w := e.writer
	if err := w.enter(ctx, shared); err != nil {
		return nil, err
	}
	defer w.leave()
	if g, err = w.join(ctx); err != nil {
		return g, failed(ctx, err)
	}
	t := &tx{conn: w.conn}
	t.reader = reader{e.catalog, t.run}
	kept := false
	defer func() { // also when do panics or leaves by Goexit
		if !kept {
			w.undo(g, t.err)
		}
		t.err = errEnded
	}()
	if err := do(t); err != nil {
		return g, err
	}
	if t.err == nil {
		t.err = ctx.Err()
	}
	if t.err == nil {
		t.err = w.keep()
	}
	kept = t.err == nil
	return g, t.err
}

func (t *tx) run(ctx context.Context, st statement, row func(*sqlite3.Stmt)) error {
	if t.err == nil {
		t.err = ctx.Err()
	}
	if t.err == nil {
		t.err = failed(ctx, t.conn.run(st, row))
	}
	return t.err
}

func (t *tx) Insert(ctx context.Context, coll string, doc store.Doc) error {
	return t.write(ctx, coll, statement{
		"INSERT INTO " + table(coll) + " (id, version, doc) VALUES (?, 1, ?)",
		[]any{string(doc.ID), doc.Body},
	})
}

func (t *tx) Replace(ctx context.Context, coll string, doc store.Doc) error {
	return t.write(ctx, coll, statement{
		"UPDATE " + table(coll) + " SET version=version+1, doc=? WHERE id=? AND version=?",
		[]any{doc.Body, string(doc.ID), doc.Version},
	})
}

func (t *tx) Delete(ctx context.Context, coll string, id platform.ID, version int64) error {
	return t.write(ctx, coll, statement{
		"DELETE FROM " + table(coll) + " WHERE id=? AND version=?",
		[]any{string(id), version},
	})
}

// write changes exactly one document.
func (t *tx) write(ctx context.Context, coll string, st statement) error {
	if _, err := t.collection(coll); err != nil {
		return err
	}
	if err := t.run(ctx, st, nil); err != nil {
		t.err = duplicate(coll, err)
		return t.err
	}
	if t.conn.db.Changes() == 0 {
		t.err = store.ErrStale
	}
	return t.err
}
