package graph_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/graph/generated"
	"github.com/dezky/platform/platform"
)

// wire is a connection to a world, as a client has it that does as it likes.
type wire struct {
	net.Conn
	in *bufio.Reader
}

func (w *world) rawConn(t testing.TB) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &wire{conn, bufio.NewReader(conn)}
}

func (c *wire) send(text string) { io.WriteString(c, text) }

// next is the next answer, or nil when the server has cut the connection.
func (c *wire) next(t testing.TB) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			t.Error("the server neither answers nor cuts the connection")
		}
		return nil
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil
	}
	res.Body = io.NopCloser(strings.NewReader(string(body)))
	return res
}

func textOf(res *http.Response) string {
	body, _ := io.ReadAll(res.Body)
	return string(body)
}

// raw is a request of headers, and a body as it is.
func raw(body string, headers ...string) string {
	return "POST /graphql HTTP/1.1\r\nHost: dezky.test\r\nContent-Type: application/json\r\n" + strings.Join(headers, "") + "\r\n" + body
}

const trivial = `{"query":"{ __typename }"}`

func served(t *testing.T, w *world) {
	t.Helper()
	if got := w.Post(t, "", trivial, "Connection", "close"); got.Status != http.StatusOK || got.Took > attackTime {
		t.Errorf("others get %d after %s", got.Status, got.Took)
	}
}

// TestSmuggling is row 40: what two servers in a row could read differently is
// refused, or the connection is closed behind it.
func TestSmuggling(t *testing.T) {
	w := newWorld(t)
	token := w.Token(t, "operator")
	forged := "POST /graphql HTTP/1.1\r\nHost: dezky.test\r\nContent-Type: application/json\r\nAuthorization: Bearer " + token +
		fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n%s", len(mutation), mutation)
	length := fmt.Sprintf("Content-Length: %d\r\n", len(trivial))
	chunks := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(trivial), trivial)
	for name, test := range map[string]struct {
		request string
		status  int
	}{
		"two lengths":             {raw(trivial, length, "Content-Length: 5\r\n"), 400},
		"a list of lengths":       {raw(trivial, "Content-Length: 26, 5\r\n"), 400},
		"a plus":                  {raw(trivial, "Content-Length: +26\r\n"), 400},
		"a minus":                 {raw(trivial, "Content-Length: -26\r\n"), 400},
		"hexadecimal":             {raw(trivial, "Content-Length: 0x1a\r\n"), 400},
		"a huge length":           {raw(trivial, "Content-Length: 99999999999999999999\r\n"), 400},
		"a blank before":          {raw(trivial, "Content-Length : 26\r\n"), 400},
		"a blank in a name":       {raw(trivial, length, "X Y: z\r\n"), 400},
		"chunks, oddly":           {raw(chunks, "Transfer-Encoding: xchunked\r\n"), 501},
		"chunks, twice":           {raw(chunks, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 501},
		"chunks of identity":      {raw(chunks, "Transfer-Encoding: chunked, identity\r\n"), 501},
		"chunks with a tab":       {raw(chunks, "Transfer-Encoding:\tchunked\r\nTransfer-Encoding: x\r\n"), 501},
		"a chunk without an end":  {raw("ffffffffffffffff1\r\n"+trivial, "Transfer-Encoding: chunked\r\n"), 400},
		"a NUL in a header":       {raw(trivial, length, "X: a\x00b\r\n"), 400},
		"no host":                 {"POST /graphql HTTP/1.1\r\nContent-Type: application/json\r\n" + length + "\r\n" + trivial, 400},
		"two hosts":               {raw(trivial, length, "Host: evil.example\r\n"), 400},
		"length and chunks":       {raw(chunks, length, "Transfer-Encoding: chunked\r\n"), 200},
		"chunks and length":       {raw(chunks, "Transfer-Encoding: chunked\r\n", "Content-Length: 4\r\n"), 200},
		"chunks, nothing else":    {raw(chunks, "Transfer-Encoding: chunked\r\n"), 200},
		"chunks that say nothing": {raw("0\r\n\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 6\r\n"), 400},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.rawConn(t)
			c.send(test.request + forged)
			first := c.next(t)
			if first == nil || first.StatusCode != test.status {
				t.Fatalf("got %v, want %d", first, test.status)
			}
			if second := c.next(t); second != nil {
				t.Errorf("what came behind was answered: %d %s", second.StatusCode, textOf(second))
			}
		})
	}
	notForged(t, w)
	served(t, w)
}

// TestLongHead is row 39.
func TestLongHead(t *testing.T) {
	w := newWorld(t)
	for name, header := range map[string]string{
		"one header":   "X-Long: " + strings.Repeat("a", 2<<20) + "\r\n",
		"many headers": many(50_000, "X-%: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
		"a token":      "Authorization: Bearer " + strings.Repeat("a", 200_000) + "\r\n",
	} {
		c := w.rawConn(t)
		go c.send(raw(trivial, header, "Content-Length: 26\r\n"))
		if res := c.next(t); res != nil && res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
	served(t, w)
}

// TestSlowClients is row 45: who is slow is cut, and holds nobody up.
func TestSlowClients(t *testing.T) {
	w := newWorld(t, func(o *graph.Options, l *graph.Limits) {
		l.HeaderTime, l.BodyTime, l.IdleTime, o.Turns = 300*time.Millisecond, 600*time.Millisecond, 300*time.Millisecond, 4
	})
	body := raw(`{"query":`, "Content-Length: 26\r\n")
	for name, test := range map[string]struct {
		first, drip string
		status      int // of an answer before the cut; 0 is none
	}{
		"nothing":        {"", "", 0},
		"slow headers":   {"POST /graphql HTTP/1.1\r\nHost: a\r\n", "X-A: b\r\n", 408},
		"a slow line":    {"POST /gra", "a", 0},
		"a slow body":    {body, " ", http.StatusRequestTimeout},
		"no body at all": {body, "", http.StatusRequestTimeout},
		"idle":           {raw(trivial, "Content-Length: 26\r\n"), "", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			for range 10 { // more than there are turns
				go func() {
					c := w.rawConn(t)
					c.send(test.first)
				}()
			}
			c := w.rawConn(t)
			c.send(test.first)
			over := make(chan struct{})
			defer close(over)
			go func() {
				for test.drip != "" {
					select {
					case <-over:
						return
					case <-time.After(50 * time.Millisecond):
						c.send(test.drip)
					}
				}
			}()
			served(t, w)
			for res := c.next(t); res != nil; res = c.next(t) {
				if res.StatusCode != test.status && res.StatusCode != http.StatusBadRequest {
					t.Errorf("status %d", res.StatusCode)
				}
			}
			if took := time.Since(start); took > attackTime {
				t.Errorf("it was cut after %s", took)
			}
		})
	}
}

// TestManyConnections is row 46.
func TestManyConnections(t *testing.T) {
	w := newWorld(t)
	for range 300 {
		w.rawConn(t)
	}
	served(t, w)
	var all sync.WaitGroup
	for range 300 {
		all.Go(func() {
			c := w.rawConn(t)
			c.send(raw(`{"query":"{ __type`, "Content-Length: 1000\r\n"))
			c.Close()
		})
	}
	served(t, w)
	all.Wait()
	served(t, w)
}

// What is beyond the number of connections waits, and is served when one ends.
func TestMostConnections(t *testing.T) {
	w := newWorld(t, func(_ *graph.Options, l *graph.Limits) { l.Connections = 3 })
	var open []*wire
	for range 3 {
		c := w.rawConn(t)
		c.send(raw(trivial, "Content-Length: 26\r\n"))
		if res := c.next(t); res == nil || res.StatusCode != http.StatusOK {
			t.Fatal("one of three is not served")
		}
		open = append(open, c)
	}
	fourth := w.rawConn(t)
	fourth.send(raw(trivial, "Content-Length: 26\r\n"))
	answered := make(chan *http.Response, 1)
	go func() { answered <- fourth.next(t) }()
	select {
	case <-answered:
		t.Error("the fourth did not wait")
	case <-time.After(100 * time.Millisecond):
	}
	open[0].Close()
	if res := <-answered; res == nil || res.StatusCode != http.StatusOK {
		t.Errorf("the fourth got %v", res)
	}
}

// TestBursts is row 47.
func TestBursts(t *testing.T) {
	w := newWorld(t)
	c := w.rawConn(t)
	go func() {
		for i := range 500 {
			body := fmt.Sprintf(`{"query":"{ a%d: __typename }"}`, i)
			c.send(raw(body, fmt.Sprintf("Content-Length: %d\r\n", len(body))))
		}
	}()
	for i := range 500 {
		res := c.next(t)
		if res == nil || res.StatusCode != http.StatusOK || !strings.Contains(textOf(res), fmt.Sprintf(`{"a%d":"Query"}`, i)) {
			t.Fatalf("answer %d of 500 is %v", i, res)
		}
	}
	var good, later atomic.Int32
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			for range 20 {
				got := w.Post(t, "", `{"query":"{ tenants { nodes { id } } }"}`, "Connection", "close")
				switch {
				case got.Status == http.StatusUnauthorized:
					good.Add(1)
				case got.Status == http.StatusTooManyRequests && got.Header.Get("Retry-After") != "":
					later.Add(1)
				default:
					t.Errorf("got %d", got.Status)
				}
			}
		})
	}
	all.Wait()
	t.Logf("of 2,000 %d were answered, and %d told to come back", good.Load(), later.Load())
	served(t, w)
}

// holding is a graph in which whoami waits to be let go.
type holding struct {
	generated.ResolverRoot
	entered chan struct{}
	let     chan struct{}
}

type holdingQuery struct {
	generated.QueryResolver
	*holding
}

func (h *holding) Query() generated.QueryResolver { return holdingQuery{h.ResolverRoot.Query(), h} }

func (q holdingQuery) Whoami(context.Context) (*platform.Whoami, error) {
	q.entered <- struct{}{}
	<-q.let
	return nil, nil
}

// Who comes when every turn is taken is told so before anything is done.
func TestShedding(t *testing.T) {
	h := &holding{entered: make(chan struct{}), let: make(chan struct{})}
	w := newWorld(t, func(o *graph.Options, _ *graph.Limits) {
		h.ResolverRoot, o.Resolvers, o.Turns = o.Resolvers, h, 2
	})
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if got := w.Post(t, "member", `{"query":"{ whoami { sub } }"}`); got.Status != http.StatusOK {
				t.Errorf("one of two got %d", got.Status)
			}
		})
		<-h.entered
	}
	for who, body := range map[string]string{"": trivial, "member": trivial, "admin": `{"query":"not even read`} {
		got := w.Post(t, who, body)
		harmless(t, got)
		checkCode(t, got, "RESOURCE_EXHAUSTED")
		if got.Status != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "" {
			t.Errorf("got %d, Retry-After %q", got.Status, got.Header.Get("Retry-After"))
		}
		t.Logf("told to come back after %s", got.Took)
	}
	close(h.let)
	all.Wait()
	served(t, w)
}

// TestForeignHandshakes is row 42: a page of others gets no socket.
func TestForeignHandshakes(t *testing.T) {
	w := newWorld(t)
	for _, origin := range []string{"https://evil.example", "null", "https://dezky.test.evil.example", "http://evil.example, http://dezky.test"} {
		c := w.rawConn(t)
		c.send("GET /graphql HTTP/1.1\r\nHost: dezky.test\r\nOrigin: " + origin + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n")
		if res := c.next(t); res == nil || res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %v", origin, res)
		}
	}
}
