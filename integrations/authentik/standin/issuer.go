package standin

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Password signs every user in. It is for development only.
const Password = "dezky-development"

func (s *Server) issuerRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /application/o/{application}/.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /application/o/{application}/jwks/", s.keySet)
	mux.HandleFunc("POST /application/o/token/", s.tokenEndpoint)
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
		"grant_types_supported":                 []string{"client_credentials"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{keys[0].algorithm.String()},
		"scopes_supported":                      []string{"openid", "email", "profile"},
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

// tokenEndpoint signs in without a browser, with a user's name and Password.
func (s *Server) tokenEndpoint(w http.ResponseWriter, r *http.Request) {
	username, application := r.PostFormValue("username"), r.PostFormValue("client_id")
	if r.PostFormValue("grant_type") != "client_credentials" {
		answerJSON(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type"})
		return
	}
	access, err := s.SignIn(username, application)
	if err != nil || r.PostFormValue("password") != Password {
		answerJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	id, err := s.SignIn(username, application, IDToken())
	if err != nil {
		answerJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	answerJSON(w, http.StatusOK, map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": int(Lifetime / time.Second), "id_token": id,
	})
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck // a stand-in has nobody to tell
}
