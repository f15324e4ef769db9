package graph

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/dezky/platform/platform"
)

const (
	// keySetLife is the longest that a key which its issuer dropped still works
	// while the issuer answers.
	keySetLife = time.Hour
	// keySetPause is the least time between two fetches for keys that are not in
	// the set, whoever asks, and between two tries while the issuer is away.
	keySetPause = 10 * time.Second
	// keySetFirst is the same while there are no keys at all.
	keySetFirst = time.Second
	// keySetPatience is the longest that a request waits for a fetch.
	keySetPatience = time.Second
	keySetDeadline = 5 * time.Second
	keySetBody     = 1 << 20
	keySetMost     = 100
)

// keySetKey is a public key of an issuer. As long as it is published it stays
// the same pointer, so that a token that it verified can be told from one whose
// key is gone.
type keySetKey struct {
	id  string
	alg string // "" where the issuer does not say
	raw keySetPublic
}

type keySetPublic interface{ Equal(crypto.PublicKey) bool }

// keySet has the keys of one issuer. They are fetched when they are needed, in
// a goroutine of their own that ends within keySetDeadline: at most one at a
// time, and whoever waits for it may leave. When it fails the keys stay as they
// are.
type keySet struct {
	issuer string
	http   *http.Client
	clock  platform.Clock
	log    *slog.Logger

	mu      sync.Mutex
	keys    map[string]*keySetKey
	fetched time.Duration // when the keys came
	tried   time.Duration // when a fetch was begun last
	missed  time.Duration // when one was begun for a key that is not in the set
	away    bool          // the last fetch failed, or was not worth waiting for
	flight  chan struct{} // closed at the end of the fetch under way
}

func newKeySet(issuer string, o SignInOptions) *keySet {
	return &keySet{
		issuer: issuer,
		http: &http.Client{
			Transport:     o.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		clock:  o.Clock,
		log:    o.Log,
		missed: -keySetPause,
		tried:  -keySetPause,
	}
}

// key is the issuer's key of that id, or nil. Its error says that there are no
// keys to look in. It waits for no more than keySetPatience, and for two fetches
// at most: one that it found under way may have begun before the key was made.
func (s *keySet) key(ctx context.Context, id string) (*keySetKey, error) {
	k, fetch := s.look(ctx, id)
	if fetch != nil {
		patience, cancel := s.clock.WithTimeout(ctx, keySetPatience)
		defer cancel()
		for range 2 {
			if fetch == nil || !s.await(patience, fetch) {
				break
			}
			k, fetch = s.look(ctx, id)
		}
	}
	if k != nil {
		return k, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		return nil, platform.Errorf(platform.Unavailable, "Sign-in cannot be checked right now.").
			Because(fmt.Errorf("there are no keys of %s yet", s.issuer)).After(keySetFirst)
	}
	return nil, nil
}

// look finds a key and says for which fetch it is worth to wait, if any. Keys
// that are old, missing or not there at all start one.
func (s *keySet) look(ctx context.Context, id string) (*keySetKey, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, now := s.keys[id], s.clock.Running()
	switch {
	case s.keys == nil:
		s.fetchAfter(ctx, now, keySetFirst)
		return nil, s.flight
	case now-s.fetched >= keySetLife:
		s.fetchAfter(ctx, now, keySetPause)
		if k != nil && s.away {
			return k, nil
		}
		return k, s.flight
	case k == nil && s.flight == nil && now-s.missed >= keySetPause:
		s.missed = now
		s.fetchAfter(ctx, now, 0)
	}
	if k != nil {
		return k, nil
	}
	return nil, s.flight
}

// fetchAfter begins a fetch, unless one is under way or the last began less
// than pause ago.
func (s *keySet) fetchAfter(ctx context.Context, now, pause time.Duration) {
	if s.flight != nil || now-s.tried < pause {
		return
	}
	s.tried = now
	done := make(chan struct{})
	s.flight = done
	go func() {
		defer close(done)
		s.refresh(context.WithoutCancel(ctx))
	}()
}

// await says whether a fetch ended before the caller's patience did.
func (s *keySet) await(patience context.Context, fetch <-chan struct{}) bool {
	select {
	case <-fetch:
		return true
	case <-patience.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight == fetch && errors.Is(patience.Err(), context.DeadlineExceeded) {
		s.away = true
	}
	return false
}

// refresh fetches the keys and takes them over.
func (s *keySet) refresh(ctx context.Context) {
	keys, err := s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	s.away = err != nil
	if err != nil {
		s.log.WarnContext(ctx, "sign-in keys not refreshed", "issuer", s.issuer, "known", len(s.keys), "err", err)
		return
	}
	for id, k := range keys {
		if old := s.keys[id]; old != nil && old.alg == k.alg && old.raw.Equal(k.raw) {
			keys[id] = old
		}
	}
	s.keys, s.fetched = keys, s.clock.Running()
}

// fetch asks the issuer where its keys are, and then for the keys.
func (s *keySet) fetch(ctx context.Context) (map[string]*keySetKey, error) {
	ctx, cancel := s.clock.WithTimeout(ctx, keySetDeadline)
	defer cancel()
	var discovery struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	body, err := s.get(ctx, strings.TrimSuffix(s.issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &discovery); err != nil {
		return nil, fmt.Errorf("read the discovery document: %w", err)
	}
	if discovery.Issuer != s.issuer {
		return nil, fmt.Errorf("the discovery document is of %q", discovery.Issuer)
	}
	if err := sameOrigin(s.issuer, discovery.Keys); err != nil {
		return nil, err
	}
	if body, err = s.get(ctx, discovery.Keys); err != nil {
		return nil, err
	}
	return parseKeySet(body)
}

// sameOrigin keeps an issuer from sending us anywhere else.
func sameOrigin(issuer, keys string) error {
	ours, err := url.Parse(issuer)
	if err != nil {
		return err
	}
	theirs, err := url.Parse(keys)
	if err != nil {
		return err
	}
	if ours.Scheme != theirs.Scheme || ours.Host != theirs.Host {
		return fmt.Errorf("the keys are at %s://%s", theirs.Scheme, theirs.Host)
	}
	return nil
}

func (s *keySet) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	res, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // the body was read, or is given up
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d", address, res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, keySetBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > keySetBody {
		return nil, fmt.Errorf("%s answers with more than %d bytes", address, keySetBody)
	}
	return body, nil
}

// parseKeySet reads the keys that can verify tokens. What is no public key for
// signatures, or has no id, is left out; a set without any is an error.
func parseKeySet(body []byte) (map[string]*keySetKey, error) {
	set, err := jwk.Parse(body, jwk.WithIgnoreParseError(true))
	if err != nil {
		return nil, fmt.Errorf("read the key set: %w", err)
	}
	keys := map[string]*keySetKey{}
	for i := range min(set.Len(), keySetMost) {
		key, _ := set.Key(i)
		if k := usableKey(key); k != nil && keys[k.id] == nil {
			keys[k.id] = k
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key to check tokens with")
	}
	return keys, nil
}

// usableKey is the public half of a key that can verify tokens, or nil.
func usableKey(key jwk.Key) *keySetKey {
	if key.KeyID() == "" || (key.KeyUsage() != "" && key.KeyUsage() != string(jwk.ForSignature)) {
		return nil
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil
	}
	k := &keySetKey{id: key.KeyID(), alg: key.Algorithm().String()}
	var raw any
	if err := public.Raw(&raw); err != nil {
		return nil
	}
	switch raw := raw.(type) {
	case *rsa.PublicKey:
		if raw.N.BitLen() < 2048 || raw.N.BitLen() > 8192 {
			return nil
		}
		k.raw = raw
	case *ecdsa.PublicKey:
		k.raw = raw
	case ed25519.PublicKey:
		k.raw = raw
	default:
		return nil
	}
	return k
}

// fits says whether the key is one for the algorithm.
func (k *keySetKey) fits(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	switch raw := k.raw.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		bits := map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[alg]
		return raw.Curve.Params().BitSize == bits
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}
