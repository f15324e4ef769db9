// Package standin plays Authentik for development and tests: the part of its
// REST API v3 that the client uses, with the traps of the real one, and an OIDC
// issuer with a key set for each application, the platform's own two and those
// made over the API. Their tokens are real, and so is who can get one: somebody
// active, with their password, in a group that the application is bound to.
//
// What it does not play it refuses aloud: a filter that the real API has and
// this one does not is answered with 501.
package standin

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

// Options are what a Server needs.
type Options struct {
	// File keeps everything, keys and the API token too, so that after a restart
	// every handle, session and token is still good; "" keeps it in memory.
	File string
	// Token is the API token. Without one it is the file's, or a new one.
	Token platform.Secret
	Clock platform.Clock
	// BaseURL is where clients find the server, without a slash at the end. It is
	// in every issuer. SetBaseURL sets it later.
	BaseURL string
}

// Server is an http.Handler. It is safe for use by many at once.
type Server struct {
	file   string
	clock  platform.Clock
	api    stage.Stage
	issuer stage.Stage
	routes http.Handler
	signIn http.Handler

	mu      sync.RWMutex
	base    string
	state   state
	named   map[string]*group
	members map[string]map[int]bool // by group
	sids    map[string]*session     // by what tokens call a session
	changes int

	saving sync.Mutex
	saved  int // of changes
}

// state is all that is kept in the file.
type state struct {
	Token    string            `json:"token"`
	NextUser int               `json:"nextUser"`
	Groups   map[string]*group `json:"groups"`
	Users    map[int]*user     `json:"users"`
	Keys     map[string][]*Key `json:"keys"` // by application, the newest first

	// NextNumber is the next pk of a provider, a refresh token or a device.
	NextNumber    int                     `json:"nextNumber"`
	Sessions      map[string]*session     `json:"sessions"` // by uuid
	RefreshTokens map[int]*refresh        `json:"refreshTokens"`
	Devices       map[int]*device         `json:"devices"`
	Applications  map[string]*application `json:"applications"` // by slug
	Bindings      map[string]*binding     `json:"bindings"`
	Providers     map[int]*provider       `json:"providers"`
}

func newState() state {
	return state{
		NextUser: 1, NextNumber: 1, Groups: map[string]*group{}, Users: map[int]*user{}, Keys: map[string][]*Key{},
		Sessions: map[string]*session{}, RefreshTokens: map[int]*refresh{}, Devices: map[int]*device{},
		Applications: map[string]*application{}, Bindings: map[string]*binding{}, Providers: map[int]*provider{},
	}
}

// New makes a server, with what its file remembers.
func New(o Options) (*Server, error) {
	s := &Server{
		file:    o.File,
		clock:   o.Clock,
		base:    strings.TrimRight(o.BaseURL, "/"),
		state:   newState(),
		named:   map[string]*group{},
		members: map[string]map[int]bool{},
		sids:    map[string]*session{},
	}
	if err := stage.Load(o.File, &s.state); err != nil {
		return nil, fmt.Errorf("read the state of the Authentik stand-in: %w", err)
	}
	for _, g := range s.state.Groups {
		s.named[g.Name] = g
		s.members[g.PK] = map[int]bool{}
	}
	for _, u := range s.state.Users {
		for _, pk := range u.Groups {
			s.members[pk][u.PK] = true
		}
	}
	for _, a := range s.state.Sessions {
		s.sids[a.sid()] = a
	}
	if err := s.settle(o.Token); err != nil {
		return nil, err
	}
	s.api.Label = func(r *http.Request, _ []byte) string {
		return r.Method + " " + strings.TrimPrefix(r.URL.Path, "/api/v3")
	}
	s.routes = s.api.Wrap(s.apiRoutes())
	s.signIn = s.issuer.Wrap(s.issuerRoutes())
	return s, s.save()
}

// settle makes what every server has: a token, the account that the token is
// of, and the platform's two applications.
func (s *Server) settle(token platform.Secret) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !token.IsZero() {
		s.state.Token = token.Reveal()
	}
	if s.state.Token == "" {
		s.state.Token = rand.Text()
	}
	if len(s.state.Users) == 0 {
		s.addUser(&user{UUID: newUUID(), Username: serviceAccount, Name: "Dezky backend", Type: "service_account", Path: "dezky", Active: true})
	}
	for _, slug := range Applications() {
		if err := s.settleApplication(slug); err != nil {
			return err
		}
	}
	s.changes++
	return nil
}

// serviceAccount is the user that the API token is of.
const serviceAccount = "dezky-backend"

// ServeHTTP answers the REST API, its health, and the issuers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/application/o/") {
		s.signIn.ServeHTTP(w, r)
		return
	}
	s.routes.ServeHTTP(w, r)
}

// Stage is where the REST API and its health can be made to fail, and where
// their calls are counted. A label is method and path without /api/v3, such as
// "POST /core/groups/". The issuers go on whatever happens to the API.
func (s *Server) Stage() *stage.Stage { return &s.api }

// IssuerStage is the same for discovery, key sets and the token endpoint, such
// as "GET /application/o/dezky-portal/jwks/".
func (s *Server) IssuerStage() *stage.Stage { return &s.issuer }

// Token is the API token.
func (s *Server) Token() platform.Secret {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return platform.NewSecret(s.state.Token)
}

// SetBaseURL says where clients find the server.
func (s *Server) SetBaseURL(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = strings.TrimRight(url, "/")
}

// Group is what a test wants to know of a group.
type Group struct {
	PK         string
	Attributes map[string]any
	Members    int
}

// Groups are all groups, by their names.
func (s *Server) Groups() map[string]Group {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := map[string]Group{}
	for _, g := range s.state.Groups {
		out := Group{PK: g.PK, Members: len(s.members[g.PK])}
		json.Unmarshal(g.Attributes, &out.Attributes) //nolint:errcheck // only objects are stored
		all[g.Name] = out
	}
	return all
}

// change does something to the state and keeps it.
func (s *Server) change(do func() error) error {
	s.mu.Lock()
	err := do()
	s.changes++
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.save()
}

// save returns when everything that was changed before is in the file. Those
// who wait together are served by one write.
func (s *Server) save() error {
	s.mu.RLock()
	mine := s.changes
	s.mu.RUnlock()
	s.saving.Lock()
	defer s.saving.Unlock()
	if s.file == "" || s.saved >= mine {
		return nil
	}
	s.mu.RLock()
	written := s.changes
	data, err := json.Marshal(s.state)
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	if err := stage.Save(s.file, json.RawMessage(data)); err != nil {
		return fmt.Errorf("keep the state of the Authentik stand-in: %w", err)
	}
	s.saved = written
	return nil
}

func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	return formatUUID(b, 4)
}

func formatUUID(b [16]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
