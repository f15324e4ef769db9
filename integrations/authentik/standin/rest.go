package standin

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// reply is an answer of the API.
type reply struct {
	status int
	body   any
}

func ok(body any) reply { return reply{http.StatusOK, body} }

func detail(status int, text string) reply {
	return reply{status, map[string]any{"detail": text}}
}

// notPlayed refuses what the real one has and nobody here should use: a PUT
// clears whatever it does not name.
func notPlayed(r *http.Request) reply {
	return detail(http.StatusNotImplemented, "The stand-in does not play "+r.Method+" here.")
}

func notFound() reply { return detail(http.StatusNotFound, "Not found.") }

// methods are what can be done with one path. Each runs under the server's
// lock, for GET the reading half.
type methods map[string]func(r *http.Request) reply

func (s *Server) apiRoutes() http.Handler {
	mux := http.NewServeMux()
	for path, m := range map[string]methods{
		"/core/groups/{$}":                     {"GET": s.listGroups, "POST": s.createGroup},
		"/core/groups/{group}/{$}":             {"GET": s.getGroup, "PUT": s.putGroup, "PATCH": s.patchGroup, "DELETE": s.deleteGroup},
		"/core/groups/{group}/add_user/{$}":    {"POST": s.addToGroup},
		"/core/groups/{group}/remove_user/{$}": {"POST": s.removeFromGroup},
		"/core/users/{$}":                      {"GET": s.listUsers, "POST": s.createUser},
		"/core/users/me/{$}":                   {"GET": s.me},
		"/core/users/{user}/{$}":               {"GET": s.getUser, "PUT": s.putUser, "PATCH": s.patchUser, "DELETE": s.deleteUser},
		"/core/users/{user}/set_password/{$}":  {"POST": s.setPassword},
		"/admin/version/{$}":                   {"GET": s.version},

		"/core/authenticated_sessions/{$}":             {"GET": s.listSessions},
		"/core/authenticated_sessions/bulk_delete/{$}": {"DELETE": s.deleteSessionsOf},
		"/core/authenticated_sessions/{session}/{$}":   {"DELETE": s.deleteSession},
		"/oauth2/refresh_tokens/{$}":                   {"GET": s.listRefreshTokens},
		"/oauth2/refresh_tokens/{token}/{$}":           {"DELETE": s.deleteRefreshToken},
		"/authenticators/admin/all/{$}":                {"GET": s.listDevices},

		"/core/applications/{$}":                      {"GET": s.listApplications, "POST": s.createApplication},
		"/core/applications/{application}/{$}":        {"GET": s.getApplication, "PUT": notPlayed, "PATCH": s.patchApplication, "DELETE": s.deleteApplication},
		"/policies/bindings/{$}":                      {"GET": s.listBindings, "POST": s.createBinding},
		"/policies/bindings/{binding}/{$}":            {"GET": s.getBinding, "PUT": notPlayed, "PATCH": s.patchBinding, "DELETE": s.deleteBinding},
		"/providers/oauth2/{$}":                       {"GET": s.listProviders, "POST": s.createProvider},
		"/providers/oauth2/{provider}/{$}":            {"GET": s.getProvider, "PUT": notPlayed, "PATCH": notPlayed, "DELETE": s.deleteProvider},
		"/providers/oauth2/{provider}/setup_urls/{$}": {"GET": s.setupURLs},
		"/flows/instances/{$}":                        {"GET": s.listFlows},
		"/crypto/certificatekeypairs/{$}":             {"GET": s.listKeyPairs},
		"/propertymappings/provider/scope/{$}":        {"GET": s.listScopeMappings},
	} {
		mux.Handle("/api/v3"+path, s.serve(m))
	}
	mux.Handle("/", s.serve(nil))
	for _, path := range []string{"/-/health/live/", "/-/health/ready/"} {
		mux.HandleFunc("GET "+path, func(http.ResponseWriter, *http.Request) {})
	}
	return withSlash(mux)
}

// withSlash sends a path without its last slash elsewhere, as Django does: to
// many clients a 301 means that a POST or DELETE becomes a GET.
func withSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") {
			next.ServeHTTP(w, r)
			return
		}
		to := url.URL{Path: r.URL.Path + "/", RawQuery: r.URL.RawQuery}
		w.Header().Set("Location", to.String())
		w.WriteHeader(http.StatusMovedPermanently)
	})
}

func (s *Server) serve(m methods) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, data, err := s.act(m, r)
		if err == nil && r.Method != http.MethodGet {
			err = s.save()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if answer.body == nil {
			w.WriteHeader(answer.status)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer.status)
		w.Write(data) //nolint:errcheck // a stand-in has nobody to tell
	})
}

// act answers one call and writes the answer out, in one step of the state.
func (s *Server) act(m methods, r *http.Request) (reply, []byte, error) {
	if r.Method == http.MethodGet {
		s.mu.RLock()
		defer s.mu.RUnlock()
	} else {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	answer := s.choose(m, r)
	if r.Method != http.MethodGet && answer.status < 300 {
		s.changes++
	}
	data, err := json.Marshal(answer.body)
	return answer, data, err
}

func (s *Server) choose(m methods, r *http.Request) reply {
	key, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	do := m[r.Method]
	switch {
	case !bearer:
		return detail(http.StatusForbidden, "Authentication credentials were not provided.")
	case key != s.state.Token:
		return detail(http.StatusForbidden, "Token invalid/expired")
	case m == nil:
		return notFound()
	case do == nil:
		return detail(http.StatusMethodNotAllowed, `Method "`+r.Method+`" not allowed.`)
	}
	return do(r)
}

// filters are the filters of a list that are played. Others that the real API
// has are refused; what it does not know, and what is empty, says nothing.
func filters(r *http.Request, played, missing string) (map[string]string, *reply) {
	query := r.URL.Query()
	for _, name := range strings.Fields(missing) {
		if query.Get(name) != "" {
			refusal := detail(http.StatusNotImplemented, "The stand-in does not play the filter "+name+".")
			return nil, &refusal
		}
	}
	set := map[string]string{}
	for _, name := range strings.Fields(played) {
		if value := query.Get(name); value != "" {
			set[name] = value
		}
	}
	return set, nil
}

// The sizes of pages, unless a tenant's settings say otherwise. A larger page
// is cut without a word.
const (
	defaultPageSize = 20
	maxPageSize     = 100
)

func paged(r *http.Request, rows []any) reply {
	size, err := strconv.Atoi(r.URL.Query().Get("page_size"))
	if err != nil || size < 1 {
		size = defaultPageSize
	}
	size = min(size, maxPageSize)
	number := 1
	if asked := r.URL.Query().Get("page"); asked != "" {
		if number, err = strconv.Atoi(asked); err != nil {
			number = 0
		}
	}
	pages := max(1, (len(rows)+size-1)/size)
	if number < 1 || number > pages {
		return detail(http.StatusNotFound, "Invalid page.")
	}
	start := (number - 1) * size
	end := min(start+size, len(rows))
	next := number + 1
	if number == pages {
		next = 0
	}
	return ok(map[string]any{
		"pagination": map[string]int{
			"next": next, "previous": number - 1, "count": len(rows), "current": number,
			"total_pages": pages, "start_index": min(start+1, len(rows)), "end_index": end,
		},
		"results":      append([]any{}, rows[start:end]...),
		"autocomplete": map[string]any{},
	})
}

// form is the body of a call, and what is wrong with it by field. A field that
// is not read is ignored, as the real API ignores what it does not know.
type form struct {
	fields map[string]json.RawMessage
	wrong  map[string][]string
}

func readForm(r *http.Request) (*form, *reply) {
	f := &form{wrong: map[string][]string{}}
	if kind := r.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
		refusal := detail(http.StatusUnsupportedMediaType, `Unsupported media type "`+kind+`" in request.`)
		return nil, &refusal
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &f.fields)
	}
	if err != nil {
		refusal := detail(http.StatusBadRequest, "JSON parse error - "+err.Error())
		return nil, &refusal
	}
	return f, nil
}

func (f *form) has(name string) bool { return f.fields[name] != nil }

func (f *form) blame(name, why string) { f.wrong[name] = append(f.wrong[name], why) }

// read puts a field into out, if it is there.
func (f *form) read(name string, out any, otherwise string) {
	if value := f.fields[name]; value != nil && json.Unmarshal(value, out) != nil {
		f.blame(name, otherwise)
	}
}

// text reads a field as Django does, without the blanks around it.
func (f *form) text(name string, out *string) {
	f.read(name, out, "Not a valid string.")
	*out = strings.TrimSpace(*out)
}

// object reads a field that replaces the whole object that was there.
func (f *form) object(name string, out *json.RawMessage) {
	var object map[string]any
	f.read(name, &object, "Value must be a dictionary, and not have any duplicate keys.")
	if object != nil {
		*out = f.fields[name]
	}
}

func (f *form) require(names ...string) {
	for _, name := range names {
		if !f.has(name) {
			f.blame(name, "This field is required.")
		}
	}
}

// refusal is the answer to a wrong form, or nil.
func (f *form) refusal() *reply {
	if len(f.wrong) == 0 {
		return nil
	}
	return &reply{http.StatusBadRequest, maps.Clone(f.wrong)}
}
