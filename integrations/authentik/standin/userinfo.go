package standin

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jws"
)

// userinfo says who a bearer of an access token is now. The real one looks the
// token up among those that it issued, and they go with their session; here the
// token's signature and its session are looked at.
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	bearer, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.RLock()
	var profile map[string]any
	if u := s.bearer(bearer); found && u != nil {
		profile = s.profile(u)
	}
	s.mu.RUnlock()
	if profile == nil {
		w.Header().Set("WWW-Authenticate", `error="invalid_token", error_description="The access token provided is expired, revoked, malformed, or invalid for other reasons"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	answerJSON(w, http.StatusOK, profile)
}

// bearer is the active user of an access token that is good now, or nil.
func (s *Server) bearer(text string) *user {
	var claims struct {
		Subject string `json:"sub"`
		Issuer  string `json:"iss"`
		Session string `json:"sid"`
		UID     string `json:"uid"`
		Expires int64  `json:"exp"`
	}
	message, err := jws.ParseString(text)
	if err != nil || json.Unmarshal(message.Payload(), &claims) != nil || claims.UID == "" {
		return nil
	}
	if claims.Expires <= s.clock.Now().Unix() || !s.signed(text, claims.Issuer) {
		return nil
	}
	var u *user
	if session := s.sids[claims.Session]; session != nil {
		u = s.state.Users[session.User]
	} else if token := s.offline(claims.Session); token != nil {
		u = s.state.Users[token.User]
	}
	if u == nil || !u.Active || u.UUID != claims.Subject {
		return nil
	}
	return u
}

// signed says that one of the keys of the issuer's application signed a token.
func (s *Server) signed(text, issuer string) bool {
	for slug, keys := range s.state.Keys {
		if issuerURL(s.base, slug) != issuer {
			continue
		}
		for _, k := range keys {
			if _, err := jws.Verify([]byte(text), jws.WithKey(k.algorithm, k.private.Public())); err == nil {
				return true
			}
		}
	}
	return false
}
