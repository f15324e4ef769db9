package sqlite_test

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
	"github.com/dezky/platform/store/sqlite"
)

// remoteRole makes this binary a process that others reach the database through.
const remoteRole = "DEZKY_TEST_REMOTE"

func TestMain(m *testing.M) {
	if os.Getenv(remoteRole) != "" {
		if err := serveRemotes(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// ask is one thing to do; a connection carries one, or all of a transaction. It
// ends with the connection.
type ask struct {
	What        string
	Path        string
	Coll, By    string
	IDs         []platform.ID
	Keys        []string
	Query       store.Query
	Aggregate   store.Aggregate
	Doc         store.Doc
	Version     int64
	At          platform.Time
	After       store.Position
	Collections []store.Collection
}

type reply struct {
	Docs   []store.Doc
	Rows   []store.Row
	Plan   []string
	Change store.Change
	Err    *fault
}

// fault is an error that keeps its meaning on its way.
type fault struct {
	Text        string
	Code        platform.Code
	Coll, Index string
}

// sentinels are the errors that are known by themselves.
func sentinels() []error {
	return []error{store.ErrStale, store.ErrNoDocument, store.ErrPositionLost, context.Canceled, context.DeadlineExceeded}
}

func faultOf(err error) *fault {
	if err == nil {
		return nil
	}
	f := &fault{Text: err.Error()}
	if ours, ok := errors.AsType[*platform.Error](err); ok {
		f.Code = ours.Code
	}
	if dup, ok := errors.AsType[*store.DuplicateError](err); ok {
		f.Coll, f.Index = dup.Coll, dup.Index
	}
	return f
}

func (f *fault) err() error {
	switch {
	case f == nil:
		return nil
	case f.Index != "":
		return &store.DuplicateError{Coll: f.Coll, Index: f.Index}
	case f.Code != "":
		return platform.Errorf(f.Code, "%s", f.Text)
	}
	for _, known := range sentinels() {
		if f.Text == known.Error() {
			return known
		}
	}
	return errors.New(f.Text)
}

// serveRemotes answers until the one who started the process is gone.
func serveRemotes() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	fmt.Println(listener.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
		listener.Close()
	}()
	h := &host{engines: map[string]*sqlite.Engine{}}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return h.close()
		}
		go h.answer(ctx, conn)
	}
}

// host has the engines of a process, one a path.
type host struct {
	mu      sync.Mutex
	engines map[string]*sqlite.Engine
}

func (h *host) engine(ctx context.Context, path string) (*sqlite.Engine, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.engines[path]; e != nil {
		return e, nil
	}
	e, err := sqlite.Open(ctx, path, sqlite.Options{Relaxed: true})
	if err == nil {
		h.engines[path] = e
	}
	return e, err
}

func (h *host) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []error
	for _, e := range h.engines {
		all = append(all, e.Close())
	}
	return errors.Join(all...)
}

// wire is one connection.
type wire struct {
	in  *gob.Decoder
	out *gob.Encoder
}

func (h *host) answer(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	w := wire{gob.NewDecoder(conn), gob.NewEncoder(conn)}
	var a ask
	if err := w.in.Decode(&a); err != nil {
		return
	}
	e, err := h.engine(context.WithoutCancel(ctx), a.Path)
	if err != nil {
		w.out.Encode(reply{Err: faultOf(err)})
		return
	}
	if a.What == "tx" {
		err := e.Tx(ctx, func(tx store.Tx) error { return w.transaction(ctx, tx) })
		w.out.Encode(reply{Err: faultOf(err)})
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // whoever asked has nothing more to say, but that they are gone
		w.in.Decode(new(ask))
		cancel()
	}()
	if a.What == "watch" {
		for change, err := range e.Watch(ctx, a.Coll, a.After) {
			if w.out.Encode(reply{Change: change, Err: faultOf(err)}) != nil {
				return
			}
		}
		return
	}
	w.out.Encode(once(ctx, e, a))
}

func once(ctx context.Context, e *sqlite.Engine, a ask) (r reply) {
	var err error
	switch a.What {
	case "find each":
		r.Docs, err = e.FindEach(ctx, a.Coll, a.By, a.Keys, a.Query)
	case "beat":
		err = e.Beat(ctx, a.Coll, a.IDs[0], a.At)
	case "indexes":
		err = e.EnsureIndexes(ctx, a.Collections)
	case "explain":
		r.Plan, err = e.Explain(ctx, a.Coll, a.Query)
	case "hold":
		err = e.Witness().Hold(a.IDs[0])
	case "close":
		err = e.Close()
	default:
		return read(ctx, e, a)
	}
	r.Err = faultOf(err)
	return r
}

func read(ctx context.Context, from store.Reader, a ask) (r reply) {
	var err error
	switch a.What {
	case "get":
		r.Docs, err = from.Get(ctx, a.Coll, a.IDs)
	case "find":
		r.Docs, err = from.Find(ctx, a.Coll, a.Query)
	case "sum":
		r.Rows, err = from.Sum(ctx, a.Coll, a.Aggregate)
	default:
		err = fmt.Errorf("nobody knows how to %q", a.What)
	}
	r.Err = faultOf(err)
	return r
}

// errGivenUp ends a transaction whose function had an error, or whose client is
// gone.
var errGivenUp = errors.New("given up")

func (w wire) transaction(ctx context.Context, tx store.Tx) error {
	if err := w.out.Encode(reply{}); err != nil {
		return err
	}
	for {
		var a ask
		if err := w.in.Decode(&a); err != nil {
			return errGivenUp
		}
		var r reply
		switch a.What {
		case "commit":
			return nil
		case "give up":
			return errGivenUp
		case "insert":
			r.Err = faultOf(tx.Insert(ctx, a.Coll, a.Doc))
		case "replace":
			r.Err = faultOf(tx.Replace(ctx, a.Coll, a.Doc))
		case "delete":
			r.Err = faultOf(tx.Delete(ctx, a.Coll, a.IDs[0], a.Version))
		default:
			r = read(ctx, tx, a)
		}
		if err := w.out.Encode(r); err != nil {
			return errGivenUp
		}
	}
}

// neighbour is another process that works on databases for us.
type neighbour struct {
	cmd     *exec.Cmd
	address string
	leave   func()
}

func newNeighbour(t testing.TB) *neighbour {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	n := &neighbour{cmd: exec.Command(binary)}
	n.cmd.Env = append(os.Environ(), remoteRole+"=1", "GORACE=atexit_sleep_ms=0")
	n.cmd.Stderr = t.Output()
	stdin, err := n.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.leave = sync.OnceFunc(func() {
		stdin.Close()
		if err := n.cmd.Wait(); err != nil && n.cmd.ProcessState.Exited() {
			t.Errorf("the other process: %v", err)
		}
	})
	t.Cleanup(n.leave)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the other process says nothing: %v", err)
	}
	n.address = strings.TrimSpace(line)
	return n
}

// remote is an engine in another process.
type remote struct {
	reading
	by   *neighbour
	path string
}

var _ store.Engine = (*remote)(nil)

// open opens a database in the other process.
func (n *neighbour) open(path string) *remote {
	r := &remote{by: n, path: path}
	r.reading = func(ctx context.Context, a ask) (reply, error) {
		a.Path = path
		w, done, err := n.dial(ctx, a)
		if err != nil {
			return reply{}, err
		}
		defer done()
		return w.hear(ctx)
	}
	return r
}

// dial asks; the connection ends with ctx.
func (n *neighbour) dial(ctx context.Context, a ask) (w wire, done func(), err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", n.address)
	if err != nil {
		return w, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	w = wire{gob.NewDecoder(conn), gob.NewEncoder(conn)}
	return w, func() { stop(); conn.Close() }, w.out.Encode(a)
}

func (w wire) hear(ctx context.Context) (r reply, err error) {
	if err := w.in.Decode(&r); err != nil {
		return r, errors.Join(ctx.Err(), err)
	}
	return r, r.Err.err()
}

// reading asks one thing and hears the answer.
type reading func(ctx context.Context, a ask) (reply, error)

func (do reading) Get(ctx context.Context, coll string, ids []platform.ID) ([]store.Doc, error) {
	r, err := do(ctx, ask{What: "get", Coll: coll, IDs: ids})
	return r.Docs, err
}

func (do reading) Find(ctx context.Context, coll string, q store.Query) ([]store.Doc, error) {
	r, err := do(ctx, ask{What: "find", Coll: coll, Query: q})
	return r.Docs, err
}

func (do reading) Sum(ctx context.Context, coll string, q store.Aggregate) ([]store.Row, error) {
	r, err := do(ctx, ask{What: "sum", Coll: coll, Aggregate: q})
	return r.Rows, err
}

func (r *remote) FindEach(ctx context.Context, coll, by string, keys []string, q store.Query) ([]store.Doc, error) {
	got, err := r.reading(ctx, ask{What: "find each", Coll: coll, By: by, Keys: keys, Query: q})
	return got.Docs, err
}

func (r *remote) Beat(ctx context.Context, coll string, session platform.ID, at platform.Time) error {
	_, err := r.reading(ctx, ask{What: "beat", Coll: coll, IDs: []platform.ID{session}, At: at})
	return err
}

func (r *remote) EnsureIndexes(ctx context.Context, all []store.Collection) error {
	_, err := r.reading(ctx, ask{What: "indexes", Collections: all})
	return err
}

func (r *remote) Explain(ctx context.Context, coll string, q store.Query) ([]string, error) {
	got, err := r.reading(ctx, ask{What: "explain", Coll: coll, Query: q})
	return got.Plan, err
}

func (r *remote) Close() error {
	_, err := r.reading(context.Background(), ask{What: "close"})
	return err
}

func (r *remote) hold(ctx context.Context, session platform.ID) error {
	_, err := r.reading(ctx, ask{What: "hold", IDs: []platform.ID{session}})
	return err
}

func (r *remote) Watch(ctx context.Context, coll string, after store.Position) iter.Seq2[store.Change, error] {
	return func(yield func(store.Change, error) bool) {
		w, done, err := r.by.dial(ctx, ask{What: "watch", Path: r.path, Coll: coll, After: after})
		if err != nil {
			yield(store.Change{}, err)
			return
		}
		defer done()
		for {
			got, err := w.hear(ctx)
			if ctx.Err() != nil || errors.Is(err, io.EOF) {
				return
			}
			if !yield(got.Change, err) || err != nil {
				return
			}
		}
	}
}

func (r *remote) Tx(ctx context.Context, do func(tx store.Tx) error) error {
	w, done, err := r.by.dial(ctx, ask{What: "tx", Path: r.path})
	if err != nil {
		return err
	}
	defer done()
	if _, err := w.hear(ctx); err != nil {
		return err
	}
	say := func(ctx context.Context, a ask) (reply, error) {
		if err := w.out.Encode(a); err != nil {
			return reply{}, errors.Join(ctx.Err(), err)
		}
		return w.hear(ctx)
	}
	if err := do(remoteTx{say}); err != nil {
		say(ctx, ask{What: "give up"})
		return err
	}
	_, err = say(ctx, ask{What: "commit"})
	return err
}

// remoteTx is a transaction in another process.
type remoteTx struct{ reading }

func (tx remoteTx) Insert(ctx context.Context, coll string, doc store.Doc) error {
	_, err := tx.reading(ctx, ask{What: "insert", Coll: coll, Doc: doc})
	return err
}

func (tx remoteTx) Replace(ctx context.Context, coll string, doc store.Doc) error {
	_, err := tx.reading(ctx, ask{What: "replace", Coll: coll, Doc: doc})
	return err
}

func (tx remoteTx) Delete(ctx context.Context, coll string, id platform.ID, version int64) error {
	_, err := tx.reading(ctx, ask{What: "delete", Coll: coll, IDs: []platform.ID{id}, Version: version})
	return err
}
