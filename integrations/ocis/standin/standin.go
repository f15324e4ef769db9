// Package standin is a file server that speaks the part of the Graph API that
// the platform uses, as the recordings in ../testdata show it: users, spaces and
// who may enter them. It has enough of WebDAV to see that: a file is a name and
// a size. Groups, roles to assign and app tokens to make are not played.
package standin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
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
	// Username and Token are the first administrator and their app token.
	Username string
	Token    platform.Secret
	Clock    platform.Clock
	// PublicURL is where the server believes to be (https://files.dezky.test).
	PublicURL string
	// UserInfo is the identity provider's userinfo endpoint, where a bearer token
	// is shown at every request, as the real one does with
	// PROXY_OIDC_ACCESS_TOKEN_VERIFY_METHOD=none. Without it no bearer token is
	// good.
	UserInfo string
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
	routes  []route
	stage   stage.Stage

	mu    sync.Mutex
	state state
}

// state is all that outlives a request.
type state struct {
	Storage string
	// Admin is the user that Options name. All others are plain users.
	Admin  string
	Drives []*drive
	Users  []*user
	// Departed are deleted users, whose names the server shows for a while.
	Departed []departed
}

// New starts a server with the state of its file.
func New(o Options) (*Server, error) {
	if o.PublicURL == "" {
		o.PublicURL = "https://files.dezky.test"
	}
	s := &Server{options: o, started: o.Clock.Running(), state: state{Storage: newUUID(), Admin: newUUID()}}
	s.routes = s.newRoutes()
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
	s.handler = s.stage.Wrap(http.HandlerFunc(s.serve))
	if err := stage.Load(o.File, &s.state); err != nil {
		return nil, fmt.Errorf("read the state of the oCIS stand-in: %w", err)
	}
	s.complete()
	return s, nil
}

// complete adds what a new state lacks, and one that was written before there
// were users and grants.
func (s *Server) complete() {
	admin := s.user(s.state.Admin)
	if admin == nil {
		admin = &user{
			ID: s.state.Admin, Name: "Admin", GivenName: "Admin", Surname: "Admin", Mail: "admin@example.org",
			Identities: []identity{{s.options.PublicURL, s.state.Admin}},
		}
		s.state.Users = append(s.state.Users, admin)
	}
	admin.Username = s.options.Username
	for _, d := range s.state.Drives {
		if d.Type == project && len(d.Grants) == 0 {
			d.Grants = []*grant{{User: admin.ID, Role: manager}}
		}
	}
}

// Stage is where faults are set and calls are counted.
func (s *Server) Stage() *stage.Stage { return &s.stage }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// call is one request of somebody who has signed in.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	user *user
	// ids are the parts of the path that the route leaves open.
	ids []string
}

// route is a path below /graph and what can be done there. A star stands for one
// part.
type route struct {
	path    string
	methods map[string]func(*call)
}

func (s *Server) newRoutes() []route {
	return []route{
		{"v1.0/me", map[string]func(*call){"GET": s.me}},
		{"v1.0/me/drive", map[string]func(*call){"GET": func(c *call) { s.showPersonal(c, c.user.ID) }}},
		{"v1.0/me/drives", map[string]func(*call){"GET": s.listMine}},
		{"v1.0/users", map[string]func(*call){"GET": s.listUsers, "POST": s.createUser}},
		{"v1.0/users/*", map[string]func(*call){"GET": s.showUser, "PATCH": s.changeUser, "DELETE": s.deleteUser}},
		{"v1.0/users/*/drive", map[string]func(*call){"GET": func(c *call) { s.showPersonal(c, c.ids[0]) }}},
		{"v1.0/drives", map[string]func(*call){"GET": s.listAll, "POST": s.create}},
		{"v1.0/drives/*", map[string]func(*call){"GET": s.show, "PATCH": s.change, "DELETE": s.remove}},
		{"v1beta1/drives/*/root/invite", map[string]func(*call){"POST": s.invite}},
		{"v1beta1/drives/*/root/permissions", map[string]func(*call){"GET": s.listGrants}},
		{"v1beta1/drives/*/root/permissions/*", map[string]func(*call){"PATCH": s.changeGrant, "DELETE": s.removeGrant}},
	}
}

// notPlayed are paths that the real one has and this one refuses aloud.
var notPlayed = []string{
	"/auth-app/", "/ocs/", "/graph/v1.0/groups", "/graph/v1.0/applications", "/graph/v1.0/education", "/graph/v1.0/me/", "/graph/v1.0/users/",
	"/graph/v1beta1/",
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/status.php" {
		answer(w, http.StatusOK, map[string]any{
			"installed": true, "maintenance": false, "needsDbUpgrade": false, "version": "0.1.0.0", "versionstring": "0.1.0",
			"edition": "Community", "productname": "OpenCloud", "product": "OpenCloud", "productversion": version,
		})
		return
	}
	w.Header().Set("X-Graph-Version", version)
	w.Header().Set("X-Request-Id", newUUID())
	claim := s.claim(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	who := s.signIn(w, r, claim)
	if who == nil {
		return
	}
	c := &call{w: w, r: r, user: who}
	if space, isDAV := strings.CutPrefix(r.URL.Path, "/dav/spaces/"); isDAV {
		s.serveFiles(c, space)
		return
	}
	if path, isGraph := strings.CutPrefix(r.URL.EscapedPath(), "/graph/"); isGraph {
		for _, route := range s.routes {
			if c.ids = route.match(path); c.ids != nil {
				route.dispatch(c)
				return
			}
		}
	}
	for _, prefix := range notPlayed {
		if strings.HasPrefix(r.URL.Path, prefix) {
			s.refuse(c)
			return
		}
	}
	http.NotFound(w, r)
}

// match gives the parts that stand for stars, or nil if the path is another.
func (t route) match(path string) []string {
	wanted, parts, ids := strings.Split(t.path, "/"), strings.Split(path, "/"), []string{}
	if len(wanted) != len(parts) {
		return nil
	}
	for i, part := range parts {
		if wanted[i] != "*" && wanted[i] != part {
			return nil
		}
		if wanted[i] == "*" {
			id, err := url.PathUnescape(part)
			if err != nil {
				return nil
			}
			ids = append(ids, id)
		}
	}
	return ids
}

func (t route) dispatch(c *call) {
	handle, ok := t.methods[c.r.Method]
	if !ok {
		for method := range t.methods {
			c.w.Header().Add("Allow", method)
		}
		c.w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	handle(c)
}

const version = "0.1.0+ebba86148"

// refuse says aloud that the real one would have done something.
func (s *Server) refuse(c *call) {
	http.Error(c.w, "The stand-in does not play "+c.r.Method+" "+c.r.URL.String()+".", http.StatusNotImplemented)
}

// fail answers as the graph service does, whatever the status.
func (s *Server) fail(c *call, status int, code, message string) {
	answer(c.w, status, map[string]any{"error": map[string]any{
		"code": code, "message": message,
		"innererror": map[string]any{
			"date": s.options.Clock.Now().UTC().Format(time.RFC3339), "request-id": c.w.Header().Get("X-Request-Id"),
		},
	}})
}

// done answers after the state was saved, so that nobody is told of what is
// lost.
func (s *Server) done(c *call, status int, body any) {
	if err := stage.Save(s.options.File, s.state); err != nil {
		s.fail(c, http.StatusInternalServerError, "generalException", "the state cannot be saved")
		return
	}
	answer(c.w, status, body)
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
		if d.Type == project {
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

// User is an account as a test looks at it.
type User struct {
	ID       string
	Username string
	Name     string
	Mail     string
	Enabled  bool
}

// Users are all accounts but the administrator's, by their usernames.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []User
	for _, u := range s.state.Users {
		if u.ID != s.state.Admin {
			all = append(all, User{ID: u.ID, Username: u.Username, Name: u.Name, Mail: u.Mail, Enabled: !u.Disabled})
		}
	}
	slices.SortFunc(all, func(a, b User) int { return cmp.Compare(a.Username, b.Username) })
	return all
}

// Grants are the roles on a space (manager, editor or viewer) by the ids of the
// accounts that have them, but for the administrator's. Accounts that are gone
// are among them.
func (s *Server) Grants(space string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]string{}
	if d := s.find(space); d != nil {
		for _, g := range d.Grants {
			if g.User != s.state.Admin {
				all[g.User] = words[g.Role]
			}
		}
	}
	return all
}
