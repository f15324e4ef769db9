package standin

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// sessionLifetime is how long a session is good.
const sessionLifetime = 14 * 24 * time.Hour

// session is a sign-in. Its tokens know it by a hash of its key, which nobody
// can match with its uuid.
type session struct {
	UUID        string    `json:"uuid"`
	Key         string    `json:"key"`
	User        int       `json:"user"`
	Application string    `json:"application"`
	Used        time.Time `json:"used"`
	Expires     time.Time `json:"expires"`
}

func (a *session) sid() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(a.Key))) }

func (s *Server) addSession(u *user, application string) *session {
	now := s.clock.Now().UTC()
	a := &session{
		UUID: newUUID(), Key: rand.Text(), User: u.PK, Application: application, Used: now, Expires: now.Add(sessionLifetime),
	}
	s.state.Sessions[a.UUID] = a
	s.sids[a.sid()] = a
	return a
}

func (s *Server) dropSession(a *session) {
	delete(s.state.Sessions, a.UUID)
	delete(s.sids, a.sid())
}

// endSessions ends a user's sessions, and not what they may go on with offline.
func (s *Server) endSessions(u *user) {
	for _, a := range s.sessionsOf(u) {
		s.dropSession(a)
	}
}

// sessionsOf are a user's sessions, the oldest first.
func (s *Server) sessionsOf(u *user) []*session {
	var all []*session
	for _, a := range s.state.Sessions {
		if a.User == u.PK {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b *session) int { return cmp.Or(a.Used.Compare(b.Used), cmp.Compare(a.UUID, b.UUID)) })
	return all
}

// Session is what a test wants to know of a session.
type Session struct {
	UUID        string
	Application string
	Expires     time.Time
}

// Sessions are somebody's sessions, the oldest first.
func (s *Server) Sessions(username string) []Session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := s.userNamed(username)
	if u == nil {
		return nil
	}
	var all []Session
	for _, a := range s.sessionsOf(u) {
		all = append(all, Session{UUID: a.UUID, Application: a.Application, Expires: a.Expires})
	}
	return all
}

func (s *Server) listSessions(r *http.Request) reply {
	set, refusal := filters(r, "user__username", "ordering search session__last_ip session__last_user_agent")
	if refusal != nil {
		return *refusal
	}
	var rows []any
	for _, pk := range slices.Sorted(maps.Keys(s.state.Users)) {
		u := s.state.Users[pk]
		if matches(set["user__username"], u.Username) {
			for _, a := range s.sessionsOf(u) {
				rows = append(rows, a.show())
			}
		}
	}
	return paged(r, rows)
}

func (a *session) show() map[string]any {
	const agent = "Mozilla/5.0 (stand-in)"
	return map[string]any{
		"uuid": a.UUID, "current": false, "user": a.User, "last_ip": "192.0.2.1", "last_user_agent": agent,
		"last_used": a.Used, "expires": a.Expires, "geo_ip": nil, "asn": nil,
		"user_agent": map[string]any{
			"device":     map[string]any{"brand": "", "family": "Other", "model": ""},
			"os":         map[string]any{"family": "Other", "major": "", "minor": "", "patch": "", "patch_minor": ""},
			"user_agent": map[string]any{"family": "Other", "major": "", "minor": "", "patch": ""},
			"string":     agent,
		},
	}
}

func (s *Server) deleteSession(r *http.Request) reply {
	a := s.state.Sessions[r.PathValue("session")]
	if a == nil {
		return notFound()
	}
	s.dropSession(a)
	return reply{status: http.StatusNoContent}
}

// deleteSessionsOf takes users' pks from the query, each in a parameter of its
// own, and counts what else went with the sessions too.
func (s *Server) deleteSessionsOf(r *http.Request) reply {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query["user_pks"]) == 0 {
		return reply{http.StatusBadRequest, map[string][]string{"user_pks": {"This field is required."}}}
	}
	var users []*user
	for i, value := range query["user_pks"] {
		pk, err := strconv.Atoi(value)
		if err != nil {
			wrong := map[string][]string{strconv.Itoa(i): {"A valid integer is required."}}
			return reply{http.StatusBadRequest, map[string]any{"user_pks": wrong}}
		}
		if u := s.state.Users[pk]; u != nil {
			users = append(users, u)
		}
	}
	before := len(s.state.Sessions)
	for _, u := range users {
		s.endSessions(u)
	}
	return ok(map[string]int{"deleted": 2 * (before - len(s.state.Sessions))})
}
