// Package standin is a mail server that speaks Stalwart's management API as the
// recordings in ../testdata show it, for tests and for running the platform
// without a mail server. It knows x:Domain and x:DkimSignature; every other
// object is an unknown method. It handles no mail.
package standin

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

// Options say how the server is set up.
type Options struct {
	// File keeps the state over a restart; "" keeps it in memory.
	File string
	// Admin is the recovery administrator's user:password, and Token an API key.
	// A zero one is never accepted.
	Admin platform.Secret
	Token platform.Secret
	Clock platform.Clock
	// PublicURL is where the server believes to be (https://mail.dezky.test). The
	// session speaks of it, whatever address was dialled.
	PublicURL string
	// Hostname is the host in DNS records (mail.dezky.test).
	Hostname string
	// FirstKey and SecondKey are how long after a domain its Ed25519 and its RSA
	// key appear (5 ms and 0.3 s).
	FirstKey  time.Duration
	SecondKey time.Duration
}

// Server is the stand-in. Its stage labels a call to the API with its method
// names, such as "x:Domain/query x:Domain/get", and any other with its path.
type Server struct {
	options Options
	handler http.Handler
	stage   stage.Stage

	mu    sync.Mutex
	state state
	// changed says that the state is not in its file yet.
	changed bool
}

// state is all that outlives a request.
type state struct {
	// LastDomain counts domains, since their ids are never used again.
	LastDomain uint64
	LastKey    uint64
	Objects    map[string]table
	Pending    []pendingKey
}

// New starts a server with the state of its file.
func New(o Options) (*Server, error) {
	if o.PublicURL == "" {
		o.PublicURL = "https://mail.dezky.test"
	}
	if o.Hostname == "" {
		o.Hostname = "mail.dezky.test"
	}
	if o.FirstKey == 0 {
		o.FirstKey = 5 * time.Millisecond
	}
	if o.SecondKey == 0 {
		o.SecondKey = 300 * time.Millisecond
	}
	s := &Server{options: o, state: state{Objects: map[string]table{"Domain": {}, "DkimSignature": {}}}}
	s.stage.Label = label
	s.handler = s.stage.Wrap(http.HandlerFunc(s.route))
	if err := stage.Load(o.File, &s.state); err != nil {
		return nil, fmt.Errorf("read the state of the Stalwart stand-in: %w", err)
	}
	return s, nil
}

// Stage is where faults are set and calls are counted.
func (s *Server) Stage() *stage.Stage { return &s.stage }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Domain is what a test looks at.
type Domain struct {
	ID          string
	Description string
	// Keys is how many DKIM keys there are by now.
	Keys int
}

// Domains are the domains by name.
func (s *Server) Domains() map[string]Domain {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.growKeys()
	all := map[string]Domain{}
	for id, d := range s.state.Objects["Domain"] {
		text, _ := d["description"].(string)
		name, _ := d["name"].(string)
		all[name] = Domain{ID: idText(id), Description: text, Keys: len(s.keysOf(idText(id)))}
	}
	return all
}

// label reads the method names out of a call to the API.
func label(r *http.Request, body []byte) string {
	var envelope struct{ MethodCalls [][]json.RawMessage }
	if !isAPI(r) || json.Unmarshal(body, &envelope) != nil {
		return r.Method + " " + r.URL.Path
	}
	var names []string
	for _, call := range envelope.MethodCalls {
		var name string
		if len(call) > 0 && json.Unmarshal(call[0], &name) == nil {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func isAPI(r *http.Request) bool {
	return r.Method == http.MethodPost && (r.URL.Path == "/jmap" || r.URL.Path == "/jmap/")
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	account := s.account(r)
	switch path := r.URL.Path; {
	case path == "/healthz/live" || path == "/healthz/ready":
		answerProblem(w, problem{Type: "about:blank", Status: 200, Title: "OK", Detail: "OK"})
	case path == "/.well-known/jmap":
		w.Header().Set("Location", "/jmap/session")
		w.WriteHeader(http.StatusTemporaryRedirect)
	case account == "" && (r.Header.Get("Authorization") != "" || path != "/jmap/session"):
		w.Header().Add("WWW-Authenticate", `Bearer realm="Stalwart Server", resource_metadata="/.well-known/oauth-protected-resource"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="Stalwart Server"`)
		answerProblem(w, problem{Type: "about:blank", Status: 401, Title: "Unauthorized", Detail: "You have to authenticate first."})
	case path == "/jmap/session" && r.Method == http.MethodGet:
		s.serveSession(w, account)
	case path == "/api/account" && r.Method == http.MethodGet:
		answerJSON(w, map[string]any{"permissions": permissions(), "edition": "oss", "locale": "POSIX"})
	case isAPI(r):
		s.serveAPI(w, r, account)
	default:
		answerProblem(w, problem{Type: "about:blank", Status: 404, Title: "Not Found", Detail: "The requested resource does not exist on this server."})
	}
}

// Who may call: the recovery administrator, who is no account object, and the
// owner of the API key.
const (
	adminAccount = "d333333"
	tokenAccount = "f"
)

func (s *Server) account(r *http.Request) string {
	user, password, isBasic := r.BasicAuth()
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case isBasic && !s.options.Admin.IsZero() && user+":"+password == s.options.Admin.Reveal():
		return adminAccount
	case isBearer && !s.options.Token.IsZero() && token == s.options.Token.Reveal():
		return tokenAccount
	}
	return ""
}

func permissions() []string {
	var all []string
	for _, object := range []string{"Domain", "DkimSignature"} {
		for _, operation := range []string{"Get", "Create", "Update", "Destroy", "Query"} {
			all = append(all, "sys"+object+operation)
		}
	}
	return append(all, "authenticate", "impersonate", "unlimitedRequests")
}

// recordedSession is the live server's, with PUBLIC for its public URL, and
// WEBSOCKET for the same with another scheme.
//
//go:embed session.json
var recordedSession string

func (s *Server) serveSession(w http.ResponseWriter, account string) {
	var session map[string]any
	text := strings.ReplaceAll(recordedSession, "PUBLIC", s.options.PublicURL)
	text = strings.ReplaceAll(text, "WEBSOCKET", "ws"+strings.TrimPrefix(s.options.PublicURL, "http"))
	text = strings.ReplaceAll(text, `"`+adminAccount+`"`, `"`+account+`"`)
	if err := json.Unmarshal([]byte(text), &session); err != nil {
		answerProblem(w, internal())
		return
	}
	if account == "" {
		session["accounts"], session["primaryAccounts"], session["username"] = map[string]any{}, map[string]any{}, ""
	}
	answerJSON(w, session)
}

// problem is the body of every answer that is not a success (RFC 7807).
type problem struct {
	Type   string `json:"type"`
	Status int    `json:"status"`
	Title  string `json:"title,omitempty"`
	Detail string `json:"detail"`
	Limit  string `json:"limit,omitempty"`
}

func internal() problem {
	return problem{Type: "about:blank", Status: 500, Title: "Internal Server Error", Detail: "There was a problem while processing your request."}
}

func answerProblem(w http.ResponseWriter, p problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	encode(w, p)
}

func answerJSON(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	encode(w, body)
}

// encode ignores a client that went away: a stand-in has nobody to tell.
func encode(w http.ResponseWriter, body any) {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(body) //nolint:errcheck // see above
}
