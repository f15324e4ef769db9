package standin

import (
	_ "embed"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// caller is who sent a request. Without an account it is nobody.
type caller struct {
	account string
	// name is the caller's address, or "admin".
	name string
	// admin may do everything; shut callers gave the right secret and may not sign
	// in.
	admin bool
	shut  bool
}

// Who may call without an account object: the recovery administrator, and the
// owner of the API key that the server was started with.
const (
	adminAccount = "d333333"
	tokenAccount = "f"
)

func (s *Server) caller(r *http.Request) caller {
	user, password, isBasic := r.BasicAuth()
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case isBasic && !s.options.Admin.IsZero() && user+":"+password == s.options.Admin.Reveal():
		return caller{account: adminAccount, name: "admin", admin: true}
	case isBearer && !s.options.Token.IsZero() && token == s.options.Token.Reveal():
		return caller{account: tokenAccount, name: "admin", admin: true}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if isBearer {
		id, ok := s.ownerOf(token)
		return s.signedIn(id, ok)
	}
	id, ok := s.accountAt(user)
	return s.signedIn(id, ok && isBasic && s.opens(s.state.Objects["Account"][id], password))
}

func (s *Server) signedIn(id uint64, ok bool) caller {
	if !ok {
		return caller{}
	}
	o := s.state.Objects["Account"][id]
	roles, _ := o["roles"].(map[string]any)
	return caller{account: idText(id), name: s.address(o), admin: roles["@type"] == "Admin", shut: !may(o, "authenticate")}
}

// recordedSession is the live server's, with PUBLIC for its public URL, and
// WEBSOCKET for the same with another scheme.
//
//go:embed session.json
var recordedSession string

func (s *Server) serveSession(w http.ResponseWriter, who caller) {
	var session map[string]any
	text := strings.ReplaceAll(recordedSession, "PUBLIC", s.options.PublicURL)
	text = strings.ReplaceAll(text, "WEBSOCKET", "ws"+strings.TrimPrefix(s.options.PublicURL, "http"))
	text = strings.ReplaceAll(text, `"`+adminAccount+`"`, `"`+who.account+`"`)
	text = strings.ReplaceAll(text, `"admin"`, `"`+who.name+`"`)
	if err := json.Unmarshal([]byte(text), &session); err != nil {
		answerProblem(w, internal())
		return
	}
	if who.account == "" {
		session["accounts"], session["primaryAccounts"], session["username"] = map[string]any{}, map[string]any{}, ""
	}
	answerJSON(w, session)
}

// What a connection may end with.
var (
	// ErrRefused says that the address or the password is wrong.
	ErrRefused = errors.New("the mail server refused the sign-in")
	// ErrClosed says that the server closed the connection without a word, as it
	// does on somebody who may not sign in.
	ErrClosed = errors.New("the mail server closed the connection")
)

// Connection is a mail program's. What happens to its account does not end it:
// neither a freeze, nor a new password, nor the account's end.
type Connection struct {
	server  *Server
	account string
	seen    time.Duration
	closed  bool
}

// Login signs in as a mail program does, by address or alias. It fails with
// ErrRefused, or with ErrClosed for an account that may not sign in.
func (s *Server) Login(address, password string) (*Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.accountAt(address)
	o := s.state.Objects["Account"][id]
	switch {
	case !ok || !s.opens(o, password):
		return nil, ErrRefused
	case !may(o, "authenticate") || !may(o, "imapAuthenticate"):
		return nil, ErrClosed
	}
	return &Connection{server: s, account: idText(id), seen: s.options.Clock.Running()}, nil
}

// Read is how many bytes the connection sees, or ErrClosed after it was closed
// or silent for longer than the server lets it be.
func (c *Connection) Read() (int64, error) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	now := c.server.options.Clock.Running()
	if c.closed || now-c.seen > c.server.idle() {
		c.closed = true
		return 0, ErrClosed
	}
	c.seen = now
	return c.server.state.Used[c.account], nil
}

// Close ends the connection. It may be repeated.
func (c *Connection) Close() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.closed = true
}
