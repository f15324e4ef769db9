package graph

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"

	"github.com/dezky/platform/platform"
)

// socketProtocol is the one subprotocol that is spoken.
const socketProtocol = "graphql-transport-ws"

// Bounds of what one socket may do.
const (
	socketFrame = 64 << 10
	socketLive  = 100 // operations at once
	socketID    = 128 // bytes of an operation's id
	// socketBurst frames may come at once, and socketRate a second in the long run.
	socketBurst = 2000
	socketRate  = 100
	// socketBuffer is for the usual frame; a longer one takes a second write.
	socketBuffer = 512
)

// Times of a socket.
const (
	// socketInit is how long a client may be silent before it introduces itself.
	socketInit = 3 * time.Second
	// socketPing is how often a client is asked if it is there, and how long it
	// may take to answer.
	socketPing = 25 * time.Second
	// socketClose is how long a client may take to agree to an end.
	socketClose = 5 * time.Second
)

// ending is how a socket is closed; its zero value is not at all. The client
// graphql-ws comes again after 1001, 1013, 4403, 4408 and 4499; after the others
// it gives up.
type ending struct {
	code   websocket.StatusCode
	reason string
}

func endInvalid() ending   { return ending{4400, "Invalid message received"} }
func endForbidden() ending { return ending{4403, "Forbidden"} }
func endFlood() ending     { return ending{4429, "Too many messages"} }
func endLater() ending     { return ending{websocket.StatusTryAgainLater, "Try again later"} }

// sockets is the protocol graphql-transport-ws. It is our own because gqlgen's
// keeps no live ids, reads each frame twice, writes without a deadline and
// closes with codes after which clients do not come again.
type sockets struct{ *Handler }

// Supports takes what wants to become a WebSocket.
func (sockets) Supports(r *http.Request) bool { return lists(r, "Upgrade", "websocket") }

// Do makes a socket of the request.
func (t sockets) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	ctx := r.Context()
	if !t.mayConnect(r) {
		t.refuse(ctx, w, http.StatusForbidden, platform.Errorf(platform.Forbidden, "Pages from there may not connect."))
		return
	}
	if !lists(r, "Sec-WebSocket-Protocol", socketProtocol) {
		t.refuse(ctx, w, http.StatusBadRequest, platform.Errorf(platform.Invalid, "The one subprotocol is %s.", socketProtocol))
		return
	}
	c := newSocket(t.Handler, exec, ctx)
	t.open.Add(1) // before http.Server forgets the connection
	handshake := &handshake{ResponseWriter: w}
	ws, err := websocket.Accept(handshake, r, &websocket.AcceptOptions{
		Subprotocols: []string{socketProtocol}, InsecureSkipVerify: true, // the origin was checked
		OnPingReceived: func(context.Context, []byte) bool { return c.afford() },
		OnPongReceived: func(context.Context, []byte) { c.afford() },
	})
	if err != nil {
		c.end()
		t.open.Done()
		t.refuse(ctx, w, handshake.status, platform.Errorf(platform.Invalid, "This is no handshake of a WebSocket."))
		return
	}
	ws.SetReadLimit(socketFrame)
	c.ws, c.wire = ws, handshake.wire
	// Not here, or it would keep all that net/http has of the request.
	go c.serve()
}

// mayConnect says whether a page may open a socket from where it came. What
// names no origin is no browser.
func (h *Handler) mayConnect(r *http.Request) bool {
	named := r.Header.Values("Origin")
	switch len(named) {
	case 0:
		return true
	case 1:
	default:
		return false
	}
	if slices.ContainsFunc(h.origins, func(o string) bool { return strings.EqualFold(o, named[0]) }) {
		return true
	}
	u, err := url.Parse(named[0])
	return err == nil && u.Host != "" && named[0] == u.Scheme+"://"+u.Host && strings.EqualFold(u.Host, r.Host)
}

// lists says whether a header's comma-separated values have a word.
func lists(r *http.Request, header, word string) bool {
	for _, value := range r.Header.Values(header) {
		for entry := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(entry), word) {
				return true
			}
		}
	}
	return false
}

// handshake keeps the library's own refusals to itself, which quote the request,
// and the connection, whose deadlines the library does not set.
type handshake struct {
	http.ResponseWriter
	status int
	wire   net.Conn
}

func (h *handshake) WriteHeader(status int) {
	h.status = status
	if status == http.StatusSwitchingProtocols {
		h.ResponseWriter.WriteHeader(status)
	}
}

func (h *handshake) Write(text []byte) (int, error) { return len(text), nil }

// Hijack gives the library buffers that are small enough to be kept by
// thousands. What the client has sent already is in them.
func (h *handshake) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	wire, buffers, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.wire = wire
	early, _ := buffers.Peek(buffers.Reader.Buffered()) //nolint:errcheck // they are there
	in := bufio.NewReaderSize(bytes.NewReader(early), max(len(early), socketBuffer))
	in.Peek(len(early)) //nolint:errcheck // they are there
	return wire, bufio.NewReadWriter(in, bufio.NewWriterSize(wire, socketBuffer)), nil
}

// socket is one connection. One goroutine reads it, one watches over it, and
// each operation has its own; whoever has something to say writes it.
type socket struct {
	*Handler
	exec graphql.GraphExecutor
	from platform.From
	ws   *websocket.Conn
	wire net.Conn

	// life ends with the connection, and running, in which the operations are,
	// before it.
	life, running   context.Context
	end, endRunning context.CancelFunc
	// flooded closes when the client has sent too much.
	flooded chan struct{}
	work    sync.WaitGroup

	greeted  atomic.Bool
	caller   atomic.Pointer[platform.Identity] // nil until the connection is acknowledged
	awaiting atomic.Bool                       // a pong

	writing sync.Mutex

	mu      sync.Mutex
	live    map[string]*operation
	drained bool // and nothing new begins
	budget  float64
	spent   time.Duration
}

func newSocket(h *Handler, exec graphql.GraphExecutor, request context.Context) *socket {
	c := &socket{
		Handler: h, exec: exec, from: requestOf(request),
		flooded: make(chan struct{}), live: map[string]*operation{}, budget: socketBurst, spent: h.clock.Running(),
	}
	c.life, c.end = context.WithCancel(context.WithoutCancel(request))
	c.running, c.endRunning = context.WithCancel(c.life)
	return c
}

// serve returns when nothing of the socket is left.
func (c *socket) serve() {
	defer c.open.Done()
	var watching sync.WaitGroup
	watching.Go(c.watch)
	c.close(c.read())
	c.end()
	c.work.Wait()
	watching.Wait()
}

// close ends the connection, and what runs on it at once. It waits for the client
// to agree, or for an end that was begun before.
func (c *socket) close(how ending) {
	c.endRunning()
	// The kernel keeps this deadline, by the machine's clock. The library has none
	// for a client that announces a frame and does not send it.
	c.wire.SetDeadline(platform.SystemClock{}.Now().Add(socketClose)) //nolint:errcheck // it fails on what is closed
	c.ws.Close(how.code, how.reason)                                  //nolint:errcheck // a client that went away is nobody to tell
}

// watch ends the connection for whatever the client does not do, and its
// operations when their caller may not see them any more.
func (c *socket) watch() {
	opened := c.clock.Running()
	pinged := opened
	for {
		tick, cancel := c.clock.WithTimeout(c.life, c.patience())
		select {
		case <-tick.Done():
		case <-c.stopping:
			cancel()
			c.drain()
			return
		case <-c.flooded:
			cancel()
			c.close(endFlood())
			return
		}
		cancel()
		if c.life.Err() != nil {
			return
		}
		how := c.apart(func() ending { return c.lookAfter(opened) })
		if now := c.clock.Running(); how.code == 0 && now-pinged >= socketPing {
			pinged = now
			how = c.ping()
		}
		if how.code != 0 {
			c.close(how)
			return
		}
	}
}

// patience is how long nothing has to be looked after.
func (c *socket) patience() time.Duration {
	if caller := c.caller.Load(); caller != nil {
		return c.untilRecheck(caller)
	}
	return recheck
}

// lookAfter says how the connection has to end now, if it has to. An operation
// alone ends by an error of its own.
func (c *socket) lookAfter(opened time.Duration) ending {
	caller := c.caller.Load()
	if caller == nil {
		if !c.greeted.Load() && c.clock.Running()-opened >= socketInit {
			return ending{4408, "Connection initialisation timeout"}
		}
		return ending{}
	}
	guarded := c.guarded()
	if err := c.unexpired(caller); err != nil || len(guarded) == 0 {
		return c.endFor(c.life, err)
	}
	ctx, err := c.stillSignedIn(c.life, caller, c.from)
	if err != nil {
		return c.endFor(c.life, err)
	}
	for _, op := range guarded {
		err := op.guard.holds(ctx)
		switch {
		case err == nil || c.life.Err() != nil:
		case platform.CodeOf(err) == platform.Unavailable:
			return c.endFor(op.ctx(), err)
		default:
			c.fail(op, err)
		}
	}
	return ending{}
}

// endFor is how the connection ends for an error that is about the caller.
func (c *socket) endFor(ctx context.Context, err error) ending {
	switch {
	case err == nil || c.life.Err() != nil:
		return ending{}
	case platform.CodeOf(err) == platform.Unauthenticated:
		return endForbidden()
	}
	c.complain(ctx, err)
	return endLater()
}

// apart does what takes much stack, which whoever waits would keep, and what a
// panic must not end the process in.
func (c *socket) apart(do func() ending) ending {
	done := make(chan ending)
	go func() {
		var how ending
		defer func() {
			if cause := recover(); cause != nil {
				how = c.endFor(c.life, recovered(c.life, cause))
			}
			done <- how
		}()
		how = do()
	}()
	return <-done
}

func (c *socket) ping() ending {
	if c.caller.Load() == nil {
		return ending{}
	}
	if c.awaiting.Swap(true) {
		return ending{4499, "No pong received"}
	}
	c.say(reply{Type: "ping"})
	return ending{}
}

// drain ends the connection so that the client comes again: subscriptions at
// once, without a word that they were complete, and when the rest has finished,
// the connection.
func (c *socket) drain() {
	c.mu.Lock()
	c.drained = true
	for _, op := range c.live {
		if op.stream {
			op.end()
		}
	}
	c.mu.Unlock()
	c.work.Wait()
	c.close(ending{websocket.StatusGoingAway, "Going away"})
}

// Drain waits until every socket is closed, or for ctx's end. Options.Stopping
// has closed then, and no request is under way that could become a socket.
func (h *Handler) Drain(ctx context.Context) error {
	closed := make(chan struct{})
	go func() {
		h.open.Wait()
		close(closed)
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
