package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/dezky/platform/platform"
)

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// wsClient speaks graphql-transport-ws, and whatever else a test wants to try.
type wsClient struct {
	t    testing.TB
	conn *websocket.Conn
	// deaf answers no ping.
	deaf bool
}

// wsFrame is what a server says.
type wsFrame struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

func (f wsFrame) String() string {
	return strings.TrimSpace(f.Type + " " + f.ID + " " + string(f.Payload))
}

// dial opens a socket. Headers come in pairs.
func (w *world) dial(t testing.TB, headers ...string) *wsClient {
	t.Helper()
	c, status := w.knock(t, []string{"graphql-transport-ws"}, headers...)
	if c == nil {
		t.Fatalf("the handshake was answered with %d", status)
	}
	return c
}

// knock tries a handshake. It returns no client where it is refused.
func (w *world) knock(t testing.TB, protocols []string, headers ...string) (*wsClient, int) {
	t.Helper()
	head := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		head.Add(headers[i], headers[i+1])
	}
	conn, res, err := websocket.Dial(t.Context(), w.URL+"/graphql", &websocket.DialOptions{Subprotocols: protocols, HTTPHeader: head})
	if res == nil {
		t.Fatal(err)
	}
	if err != nil {
		return nil, res.StatusCode
	}
	conn.SetReadLimit(-1)
	t.Cleanup(func() { conn.CloseNow() })
	return &wsClient{t: t, conn: conn}, res.StatusCode
}

// connect opens a socket as one of worldPeople, and introduces them.
func (w *world) connect(t testing.TB, who string) *wsClient {
	t.Helper()
	c := w.dial(t)
	c.send(hello(w.Token(t, who)))
	c.want("connection_ack")
	return c
}

func hello(token string) string {
	return fmt.Sprintf(`{"type":"connection_init","payload":{"Authorization":"Bearer %s"}}`, token)
}

func subscribe(id, query string) string {
	payload, _ := json.Marshal(map[string]string{"query": query})
	return fmt.Sprintf(`{"id":%q,"type":"subscribe","payload":%s}`, id, payload)
}

// send sends a frame; what is wrong with the connection is seen on reading.
func (c *wsClient) send(frame string) { c.sendAs(websocket.MessageText, []byte(frame)) }

func (c *wsClient) sendAs(kind websocket.MessageType, frame []byte) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	c.conn.Write(ctx, kind, frame)
}

// receive is the next frame but for pings, which it answers, or how the
// connection ended.
func (c *wsClient) receive() (wsFrame, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for {
		var f wsFrame
		_, text, err := c.conn.Read(ctx)
		if err == nil {
			err = json.Unmarshal(text, &f)
		}
		switch {
		case err == nil && f.Type == "ping":
			if !c.deaf {
				c.send(`{"type":"pong"}`)
			}
		default:
			return f, err
		}
	}
}

// want is the next frame, which has to begin as wanted.
func (c *wsClient) want(beginning string) wsFrame {
	c.t.Helper()
	f, err := c.receive()
	if err != nil || !strings.HasPrefix(f.String(), beginning) {
		c.t.Fatalf("want %s\ngot  %.500s (%v)", beginning, f, err)
	}
	return f
}

// wantClosed reads on until the server has closed.
func (c *wsClient) wantClosed(code websocket.StatusCode, reason string) {
	c.t.Helper()
	for {
		f, err := c.receive()
		if err == nil {
			continue
		}
		var closed websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != code || closed.Reason != reason {
			c.t.Fatalf("want %d %q\ngot  %v (%s)", code, reason, err, f)
		}
		return
	}
}

// wantOpen makes sure that the connection lives, and that all that was sent has
// been read.
func (c *wsClient) wantOpen() {
	c.t.Helper()
	c.send(`{"type":"ping","payload":{"still":"there"}}`)
	c.want(`pong  {"still":"there"}`)
}

// pass moves the clock on, so that whoever waits for one of the steps sees it.
func (w *world) pass(t testing.TB, d time.Duration) {
	t.Helper()
	const step = 500 * time.Millisecond
	for ; d > 0; d -= step {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := w.Clock.Sleeping(ctx, 1); err != nil {
			t.Fatal("nobody waits for the clock")
		}
		cancel()
		w.Clock.Advance(min(step, d))
		time.Sleep(2 * time.Millisecond) // so that who was woken sleeps again
	}
}

// change makes one event of the tenant's provisioning.
func (w *world) change(t testing.TB) {
	t.Helper()
	got := w.Post(t, "operator", `{"query":"mutation { reconcileTenant(input: {tenantId: \"ten_acme\"}) { tenant { id } } }"}`)
	if !strings.Contains(got.Body, `"ten_acme"`) {
		t.Fatal(got.Body)
	}
}

// revoke takes a membership away.
func (w *world) revoke(t testing.TB, member platform.ID) {
	t.Helper()
	event := platform.AuditEvent{
		Document: platform.Document{ID: platform.NewID(platform.KindAuditEvent)}, At: platform.At(w.Clock.Now()),
		Role: platform.RoleSystem, Action: platform.ActionSeeded, Outcome: platform.AuditOutcomeDone,
	}
	err := w.Store.Change(t.Context(), event, func(to platform.Writer) error {
		members, err := to.MembersByID(t.Context(), []platform.ID{member})
		if err != nil {
			return err
		}
		members[0].State = platform.MemberStateRevoked
		return to.PutMember(t.Context(), members[0])
	})
	if err != nil {
		t.Fatal(err)
	}
}
