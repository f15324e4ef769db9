package standin

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Key signs tokens.
type Key struct {
	ID        string
	algorithm jwa.SignatureAlgorithm
	private   crypto.Signer
	written   json.RawMessage // as a JWK, the private half included
}

// NewKey makes a key for an algorithm, such as "RS256", "ES384" or "EdDSA".
// RSA takes a moment.
func NewKey(algorithm string) (*Key, error) {
	var private crypto.Signer
	var err error
	switch {
	case strings.HasPrefix(algorithm, "RS"), strings.HasPrefix(algorithm, "PS"):
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case algorithm == "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case algorithm == "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case algorithm == "ES512":
		private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case algorithm == "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("there are no keys for the algorithm %q", algorithm)
	}
	if err != nil {
		return nil, err
	}
	k := &Key{ID: strings.ToLower(rand.Text()), algorithm: jwa.SignatureAlgorithm(algorithm), private: private}
	key, err := jwk.FromRaw(private)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]any{jwk.KeyIDKey: k.ID, jwk.AlgorithmKey: k.algorithm, jwk.KeyUsageKey: "sig"} {
		if err := key.Set(name, value); err != nil {
			return nil, err
		}
	}
	k.written, err = json.Marshal(key)
	return k, err
}

// MarshalJSON writes the key with its private half.
func (k *Key) MarshalJSON() ([]byte, error) { return k.written, nil }

// UnmarshalJSON reads what MarshalJSON wrote.
func (k *Key) UnmarshalJSON(data []byte) error {
	key, err := jwk.ParseKey(data)
	if err != nil {
		return err
	}
	var raw any
	if err := key.Raw(&raw); err != nil {
		return err
	}
	private, ok := raw.(crypto.Signer)
	if !ok {
		return fmt.Errorf("a key of type %T cannot sign", raw)
	}
	k.ID = key.KeyID()
	k.algorithm = jwa.SignatureAlgorithm(key.Algorithm().String())
	k.private = private
	k.written = append(json.RawMessage(nil), data...)
	return nil
}

// published is the key as the key set shows it.
func (k *Key) published() (jwk.Key, error) {
	key, err := jwk.ParseKey(k.written)
	if err != nil {
		return nil, err
	}
	return key.PublicKey()
}

// SigningKey is the key that an application signs with, or nil where there is
// no such application.
func (s *Server) SigningKey(application string) *Key {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if keys := s.state.Keys[application]; keys != nil {
		return keys[0]
	}
	return nil
}

// RotateKey makes an application sign with a new key. The old ones stay
// published until DropOldKeys.
func (s *Server) RotateKey(application, algorithm string) error {
	key, err := NewKey(algorithm)
	if err != nil {
		return err
	}
	return s.changeKeys(application, func(keys []*Key) []*Key { return append([]*Key{key}, keys...) })
}

// DropOldKeys leaves an application the key that it signs with.
func (s *Server) DropOldKeys(application string) error {
	return s.changeKeys(application, func(keys []*Key) []*Key { return keys[:1:1] })
}

func (s *Server) changeKeys(application string, do func([]*Key) []*Key) error {
	return s.change(func() error {
		keys := s.state.Keys[application]
		if keys == nil {
			return fmt.Errorf("there is no application %s", application)
		}
		s.state.Keys[application] = do(keys)
		return nil
	})
}
