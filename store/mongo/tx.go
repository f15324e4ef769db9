package mongo

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/mongo/readconcern"
	"go.mongodb.org/mongo-driver/mongo/readpref"
	"go.mongodb.org/mongo-driver/mongo/writeconcern"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

var errEnded = errors.New("the transaction has ended")

// tx is one run of a transaction.
type tx struct {
	reader
	e       *Engine
	session mongo.Session
	// err is what ended it, and again whether it can be run anew; gone says that no
	// server was there to be told of the end.
	err   error
	again bool
	gone  bool
}

// Tx runs do on the caller's goroutine, and again as long as it meets what
// others write. The driver's own WithTransaction would run it again also over a
// duplicate that do went on after, and for two minutes.
func (e *Engine) Tx(ctx context.Context, do func(tx store.Tx) error) error {
	leave, err := e.gate.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	began := e.clock.Running()
	for try := 0; ; try++ {
		again, err := e.attempt(ctx, do)
		if !again {
			return err
		}
		if e.clock.Running()-began > 2*e.timeout {
			return contended(err)
		}
		if err := e.clock.Sleep(ctx, backoff(try)); err != nil {
			return err
		}
	}
}

// contended is what those are told who never got between the others.
func contended(err error) error {
	if _, ours := errors.AsType[*platform.Error](err); ours {
		return err
	}
	return platform.Errorf(platform.ResourceExhausted, "Too many change this at the same time.").Because(err).After(time.Second)
}

// backoff spreads those who want the same documents: up to 1 ms at first, up to
// 32 ms later.
func backoff(try int) time.Duration {
	return rand.N(time.Millisecond << min(try, 5))
}

// attempt runs do once. A run that was not committed leaves nothing, also when
// do panics or leaves by Goexit.
func (e *Engine) attempt(ctx context.Context, do func(tx store.Tx) error) (again bool, err error) {
	session, err := e.client.StartSession(options.Session().SetCausalConsistency(false))
	if err != nil {
		return false, failed(ctx, err)
	}
	t := &tx{e: e, session: session}
	t.reader = reader{catalog: e.catalog, run: t.step, in: e.db, counts: e.db, timeout: e.timeout}
	defer t.end(ctx)
	err = session.StartTransaction(options.Transaction().
		SetReadConcern(readconcern.Snapshot()).
		SetReadPreference(readpref.Primary()).
		SetWriteConcern(writeconcern.Majority()).
		SetMaxCommitTime(&e.timeout))
	if err != nil {
		return false, failed(ctx, err)
	}
	err = do(t)
	switch {
	case t.again:
		return true, t.err
	case err != nil:
		return false, err
	case t.err != nil:
		return false, t.err
	case ctx.Err() != nil:
		return false, ctx.Err()
	}
	return t.commit(ctx)
}

// step runs one call of the transaction. After one that failed there are no
// more: the server has ended the transaction, and would say so of every other.
func (t *tx) step(ctx context.Context, do func(context.Context) error) error {
	if t.err == nil {
		t.err = ctx.Err()
	}
	if t.err != nil {
		return t.err
	}
	within, cancel := t.e.clock.WithTimeout(ctx, t.e.timeout)
	defer cancel()
	if err := do(mongo.NewSessionContext(within, t.session)); err != nil {
		t.again = within.Err() == nil && transient(err)
		t.gone = unreachable(err)
		t.err = failed(ctx, err)
	}
	return t.err
}

// commit has its own time, and does not end with ctx: there will be an answer.
// Whether the server has kept a commit whose answer was lost is asked by
// committing again, which is harmless.
func (t *tx) commit(ctx context.Context) (again bool, err error) {
	ctx = context.WithoutCancel(ctx)
	within, cancel := t.e.clock.WithTimeout(ctx, t.e.timeout)
	defer cancel()
	for try := 0; ; try++ {
		err := t.session.CommitTransaction(within)
		code, _ := codeOf(err)
		switch {
		case err == nil:
			return false, nil
		case unreachable(err):
			t.gone = true
			return false, failed(ctx, err)
		case within.Err() != nil || code == maxTimeExpired:
			return false, failed(ctx, err)
		case labelled(err, unknownLabel) || unconnected(err):
			if err := t.e.clock.Sleep(within, backoff(try)); err != nil {
				return false, failed(ctx, err)
			}
		default:
			return labelled(err, transientLabel), failed(ctx, err)
		}
	}
}

// end aborts what was not committed, so that its documents are free at once.
func (t *tx) end(ctx context.Context) {
	bye, cancel := t.e.clock.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if t.gone {
		cancel()
	}
	t.session.EndSession(bye)
	t.err, t.again = errEnded, false
}

func (t *tx) Insert(ctx context.Context, coll string, doc store.Doc) error {
	return t.write(ctx, coll, func(ctx context.Context, to *mongo.Collection, c store.Collection) (int64, error) {
		stored, err := toStored(c, doc, 1)
		if err != nil {
			return 0, err
		}
		_, err = to.InsertOne(ctx, stored)
		return 1, err
	})
}

func (t *tx) Replace(ctx context.Context, coll string, doc store.Doc) error {
	return t.write(ctx, coll, func(ctx context.Context, to *mongo.Collection, c store.Collection) (int64, error) {
		stored, err := toStored(c, doc, doc.Version+1)
		if err != nil {
			return 0, err
		}
		result, err := to.ReplaceOne(ctx, atVersion(doc.ID, doc.Version), stored)
		if err != nil {
			return 0, err
		}
		return result.MatchedCount, nil
	})
}

func (t *tx) Delete(ctx context.Context, coll string, id platform.ID, version int64) error {
	return t.write(ctx, coll, func(ctx context.Context, to *mongo.Collection, _ store.Collection) (int64, error) {
		result, err := to.DeleteOne(ctx, atVersion(id, version))
		if err != nil {
			return 0, err
		}
		return result.DeletedCount, nil
	})
}

// write changes exactly one document.
func (t *tx) write(
	ctx context.Context, coll string, do func(context.Context, *mongo.Collection, store.Collection) (int64, error),
) error {
	c, err := t.collection(coll)
	if err != nil {
		return err
	}
	return t.step(ctx, func(ctx context.Context) error {
		n, err := do(ctx, t.in.Collection(c.Name), c)
		if err == nil && n == 0 {
			return store.ErrStale
		}
		return duplicate(c.Name, err)
	})
}
