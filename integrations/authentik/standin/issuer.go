package standin

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

func (s *Server) issuerRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /application/o/{application}/.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /application/o/{application}/jwks/", s.keySet)
	mux.HandleFunc("POST /application/o/token/", s.tokenEndpoint)
	mux.HandleFunc("GET /application/o/userinfo/{$}", s.userinfo)
	mux.HandleFunc("POST /application/o/userinfo/{$}", s.userinfo)
	return mux
}

// Issuer is the issuer of an application's tokens.
func (s *Server) Issuer(application string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return issuerURL(s.base, application)
}

func (s *Server) discovery(w http.ResponseWriter, r *http.Request) {
	application := r.PathValue("application")
	s.mu.RLock()
	base, keys := s.base, s.state.Keys[application]
	s.mu.RUnlock()
	if keys == nil {
		http.NotFound(w, r)
		return
	}
	shared := base + "/application/o/"
	issuer := issuerURL(base, application)
	answerJSON(w, http.StatusOK, map[string]any{
		"issuer":                                issuer,
		"authorization_endpoint":                shared + "authorize/",
		"token_endpoint":                        shared + "token/",
		"userinfo_endpoint":                     shared + "userinfo/",
		"end_session_endpoint":                  issuer + "end-session/",
		"jwks_uri":                              issuer + "jwks/",
		"response_types_supported":              []string{"code"},
		"grant_types_supported":                 []string{"refresh_token", "client_credentials", "password"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{keys[0].algorithm.String()},
		"scopes_supported":                      append(defaultScope(), offlineAccess),
	})
}

func (s *Server) keySet(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	keys := s.state.Keys[r.PathValue("application")]
	s.mu.RUnlock()
	if keys == nil {
		http.NotFound(w, r)
		return
	}
	set := jwk.NewSet()
	for _, k := range keys {
		public, err := k.published()
		if err == nil {
			err = set.AddKey(public)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	answerJSON(w, http.StatusOK, set)
}

// tokenEndpoint signs in without a browser, with a user's name and password. To
// the real one both grants are the same, and its password is one for
// applications; here it is the user's own.
func (s *Server) tokenEndpoint(w http.ResponseWriter, r *http.Request) {
	username, client := r.PostFormValue("username"), r.PostFormValue("client_id")
	switch r.PostFormValue("grant_type") {
	case "client_credentials", "password":
		if !s.CheckPassword(username, r.PostFormValue("password")) {
			refuseToken(w, "invalid_grant")
			return
		}
		s.answerTokens(w, username, client, r.PostFormValue("scope"), "")
	case "refresh_token":
		username, spent, problem := s.spend(r.PostFormValue("refresh_token"), client, r.PostFormValue("client_secret"))
		if problem != "" {
			refuseToken(w, problem)
			return
		}
		s.answerTokens(w, username, client, strings.Join(spent.Scope, " "), spent.SID)
	default:
		refuseToken(w, "unsupported_grant_type")
	}
}

func (s *Server) answerTokens(w http.ResponseWriter, username, client, asked, offline string) {
	s.mu.RLock()
	_, p, _, err := s.admit(username, client)
	var scope []string
	if err == nil {
		scope = p.granted(asked)
	}
	s.mu.RUnlock()
	var tokens issued
	if err == nil {
		tokens, err = s.issue(username, client, grant{scope, offline})
	}
	if err != nil {
		refuseToken(w, "invalid_grant")
		return
	}
	answer := map[string]any{
		"access_token": tokens.access, "token_type": "Bearer", "scope": strings.Join(scope, " "),
		"expires_in": int(Lifetime / time.Second), "id_token": tokens.id,
	}
	if tokens.refresh != "" {
		answer["refresh_token"] = tokens.refresh
	}
	w.Header().Set("Cache-Control", "no-store")
	answerJSON(w, http.StatusOK, answer)
}

func refuseToken(w http.ResponseWriter, problem string) {
	answerJSON(w, http.StatusBadRequest, map[string]string{"error": problem})
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck // a stand-in has nobody to tell
}
