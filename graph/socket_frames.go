package graph

import (
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/dezky/platform/platform"
)

// message is a frame of the protocol, as it comes.
type message struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

// reply is a frame of the protocol, as it goes.
type reply struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Payload any    `json:"payload,omitempty"`
}

// read takes frames until the connection ends, and says how.
func (c *socket) read() ending {
	for {
		kind, frame, err := c.ws.Read(c.life)
		switch {
		case errors.Is(err, websocket.ErrMessageTooBig):
			return ending{websocket.StatusMessageTooBig, "Message too big"}
		case err != nil:
			return ending{websocket.StatusNormalClosure, ""}
		case !c.afford():
			return endFlood()
		case kind != websocket.MessageText || !utf8.Valid(frame):
			return endInvalid()
		}
		if how := c.apart(func() ending { return c.take(frame) }); how.code != 0 {
			return how
		}
	}
}

// take acts on one frame, and says how the connection has to end for it, if it
// has to.
func (c *socket) take(frame []byte) ending {
	var m message
	if json.Unmarshal(frame, &m) != nil {
		return endInvalid()
	}
	if len(m.Payload) > 0 && m.Payload[0] != '{' && string(m.Payload) != "null" {
		return endInvalid()
	}
	switch m.Type {
	case "connection_init":
		return c.greet(m.Payload)
	case "ping":
		c.say(reply{Type: "pong", Payload: payloadOf(m)})
	case "pong":
		c.awaiting.Store(false)
	case "subscribe":
		return c.subscribe(m)
	case "complete":
		return c.complete(m.ID)
	default:
		return endInvalid()
	}
	return ending{}
}

func payloadOf(m message) any {
	if len(m.Payload) == 0 {
		return nil
	}
	return m.Payload
}

// greet signs the caller in, by the token of the payload, or else by that of
// the handshake.
func (c *socket) greet(payload json.RawMessage) ending {
	if c.greeted.Swap(true) {
		return ending{4429, "Too many initialisation requests"}
	}
	caller, err := c.introduced(payload)
	if err != nil {
		return c.endFor(c.life, err)
	}
	c.caller.Store(caller)
	c.say(reply{Type: "connection_ack"})
	return ending{}
}

func (c *socket) introduced(payload json.RawMessage) (*platform.Identity, error) {
	var hello struct {
		Authorization *string // and authorization, as browsers' clients write it
	}
	if len(payload) > 0 && json.Unmarshal(payload, &hello) != nil {
		return nil, platform.Errorf(platform.Unauthenticated, "The token is not valid.")
	}
	if hello.Authorization == nil {
		if a := platform.ActorOf(c.life); a != nil {
			return &a.Identity, nil
		}
		return nil, platform.Errorf(platform.Unauthenticated, "Sign in with a bearer token.")
	}
	token, err := BearerToken(*hello.Authorization)
	if err != nil {
		return nil, err
	}
	return c.signIn.Check(c.life, token)
}

// say writes a frame. A client that does not take it in time is cut.
func (c *socket) say(r reply) {
	frame, err := json.Marshal(r)
	if err != nil {
		c.complain(c.life, err)
		return
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.write(frame)
}

// write is for who holds writing. What goes wrong is the connection's end, which
// the reader sees.
func (c *socket) write(frame []byte) {
	ctx, cancel := c.clock.WithTimeout(c.life, writeTime)
	defer cancel()
	c.ws.Write(ctx, websocket.MessageText, frame) //nolint:errcheck // see above
}

// afford says whether the client may send one frame more.
func (c *socket) afford() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Running()
	c.budget = min(socketBurst, c.budget+(now-c.spent).Seconds()*socketRate) - 1
	c.spent = now
	if c.budget >= 0 {
		return true
	}
	select {
	case <-c.flooded:
	default:
		close(c.flooded)
	}
	return false
}
