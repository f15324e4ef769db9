package standin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Password signs those in whom AddPerson made, until another is set for them.
// It is for development only.
const Password = "dezky-development"

var errWrongPassword = errors.New("the username or the password is wrong")

// setPassword is the API's. What it refuses it refuses without a word.
func (s *Server) setPassword(r *http.Request) reply {
	u := s.userOf(r)
	if u == nil {
		return notFound()
	}
	f, refusal := readForm(r)
	if refusal != nil {
		return *refusal
	}
	var password string
	f.read("password", &password, "Not a valid string.")
	if password == "" {
		return reply{status: http.StatusBadRequest}
	}
	u.Password = hashPassword(rand.Text(), password)
	u.PasswordSet = s.clock.Now().UTC()
	u.Updated = u.PasswordSet
	return reply{status: http.StatusNoContent}
}

func hashPassword(salt, password string) string {
	hash := sha256.Sum256([]byte(salt + ":" + password))
	return salt + ":" + base64.RawStdEncoding.EncodeToString(hash[:])
}

// knows says whether the password is the user's.
func (u *user) knows(password string) bool {
	if u.Password == "" {
		return u.Person != nil && password == Password
	}
	salt, _, _ := strings.Cut(u.Password, ":")
	return subtle.ConstantTimeCompare([]byte(u.Password), []byte(hashPassword(salt, password))) == 1
}

// CheckPassword says whether somebody could sign in with the password now.
func (s *Server) CheckPassword(username, password string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u, err := s.signInUser(username)
	return err == nil && u.knows(password)
}

// SignInWithPassword issues an access token to somebody who knows their
// password, is active, and may use the application, which is named by its slug
// or its client id. It makes a session.
func (s *Server) SignInWithPassword(username, password, application string) (string, error) {
	if !s.CheckPassword(username, password) {
		return "", fmt.Errorf("sign in %s: %w", username, errWrongPassword)
	}
	return s.SignIn(username, application)
}
