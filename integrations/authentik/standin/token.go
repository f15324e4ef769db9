package standin

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lestrrat-go/jwx/v2/jws"
)

// The platform's own applications. Each is an issuer of its own; its name is the
// client id and so the audience of its tokens.
const (
	Portal   = "dezky-portal"
	Operator = "dezky-operator"
)

// Applications are the platform's own applications.
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
// browser, which makes a session. The application is named by its slug or its
// client id. It fails for those who may not use it.
func (s *Server) SignIn(username, application string, options ...Option) (string, error) {
	tokens, err := s.issue(username, application, grant{}, options...)
	return tokens.access, err
}

// grant is what a sign-in brings, and what it goes on from.
type grant struct {
	// scope brings an ID token, if there is any, and with offline_access a refresh
	// token.
	scope []string
	// offline is the sid of the refresh token that was spent; "" makes a session.
	offline string
}

// issued are the tokens of one sign-in.
type issued struct{ access, id, refresh string }

// issue signs somebody in, or goes on without their session.
func (s *Server) issue(username, application string, g grant, options ...Option) (issued, error) {
	var tokens issued
	var access, id token
	err := s.change(func() error {
		app, p, u, err := s.admit(username, application)
		if err != nil {
			return err
		}
		sid := g.offline
		if sid == "" {
			sid = s.addSession(u, app.Slug).sid()
		}
		access = s.prepare(app, p, u, sid, options...)
		if len(g.scope) > 0 {
			id = s.prepare(app, p, u, sid, append(slices.Clone(options), IDToken())...)
		}
		if slices.Contains(g.scope, offlineAccess) {
			tokens.refresh = s.addRefreshToken(u, p, g).Token
		}
		return nil
	})
	if err == nil {
		tokens.access, err = access.sign()
	}
	if err == nil && len(g.scope) > 0 {
		tokens.id, err = id.sign()
	}
	return tokens, err
}

// prepare is a token that is not signed yet.
func (s *Server) prepare(app *application, p *provider, u *user, sid string, options ...Option) token {
	t := token{header: map[string]any{}, claims: map[string]any{}, lifetime: Lifetime}
	for _, change := range options {
		change(&t)
	}
	if t.key == nil {
		t.key = s.state.Keys[app.Slug][0]
	}
	header := map[string]any{"alg": t.key.algorithm.String(), "kid": t.key.ID, "typ": "JWT"}
	claims := s.claims(app, p, u, sid, t)
	override(header, t.header)
	override(claims, t.claims)
	t.header, t.claims = header, claims
	return t
}

// claims are what the real one says with its mappings for openid, email and
// profile. An access token is an ID token with azp and uid.
func (s *Server) claims(app *application, p *provider, u *user, sid string, t token) map[string]any {
	methods := []string{"pwd"}
	if t.mfa || (u.Person != nil && u.Person.MFA) {
		methods = append(methods, "mfa")
	}
	now := s.clock.Now()
	claims := s.profile(u)
	maps.Copy(claims, map[string]any{
		"iss": issuerURL(s.base, app.Slug), "aud": p.ClientID,
		"exp": now.Add(t.lifetime).Unix(), "iat": now.Unix(), "auth_time": now.Unix(),
		"acr": "goauthentik.io/providers/oauth2/default", "amr": methods, "sid": sid, "nonce": rand.Text(),
	})
	if !t.id {
		claims["azp"] = p.ClientID
		claims["uid"] = rand.Text()
	}
	return claims
}

// profile is what tokens and userinfo say of a user.
func (s *Server) profile(u *user) map[string]any {
	return map[string]any{
		"sub": u.UUID, "email": u.Email, "email_verified": u.Person != nil && !u.Person.EmailUnverified,
		"name": u.Name, "given_name": u.Name, "preferred_username": u.Username, "nickname": u.Username,
		"groups": s.groupNames(u),
	}
}

func issuerURL(base, application string) string {
	return base + "/application/o/" + application + "/"
}

// override puts changes over values; nil takes a value away.
func override(values, changes map[string]any) {
	maps.Copy(values, changes)
	maps.DeleteFunc(values, func(_ string, value any) bool { return value == nil })
}

func (t token) sign() (string, error) {
	head, err := json.Marshal(t.header)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(t.claims)
	if err != nil {
		return "", err
	}
	signer, err := jws.NewSigner(t.key.algorithm)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := signer.Sign([]byte(text), t.key.private)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", t.key.algorithm, err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
