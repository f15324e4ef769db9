package graph

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/dezky/platform/platform"
)

const (
	// signInSkew is how far the issuer's clock and ours may differ.
	signInSkew = 30 * time.Second
	// signInLongest is the longest life of a token. One that claims more was not
	// meant for people who leave.
	signInLongest = 366 * 24 * time.Hour
	// signInToken is the length of the longest token that is looked at.
	signInToken = 16 << 10
	// signInSeen is how many tokens are remembered once they were found good.
	signInSeen = 10_000
)

// SignInOptions are what a SignIn needs. Every field is required.
type SignInOptions struct {
	// Issuers are the issuers whose tokens are taken, written as in the claim iss,
	// slash at the end included. Each is asked for its own keys, and a key counts
	// for its own issuer only.
	Issuers []string
	// Audience is whom tokens may be for, and by whom (azp) they may be asked for.
	Audience  []string
	Transport http.RoundTripper
	Clock     platform.Clock
	Log       *slog.Logger
}

// SignIn checks access tokens. It is safe for use by many at once.
type SignIn struct {
	audience []string
	clock    platform.Clock
	sets     map[string]*keySet // by issuer
	seen     *lru.Cache[[sha256.Size]byte, *signInPass]
}

// signInPass is a token that was found good.
type signInPass struct {
	identity platform.Identity
	set      *keySet
	key      *keySetKey
	from     time.Time // good from here, the skew included
	until    time.Time // and up to here
}

// NewSignIn makes a SignIn. It asks no issuer for anything before the first
// token comes.
func NewSignIn(o SignInOptions) *SignIn {
	seen, _ := lru.New[[sha256.Size]byte, *signInPass](signInSeen) //nolint:errcheck // only a size below one is an error
	s := &SignIn{audience: o.Audience, clock: o.Clock, sets: map[string]*keySet{}, seen: seen}
	for _, issuer := range o.Issuers {
		s.sets[issuer] = newKeySet(issuer, o)
	}
	return s
}

// BearerToken cuts the token out of an Authorization header. It is "" where
// there is no header; a header of another form is Unauthenticated.
func BearerToken(header string) (string, error) {
	if header == "" {
		return "", nil
	}
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.Trim(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", platform.Errorf(platform.Unauthenticated, "Sign in with a bearer token.")
	}
	return token, nil
}

// Check says who bears the token. It fails with Unauthenticated for a token
// that is not good, and with Unavailable while an issuer has never yet given us
// its keys. What it answers shares its lists with later answers: they are not
// to be changed.
func (s *SignIn) Check(ctx context.Context, token string) (*platform.Identity, error) {
	if len(token) > signInToken {
		return nil, signInRefusal("it has %d bytes", len(token))
	}
	var buffer [2048]byte // keeps the usual token off the heap
	sum := sha256.Sum256(append(buffer[:0], token...))
	pass, known := s.seen.Get(sum)
	if known && !s.stillGood(ctx, pass) {
		s.seen.Remove(sum)
		known = false
	}
	if !known {
		var err error
		if pass, err = s.check(ctx, token); err != nil {
			return nil, err
		}
		s.seen.Add(sum, pass)
	}
	identity := pass.identity
	return &identity, nil
}

// stillGood says whether a token that was good is so now. Its key must still be
// published, which also lets keys grow no older than they may.
func (s *SignIn) stillGood(ctx context.Context, pass *signInPass) bool {
	now := s.clock.Now()
	if now.Before(pass.from) || !now.Before(pass.until) {
		return false
	}
	key, err := pass.set.key(ctx, pass.key.id)
	return err == nil && key == pass.key
}

// check reads a token of which nothing is known. Nothing that the token says of
// itself is believed before its signature is checked, but for whose it claims
// to be: that chooses the one set of keys which can prove it.
func (s *SignIn) check(ctx context.Context, token string) (*signInPass, error) {
	parts, err := signInSplit(token)
	if err != nil {
		return nil, err
	}
	alg, kid, err := parts.header.algorithm()
	if err != nil {
		return nil, err
	}
	issuer, err := parts.claims.text("iss")
	if err != nil {
		return nil, err
	}
	set := s.sets[issuer]
	if set == nil {
		return nil, signInRefusal("its issuer %.100q is not one of ours", issuer)
	}
	key, err := set.key(ctx, kid)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, signInRefusal("%s has no key %.100q", issuer, kid)
	}
	if !key.fits(alg) {
		return nil, signInRefusal("the key %.100q is not for %s", kid, alg)
	}
	verifier, err := jws.NewVerifier(jwa.SignatureAlgorithm(alg))
	if err != nil {
		return nil, signInRefusal("%w", err)
	}
	if err := verifier.Verify([]byte(parts.signed), parts.signature, key.raw); err != nil {
		return nil, signInRefusal("its signature is wrong: %w", err)
	}
	pass, err := s.read(parts.claims)
	if err != nil {
		return nil, err
	}
	pass.identity.Issuer, pass.set, pass.key = issuer, set, key
	return pass, nil
}

// read checks the claims of a token whose signature is good.
func (s *SignIn) read(claims signInClaims) (*signInPass, error) {
	times, err := claims.times()
	if err != nil {
		return nil, err
	}
	pass := &signInPass{from: times.from(), until: times.expires.Add(signInSkew)}
	switch now := s.clock.Now(); {
	case !now.Before(pass.until):
		return nil, platform.Errorf(platform.Unauthenticated, "The token has expired.").
			Because(fmt.Errorf("it expired at %s", times.expires))
	case now.Before(pass.from):
		return nil, signInRefusal("it is from the future, of %s", pass.from)
	case times.expires.Sub(now) > signInLongest:
		return nil, signInRefusal("it lives until %s", times.expires)
	}
	if err := claims.access(); err != nil {
		return nil, err
	}
	if pass.identity, err = claims.identity(); err != nil {
		return nil, err
	}
	ours := func(name string) bool { return slices.Contains(s.audience, name) }
	if !slices.ContainsFunc(pass.identity.Audience, ours) {
		return nil, signInRefusal("it is for %.200q", pass.identity.Audience)
	}
	if party, err := claims.textIfAny("azp"); err != nil || (claims["azp"] != nil && !ours(party)) {
		return nil, signInRefusal("it was issued to %.100q", party)
	}
	pass.identity.Expires = platform.At(times.expires)
	pass.identity.IssuedAt = signInTime(times.issued)
	pass.identity.SignedInAt = signInTime(times.signedIn)
	return pass, nil
}

func signInTime(t time.Time) platform.Time {
	if t.IsZero() {
		return platform.Time{}
	}
	return platform.At(t)
}

// signInRefusal is the one answer to every token that is not good. The cause is
// for the log and never holds the token.
func signInRefusal(format string, args ...any) error {
	return platform.Errorf(platform.Unauthenticated, "The token is not valid.").Because(fmt.Errorf(format, args...))
}
