package standin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/dezky/platform/integrations/stage"
)

// claim is what the identity provider says about a bearer token.
type claim struct {
	good     bool
	username string
}

// claim asks the identity provider, before the state is locked.
func (s *Server) claim(r *http.Request) claim {
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !isBearer || s.options.UserInfo == "" {
		return claim{}
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, s.options.UserInfo, nil)
	if err != nil {
		return claim{}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return claim{}
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	var said struct {
		Username string `json:"preferred_username"`
	}
	err = json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&said)
	return claim{good: err == nil && res.StatusCode == http.StatusOK, username: said.Username}
}

// signIn is who is calling, or nil after an answer that says why not. What is
// wrong is challenged; a known account that is disabled, or a good token of
// somebody unknown, is not. The first request of a user makes their own drive.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, said claim) *user {
	if s.options.Clock.Running()-s.started < s.options.Starting {
		challenge(w, r)
		return nil
	}
	who := s.byPassword(r)
	switch {
	case said.good && said.username == "":
		w.WriteHeader(http.StatusInternalServerError)
		return nil
	case said.good:
		who = s.userNamed(said.username)
	case who == nil || who.Disabled && who.ID == s.state.Admin:
		challenge(w, r)
		return nil
	}
	if who == nil || who.Disabled {
		w.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	if said.good {
		now := s.options.Clock.Now()
		who.SignedIn = &now
	}
	isNew := s.personal(who.ID) == nil
	if isNew {
		s.state.Drives = append(s.state.Drives, &drive{
			Space: who.ID, Name: who.Name, Type: personal, Alias: "personal/" + who.Username, Changed: s.options.Clock.Now(),
		})
	}
	if isNew || said.good {
		if err := stage.Save(s.options.File, s.state); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return nil
		}
	}
	return who
}

// byPassword is the administrator by their app token, or a user by their
// password. Nobody signs in with their mail.
func (s *Server) byPassword(r *http.Request) *user {
	username, password, ok := r.BasicAuth()
	who := s.userNamed(username)
	switch {
	case !ok || who == nil || password == "":
		return nil
	case who.ID == s.state.Admin && password == s.options.Token.Reveal():
		return who
	case who.Password != "" && who.Password == hash(password):
		return who
	}
	return nil
}

// hash keeps passwords out of the file.
func hash(password string) string {
	if password == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}

// challenge is the proxy's 401: no body, and no challenge for a script.
func challenge(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Requested-With") != "XMLHttpRequest" {
		w.Header().Add("Www-Authenticate", fmt.Sprintf("Bearer realm=%q, charset=\"UTF-8\"", r.Host))
		w.Header().Add("Www-Authenticate", fmt.Sprintf("Basic realm=%q, charset=\"UTF-8\"", r.Host))
	}
	w.WriteHeader(http.StatusUnauthorized)
}
