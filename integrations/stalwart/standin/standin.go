// Package standin is a mail server that speaks Stalwart's management API as the
// recordings in ../testdata show it, for tests and for running the platform
// without a mail server. It keeps domains and their keys, accounts, mailing
// lists, failed tasks, API keys and app passwords, and shows a few settings;
// every other object is an unknown method. It moves no mail, and plays a server
// that was set up and is neither in bootstrap nor in recovery mode.
package standin

import (
	"encoding/json"
	"fmt"
	"maps"
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
	// StubbornKeys says that keys which are being made come even when their domain
	// has turned to manual keys meanwhile, as those of a running task do.
	StubbornKeys bool
}

// Server is the stand-in. Its stage labels a call to the API with its method
// names, such as "x:Domain/query x:Domain/get", and any other with its path.
type Server struct {
	options Options
	handler http.Handler
	stage   stage.Stage

	kinds []kind

	mu    sync.Mutex
	state state
	// addresses are who has each address, and follow from the state.
	addresses map[string]objectID
	// changed says that the state is not in its file yet.
	changed bool
}

// state is all that outlives a request.
type state struct {
	// LastDomain counts domains, since their ids are never used again.
	LastDomain uint64
	LastKey    uint64
	// Last counts every other kind whose ids are sequential.
	Last    map[string]uint64
	Objects map[string]table
	Pending []pendingKey
	// Used is how many bytes each account holds.
	Used map[string]int64
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
	s := &Server{options: o, kinds: allKinds(), addresses: map[string]objectID{}}
	s.stage.Label = label
	s.handler = s.stage.Wrap(http.HandlerFunc(s.route))
	if err := stage.Load(o.File, &s.state); err != nil {
		return nil, fmt.Errorf("read the state of the Stalwart stand-in: %w", err)
	}
	s.complete()
	return s, nil
}

// complete adds what a new server has, and what the file of an older one
// lacks.
func (s *Server) complete() {
	whole := defaults()
	maps.Copy(whole, s.state.Objects)
	s.state.Objects = whole
	if s.state.Last == nil {
		s.state.Last = map[string]uint64{}
	}
	if s.state.Used == nil {
		s.state.Used = map[string]int64{}
	}
	for _, name := range []string{"Account", "MailingList"} {
		for id, o := range s.state.Objects[name] {
			s.hold(name, id, o)
		}
	}
}

// Stage is where faults are set and calls are counted.
func (s *Server) Stage() *stage.Stage { return &s.stage }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

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
	who := s.caller(r)
	switch path := r.URL.Path; {
	case path == "/healthz/live" || path == "/healthz/ready":
		answerProblem(w, problem{Type: "about:blank", Status: 200, Title: "OK", Detail: "OK"})
	case path == "/.well-known/jmap":
		w.Header().Set("Location", "/jmap/session")
		w.WriteHeader(http.StatusTemporaryRedirect)
	case who.shut:
		answerProblem(w, problem{Type: "about:blank", Status: 403, Title: "Forbidden", Detail: "You do not have enough permissions to access this resource."})
	case who.account == "" && (r.Header.Get("Authorization") != "" || path != "/jmap/session"):
		w.Header().Add("WWW-Authenticate", `Bearer realm="Stalwart Server", resource_metadata="/.well-known/oauth-protected-resource"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="Stalwart Server"`)
		answerProblem(w, problem{Type: "about:blank", Status: 401, Title: "Unauthorized", Detail: "You have to authenticate first."})
	case path == "/jmap/session" && r.Method == http.MethodGet:
		s.serveSession(w, who)
	case path == "/api/account" && r.Method == http.MethodGet && who.admin:
		answerJSON(w, map[string]any{"permissions": permissions(), "edition": "oss", "locale": "POSIX"})
	case isAPI(r):
		s.serveAPI(w, r, who)
	default:
		answerProblem(w, problem{Type: "about:blank", Status: 404, Title: "Not Found", Detail: "The requested resource does not exist on this server."})
	}
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
