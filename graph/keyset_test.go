package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

// TestSignInUnknownKeys is attack 64: kids that nobody knows cost one fetch, and
// those who have a good token do not notice.
func TestSignInUnknownKeys(t *testing.T) {
	w := newSignInWorld(t)
	good := w.token(t)
	if _, err := w.signIn.Check(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for round := 1; round <= 3; round++ {
		var all sync.WaitGroup
		for i := range 200 {
			token := w.token(t, standin.Header("kid", fmt.Sprintf("kid-%d-%d", round, i)))
			all.Go(func() {
				if _, err := w.signIn.Check(t.Context(), token); platform.CodeOf(err) != platform.Unauthenticated {
					t.Errorf("got %v", err)
				}
				if _, err := w.signIn.Check(t.Context(), good); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got, want := w.fetches("/jwks/"), 1+round; got != want {
			t.Errorf("round %d: %d fetches, want %d", round, got, want)
		}
		w.clock.Advance(10 * time.Second)
	}
}

// TestSignInRotation is attack 66.
func TestSignInRotation(t *testing.T) {
	w := newSignInWorld(t)
	check := func(token string) error {
		_, err := w.signIn.Check(t.Context(), token)
		return err
	}
	longLived := standin.ExpiresIn(3 * time.Hour)
	old := w.token(t, longLived)
	if err := check(old); err != nil {
		t.Fatal(err)
	}
	if err := w.RotateKey(standin.Portal, "ES256"); err != nil {
		t.Fatal(err)
	}
	before := w.fetches("/jwks/")
	if err := check(w.token(t)); err != nil {
		t.Errorf("a token by the new key is good at once: %v", err)
	}
	if n := w.fetches("/jwks/") - before; n != 1 {
		t.Errorf("the new key took %d fetches", n)
	}
	unseen := w.token(t, longLived)
	if err := check(old); err != nil {
		t.Errorf("the old key is still published: %v", err)
	}
	if err := w.DropOldKeys(standin.Portal); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(59 * time.Minute)
	if err := check(old); err != nil {
		t.Errorf("keys are kept for an hour: %v", err)
	}
	w.clock.Advance(2 * time.Minute)
	wantRefusal(t, "its key was dropped an hour ago, and so was the token", old, check(old))
	if err := check(unseen); err != nil {
		t.Errorf("the new key stays: %v", err)
	}
}

// TestSignInSameKidOtherKey covers an issuer that was set up anew.
func TestSignInSameKidOtherKey(t *testing.T) {
	w := newSignInWorld(t)
	old := w.token(t, standin.ExpiresIn(3*time.Hour))
	if _, err := w.signIn.Check(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	first := w.SigningKey(standin.Portal)
	other, err := standin.NewKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(map[string]any{"keys": []any{sameKid(t, other, first.ID)}})
	if err != nil {
		t.Fatal(err)
	}
	w.IssuerStage().Fail(stage.Fault{On: "GET /application/o/dezky-portal/jwks/", Status: 200, Body: string(set)})
	w.clock.Advance(61 * time.Minute)
	_, err = w.signIn.Check(t.Context(), old)
	wantRefusal(t, "the kid stands for another key now", old, err)
}

// sameKid publishes a key under another one's name.
func sameKid(t *testing.T, k *standin.Key, kid string) map[string]any {
	t.Helper()
	data, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	delete(fields, "d")
	fields["kid"] = kid
	return fields
}

// outages are the ways in which an issuer does not give its keys (67).
func outages() map[string]stage.Fault {
	return map[string]stage.Fault{
		"500":        {Status: 500, Body: "oops"},
		"reset":      {Kind: stage.Reset},
		"HTML":       {Status: 200, Header: map[string]string{"Content-Type": "text/html"}, Body: "<html>Maintenance</html>"},
		"empty set":  {Status: 200, Body: `{"keys":[]}`},
		"no set":     {Status: 200, Body: `{}`},
		"secrets":    {Status: 200, Body: `{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}`},
		"10 MB":      {Status: 200, Body: `{"keys":[` + strings.Repeat(" ", 10<<20) + `]}`},
		"redirect":   {Status: 302, Header: map[string]string{"Location": "/elsewhere"}},
		"half":       {Kind: stage.Half},
		"elsewhere":  {Status: 200, Body: `{"issuer":"https://evil.example.com/","jwks_uri":"https://evil.example.com/jwks"}`},
		"small keys": {Status: 200, Body: `{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}`},
	}
}

func TestSignInOutage(t *testing.T) {
	for name, fault := range outages() {
		for _, where := range []string{"jwks/", ".well-known/openid-configuration"} {
			t.Run(name+" "+where, func(t *testing.T) {
				w := newSignInWorld(t)
				fault.On = "GET /application/o/dezky-portal/" + where
				w.IssuerStage().Fail(fault)
				_, err := w.signIn.Check(t.Context(), w.token(t))
				if platform.CodeOf(err) != platform.Unavailable || platform.RetryAfter(err) == 0 {
					t.Fatalf("without keys nothing can be said: got %v", err)
				}
				w.IssuerStage().Heal()
				w.clock.Advance(time.Second)
				if _, err := w.signIn.Check(t.Context(), w.token(t)); err != nil {
					t.Fatalf("it heals by itself: %v", err)
				}
				w.IssuerStage().Fail(fault)
				for range 24 { // hours
					w.clock.Advance(time.Hour)
					if _, err := w.signIn.Check(t.Context(), w.token(t)); err != nil {
						t.Fatalf("the last good keys serve: %v", err)
					}
				}
				w.IssuerStage().Heal()
				if err := w.RotateKey(standin.Portal, "ES256"); err != nil {
					t.Fatal(err)
				}
				w.clock.Advance(10 * time.Second)
				if _, err := w.signIn.Check(t.Context(), w.token(t)); err != nil {
					t.Errorf("new keys come as soon as it answers: %v", err)
				}
			})
		}
	}
}

// TestSignInSlowIssuer has an issuer that accepts and never answers: those who
// need its keys wait for a second, all others not at all.
func TestSignInSlowIssuer(t *testing.T) {
	w := newSignInWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	w.IssuerStage().Hold()
	waiting := func(token string) <-chan error {
		result := make(chan error, 1)
		go func() {
			_, err := w.signIn.Check(ctx, token)
			result <- err
		}()
		return result
	}
	// The fetch and the request each wait by the clock.
	first := waiting(w.token(t))
	if err := w.clock.Sleeping(ctx, 2); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Second)
	if err := <-first; platform.CodeOf(err) != platform.Unavailable {
		t.Fatalf("without keys nothing can be said: got %v", err)
	}
	w.IssuerStage().Release()
	for { // the fetch goes on without the request that began it
		if _, err := w.signIn.Check(ctx, w.token(t)); err == nil {
			break
		} else if platform.CodeOf(err) != platform.Unavailable || ctx.Err() != nil {
			t.Fatal(err)
		}
	}

	w.IssuerStage().Hold()
	w.clock.Advance(61 * time.Minute)
	stale := waiting(w.token(t))
	if err := w.clock.Sleeping(ctx, 2); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Second)
	if err := <-stale; err != nil {
		t.Errorf("the last good keys serve: %v", err)
	}
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if _, err := w.signIn.Check(short, w.token(t)); err != nil || short.Err() != nil {
		t.Errorf("nobody waits twice for an issuer that does not answer: %v, %v", err, short.Err())
	}
}

// TestSignInHeldAPI holds the management API: sign-in goes on.
func TestSignInHeldAPI(t *testing.T) {
	w := newSignInWorld(t)
	w.Stage().Hold()
	defer w.Stage().Release()
	if _, err := w.signIn.Check(t.Context(), w.token(t)); err != nil {
		t.Error(err)
	}
}

// TestSignInFollowsNobody has an issuer that sends us elsewhere for its keys, or
// speaks for another.
func TestSignInFollowsNobody(t *testing.T) {
	visited := false
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visited = true }))
	defer evil.Close()
	for name, fault := range map[string]stage.Fault{
		"redirect":       {On: "GET /application/o/dezky-portal/jwks/", Status: 302, Header: map[string]string{"Location": evil.URL}},
		"jwks_uri":       {On: "GET /application/o/dezky-portal/.well-known", Status: 200, Body: `{"issuer":"SHAREDdezky-portal/","jwks_uri":"EVIL/jwks"}`},
		"another issuer": {On: "GET /application/o/dezky-portal/.well-known", Status: 200, Body: `{"issuer":"SHAREDdezky-operator/","jwks_uri":"SHAREDdezky-portal/jwks/"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSignInWorld(t)
			shared := strings.TrimSuffix(w.Issuer(standin.Portal), "dezky-portal/")
			fault.Body = strings.NewReplacer("SHARED", shared, "EVIL", evil.URL).Replace(fault.Body)
			w.IssuerStage().Fail(fault)
			if _, err := w.signIn.Check(t.Context(), w.token(t)); platform.CodeOf(err) != platform.Unavailable {
				t.Errorf("got %v", err)
			}
			if visited {
				t.Error("the other host was visited")
			}
		})
	}
}
