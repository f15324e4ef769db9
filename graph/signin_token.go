package graph

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dezky/platform/platform"
)

// signInParts is a token taken apart. Nothing in it is proven.
type signInParts struct {
	header    signInClaims
	claims    signInClaims
	signed    string
	signature []byte
}

// signInClaims are the members of a JSON object. A map, because to a struct
// "ALG" would be "alg".
type signInClaims map[string]json.RawMessage

// signInSplit takes a token apart and refuses all that is not written in the
// one way in which it can be written, so that a token has one text.
func signInSplit(token string) (*signInParts, error) {
	pieces := strings.Split(token, ".")
	if len(pieces) != 3 {
		return nil, signInRefusal("it has %d parts", len(pieces))
	}
	var decoded [3][]byte
	for i, piece := range pieces {
		var err error
		if decoded[i], err = signInDecode(piece); err != nil {
			return nil, signInRefusal("part %d is not base64: %w", i+1, err)
		}
	}
	header, err := signInObject(decoded[0])
	if err != nil {
		return nil, signInRefusal("its header: %w", err)
	}
	claims, err := signInObject(decoded[1])
	if err != nil {
		return nil, signInRefusal("its claims: %w", err)
	}
	return &signInParts{
		header: header, claims: claims,
		signed: token[:len(pieces[0])+1+len(pieces[1])], signature: decoded[2],
	}, nil
}

// signInDecode is strict base64url; the standard decoder skips line ends.
func signInDecode(text string) ([]byte, error) {
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("empty, or of several lines")
	}
	return base64.RawURLEncoding.Strict().DecodeString(text)
}

// signInObject reads a JSON object and nothing after it.
func signInObject(data []byte) (signInClaims, error) {
	var object signInClaims
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, err
	}
	if object == nil {
		return nil, errors.New("null instead of a JSON object")
	}
	return object, nil
}

// signInAlgorithms are the algorithms that are accepted: none of them takes a
// key that we could publish for a secret.
func signInAlgorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// algorithm reads the header. Keys that a token brings along, or says where to
// fetch (jwk, jku, x5u, x5c), are not looked at; whatever changes how the rest
// is to be read is refused.
func (c signInClaims) algorithm() (alg, kid string, err error) {
	for _, name := range []string{"crit", "b64", "zip", "enc"} {
		if _, there := c[name]; there {
			return "", "", signInRefusal("its header has %s", name)
		}
	}
	typ, err := c.textIfAny("typ")
	if err != nil {
		return "", "", err
	}
	switch strings.ToLower(typ) {
	case "", "jwt", "at+jwt", "application/at+jwt":
	default:
		return "", "", signInRefusal("it is a %.100q", typ)
	}
	if alg, err = c.text("alg"); err != nil {
		return "", "", err
	}
	if !slices.Contains(signInAlgorithms(), alg) {
		return "", "", signInRefusal("the algorithm %.100q is not accepted", alg)
	}
	kid, err = c.text("kid")
	return alg, kid, err
}

// access makes sure that it is an access token. Authentik's other tokens have
// no uid; other providers say by typ or token_use what a token is for.
func (c signInClaims) access() error {
	if _, err := c.text("uid"); err != nil {
		return err
	}
	typ, err := c.textIfAny("typ")
	if err != nil {
		return err
	}
	use, err := c.textIfAny("token_use")
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"", "bearer", "jwt", "at+jwt"}, strings.ToLower(typ)) || (use != "" && use != "access") {
		return signInRefusal("it is for use as %.100q %.100q", typ, use)
	}
	return nil
}

// identity reads who the bearer is. A list that cannot be read refuses the
// token: taken for empty, it would take groups away.
func (c signInClaims) identity() (platform.Identity, error) {
	var who platform.Identity
	var errs [7]error
	who.Subject, errs[0] = c.text("sub")
	who.Name, errs[1] = c.textIfAny("name")
	who.Email, errs[2] = c.textIfAny("email")
	who.Groups, errs[3] = c.texts("groups")
	who.Methods, errs[4] = c.texts("amr")
	who.Audience, errs[5] = c.audience()
	who.Username, errs[6] = c.textIfAny("preferred_username")
	who.EmailVerified = string(c["email_verified"]) == "true"
	return who, errors.Join(errs[:]...)
}

// text is a claim that must be there, and not empty.
func (c signInClaims) text(name string) (string, error) {
	text, err := c.textIfAny(name)
	if err == nil && text == "" {
		err = signInRefusal("it has no %s", name)
	}
	return text, err
}

func (c signInClaims) textIfAny(name string) (string, error) {
	value, there := c[name]
	if !there {
		return "", nil
	}
	var text *string
	if err := json.Unmarshal(value, &text); err != nil || text == nil {
		return "", signInRefusal("its %s is not a text", name)
	}
	return *text, nil
}

func (c signInClaims) texts(name string) ([]string, error) {
	value, there := c[name]
	if !there {
		return nil, nil
	}
	var items []*string
	if err := json.Unmarshal(value, &items); err != nil || items == nil || slices.Contains(items, nil) {
		return nil, signInRefusal("its %s is not a list of texts", name)
	}
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = *item
	}
	return texts, nil
}

// audience is a text or a list of texts.
func (c signInClaims) audience() ([]string, error) {
	if list, err := c.texts("aud"); err == nil {
		return list, nil
	}
	one, err := c.text("aud")
	return []string{one}, err
}

// signInTimes are the moments in a token; those that it does not say are zero.
type signInTimes struct{ expires, notBefore, issued, signedIn time.Time }

func (c signInClaims) times() (signInTimes, error) {
	var t signInTimes
	for _, claim := range []struct {
		name string
		at   *time.Time
	}{{"exp", &t.expires}, {"nbf", &t.notBefore}, {"iat", &t.issued}, {"auth_time", &t.signedIn}} {
		value, there := c[claim.name]
		if !there {
			continue
		}
		seconds, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || seconds <= 0 || seconds >= 253402300800 {
			return t, signInRefusal("its %s is not a whole number of seconds before the year 10000", claim.name)
		}
		*claim.at = time.Unix(seconds, 0).UTC()
	}
	if t.expires.IsZero() {
		return t, signInRefusal("it has no exp")
	}
	return t, nil
}

// from is the moment from which the token is good, the skew included.
func (t signInTimes) from() time.Time {
	latest := t.notBefore
	if t.issued.After(latest) {
		latest = t.issued
	}
	if latest.IsZero() {
		return latest
	}
	return latest.Add(-signInSkew)
}
