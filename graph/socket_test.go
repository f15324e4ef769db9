package graph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

func TestSocketHandshake(t *testing.T) {
	const ours = "graphql-transport-ws"
	w := newWorld(t, func(o *graph.Options, _ *graph.Limits) { o.Origins = []string{"https://portal.dezky.test"} })
	host := strings.TrimPrefix(w.URL, "http://")
	for name, test := range map[string]struct {
		reason    string
		protocols []string
		headers   []string
		want      int
	}{
		"ours":                  {"it is what we speak", []string{ours}, nil, 101},
		"ours among others":     {"the server chooses", []string{"graphql-ws", ours}, nil, 101},
		"none":                  {"the client would not know what is spoken", nil, nil, 400},
		"legacy":                {"it is not spoken any more", []string{"graphql-ws"}, nil, 400},
		"other":                 {"it is not ours", []string{"mqtt"}, nil, 400},
		"ours with an ending":   {"a name is a name", []string{ours + "2"}, nil, 400},
		"own host":              {"the Playground", []string{ours}, []string{"Origin", w.URL}, 101},
		"listed origin":         {"the portal", []string{ours}, []string{"Origin", "https://portal.dezky.test"}, 101},
		"foreign origin":        {"any page could open it", []string{ours}, []string{"Origin", "https://evil.test"}, 403},
		"null origin":           {"a sandboxed frame is anybody", []string{ours}, []string{"Origin", "null"}, 403},
		"empty origin":          {"browsers send no such thing", []string{ours}, []string{"Origin", ""}, 403},
		"own host as a prefix":  {"it is another's", []string{ours}, []string{"Origin", w.URL + ".evil.test"}, 403},
		"own host as a user":    {"it is another's, or nothing", []string{ours}, []string{"Origin", "http://evil@" + host}, 403},
		"own host, other port":  {"it is another origin", []string{ours}, []string{"Origin", "http://127.0.0.1:1"}, 403},
		"listed without scheme": {"a list has whole origins", []string{ours}, []string{"Origin", "portal.dezky.test"}, 403},
		"listed over http":      {"anybody on the way could have written the page", []string{ours}, []string{"Origin", "http://portal.dezky.test"}, 403},
		"two origins":           {"which of them?", []string{ours}, []string{"Origin", w.URL, "Origin", "https://evil.test"}, 403},
		"bad token":             {"it is no better in a header", []string{ours}, []string{"Authorization", "Bearer x.y.z"}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			c, status := w.knock(t, test.protocols, test.headers...)
			if status != test.want {
				t.Fatalf("%s\nwant %d, got %d", test.reason, test.want, status)
			}
			if c != nil && c.conn.Subprotocol() != ours {
				t.Errorf("%q is spoken", c.conn.Subprotocol())
			}
		})
	}
}

// TestSocketHandshakeIsNotEchoed has handshakes that the library refuses, in
// words of its own that quote the request.
func TestSocketHandshakeIsNotEchoed(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		method  string
		headers []string
		want    int
	}{
		"version": {http.MethodGet, []string{"Sec-Websocket-Version", "marker", "Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, 400},
		"key":     {http.MethodGet, []string{"Sec-Websocket-Version", "13", "Sec-Websocket-Key", "marker"}, 400},
		"method":  {http.MethodPost, []string{"Sec-Websocket-Version", "13", "Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, 405},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.Do(t, test.method, "", nil, append(test.headers,
				"Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Protocol", "graphql-transport-ws")...)
			if got.Status != test.want || strings.Contains(got.Body, "marker") || !json.Valid([]byte(got.Body)) {
				t.Errorf("got %d %s", got.Status, got.Body)
			}
		})
	}
}

func TestSocketCloses(t *testing.T) {
	w := newWorld(t)
	in := hello(w.Token(t, "admin"))
	const status = `subscription { provisioningStatus(tenantId: "ten_acme") { sequence } }`
	deep := strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000)
	if len(deep) < 64<<10 {
		t.Fatal("not deep enough for the limit of bytes to matter")
	}
	levels := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	for name, test := range map[string]struct {
		reason string
		frames []string
		code   websocket.StatusCode
		words  string
	}{
		"subscribe first":        {"nobody is known yet", []string{subscribe("1", status)}, 4401, "Unauthorized"},
		"malformed first":        {"nobody is known yet, whatever it is", []string{`{"id":"","type":"subscribe"}`}, 4401, "Unauthorized"},
		"two inits":              {"the protocol has one", []string{in, in}, 4429, "Too many initialisation requests"},
		"two bad inits":          {"the first one is the answer", []string{`{"type":"connection_init"}`, in}, 4403, "Forbidden"},
		"a live id":              {"answers could not be told apart", []string{in, subscribe("7", status), subscribe("7", status)}, 4409, "Subscriber for 7 already exists"},
		"a long live id":         {"a reason has 123 bytes", []string{in, subscribe(strings.Repeat("é", 60), status), subscribe(strings.Repeat("é", 60), status)}, 4409, "Subscriber for " + strings.Repeat("é", 32) + " already exists"},
		"no JSON":                {"garbage", []string{"hello"}, 4400, "Invalid message received"},
		"half a frame of JSON":   {"garbage", []string{`{"type":"ping"`}, 4400, "Invalid message received"},
		"two values":             {"a frame is one message", []string{`{"type":"ping"}{"type":"ping"}`}, 4400, "Invalid message received"},
		"an array":               {"batches are not spoken", []string{`[{"type":"ping"}]`}, 4400, "Invalid message received"},
		"null":                   {"it is no message", []string{"null"}, 4400, "Invalid message received"},
		"nothing":                {"it is no message", []string{""}, 4400, "Invalid message received"},
		"no type":                {"it is no message", []string{"{}"}, 4400, "Invalid message received"},
		"unknown type":           {"legacy graphql-ws says start", []string{in, `{"id":"1","type":"start","payload":{"query":"{ me { id } }"}}`}, 4400, "Invalid message received"},
		"a server's type":        {"clients do not say it", []string{in, `{"id":"1","type":"next","payload":{}}`}, 4400, "Invalid message received"},
		"type is a number":       {"types are texts", []string{`{"type":1}`}, 4400, "Invalid message received"},
		"id is a number":         {"ids are texts", []string{in, `{"id":1,"type":"subscribe","payload":{"query":"{ me { id } }"}}`}, 4400, "Invalid message received"},
		"no id":                  {"the answer would be nobody's", []string{in, `{"type":"subscribe","payload":{"query":"{ me { id } }"}}`}, 4400, "Invalid message received"},
		"endless id":             {"it is sent back with every event", []string{in, subscribe(strings.Repeat("x", 129), status)}, 4400, "Invalid message received"},
		"no payload":             {"there is no operation", []string{in, `{"id":"1","type":"subscribe"}`}, 4400, "Invalid message received"},
		"no query":               {"there is no operation", []string{in, `{"id":"1","type":"subscribe","payload":{}}`}, 4400, "Invalid message received"},
		"query is a number":      {"documents are texts", []string{in, `{"id":"1","type":"subscribe","payload":{"query":1}}`}, 4400, "Invalid message received"},
		"variables are a list":   {"variables have names", []string{in, `{"id":"1","type":"subscribe","payload":{"query":"{ me { id } }","variables":[]}}`}, 4400, "Invalid message received"},
		"ping with a text":       {"payloads are objects", []string{`{"type":"ping","payload":"x"}`}, 4400, "Invalid message received"},
		"complete without an id": {"what?", []string{in, `{"type":"complete"}`}, 4400, "Invalid message received"},
		"20,000 objects deep":    {"it is more than a frame holds", []string{`{"type":"connection_init","payload":` + deep + `}`}, 1009, "Message too big"},
		"20,000 lists deep":      {"no stack has to hold it", []string{`{"type":"connection_init","payload":{"a":` + levels + `}}`}, 4400, "Invalid message received"},
		"just too big":           {"64 KiB are the limit", []string{`{"type":"ping","payload":{"a":"` + strings.Repeat("x", 64<<10) + `"}}`}, 1009, "Message too big"},
		"4 MiB":                  {"64 KiB are the limit", []string{`{"type":"ping","payload":{"a":"` + strings.Repeat("x", 4<<20) + `"}}`}, 1009, "Message too big"},
		"bad UTF-8":              {"no text is like it", []string{"{\"type\":\"ping\",\"payload\":{\"a\":\"\xff\"}}"}, 4400, "Invalid message received"},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.dial(t)
			for _, frame := range test.frames {
				c.send(frame)
			}
			code, words := test.code, test.words
			if code == 1009 {
				words = "read limited at 65537 bytes" // the library's own words come first
			}
			c.wantClosed(code, words)
		})
	}
	t.Run("binary", func(t *testing.T) {
		c := w.dial(t)
		c.sendAs(websocket.MessageBinary, []byte(`{"type":"ping"}`))
		c.wantClosed(4400, "Invalid message received")
	})
	if c := w.connect(t, "admin"); c != nil {
		c.wantOpen()
	}
}

func TestSocketSignIn(t *testing.T) {
	w := newWorld(t)
	token := w.Token(t, "admin")
	for name, test := range map[string]struct {
		reason  string
		payload string // of connection_init
		good    bool
	}{
		"upper case":      {"as the header is written", `{"Authorization":"Bearer ` + token + `"}`, true},
		"lower case":      {"as browsers' clients write it", `{"authorization":"bearer ` + token + `"}`, true},
		"with others":     {"the rest is the client's own", `{"a":[1],"Authorization":"Bearer ` + token + `"}`, true},
		"nothing":         {"a socket has a caller", ``, false},
		"null":            {"a socket has a caller", `null`, false},
		"empty":           {"a socket has a caller", `{}`, false},
		"no text":         {"a token is a text", `{"Authorization":5}`, false},
		"a list":          {"a token is a text", `{"Authorization":["Bearer ` + token + `"]}`, false},
		"null token":      {"a token is a text", `{"Authorization":null}`, false},
		"empty token":     {"it is none", `{"Authorization":""}`, false},
		"no scheme":       {"only Bearer is known", `{"Authorization":"` + token + `"}`, false},
		"other scheme":    {"only Bearer is known", `{"Authorization":"Basic ` + token + `"}`, false},
		"changed":         {"its signature is wrong", `{"Authorization":"Bearer ` + token + `x"}`, false},
		"expired":         {"it is over", `{"Authorization":"Bearer ` + w.Token(t, "admin", standin.ExpiresIn(-time.Minute)) + `"}`, false},
		"an ID token":     {"it is for the client", `{"Authorization":"Bearer ` + w.Token(t, "admin", standin.IDToken()) + `"}`, false},
		"another's aud":   {"it is for somebody else", `{"Authorization":"Bearer ` + w.Token(t, "admin", standin.Claim("aud", "x")) + `"}`, false},
		"both, one wrong": {"the same key twice is no way around", `{"Authorization":"Bearer ` + token + `","authorization":7}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.dial(t)
			frame := `{"type":"connection_init","payload":` + test.payload + `}`
			if test.payload == "" {
				frame = `{"type":"connection_init"}`
			}
			c.send(frame)
			f, err := c.receive()
			switch {
			case test.good && (err != nil || f.Type != "connection_ack"):
				t.Fatalf("%s\ngot %s (%v)", test.reason, f, err)
			case !test.good && websocket.CloseStatus(err) != 4403:
				t.Fatalf("%s\ngot %s (%v)", test.reason, f, err)
			case test.good:
				c.send(subscribe("1", "{ me { user { id } } }"))
				c.want(`next 1 {"data":{"me":{"user":{"id":"usr_admin"}}}`)
				c.want("complete 1")
			}
		})
	}
}

// TestSocketSignsInByHeader is for clients that are no browsers. A token that
// is said in the connection counts more.
func TestSocketSignsInByHeader(t *testing.T) {
	w := newWorld(t)
	for init, want := range map[string]string{
		`{"type":"connection_init"}`: "usr_admin",
		hello(w.Token(t, "member")):  "usr_member",
	} {
		c := w.dial(t, "Authorization", "Bearer "+w.Token(t, "admin"))
		c.send(init)
		c.want("connection_ack")
		c.send(subscribe("1", "{ me { user { id } } }"))
		c.want(`next 1 {"data":{"me":{"user":{"id":"` + want + `"}}}`)
	}
}

// TestSocketWithoutKeys has an identity provider that nobody reaches: the client
// comes again.
func TestSocketWithoutKeys(t *testing.T) {
	w := newWorld(t)
	token := w.Token(t, "admin")
	w.Authentik.IssuerStage().Fail(stage.Fault{Kind: stage.Reset})
	c := w.dial(t)
	c.send(hello(token))
	c.wantClosed(1013, "Try again later")
}

func TestSocketInitTime(t *testing.T) {
	w := newWorld(t)
	c := w.dial(t)
	w.pass(t, 2500*time.Millisecond)
	c.wantOpen()
	w.pass(t, 500*time.Millisecond)
	c.wantClosed(4408, "Connection initialisation timeout")
}

func TestSocketPings(t *testing.T) {
	w := newWorld(t)
	for name, deaf := range map[string]bool{"answered": false, "not answered": true} {
		t.Run(name, func(t *testing.T) {
			c := w.connect(t, "admin")
			c.deaf = deaf
			w.pass(t, 25*time.Second)
			c.wantOpen() // and reads the ping
			w.pass(t, 25*time.Second)
			if deaf {
				c.wantClosed(4499, "No pong received")
				return
			}
			c.wantOpen()
		})
	}
}

// TestSocketTokenExpires: the token's exp and the skew are the end, to the second.
func TestSocketTokenExpires(t *testing.T) {
	w := newWorld(t)
	c := w.dial(t)
	c.send(hello(w.Token(t, "admin", standin.ExpiresIn(20*time.Second))))
	c.want("connection_ack")
	c.send(subscribe("1", `subscription { provisioningStatus(tenantId: "ten_acme") { sequence } }`))
	c.want("next 1")
	w.pass(t, 49*time.Second)
	c.wantOpen()
	w.change(t)
	c.want("next 1")
	w.pass(t, time.Second)
	c.wantClosed(4403, "Forbidden")
}

// TestSocketRevoked: who may not see a tenant any more is told so, in the one
// operation that is about it.
func TestSocketRevoked(t *testing.T) {
	w := newWorld(t)
	c := w.connect(t, "admin")
	c.send(subscribe("1", `subscription { provisioningStatus(tenantId: "ten_acme") { sequence } }`))
	c.want("next 1")
	w.revoke(t, "mem_admin")
	w.pass(t, time.Second)
	if f := c.want("error 1"); !strings.Contains(string(f.Payload), string(platform.NotFound)) {
		t.Error(f)
	}
	c.wantOpen()
	c.send(subscribe("1", "{ me { user { id } } }")) // the id is free
	c.want("next 1")
}

func TestSocketStops(t *testing.T) {
	w := newWorld(t)
	c := w.connect(t, "admin")
	c.send(subscribe("1", `subscription { provisioningStatus(tenantId: "ten_acme") { sequence } }`))
	c.want("next 1")
	w.Stop()
	if f, err := c.receive(); websocket.CloseStatus(err) != 1001 {
		t.Errorf("a stream that is complete is not begun again\ngot %s (%v)", f, err)
	}
}

func TestSocketMessageIDs(t *testing.T) {
	w := newWorld(t)
	c := w.connect(t, "admin")
	for i := range 3 { // the same id, again and again
		c.send(subscribe("1", "{ me { user { id } } }"))
		c.want("next 1")
		c.want("complete 1")
		c.send(subscribe("2", `subscription { provisioningStatus(tenantId: "ten_acme") { sequence } }`))
		c.want("next 2")
		c.send(`{"id":"2","type":"complete"}`)
		c.send(`{"id":"2","type":"complete"}`) // twice is not a mistake
		c.send(fmt.Sprintf(`{"id":"unknown %d","type":"complete"}`, i))
	}
	c.send(subscribe("3", `query { nothing }`))
	if f := c.want("error 3 ["); !strings.Contains(string(f.Payload), "GRAPHQL_VALIDATION_FAILED") {
		t.Error(f)
	}
	c.send(subscribe("3", `subscription { provisioningStatus(tenantId: "ten_other") { sequence } }`))
	if f := c.want("error 3 ["); !strings.Contains(string(f.Payload), "NOT_FOUND") {
		t.Error(f)
	}
	c.wantOpen()
}
