package standin

import (
	"cmp"
	"crypto/rand"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// refreshLifetime is how long a refresh token is good.
const refreshLifetime = 30 * 24 * time.Hour

// offlineAccess is the scope that brings a refresh token.
const offlineAccess = "offline_access"

// refresh is a refresh token. It survives the session that it came from.
type refresh struct {
	PK       int      `json:"pk"`
	Token    string   `json:"token"`
	User     int      `json:"user"`
	Provider int      `json:"provider"`
	Scope    []string `json:"scope"`
	// SID is how tokens made with it, and with those after it, call their session,
	// which is none.
	SID     string    `json:"sid"`
	Expires time.Time `json:"expires"`
}

// number is a pk for what has numbers.
func (s *Server) number() int {
	n := s.state.NextNumber
	s.state.NextNumber++
	return n
}

func (s *Server) addRefreshToken(u *user, p *provider, g grant) *refresh {
	t := &refresh{
		PK: s.number(), Token: secretText(80), User: u.PK, Provider: p.PK, Scope: g.scope,
		SID: cmp.Or(g.offline, (&session{Key: rand.Text()}).sid()), Expires: s.clock.Now().UTC().Add(refreshLifetime),
	}
	s.state.RefreshTokens[t.PK] = t
	return t
}

// offline is the refresh token that tokens with a sid were made with, or nil.
func (s *Server) offline(sid string) *refresh {
	for _, t := range s.state.RefreshTokens {
		if t.SID == sid {
			return t
		}
	}
	return nil
}

// spend takes a refresh token, which is good once, and says whose it was.
func (s *Server) spend(text, client, secret string) (username string, spent refresh, problem string) {
	problem = "invalid_grant"
	err := s.change(func() error {
		app := s.applicationOf(client)
		if app == nil || app.Provider == nil {
			problem = "invalid_client"
			return nil
		}
		p := s.state.Providers[*app.Provider]
		if p.ClientType == "confidential" && p.ClientSecret != secret {
			problem = "invalid_client"
			return nil
		}
		for pk, t := range s.state.RefreshTokens {
			if t.Token == text && t.Provider == p.PK && s.clock.Now().Before(t.Expires) {
				username, spent, problem = s.state.Users[t.User].Username, *t, ""
				delete(s.state.RefreshTokens, pk)
			}
		}
		return nil
	})
	if err != nil {
		return "", refresh{}, "server_error"
	}
	return username, spent, problem
}

// endTokens ends what a user could go on with offline.
func (s *Server) endTokens(u *user) {
	maps.DeleteFunc(s.state.RefreshTokens, func(_ int, t *refresh) bool { return t.User == u.PK })
}

// RefreshTokens are how many refresh tokens somebody has.
func (s *Server) RefreshTokens(username string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	u := s.userNamed(username)
	for _, t := range s.state.RefreshTokens {
		if u != nil && t.User == u.PK {
			n++
		}
	}
	return n
}

// SignInOffline signs somebody in as SignIn does, and gives them a refresh token
// with which they can go on when the session is over.
func (s *Server) SignInOffline(username, application string) (refreshToken string, err error) {
	tokens, err := s.issue(username, application, grant{scope: defaultScope(offlineAccess)})
	return tokens.refresh, err
}

func defaultScope(more ...string) []string {
	return append([]string{"openid", "email", "profile"}, more...)
}

func (s *Server) listRefreshTokens(r *http.Request) reply {
	set, refusal := filters(r, "user", "ordering provider search")
	if refusal != nil {
		return *refusal
	}
	user := 0
	if set["user"] != "" {
		var err error
		if user, err = strconv.Atoi(set["user"]); err != nil {
			return reply{http.StatusBadRequest, map[string][]string{"user": {"Enter a number."}}}
		}
		if s.state.Users[user] == nil {
			return reply{http.StatusBadRequest, map[string][]string{
				"user": {"Select a valid choice. That choice is not one of the available choices."},
			}}
		}
	}
	var rows []any
	for _, pk := range slices.Sorted(maps.Keys(s.state.RefreshTokens)) {
		if t := s.state.RefreshTokens[pk]; user == 0 || t.User == user {
			rows = append(rows, s.showRefreshToken(t, r))
		}
	}
	return paged(r, rows)
}

func (s *Server) showRefreshToken(t *refresh, r *http.Request) map[string]any {
	return map[string]any{
		"pk": t.PK, "provider": s.showProvider(s.state.Providers[t.Provider]), "user": s.showUser(s.state.Users[t.User], r),
		"is_expired": s.clock.Now().After(t.Expires), "expires": t.Expires, "scope": t.Scope, "id_token": "{}", "revoked": false,
	}
}

func (s *Server) deleteRefreshToken(r *http.Request) reply {
	pk, err := strconv.Atoi(r.PathValue("token"))
	if err != nil || s.state.RefreshTokens[pk] == nil {
		return notFound()
	}
	delete(s.state.RefreshTokens, pk)
	return reply{status: http.StatusNoContent}
}
