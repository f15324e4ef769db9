package graph_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/dezky/platform/integrations/authentik/standin"
)

// TestSignInAttacks plays the attacks on a token (57 to 63, 69, 71
// and 72).
func TestSignInAttacks(t *testing.T) {
	type attack struct {
		reason string
		token  func(t *testing.T, w *signInWorld) string
	}
	option := func(reason string, options ...standin.Option) attack {
		return attack{reason, func(t *testing.T, w *signInWorld) string { return w.token(t, options...) }}
	}
	header := func(reason string, name string, value any) attack {
		return option(reason, standin.Header(name, value))
	}
	claim := func(reason string, name string, value any) attack {
		return option(reason, standin.Claim(name, value))
	}
	changed := func(reason string, change func(header, claims map[string]any)) attack {
		return attack{reason, func(t *testing.T, w *signInWorld) string { return rewrite(t, w.token(t), change) }}
	}
	text := func(reason string, change func(token string) string) attack {
		return attack{reason, func(t *testing.T, w *signInWorld) string { return change(w.token(t)) }}
	}
	attacks := map[string]attack{
		"empty":            text("no token is no caller", func(string) string { return "" }),
		"one word":         text("it is no token", func(string) string { return "token" }),
		"two parts":        text("the signature is missing", func(token string) string { return token[:strings.LastIndex(token, ".")] }),
		"empty signature":  text("the signature is missing", func(token string) string { return token[:strings.LastIndex(token, ".")+1] }),
		"only dots":        text("it is no token", func(string) string { return ".." }),
		"four parts":       text("something follows", func(token string) string { return token + ".e30" }),
		"JWE":              text("encrypted tokens are not ours", func(token string) string { return token + ".e30.e30" }),
		"200 KB":           text("reading it costs more than it is worth", func(token string) string { return token + strings.Repeat("A", 200<<10) }),
		"blank before":     text("a token has one text", func(token string) string { return " " + token }),
		"line end after":   text("a token has one text", func(token string) string { return token + "\n" }),
		"line end inside":  text("a token has one text", func(token string) string { return token[:9] + "\r\n" + token[9:] }),
		"padding":          text("a token has one text", func(token string) string { return token + "==" }),
		"flipped":          text("the signature is wrong", flip),
		"last bits":        text("bits that nobody reads give a token a second text", flipUnused),
		"standard base64":  text("it is another alphabet", func(token string) string { return token[:len(token)-4] + "+/+/" }),
		"list for claims":  text("claims are an object", func(token string) string { return replacePart(token, 1, "[]") }),
		"null for claims":  text("claims are an object", func(token string) string { return replacePart(token, 1, "null") }),
		"null for header":  text("a header is an object", func(token string) string { return replacePart(token, 0, "null") }),
		"junk after":       text("nothing follows the claims", func(token string) string { return replacePart(token, 1, `{"iss":"x"}{}`) }),
		"longer exp":       changed("the signature covers it", func(_, claims map[string]any) { claims["exp"] = 1893456000 }),
		"another subject":  changed("the signature covers it", func(_, claims map[string]any) { claims["sub"] = "0" }),
		"more groups":      changed("the signature covers it", func(_, claims map[string]any) { claims["groups"] = []string{"dezky-platform-admins"} }),
		"operator":         changed("the signature covers it", func(_, claims map[string]any) { claims["aud"] = standin.Operator }),
		"header changed":   changed("the signature covers it", func(header, _ map[string]any) { header["extra"] = 1 }),
		"the other issuer": changed("a key counts for its own issuer only", toOperator),
		"crit":             header("an extension that we do not know", "crit", []string{"exp"}),
		"crit null":        header("the same", "crit", json.RawMessage("null")),
		"b64":              header("the payload is to be read otherwise", "b64", false),
		"zip":              header("a small token grows without end", "zip", "DEF"),
		"enc":              header("encrypted tokens are not ours", "enc", "A256GCM"),
		"no kid":           header("Authentik leaves it out where the secret signs", "kid", nil),
		"kid is a number":  header("a kid is a text", "kid", 1),
		"kid is a path":    header("it names no key", "kid", "../../../../dev/null"),
		"kid is SQL":       header("it names no key", "kid", "x' UNION SELECT 'key'--"),
		"kid is NoSQL":     header("a kid is a text", "kid", map[string]any{"$ne": ""}),
		"no alg":           header("there is no default", "alg", nil),
		"alg is a list":    header("an alg is a text", "alg", []string{"ES256"}),
		"ALG":              option("names are exact", standin.Header("ALG", "ES256"), standin.Header("alg", nil)),
		"ES384, P-256 key": header("the key is of another curve", "alg", "ES384"),
		"RS256, EC key":    header("the key is of another kind", "alg", "RS256"),
		"EdDSA, EC key":    header("the key is of another kind", "alg", "EdDSA"),
		"ES256K":           header("it is not on the list", "alg", "ES256K"),
		"lower case":       header("names are exact", "alg", "es256"),
		"logout token":     header("it is no access token", "typ", "logout+jwt"),
		"ID token by typ":  header("it is no access token", "typ", "id+jwt"),
		"typ is a number":  header("a typ is a text", "typ", 1),
		"ID token":         option("it lets nobody in: Authentik's access tokens alone have uid", standin.IDToken()),
		"uid empty":        claim("the same", "uid", ""),
		"uid is a number":  claim("the same", "uid", 1),
		"refresh by typ":   claim("it is no access token", "typ", "Refresh"),
		"ID by typ":        claim("it is no access token", "typ", "ID"),
		"ID by use":        claim("it is no access token", "token_use", "id"),
		"refresh by use":   claim("it is no access token", "token_use", "refresh"),
		"use is a number":  claim("it is no access token", "token_use", 1),
		"azp of others":    claim("it was issued to somebody else's application", "azp", "acme-crm"),
		"azp empty":        claim("it was issued to nobody", "azp", ""),
		"azp is null":      claim("it was issued to nobody", "azp", json.RawMessage("null")),
		"azp is a list":    claim("an azp is a text", "azp", []string{standin.Portal}),
		"no subject":       claim("it is nobody's", "sub", nil),
		"subject empty":    claim("it is nobody's", "sub", ""),
		"subject number":   claim("a subject is a text", "sub", 42),
		"groups is a text": claim("taken for no groups it would take memberships away", "groups", "tenant-acme"),
		"groups of null":   claim("the same", "groups", json.RawMessage("[null]")),
		"amr is a text":    claim("nobody knows how they signed in", "amr", "mfa"),
		"no issuer":        claim("no key can prove it", "iss", nil),
		"issuer number":    claim("an issuer is a text", "iss", 1),
	}
	attacks["the other issuer, signed"] = attack{"a key counts for its own issuer only", func(t *testing.T, w *signInWorld) string {
		return w.token(t, standin.Claim("iss", w.Issuer(standin.Operator)))
	}}
	attacks["the other issuer and its kid"] = attack{"a key counts for its own issuer only", func(t *testing.T, w *signInWorld) string {
		return w.token(t, standin.Claim("iss", w.Issuer(standin.Operator)), standin.Header("kid", w.SigningKey(standin.Operator).ID))
	}}
	for _, spelling := range []string{"none", "None", "NONE", "nOnE", ""} {
		attacks["alg "+spelling] = attack{"a token without a signature proves nothing", func(t *testing.T, w *signInWorld) string {
			token := rewrite(t, w.token(t), func(header, _ map[string]any) { header["alg"] = spelling })
			return token[:strings.LastIndex(token, ".")+1]
		}}
		attacks["alg "+spelling+", signed"] = header("a token without a signature proves nothing", "alg", spelling)
	}
	for name, change := range map[string]func(issuer string) string{
		"other scheme":  func(issuer string) string { return strings.Replace(issuer, "http:", "https:", 1) },
		"no slash":      func(issuer string) string { return strings.TrimSuffix(issuer, "/") },
		"two slashes":   func(issuer string) string { return issuer + "/" },
		"look-alike":    func(issuer string) string { return strings.Replace(issuer, "127.0.0.1", "127.0.0.1.example.com", 1) },
		"upper case":    func(issuer string) string { return strings.ToUpper(issuer) },
		"global issuer": func(issuer string) string { return strings.TrimSuffix(issuer, "application/o/"+standin.Portal+"/") },
		"user info":     func(issuer string) string { return strings.Replace(issuer, "//", "//x@", 1) },
	} {
		attacks["issuer: "+name] = attack{"issuers are exact", func(t *testing.T, w *signInWorld) string {
			return w.token(t, standin.Claim("iss", change(w.Issuer(standin.Portal))))
		}}
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			w := newSignInWorld(t)
			if _, err := w.signIn.Check(t.Context(), w.token(t)); err != nil {
				t.Fatal(err)
			}
			token := attack.token(t, w)
			_, err := w.signIn.Check(t.Context(), token)
			wantRefusal(t, attack.reason, token, err)
		})
	}
}

func toOperator(_, claims map[string]any) {
	claims["iss"] = strings.Replace(claims["iss"].(string), standin.Portal, standin.Operator, 1)
}

// flip changes one bit in the middle of the signature.
func flip(token string) string {
	dot := strings.LastIndex(token, ".")
	signature, _ := base64.RawURLEncoding.DecodeString(token[dot+1:])
	signature[len(signature)/2] ^= 1
	return token[:dot+1] + base64.RawURLEncoding.EncodeToString(signature)
}

// flipUnused changes a bit of the last letter that stands for nothing.
func flipUnused(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}

func replacePart(token string, part int, text string) string {
	parts := strings.Split(token, ".")
	parts[part] = base64.RawURLEncoding.EncodeToString([]byte(text))
	return strings.Join(parts, ".")
}

// TestSignInAlgorithmConfusion signs with HMAC and takes for the secret what
// everybody can know (61).
func TestSignInAlgorithmConfusion(t *testing.T) {
	w := newSignInWorld(t)
	if err := w.RotateKey(standin.Portal, "RS256"); err != nil {
		t.Fatal(err)
	}
	good := w.token(t)
	if _, err := w.signIn.Check(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	kid := w.SigningKey(standin.Portal).ID
	published := fetchKey(t, w, kid)
	publicPEM, err := jwk.Pem(published)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(publicPEM)
	asJSON, err := json.Marshal(published)
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string][]byte{
		"PEM": publicPEM, "PEM, trimmed": bytes.TrimSpace(publicPEM), "DER": block.Bytes, "JWK": asJSON,
		"kid": []byte(kid), "empty": {}, "secret": []byte("secret"), "client id": []byte(standin.Portal), "zeros": make([]byte, 32),
	} {
		for alg, hash := range map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New} {
			token := rewrite(t, good, func(header, _ map[string]any) { header["alg"] = alg })
			signed := token[:strings.LastIndex(token, ".")]
			mac := hmac.New(hash, secret)
			io.WriteString(mac, signed)
			token = signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
			_, err := w.signIn.Check(t.Context(), token)
			wantRefusal(t, fmt.Sprintf("%s with %s: a published key is no secret", alg, name), token, err)
		}
	}
}

// TestSignInKeepsAKeyToItsAlgorithm signs with the issuer's own key in another
// way than the issuer says.
func TestSignInKeepsAKeyToItsAlgorithm(t *testing.T) {
	w := newSignInWorld(t)
	if err := w.RotateKey(standin.Portal, "RS256"); err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(w.SigningKey(standin.Portal))
	if err != nil {
		t.Fatal(err)
	}
	for alg, good := range map[string]bool{"RS256": true, "RS512": false, "PS256": false} {
		var key standin.Key
		if err := json.Unmarshal(bytes.Replace(written, []byte(`"RS256"`), []byte(`"`+alg+`"`), 1), &key); err != nil {
			t.Fatal(err)
		}
		token := w.token(t, standin.SignedBy(&key))
		_, err := w.signIn.Check(t.Context(), token)
		if good && err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		if !good {
			wantRefusal(t, alg+": the key is published for RS256", token, err)
		}
	}
}

func fetchKey(t *testing.T, w *signInWorld, kid string) jwk.Key {
	t.Helper()
	res, err := http.Get(w.Issuer(standin.Portal) + "jwks/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	set, err := jwk.ParseReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := set.LookupKeyID(kid)
	if !ok {
		t.Fatalf("the key %s is not published", kid)
	}
	return key
}

// TestSignInFetchesNothingThatATokenNames offers keys of the attacker's own,
// inside the token and behind addresses (62).
func TestSignInFetchesNothingThatATokenNames(t *testing.T) {
	w := newSignInWorld(t)
	if _, err := w.signIn.Check(t.Context(), w.token(t)); err != nil {
		t.Fatal(err)
	}
	var visits atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer trap.Close()
	mine, err := standin.NewKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	kid := w.SigningKey(standin.Portal).ID
	for name, value := range map[string]any{
		"jwk": mine, "jku": trap.URL + "/jwks", "x5u": trap.URL + "/cert", "x5c": []string{"MIIB"}, "kid": trap.URL + "/key",
	} {
		for _, options := range [][]standin.Option{
			{standin.SignedBy(mine), standin.Header(name, value)},
			{standin.SignedBy(mine), standin.Header("kid", kid), standin.Header(name, value)},
		} {
			token := w.token(t, options...)
			_, err := w.signIn.Check(t.Context(), token)
			wantRefusal(t, name+": a token cannot bring its own proof", token, err)
		}
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("%d addresses of the attacker were visited", n)
	}
	if _, err := w.signIn.Check(t.Context(), w.token(t, standin.Header("jku", trap.URL))); err != nil || visits.Load() != 0 {
		t.Errorf("a good token's jku is ignored; got %v and %d visits", err, visits.Load())
	}
}
