// Package mongo is the store's engine over a MongoDB replica set, 4.0 or newer,
// for more than one machine. It uses nothing that 4.0 lacks.
//
// A document is stored as {_id, version, doc, words}: doc is the body, field by
// field, so that a person can read and query it; words is there where the
// collection has a words index. Transactions read a snapshot and are committed
// by a majority; what is read outside of one comes from the primary. Every call
// has a limit of its own: a database that is away is told within about a second.
package mongo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/mongo/readconcern"
	"go.mongodb.org/mongo-driver/mongo/readpref"
	"go.mongodb.org/mongo-driver/mongo/writeconcern"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// Options are how an engine runs. The zero value is what production has.
type Options struct {
	// Pool is how many connections a server gets at most; 0 is 100. Four times as
	// many calls may be under way or wait; more are shed with RESOURCE_EXHAUSTED.
	Pool int
	// Timeout is how long one call of the database may take; 0 is 5 s. A
	// transaction may take that for each of its calls, and is run again over what
	// others write for twice as long: 10 s outlast a storm of fifty writers of one
	// document.
	Timeout time.Duration
	// SecondaryCounts lets Sum outside of transactions ask secondaries, which may
	// be behind. What it counts there is shown and never decided by; everything
	// else asks the primary.
	SecondaryCounts bool
	// Trace is told of every command and of its answer in a line each, if it is not
	// nil. For tests: the lines have what is stored in them.
	Trace func(line string)
}

const (
	// selection is how long a server that can answer is waited for.
	selection = time.Second
	// connecting is how long a server may take to accept a connection, or to say how
	// it is. One that takes longer loses all that is under way there, so it is more
	// than a busy one needs. Calls do not wait for it.
	connecting = 3 * time.Second
	// heartbeat is how often the driver looks which server is the primary.
	heartbeat = 2 * time.Second
	// farewell is how long an end may take that nobody waits for: of a transaction
	// that was given up, of a stream, of the connections.
	farewell = time.Second
	// queue is how many calls there may be for each connection.
	queue = 4
	// beating is how many connections beats have to themselves.
	beating = 2
)

// Engine is a store.Engine over one database of a replica set.
type Engine struct {
	reader
	clock   platform.Clock
	timeout time.Duration
	client  *mongo.Client
	db      *mongo.Database
	// beats has connections of its own: those of the others may all be in use.
	beats *mongo.Database

	gate gate
	// life ends when the engine is closed.
	life    context.Context
	die     context.CancelFunc
	closing sync.Once
	ended   error
}

var _ store.Engine = (*Engine)(nil)

// Open connects to the replica set and the database that a mongodb:// address
// names (the path; "dezky" without one). It refuses a lone server, a sharded
// cluster and a server before 4.0 with an error that says what to do. A server
// that cannot be reached is UNAVAILABLE after about a second. No error has the
// address's password.
func Open(ctx context.Context, address string, o Options) (*Engine, error) {
	if o.Pool == 0 {
		o.Pool = 100
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	to, err := parse(address)
	if err != nil {
		return nil, err
	}
	e := &Engine{clock: platform.NewSystemClock(), timeout: o.Timeout}
	e.gate.most = queue * o.Pool
	e.life, e.die = context.WithCancel(context.WithoutCancel(ctx))
	if err := e.connect(ctx, to, o); err != nil {
		e.hangUp() //nolint:errcheck // the first error is the one to tell
		return nil, fmt.Errorf("open the database %s: %w", to.shown, err)
	}
	e.reader = reader{catalog: &catalog{}, run: e.outside, in: e.db, counts: e.db, timeout: o.Timeout}
	if o.SecondaryCounts {
		e.counts = e.db.Client().Database(to.database, options.Database().SetReadPreference(
			readpref.SecondaryPreferred(readpref.WithMaxStaleness(90*time.Second)), // the least that a server takes
		))
	}
	return e, nil
}

func (e *Engine) connect(ctx context.Context, to address, o Options) error {
	main, err := mongo.Connect(ctx, clientOptions(to, o).SetMaxPoolSize(uint64(o.Pool)))
	if err != nil {
		return failed(ctx, err)
	}
	e.client, e.db = main, main.Database(to.database)
	if err := e.bounded(ctx, func(ctx context.Context) error { return inspect(ctx, e.db) }); err != nil {
		return err
	}
	beats, err := mongo.Connect(ctx, clientOptions(to, o).SetMaxPoolSize(beating))
	if err != nil {
		return failed(ctx, err)
	}
	e.beats = beats.Database(to.database)
	return nil
}

func clientOptions(to address, o Options) *options.ClientOptions {
	co := options.Client().ApplyURI(to.uri).
		SetServerSelectionTimeout(selection).
		SetConnectTimeout(connecting).
		SetHeartbeatInterval(heartbeat).
		SetMaxConnIdleTime(5 * time.Minute).
		SetReadPreference(readpref.Primary()).
		SetReadConcern(readconcern.Local()).
		SetWriteConcern(writeconcern.Majority())
	if co.AppName == nil {
		co.SetAppName("dezky")
	}
	if o.Trace != nil {
		co.SetMonitor(monitor(o.Trace))
	}
	return co
}

// Close waits for the calls that are under way, and ends the watches. It is
// safe to call it again.
func (e *Engine) Close() error {
	e.closing.Do(func() {
		e.gate.close(e.die)
		e.ended = e.hangUp()
	})
	return e.ended
}

func (e *Engine) hangUp() error {
	e.die()
	bye, cancel := e.clock.WithTimeout(context.WithoutCancel(e.life), farewell)
	defer cancel()
	var all []error
	for _, db := range []*mongo.Database{e.db, e.beats} {
		if db != nil {
			all = append(all, db.Client().Disconnect(bye))
		}
	}
	return errors.Join(all...)
}

// outside runs a call that is in no transaction.
func (e *Engine) outside(ctx context.Context, do func(context.Context) error) error {
	leave, err := e.gate.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return e.bounded(ctx, do)
}

// bounded gives a call its time.
func (e *Engine) bounded(ctx context.Context, do func(context.Context) error) error {
	within, cancel := e.clock.WithTimeout(ctx, e.timeout)
	defer cancel()
	return failed(ctx, do(within))
}

// Beat goes past the gate and has connections of its own. It may be repeated:
// the driver does so itself once, and the server applies it once.
func (e *Engine) Beat(ctx context.Context, coll string, session platform.ID, at platform.Time) error {
	c, err := e.collection(coll)
	if err != nil {
		return err
	}
	leave, err := e.gate.pass(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return e.bounded(ctx, func(ctx context.Context) error {
		result, err := e.beats.Collection(c.Name).UpdateOne(ctx, byID(session), raised(at))
		if err == nil && result.MatchedCount == 0 {
			return store.ErrNoDocument
		}
		return err
	})
}

// Drop removes the database with all that is in it. It is for tests, and
// refuses one whose name does not begin with "test_".
func (e *Engine) Drop(ctx context.Context) error {
	if name := e.db.Name(); len(name) < 5 || name[:5] != "test_" {
		return fmt.Errorf("the database %s is not one of a test", name)
	}
	leave, err := e.gate.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	within, cancel := e.clock.WithTimeout(ctx, longest)
	defer cancel()
	return failed(ctx, e.db.Drop(within))
}

// gate counts those who are inside, and lets nobody in when there are too many
// or the engine is closed.
type gate struct {
	most int

	mu     sync.Mutex
	closed bool
	inside int
	all    sync.WaitGroup
}

// enter is for a call that can be shed.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	return g.admit(ctx, func() bool { return g.inside < g.most })
}

// pass is for a call that is never shed.
func (g *gate) pass(ctx context.Context) (leave func(), err error) {
	return g.admit(ctx, func() bool { return true })
}

func (g *gate) admit(ctx context.Context, room func() bool) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return nil, closed()
	case !room():
		return nil, platform.Errorf(platform.ResourceExhausted, "The database is busy.").After(time.Second)
	}
	g.inside++
	g.all.Add(1)
	return g.left, nil
}

func (g *gate) left() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.all.Done()
}

// close ends the watches, lets nobody in any more and waits for those inside.
func (g *gate) close(die context.CancelFunc) {
	g.mu.Lock()
	g.closed = true
	die()
	g.mu.Unlock()
	g.all.Wait()
}
