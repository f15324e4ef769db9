package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/dezky/platform/platform"
)

// audience is subscribers to one tenant's provisioning.
type audience struct {
	Address, Token string
	Tenant         platform.ID
	// Sockets are WebSockets, instead of server-sent events.
	Sockets bool
	Size    int
}

// change is one event as a subscriber sees it.
type change struct {
	Sequence int32
	Status   platform.ProvisioningState
}

func (c audience) document() string {
	return request(fmt.Sprintf("subscription { provisioningStatus(tenantId: %q) { sequence status } }", c.Tenant))
}

// gather opens all subscriptions and says "all N" whenever everyone has seen the
// sequence N. When in ends it says who saw what when, and is done.
func (c audience) gather(in io.Reader) error {
	var mu sync.Mutex
	seen := map[int32][]int64{}
	note := func(e change) {
		at := time.Now().UnixNano()
		mu.Lock()
		defer mu.Unlock()
		seen[e.Sequence] = append(seen[e.Sequence], at)
		if len(seen[e.Sequence]) == c.Size {
			fmt.Println("all", e.Sequence)
		}
	}
	ctx := context.Background()
	failed := make(chan error, c.Size)
	opening := make(chan struct{}, 50)
	for range c.Size {
		go func() {
			opening <- struct{}{}
			first := sync.OnceFunc(func() { <-opening })
			defer first()
			failed <- c.follow(ctx, func(e change) { first(); note(e) })
		}()
	}
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, in)
		close(ended)
	}()
	select {
	case err := <-failed:
		return err
	case <-ended:
	}
	mu.Lock()
	defer mu.Unlock()
	return json.NewEncoder(os.Stdout).Encode(seen)
}

// follow tells of every event until the stream or ctx ends.
func (c audience) follow(ctx context.Context, seen func(change)) error {
	next := func(text []byte) error {
		var e struct {
			Data *struct{ ProvisioningStatus *change }
		}
		if err := json.Unmarshal(text, &e); err != nil || e.Data == nil || e.Data.ProvisioningStatus == nil {
			return fmt.Errorf("an event that is none: %.300s", text)
		}
		seen(*e.Data.ProvisioningStatus)
		return nil
	}
	if c.Sockets {
		return c.followSocket(ctx, next)
	}
	conn, err := net.Dial("tcp", c.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	context.AfterFunc(ctx, func() { conn.Close() })
	body := c.document()
	head := load{Address: c.Address, Path: "/graphql", Token: c.Token}.head()
	if _, err := fmt.Fprintf(conn, "%sAccept: text/event-stream\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(conn, 1<<10), nil)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: {"); ok {
			if err := next([]byte("{" + data)); err != nil {
				return err
			}
		}
	}
	return errors.Join(errors.New("the stream ended"), lines.Err())
}

func (c audience) followSocket(ctx context.Context, next func([]byte) error) error {
	conn, _, err := websocket.Dial(ctx, "ws://"+c.Address+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	for _, text := range []string{
		fmt.Sprintf(`{"type":"connection_init","payload":{"Authorization":"Bearer %s"}}`, c.Token),
		fmt.Sprintf(`{"type":"subscribe","id":"1","payload":%s}`, c.document()),
	} {
		// One after the other, or the second may come before the caller is known.
		if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			return err
		}
		if strings.Contains(text, "connection_init") {
			if _, _, err := conn.Read(ctx); err != nil {
				return err
			}
		}
	}
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		var frame struct {
			Type    string
			Payload json.RawMessage
		}
		if err := json.Unmarshal(text, &frame); err != nil {
			return err
		}
		switch frame.Type {
		case "next":
			if err := next(frame.Payload); err != nil {
				return err
			}
		case "ping":
			if err := conn.Write(ctx, websocket.MessageText, []byte(`{"type":"pong"}`)); err != nil {
				return err
			}
		default:
			return fmt.Errorf("the subscription ended: %.300s", text)
		}
	}
}

// gathered is an audience in a process of its own.
type gathered struct {
	w    *world
	said *bufio.Reader
	end  io.WriteCloser
	wait func() error
}

func (w *world) audience(tenant platform.ID, sockets bool, size int) audience {
	return audience{Address: strings.TrimPrefix(w.URL, "http://"), Token: w.token, Tenant: tenant, Sockets: sockets, Size: size}
}

// gather answers when everybody is there.
func (w *world) gather(c audience) *gathered {
	w.b.Helper()
	g := &gathered{w: w}
	g.said, g.end, g.wait = hire(w.b, orders{Audience: &c})
	g.all()
	return g
}

// all waits until everyone has seen an event.
func (g *gathered) all() {
	g.w.b.Helper()
	line, err := g.said.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "all ") {
		g.w.b.Fatalf("the audience says %.300q (%v)", line, err)
	}
}

// leave ends the audience, and says when it saw which sequence.
func (g *gathered) leave() (seen map[int32][]int64) {
	g.w.b.Helper()
	g.w.must(g.end.Close())
	g.w.must(json.NewDecoder(g.said).Decode(&seen))
	g.w.must(g.wait())
	return seen
}

// crowded is how many subscriptions there can be: 10,000, or what this system
// gives of descriptors. (Go raises its own limit to the hard one.)
func seats() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur > 10_500 {
		return 10_000
	}
	return int(files.Cur) - 500
}

// idleSubscriptions is P6.
func idleSubscriptions(w *world) figure {
	size := seats()
	var each, idle []string
	routines := 0.0
	for _, kind := range []struct {
		name    string
		sockets bool
	}{{"SSE", false}, {"WebSocket", true}} {
		w.gather(w.audience("ten_000001", kind.sockets, 200)).leave() // so that what is made once is there
		time.Sleep(time.Second)
		before := memory()
		g := w.gather(w.audience("ten_000001", kind.sockets, size))
		after := memory()
		routines = float64(runtime.NumGoroutine()) / float64(size)
		const watched = 2 * time.Second
		used := cpu()
		time.Sleep(watched)
		idle = append(idle, fmt.Sprintf("%.0f %%", 100*(cpu()-used).Seconds()/watched.Seconds()))
		g.leave()
		each = append(each, fmt.Sprintf("%s %.1f KB", kind.name, (after-before)/float64(size)/1000))
	}
	return figure{
		what: "idle subscription, memory", measured: strings.Join(each, ", "), must: "≤ 48 KB", world: "≤ 16 KB",
		note: fmt.Sprintf("%d of each, kernel buffers apart; meanwhile CPU of one core %s (rights are looked at again each second); %.1f goroutines a socket",
			size, strings.Join(idle, ", "), routines),
	}
}

// fanOut is P7.
func fanOut(w *world) figure {
	size := seats()
	g := w.gather(w.audience("ten_000002", true, size))
	sent := map[int32]time.Time{}
	const rounds = 5
	for range rounds {
		time.Sleep(200 * time.Millisecond)
		at := time.Now()
		sent[w.touch("ten_000002")] = at
		g.all()
	}
	var took []time.Duration
	for sequence, all := range g.leave() {
		for _, at := range all {
			if began, ok := sent[sequence]; ok {
				took = append(took, time.Unix(0, at).Sub(began))
			}
		}
	}
	return figure{
		what:     "one event to 10,000 subscribers",
		measured: fmt.Sprintf("%s, max %s", percentiles(took), ms(slices.Max(took))), must: "p99 ≤ 250 ms", world: "p99 ≤ 60 ms",
		note: fmt.Sprintf("%d WebSockets, %d events, the commit included", size, rounds),
	}
}

// touch makes one event of a subject that nothing follows from.
func (w *world) touch(subject platform.ID) (sequence int32) {
	w.b.Helper()
	w.must(w.store.Keep(w.b.Context(), func(book platform.Book) error {
		doc, err := book.Provisioning(w.b.Context(), subject)
		if err != nil {
			return err
		}
		doc.ChangedAt = platform.At(time.Now())
		err = book.PutProvisioning(w.b.Context(), doc, true)
		sequence = doc.Sequence
		return err
	}))
	return sequence
}

// firstEvent is P8.
func firstEvent(w *world) figure {
	ctx, cancel := context.WithCancel(w.b.Context())
	defer cancel()
	type arrival struct {
		change
		at time.Time
	}
	arrivals := make(chan arrival, 100)
	c := w.audience("ten_000003", true, 1)
	go func() {
		if err := c.follow(ctx, func(e change) { arrivals <- arrival{e, time.Now()} }); ctx.Err() == nil {
			w.b.Error(err)
		}
	}()
	calm := func() arrival {
		for {
			if e := <-arrivals; e.Status == platform.ProvisioningStateOK {
				return e
			}
		}
	}
	calm()
	mutation := request(`mutation { reconcileTenant(input: {tenantId: "ten_000003"}) { tenant { id } userErrors { message } } }`)
	from := &caller{address: c.Address, head: load{Address: c.Address, Path: "/graphql", Token: w.token}.head()}
	var took []time.Duration
	const rounds = 300
	for range rounds {
		began := time.Now()
		_, answer, _, err := from.call(mutation)
		w.must(err)
		if !strings.Contains(string(answer), `"userErrors":[]`) {
			w.b.Fatalf("%.300s", answer)
		}
		first := <-arrivals
		took = append(took, first.at.Sub(began))
		if first.Status != platform.ProvisioningStateOK { // that is the reconciler's
			calm()
		}
	}
	return figure{
		what: "mutation → durable → first event", measured: percentiles(took),
		must: "p50 ≤ 10 ms, p99 ≤ 40 ms", world: "p50 ≤ 3 ms",
		note: fmt.Sprintf("%d times, from the request's first byte, synchronous=FULL, client in this process", rounds),
	}
}
