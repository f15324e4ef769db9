package sqlite

import (
	"context"
	"slices"
	"sync"

	"github.com/dezky/platform/platform"
)

// together is how many transactions share one commit at most, so that others
// who wait, and other processes, get their turn.
const together = 64

// writer is the connection that writes, and the turn to use it: everyone runs
// on the own goroutine, and hands the turn on when leaving.
//
// Transactions that wait together form a group, which shares one BEGIN and one
// COMMIT, because what costs is the disk: each runs in a savepoint of its own,
// and the last one commits for all.
type writer struct {
	conn  *conn
	clock platform.Clock
	// committed is called after each commit.
	committed func()

	mu     sync.Mutex
	held   bool
	closed bool
	queue  []*place

	// group is open, or nil. Only whoever has the turn touches it.
	group *group
}

// group is transactions that share a commit.
type group struct {
	size int
	// err is why nothing of the group was kept, or nil. It is set before done is
	// closed.
	err  error
	done chan struct{}
}

// place is a place in the queue.
type place struct {
	turn chan struct{}
	how  manner
}

type manner int

const (
	shared manner = iota // may join an open group
	alone                // comes when no group is open
	first                // alone, and before everyone else
)

// enter waits for the turn. Whoever has got it has to leave.
func (w *writer) enter(ctx context.Context, how manner) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p := &place{turn: make(chan struct{}), how: how}
	w.mu.Lock()
	switch {
	case w.closed:
		w.mu.Unlock()
		return closed()
	case !w.held:
		w.held = true
		w.mu.Unlock()
		return nil
	case how == first:
		w.queue = slices.Insert(w.queue, 0, p)
	default:
		w.queue = append(w.queue, p)
	}
	w.mu.Unlock()
	select {
	case <-p.turn:
		return nil
	case <-ctx.Done():
	}
	w.mu.Lock()
	i := slices.Index(w.queue, p)
	if i >= 0 {
		w.queue = slices.Delete(w.queue, i, i+1)
	}
	w.mu.Unlock()
	if i < 0 {
		// The turn came at the same moment, perhaps with a group to be committed.
		w.leave()
	}
	return ctx.Err()
}

// leave hands the turn on, and commits the group if nobody is there to join it.
func (w *writer) leave() {
	w.mu.Lock()
	if g := w.group; g != nil && !w.joined(g) {
		w.mu.Unlock()
		w.finish(g)
		w.mu.Lock()
	}
	w.held = len(w.queue) > 0
	if w.held {
		close(w.queue[0].turn)
		w.queue = slices.Delete(w.queue, 0, 1)
	}
	w.mu.Unlock()
}

// joined says whether the next in the queue goes into the group.
func (w *writer) joined(g *group) bool {
	return g.err == nil && g.size < together && len(w.queue) > 0 && w.queue[0].how == shared
}

// join begins a transaction of its own in the group.
func (w *writer) join(ctx context.Context) (*group, error) {
	if w.group == nil {
		if err := begin(ctx, w.clock, w.conn); err != nil {
			return nil, err
		}
		w.group = &group{done: make(chan struct{})}
	}
	w.group.size++
	w.group.err = w.conn.exec("SAVEPOINT change")
	return w.group, w.group.err
}

func (w *writer) keep() error { return w.conn.exec("RELEASE change") }

// undo takes back what one transaction has done. After some errors, a full
// disk for one, SQLite has taken back everything, and the group has failed.
func (w *writer) undo(g *group, cause error) {
	if w.conn.db.GetAutocommit() {
		g.err = cause
		return
	}
	if g.err = w.conn.exec("ROLLBACK TO change"); g.err == nil {
		g.err = w.conn.exec("RELEASE change")
	}
}

func (w *writer) finish(g *group) {
	w.group = nil
	g.err = end(w.conn, g.err)
	if g.err == nil {
		w.committed()
	}
	close(g.done)
}

// close lets nobody else in, waits for those in the queue, and keeps the turn.
func (w *writer) close() {
	p := &place{turn: make(chan struct{}), how: alone}
	w.mu.Lock()
	w.closed = true
	if w.held {
		w.queue = append(w.queue, p)
	} else {
		w.held = true
		close(p.turn)
	}
	w.mu.Unlock()
	<-p.turn
}

// begin takes the lock that only one process has.
func begin(ctx context.Context, clock platform.Clock, c *conn) error {
	return patiently(ctx, clock, func() error { return c.exec("BEGIN IMMEDIATE") })
}

// end commits what was begun, if nothing has failed, and otherwise takes it back.
func end(c *conn, err error) error {
	if err == nil {
		err = c.exec("COMMIT")
	}
	if err != nil && !c.db.GetAutocommit() {
		c.exec("ROLLBACK") //nolint:errcheck // the first error is the one to tell
	}
	return err
}
