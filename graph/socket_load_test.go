package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/graph/generated"
	"github.com/dezky/platform/platform"
)

// held are the graph's resolvers, two of which wait until a test lets them go
// on. They say which of them began, and which was ended meanwhile.
type held struct {
	generated.ResolverRoot
	began, ended chan platform.ID
	release      chan struct{}
}

func hold(h *held) func(*graph.Options, *graph.Limits) {
	h.began, h.ended, h.release = make(chan platform.ID, 10), make(chan platform.ID, 10), make(chan struct{})
	return func(o *graph.Options, _ *graph.Limits) {
		h.ResolverRoot = o.Resolvers
		o.Resolvers = h
	}
}

func (h *held) wait(ctx context.Context, id platform.ID) error {
	h.began <- id
	select {
	case <-h.release:
		return nil
	case <-ctx.Done():
		h.ended <- id
		return ctx.Err()
	}
}

func (h *held) Query() generated.QueryResolver { return heldQuery{h.ResolverRoot.Query(), h} }

func (h *held) Mutation() generated.MutationResolver {
	return heldMutation{h.ResolverRoot.Mutation(), h}
}

type heldQuery struct {
	generated.QueryResolver
	*held
}

func (q heldQuery) Node(ctx context.Context, id platform.ID) (platform.Node, error) {
	if id == "ten_panic" {
		panic("for a test")
	}
	if err := q.wait(ctx, id); err != nil {
		return nil, err
	}
	return q.QueryResolver.Node(ctx, id)
}

type heldMutation struct {
	generated.MutationResolver
	*held
}

func (m heldMutation) ReconcileTenant(ctx context.Context, in platform.ReconcileTenantInput) (*platform.TenantPayload, error) {
	if err := m.wait(ctx, in.TenantID); err != nil {
		return nil, err
	}
	return m.MutationResolver.ReconcileTenant(ctx, in)
}

func soon[T any](t testing.TB, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	return value
}

const (
	seeNode   = `{ node(id: "ten_acme") { id } }`
	seeMe     = `{ me { user { id } } }`
	follow    = `subscription { provisioningStatus(tenantId: "ten_acme") { sequence } }`
	reconcile = `mutation { reconcileTenant(input: {tenantId: "ten_acme"}) { tenant { id } } }`
)

// TestSocketOperationsRunSideBySide: none waits for another, and a client ends
// those alone that it names.
func TestSocketOperationsRunSideBySide(t *testing.T) {
	var h held
	w := newWorld(t, hold(&h))
	c := w.connect(t, "admin")
	c.send(subscribe("a", seeNode))
	c.send(subscribe("b", seeNode))
	soon(t, h.began)
	soon(t, h.began)
	c.send(subscribe("quick", seeMe))
	c.want("next quick")
	c.want("complete quick")
	c.send(`{"id":"a","type":"complete"}`)
	soon(t, h.ended)
	close(h.release)
	c.want(`next b {"data":{"node":{"id":"ten_acme"}}`)
	c.want("complete b")
	c.wantOpen()
}

// TestSocketEndsItsOperations: whoever hangs up has nothing running.
func TestSocketEndsItsOperations(t *testing.T) {
	for name, hangUp := range map[string]func(c *wsClient){
		"says so":     func(c *wsClient) { c.conn.Close(1000, "") },
		"is gone":     func(c *wsClient) { c.conn.CloseNow() },
		"misbehaves":  func(c *wsClient) { c.send("garbage") },
		"says a lot":  func(c *wsClient) { c.send(strings.Repeat("x", 100_000)) },
		"inits twice": func(c *wsClient) { c.send(hello("")) },
	} {
		t.Run(name, func(t *testing.T) {
			var h held
			w := newWorld(t, hold(&h))
			c := w.connect(t, "admin")
			c.send(subscribe("a", seeNode))
			c.send(subscribe("b", seeNode))
			soon(t, h.began)
			soon(t, h.began)
			hangUp(c)
			soon(t, h.ended)
			soon(t, h.ended)
		})
	}
}

// TestSocketSurvivesAPanic: it is one operation's error.
func TestSocketSurvivesAPanic(t *testing.T) {
	var h held
	w := newWorld(t, hold(&h))
	c := w.connect(t, "admin")
	c.send(subscribe("1", `{ node(id: "ten_panic") { id } }`))
	if f := c.want("next 1"); !strings.Contains(string(f.Payload), string(platform.Internal)) || strings.Contains(string(f.Payload), "for a test") {
		t.Error(f)
	}
	c.want("complete 1")
	c.wantOpen()
}

// TestSocketStopsGently: what runs when the server is told to stop may finish,
// and then the client is sent elsewhere. Nothing new begins.
func TestSocketStopsGently(t *testing.T) {
	var h held
	w := newWorld(t, hold(&h))
	c := w.connect(t, "operator")
	c.send(subscribe("s", follow))
	c.want("next s")
	c.send(subscribe("m", reconcile))
	soon(t, h.began)
	w.Stop()
	c.wantOpen() // the connection, while the mutation runs
	time.Sleep(50 * time.Millisecond)
	c.send(subscribe("late", seeMe))
	c.wantOpen()
	close(h.release)
	c.want(`next m {"data":{"reconcileTenant":{"tenant":{"id":"ten_acme"}}}`)
	c.want("complete m")
	if f, err := c.receive(); websocket.CloseStatus(err) != 1001 {
		t.Errorf("got %s (%v)", f, err)
	}
}

// TestSocketEvents: every sequence once, in order.
func TestSocketEvents(t *testing.T) {
	w := newWorld(t)
	c := w.connect(t, "admin")
	c.send(subscribe("1", `subscription { provisioningStatus(tenantId: "ten_acme") { firstSequence sequence } }`))
	var got []int
	next := func() {
		var payload struct {
			Data struct {
				ProvisioningStatus struct{ FirstSequence, Sequence int }
			}
		}
		if err := json.Unmarshal(c.want("next 1").Payload, &payload); err != nil {
			t.Fatal(err)
		}
		for n := payload.Data.ProvisioningStatus.FirstSequence; n <= payload.Data.ProvisioningStatus.Sequence; n++ {
			got = append(got, n)
		}
	}
	next()
	first, want := got[0], []int{}
	for range 20 {
		w.change(t)
	}
	for i := range 21 {
		want = append(want, first+i)
	}
	for len(got) < len(want) {
		next()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestSocketManyOperations: a hundred live, and each of the others is told so.
func TestSocketManyOperations(t *testing.T) {
	w := newWorld(t)
	c := w.connect(t, "admin")
	go func() {
		for i := range 1000 {
			c.send(subscribe(fmt.Sprint(i), follow))
		}
	}()
	live, refused := 0, 0
	for range 1000 {
		f, err := c.receive()
		switch {
		case err != nil:
			t.Fatal(err)
		case f.Type == "next":
			live++
		case f.Type == "error" && strings.Contains(string(f.Payload), string(platform.ResourceExhausted)):
			refused++
		default:
			t.Fatal(f)
		}
	}
	if live != 100 || refused != 900 {
		t.Errorf("%d live, %d refused", live, refused)
	}
	c.send(`{"id":"0","type":"complete"}`)
	c.send(subscribe("one more", follow))
	c.want("next one more")
}

// TestSocketFlood: five thousand frames of any kind at once are too many.
func TestSocketFlood(t *testing.T) {
	w := newWorld(t)
	for name, once := range map[string]func(c *wsClient) error{
		"pings of the protocol": func(c *wsClient) error { c.send(`{"type":"ping"}`); return nil },
		"pongs of the protocol": func(c *wsClient) error { c.send(`{"type":"pong"}`); return nil },
		"pings of the wire": func(c *wsClient) error {
			ctx, cancel := context.WithTimeout(c.t.Context(), patience)
			defer cancel()
			return c.conn.Ping(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.connect(t, "admin")
			var sending sync.WaitGroup
			sending.Go(func() {
				for range 5000 {
					if once(c) != nil {
						return
					}
				}
			})
			c.wantClosed(4429, "Too many messages")
			sending.Wait()
		})
	}
	w.connect(t, "admin").wantOpen()
}

// TestSocketSlowReader: who does not take what they asked for is cut when a
// frame's time is over, and nobody else waits for them.
func TestSocketSlowReader(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	narrow := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return conn, err
	}}
	conn, _, err := websocket.Dial(ctx, w.URL+"/graphql", &websocket.DialOptions{
		Subprotocols: []string{"graphql-transport-ws"}, HTTPClient: &http.Client{Transport: narrow},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	echo := []byte(`{"type":"ping","payload":{"a":"` + strings.Repeat("x", 60<<10) + `"}}`)
	conn.Write(ctx, websocket.MessageText, []byte(hello(w.Token(t, "admin"))))
	sent := make(chan struct{}, 2000)
	ended := make(chan error, 1)
	go func() {
		for range 1500 { // 90 MB, which no kernel keeps
			if err := conn.Write(ctx, websocket.MessageText, echo); err != nil {
				ended <- err
				return
			}
			sent <- struct{}{}
		}
		ended <- errors.New("all was sent")
	}()
	for stuck := false; !stuck; {
		select {
		case <-sent:
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(time.Second):
			stuck = true
		}
	}
	w.pass(t, 9*time.Second)
	select {
	case err := <-ended:
		t.Fatalf("cut before its time: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	w.connect(t, "admin").wantOpen()
	w.pass(t, time.Second)
	if err := soon(t, ended); err == nil || err.Error() == "all was sent" {
		t.Error("it was not cut")
	}
}
