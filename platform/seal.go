package platform

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
)

// Sealed is a secret that must be kept for a while, such as a one-time password
// that not every outside system has yet. It is AES-256-GCM over the key of the
// configuration, bound to the document that it stands in; "" is none. The store
// records of its changes that there was one, and no more.
type Sealed string

// seal closes a secret for the document that keeps it.
func (p *Platform) seal(secret Secret, in ID) (Sealed, error) {
	gcm, err := p.gcm()
	if err != nil {
		return "", err
	}
	nonce := make([]byte, gcm.NonceSize())
	rand.Read(nonce)
	closed := gcm.Seal(nonce, nonce, []byte(secret.Reveal()), []byte(in))
	return Sealed(base64.RawStdEncoding.EncodeToString(closed)), nil
}

// open is the secret again; none is none. What was sealed with another key, or
// for another document, is an error that does not pass.
func (p *Platform) open(s Sealed, in ID) (Secret, error) {
	if s == "" {
		return Secret{}, nil
	}
	gcm, err := p.gcm()
	if err != nil {
		return Secret{}, err
	}
	closed, err := base64.RawStdEncoding.DecodeString(string(s))
	if err == nil && len(closed) < gcm.NonceSize() {
		err = errors.New("it is too short")
	}
	if err == nil {
		closed, err = gcm.Open(nil, closed[:gcm.NonceSize()], closed[gcm.NonceSize():], []byte(in))
	}
	if err != nil {
		return Secret{}, Errorf(Internal, "What was sealed cannot be opened.").Because(fmt.Errorf("open the seal of %s: %w", in, err)).Never()
	}
	return NewSecret(string(closed)), nil
}

func (p *Platform) gcm() (cipher.AEAD, error) {
	mac := hmac.New(sha256.New, p.key)
	fmt.Fprint(mac, "seal") //nolint:errcheck // a hash takes everything
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("make the cipher of seals: %w", err)
	}
	return cipher.NewGCM(block)
}

// newPassword is a one-time password: 95 bits of small letters and digits in
// groups, without those that people mistake for each other.
func newPassword() Secret {
	const letters, groups, length = "abcdefghjkmnpqrstuvwxyz23456789", 4, 5
	bytes := make([]byte, groups*length)
	rand.Read(bytes)
	var text []byte
	for i, b := range bytes {
		for int(b) >= 256-256%len(letters) { // or the first letters would come more often
			var one [1]byte
			rand.Read(one[:])
			b = one[0]
		}
		if i > 0 && i%length == 0 {
			text = append(text, '-')
		}
		text = append(text, letters[int(b)%len(letters)])
	}
	return NewSecret(string(text))
}
