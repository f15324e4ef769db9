// Package standin is a file server that speaks the part of the Graph API that
// the platform uses, as the recordings in ../testdata show it: the project
// spaces, and who is asking. It stores no files.
package standin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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
	// Username and Token are the one user who may call, an administrator.
	Username string
	Token    platform.Secret
	Clock    platform.Clock
	// PublicURL is where the server believes to be (https://files.dezky.test).
	PublicURL string
	// Starting is how long after New everybody is answered 401, as a live server
	// does for a second or two.
	Starting time.Duration
}

// Server is the stand-in. Its stage labels a call with its method and path, and
// "(purge)" or "(restore)" after it where a header says so.
type Server struct {
	options Options
	started time.Duration
	handler http.Handler
	stage   stage.Stage

	mu    sync.Mutex
	state state
}

// state is all that outlives a request.
type state struct {
	Storage string
	Admin   string
	Drives  []*drive
}

// New starts a server with the state of its file.
func New(o Options) (*Server, error) {
	if o.PublicURL == "" {
		o.PublicURL = "https://files.dezky.test"
	}
	s := &Server{options: o, started: o.Clock.Running(), state: state{Storage: newUUID(), Admin: newUUID()}}
	s.state.Drives = []*drive{{
		Space: s.state.Admin, Name: "Admin", Type: "personal", Alias: "personal/" + o.Username, Changed: o.Clock.Now(),
	}}
	s.stage.Label = func(r *http.Request, _ []byte) string {
		label := r.Method + " " + r.URL.Path
		switch {
		case isSet(r, "Purge"):
			label += " (purge)"
		case isSet(r, "Restore"):
			label += " (restore)"
		}
		return label
	}
	s.handler = s.stage.Wrap(http.HandlerFunc(s.route))
	if err := stage.Load(o.File, &s.state); err != nil {
		return nil, fmt.Errorf("read the state of the oCIS stand-in: %w", err)
	}
	return s, nil
}

// Stage is where faults are set and calls are counted.
func (s *Server) Stage() *stage.Stage { return &s.stage }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Drive is a project space as a test looks at it.
type Drive struct {
	ID          string
	Name        string
	Description string
	Enabled     bool
}

// Drives are the project spaces, the smallest id first.
func (s *Server) Drives() []Drive {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Drive
	for _, d := range s.state.Drives {
		if d.Type == "project" {
			all = append(all, Drive{ID: s.id(d), Name: d.Name, Description: text(d.Description), Enabled: !d.Disabled})
		}
	}
	slices.SortFunc(all, func(a, b Drive) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Upload puts so many bytes into a space, as its members would.
func (s *Server) Upload(id string, bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.find(id)
	if d == nil {
		return fmt.Errorf("there is no drive %s", id)
	}
	d.Used += bytes
	d.Changed = s.options.Clock.Now()
	return stage.Save(s.options.File, s.state)
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/status.php" {
		answer(w, http.StatusOK, map[string]any{
			"installed": true, "maintenance": false, "needsDbUpgrade": false, "version": "0.1.0.0", "versionstring": "0.1.0",
			"edition": "Community", "productname": "OpenCloud", "product": "OpenCloud", "productversion": version,
		})
		return
	}
	w.Header().Set("X-Graph-Version", version)
	w.Header().Set("X-Request-Id", newUUID())
	if !s.mayCall(r) {
		challenge(w, r)
		return
	}
	path, isGraph := strings.CutPrefix(r.URL.Path, "/graph/v1.0/")
	id, isDrive := strings.CutPrefix(path, "drives/")
	switch {
	case isGraph && path == "me":
		s.dispatch(w, r, map[string]http.HandlerFunc{http.MethodGet: s.me})
	case isGraph && path == "drives":
		s.dispatch(w, r, map[string]http.HandlerFunc{http.MethodGet: s.list, http.MethodPost: s.create})
	case isGraph && isDrive && !strings.Contains(id, "/"):
		s.dispatch(w, r, map[string]http.HandlerFunc{
			http.MethodGet:    func(w http.ResponseWriter, _ *http.Request) { s.show(w, id) },
			http.MethodPatch:  func(w http.ResponseWriter, r *http.Request) { s.change(w, r, id) },
			http.MethodDelete: func(w http.ResponseWriter, r *http.Request) { s.remove(w, r, id) },
		})
	default:
		http.NotFound(w, r)
	}
}

const version = "0.1.0+ebba86148"

func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, methods map[string]http.HandlerFunc) {
	handle, ok := methods[r.Method]
	if !ok {
		for method := range methods {
			w.Header().Add("Allow", method)
		}
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	handle(w, r)
}

func (s *Server) mayCall(r *http.Request) bool {
	username, token, ok := r.BasicAuth()
	return ok && s.options.Clock.Running()-s.started >= s.options.Starting &&
		username == s.options.Username && !s.options.Token.IsZero() && token == s.options.Token.Reveal()
}

// challenge is the proxy's 401: no body, and no challenge for a script.
func challenge(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Requested-With") != "XMLHttpRequest" {
		w.Header().Add("Www-Authenticate", fmt.Sprintf("Bearer realm=%q, charset=\"UTF-8\"", r.Host))
		w.Header().Add("Www-Authenticate", fmt.Sprintf("Basic realm=%q, charset=\"UTF-8\"", r.Host))
	}
	w.WriteHeader(http.StatusUnauthorized)
}

func (s *Server) me(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"displayName": "Admin", "id": s.state.Admin, "mail": "admin@example.org", "onPremisesSamAccountName": s.options.Username,
		"identities":        []any{map[string]any{"issuer": s.options.PublicURL, "issuerAssignedId": s.state.Admin}},
		"preferredLanguage": "en", "userType": "Member",
	})
}

// fail answers as the graph service does, whatever the status.
func (s *Server) fail(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"error": map[string]any{
		"code": code, "message": message,
		"innererror": map[string]any{
			"date": s.options.Clock.Now().UTC().Format(time.RFC3339), "request-id": w.Header().Get("X-Request-Id"),
		},
	}})
}

// done answers after the state was saved, so that nobody is told of what is
// lost.
func (s *Server) done(w http.ResponseWriter, status int, body any) {
	if err := stage.Save(s.options.File, s.state); err != nil {
		s.fail(w, http.StatusInternalServerError, "generalException", "the state cannot be saved")
		return
	}
	answer(w, status, body)
}

func answer(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck // a client that went away has nothing to be told
}
