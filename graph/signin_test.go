package graph_test

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

// signInWorld is an identity provider with one person, and a SignIn that trusts
// it.
type signInWorld struct {
	*standin.Server
	clock  *clocktest.Clock
	signIn *graph.SignIn
}

var signInStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newSignInWorld(t testing.TB) *signInWorld {
	t.Helper()
	w := &signInWorld{clock: clocktest.New(signInStart)}
	var err error
	if w.Server, err = standin.New(standin.Options{Clock: w.clock}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.Server)
	t.Cleanup(server.Close)
	t.Cleanup(w.IssuerStage().Release)
	w.SetBaseURL(server.URL)
	if err := w.AddPerson(standin.Person{Username: "anna", Name: "Anna", Email: "anna@acme.dk", Groups: []string{"tenant-acme", "choir"}}); err != nil {
		t.Fatal(err)
	}
	w.signIn = w.newSignIn(standin.Portal, standin.Operator)
	return w
}

func (w *signInWorld) newSignIn(audience ...string) *graph.SignIn {
	return graph.NewSignIn(graph.SignInOptions{
		Issuers:   []string{w.Issuer(standin.Portal), w.Issuer(standin.Operator)},
		Audience:  audience,
		Transport: &http.Transport{DisableKeepAlives: true},
		Clock:     w.clock,
		Log:       slog.New(slog.DiscardHandler),
	})
}

func (w *signInWorld) token(t testing.TB, options ...standin.Option) string {
	t.Helper()
	token, err := w.SignIn("anna", standin.Portal, options...)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// fetches counts what the issuers were asked for.
func (w *signInWorld) fetches(ending string) int {
	n := 0
	for _, call := range w.IssuerStage().Calls() {
		if strings.HasSuffix(call, ending) {
			n++
		}
	}
	return n
}

// rewrite changes a token and leaves its signature as it is.
func rewrite(t testing.TB, token string, change func(header, claims map[string]any)) string {
	t.Helper()
	parts := strings.Split(token, ".")
	var objects [2]map[string]any
	for i := range objects {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &objects[i]); err != nil {
			t.Fatal(err)
		}
	}
	change(objects[0], objects[1])
	for i := range objects {
		parts[i] = encodePart(t, objects[i])
	}
	return strings.Join(parts, ".")
}

func encodePart(t testing.TB, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// wantRefusal checks that a token is refused with the one answer, and that no
// part of it is in the error.
func wantRefusal(t *testing.T, reason, token string, err error) {
	t.Helper()
	if platform.CodeOf(err) != platform.Unauthenticated || platform.MessageOf(err) != "The token is not valid." {
		t.Fatalf("%s\ngot %v", reason, err)
	}
	for _, part := range append(strings.Split(token, "."), token) {
		if len(part) > 20 && strings.Contains(err.Error(), part) {
			t.Errorf("the error holds a part of the token: %v", err)
		}
	}
}

func TestSignInReadsTheBearer(t *testing.T) {
	w := newSignInWorld(t)
	got, err := w.signIn.Check(t.Context(), w.token(t, standin.WithMFA()))
	if err != nil {
		t.Fatal(err)
	}
	want := &platform.Identity{
		Issuer: w.Issuer(standin.Portal), Subject: w.People()[0].UUID, Audience: []string{standin.Portal},
		Name: "Anna", Username: "anna", Email: "anna@acme.dk", EmailVerified: true,
		Groups: []string{"choir", "tenant-acme"}, Methods: []string{"pwd", "mfa"},
		IssuedAt: platform.At(signInStart), SignedInAt: platform.At(signInStart),
		Expires: platform.At(signInStart.Add(standin.Lifetime)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSignInTakesEveryAlgorithmOfItsList(t *testing.T) {
	w := newSignInWorld(t)
	for _, algorithm := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
		if err := w.RotateKey(standin.Portal, algorithm); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(11 * time.Second) // or the new key would not be looked for yet
		if _, err := w.signIn.Check(t.Context(), w.token(t)); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

func TestSignInTimes(t *testing.T) {
	now := signInStart.Unix()
	for name, test := range map[string]struct {
		reason string
		change standin.Option
		want   string // the message, or "" where the token is good
	}{
		"expired 29 s ago":   {"clocks differ by up to 30 s", standin.ExpiresIn(-29 * time.Second), ""},
		"expired 31 s ago":   {"that is more than clocks differ", standin.ExpiresIn(-31 * time.Second), "The token has expired."},
		"no exp":             {"a token without an end cannot be taken back", standin.Claim("exp", nil), "The token is not valid."},
		"exp is a float":     {"1e9 and 5.5 are read differently by others", standin.Claim("exp", float64(now)+60.5), "The token is not valid."},
		"exp is exponential": {"the same", standin.Claim("exp", json.RawMessage("3e9")), "The token is not valid."},
		"exp is a text":      {"the claim is a number", standin.Claim("exp", "2000000000"), "The token is not valid."},
		"exp is null":        {"null is no moment", standin.Claim("exp", json.RawMessage("null")), "The token is not valid."},
		"exp is negative":    {"before 1970 there were no tokens", standin.Claim("exp", -1), "The token is not valid."},
		"exp in 9999":        {"nobody means to issue such a token", standin.Claim("exp", 253402300799), "The token is not valid."},
		"exp overflows":      {"it must not wrap around", standin.Claim("exp", json.RawMessage("9223372036854775808")), "The token is not valid."},
		"exp in a year":      {"an issuer may be generous", standin.ExpiresIn(365 * 24 * time.Hour), ""},
		"nbf in 29 s":        {"clocks differ by up to 30 s", standin.Claim("nbf", now+29), ""},
		"nbf in 31 s":        {"it is not good yet", standin.Claim("nbf", now+31), "The token is not valid."},
		"nbf is a text":      {"the claim is a number", standin.Claim("nbf", "0"), "The token is not valid."},
		"iat in 29 s":        {"clocks differ by up to 30 s", standin.Claim("iat", now+29), ""},
		"iat in 31 s":        {"a token from the future was not issued by our issuer's clock", standin.Claim("iat", now+31), "The token is not valid."},
		"iat is a float":     {"the claim is a whole number", standin.Claim("iat", 1.5), "The token is not valid."},
		"no iat":             {"only exp is required", standin.Claim("iat", nil), ""},
		"no auth_time":       {"only exp is required", standin.Claim("auth_time", nil), ""},
		"auth_time too far":  {"it could not be written out", standin.Claim("auth_time", 253402300800), "The token is not valid."},
		"auth_time is odd":   {"step-up trusts it", standin.Claim("auth_time", "now"), "The token is not valid."},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSignInWorld(t)
			token := w.token(t, test.change)
			for range 2 { // the second time it may come from memory
				_, err := w.signIn.Check(t.Context(), token)
				switch {
				case test.want == "" && err != nil:
					t.Fatalf("refused, but %s: %v", test.reason, err)
				case test.want != "" && (platform.CodeOf(err) != platform.Unauthenticated || platform.MessageOf(err) != test.want):
					t.Fatalf("want %q, because %s; got %v", test.want, test.reason, err)
				}
			}
		})
	}
}

func TestSignInForgetsATokenThatExpires(t *testing.T) {
	w := newSignInWorld(t)
	token := w.token(t)
	for _, step := range []struct {
		advance time.Duration
		want    string
	}{
		{0, ""},
		{-time.Hour, "The token is not valid."}, // no token is good before its time, seen or not
		{time.Hour, ""},
		{standin.Lifetime + 29*time.Second, ""},
		{2 * time.Second, "The token has expired."},
	} {
		w.clock.Jump(step.advance)
		_, err := w.signIn.Check(t.Context(), token)
		if step.want == "" && err != nil || step.want != "" && platform.MessageOf(err) != step.want {
			t.Errorf("after %s: want %q, got %v", step.advance, step.want, err)
		}
	}
}

func TestSignInAudience(t *testing.T) {
	for name, test := range map[string]struct {
		reason   string
		audience any
		good     bool
	}{
		"text":            {"Authentik writes it so", standin.Portal, true},
		"the other":       {"any entry of the list will do", standin.Operator, true},
		"list":            {"the standard allows it", []string{standin.Portal}, true},
		"one extra":       {"one entry on the list is enough", []string{"mailer", standin.Portal}, true},
		"wrong":           {"it is for somebody else", "mailer", false},
		"wrong list":      {"it is for others", []string{"mailer", "files"}, false},
		"look-alike":      {"names are exact", "Dezky-Portal", false},
		"empty":           {"it is for nobody", "", false},
		"empty list":      {"it is for nobody", []string{}, false},
		"missing":         {"it is for anybody", nil, false},
		"number":          {"a name is a text", 7, false},
		"list of numbers": {"a name is a text", []any{standin.Portal, 7}, false},
		"list in a list":  {"it is no name", []any{[]string{standin.Portal}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSignInWorld(t)
			token := w.token(t, standin.Claim("aud", test.audience))
			_, err := w.signIn.Check(t.Context(), token)
			if test.good && err != nil {
				t.Fatalf("refused, but %s: %v", test.reason, err)
			}
			if !test.good {
				wantRefusal(t, test.reason, token, err)
			}
		})
	}
}

// TestSignInLength has a good token of each side of the longest.
func TestSignInLength(t *testing.T) {
	w := newSignInWorld(t)
	for length, good := range map[int]bool{11_000: true, 12_000: false} { // in base64 a third longer
		token := w.token(t, standin.Claim("groups", []string{strings.Repeat("g", length)}))
		if _, err := w.signIn.Check(t.Context(), token); (err == nil) != good {
			t.Errorf("%d bytes: %v", len(token), err)
		}
	}
}

func TestBearerToken(t *testing.T) {
	for header, want := range map[string]struct{ token, message string }{
		"":                  {"", ""},
		"Bearer abc":        {"abc", ""},
		"bearer  abc":       {"abc", ""},
		"Bearer":            {"", "Sign in with a bearer token."},
		"Bearer ":           {"", "Sign in with a bearer token."},
		"Basic YTpi":        {"", "Sign in with a bearer token."},
		"abc":               {"", "Sign in with a bearer token."},
		"Bearerabc":         {"", "Sign in with a bearer token."},
		"Digest Bearer abc": {"", "Sign in with a bearer token."},
	} {
		token, err := graph.BearerToken(header)
		if token != want.token || (want.message == "") != (err == nil) {
			t.Errorf("%q: got %q, %v", header, token, err)
		}
		if err != nil && (platform.CodeOf(err) != platform.Unauthenticated || platform.MessageOf(err) != want.message) {
			t.Errorf("%q: got %v", header, err)
		}
	}
}

func BenchmarkSignIn(b *testing.B) {
	for _, algorithm := range []string{"ES256", "RS256"} {
		w := newSignInWorld(b)
		if err := w.RotateKey(standin.Portal, algorithm); err != nil {
			b.Fatal(err)
		}
		b.Run(algorithm+"/first", func(b *testing.B) {
			tokens := make([]string, 1000)
			for i := range tokens {
				tokens[i] = w.token(b)
			}
			fresh := func() *graph.SignIn { // knows the keys and no token
				signIn := w.newSignIn(standin.Portal)
				if _, err := signIn.Check(b.Context(), w.token(b)); err != nil {
					b.Fatal(err)
				}
				return signIn
			}
			signIn := fresh()
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if i > 0 && i%len(tokens) == 0 {
					b.StopTimer()
					signIn = fresh()
					b.StartTimer()
				}
				if _, err := signIn.Check(b.Context(), tokens[i%len(tokens)]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(algorithm+"/again", func(b *testing.B) {
			token := w.token(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.signIn.Check(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
