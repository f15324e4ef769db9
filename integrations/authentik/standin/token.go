package standin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/lestrrat-go/jwx/v2/jws"
)

// The applications. Each is an issuer of its own; its name is the client id and
// so the audience of its tokens.
const (
	Portal   = "dezky-portal"
	Operator = "dezky-operator"
)

// Applications are all applications.
func Applications() []string { return []string{Portal, Operator} }

// Lifetime is how long a token is good, unless an option says otherwise.
const Lifetime = 10 * time.Minute

// Option makes a token differ from what the real one would issue.
type Option func(*token)

type token struct {
	header   map[string]any
	claims   map[string]any
	lifetime time.Duration
	id, mfa  bool
	key      *Key
}

// Claim sets a claim, or takes it away where the value is nil.
func Claim(name string, value any) Option {
	return func(t *token) { t.claims[name] = value }
}

// Header sets a field of the header, or takes it away where the value is nil.
// The signature stays that of the key's own algorithm.
func Header(name string, value any) Option {
	return func(t *token) { t.header[name] = value }
}

// ExpiresIn sets how long the token is good; it may be negative.
func ExpiresIn(d time.Duration) Option {
	return func(t *token) { t.lifetime = d }
}

// IDToken makes an ID token.
func IDToken() Option { return func(t *token) { t.id = true } }

// WithMFA says that a second factor was used.
func WithMFA() Option { return func(t *token) { t.mfa = true } }

// SignedBy signs with a key that is not, or no longer, the application's. It is
// named by its own kid unless Header says otherwise.
func SignedBy(k *Key) Option { return func(t *token) { t.key = k } }

// SignIn issues an access token, as after signing in to an application in the
// browser.
func (s *Server) SignIn(username, application string, options ...Option) (string, error) {
	t := token{header: map[string]any{}, claims: map[string]any{}, lifetime: Lifetime}
	for _, change := range options {
		change(&t)
	}
	s.mu.RLock()
	claims, err := s.claims(username, application, t)
	if t.key == nil && err == nil {
		t.key = s.state.Keys[application][0]
	}
	s.mu.RUnlock()
	if err != nil {
		return "", err
	}
	header := map[string]any{"alg": t.key.algorithm.String(), "kid": t.key.ID, "typ": "JWT"}
	override(header, t.header)
	override(claims, t.claims)
	return sign(header, claims, t.key)
}

// claims are what the real one says with its mappings for openid, email and
// profile. An access token is an ID token with azp and uid.
func (s *Server) claims(username, application string, t token) (map[string]any, error) {
	if s.state.Keys[application] == nil {
		return nil, fmt.Errorf("there is no application %s", application)
	}
	u, err := s.signInUser(username)
	if err != nil {
		return nil, err
	}
	person := Person{EmailUnverified: true}
	if u.Person != nil {
		person = *u.Person
	}
	methods := []string{"pwd"}
	if t.mfa || person.MFA {
		methods = append(methods, "mfa")
	}
	now := s.clock.Now()
	claims := map[string]any{
		"iss": issuerURL(s.base, application), "sub": u.UUID, "aud": application,
		"exp": now.Add(t.lifetime).Unix(), "iat": now.Unix(), "auth_time": now.Unix(),
		"acr": "goauthentik.io/providers/oauth2/default", "amr": methods,
		"sid": fmt.Sprintf("%x", sha256.Sum256([]byte(rand.Text()))), "nonce": rand.Text(),
		"email": u.Email, "email_verified": !person.EmailUnverified,
		"name": u.Name, "given_name": u.Name, "preferred_username": u.Username, "nickname": u.Username,
		"groups": s.groupNames(u),
	}
	if !t.id {
		claims["azp"] = application
		claims["uid"] = rand.Text()
	}
	return claims, nil
}

func issuerURL(base, application string) string {
	return base + "/application/o/" + application + "/"
}

// override puts changes over values; nil takes a value away.
func override(values, changes map[string]any) {
	maps.Copy(values, changes)
	maps.DeleteFunc(values, func(_ string, value any) bool { return value == nil })
}

func sign(header, claims map[string]any, k *Key) (string, error) {
	head, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signer, err := jws.NewSigner(k.algorithm)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := signer.Sign([]byte(text), k.private)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", k.algorithm, err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
