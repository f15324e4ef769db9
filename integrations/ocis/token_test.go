package ocis

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/ocis/standin"
	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

const clientSecret = "battery+staple&="

// provider is an identity provider that knows one client, and says who its
// tokens are of.
type provider struct {
	stage stage.Stage
	url   string

	mu       sync.Mutex
	issued   int
	username string
	lifetime string
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{username: "platform", lifetime: `"expires_in":600`}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /userinfo", p.userInfo)
	web := httptest.NewServer(p.stage.Wrap(mux))
	t.Cleanup(web.Close)
	p.url = web.URL
	return p
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	got := [...]string{r.PostFormValue("grant_type"), r.PostFormValue("client_id"), r.PostFormValue("client_secret"), r.PostFormValue("scope")}
	if got != [...]string{"client_credentials", "files", clientSecret, "openid profile email"} {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":"invalid_client %s"}`, got[2])
		return
	}
	p.issued++
	fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer",%s}`, p.issued, p.lifetime)
}

// userInfo knows the newest token alone.
func (p *provider) userInfo(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Header.Get("Authorization") != fmt.Sprintf("Bearer token-%d", p.issued) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	json.NewEncoder(w).Encode(map[string]string{"preferred_username": p.username})
}

// revoke makes the newest token worthless.
func (p *provider) revoke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.issued++
}

// tokens is how often a token was asked for.
func (p *provider) tokens() int {
	n := 0
	for _, call := range p.stage.Calls() {
		if call == "POST /token" {
			n++
		}
	}
	return n
}

// newBearerStand is a client that signs in with client credentials. Nobody can
// sign in with an app token.
func newBearerStand(t *testing.T, secret string) (*Client, *standin.Server, *provider, *clocktest.Clock) {
	t.Helper()
	p, clock := newProvider(t), clocktest.New(time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC))
	server, err := standin.New(standin.Options{Username: "Platform", Clock: clock, UserInfo: p.url + "/userinfo"})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	credentials := Credentials{TokenURL: p.url + "/token", ID: "files", Secret: platform.NewSecret(secret)}
	return NewWithCredentials(web.URL, credentials, http.DefaultTransport, clock), server, p, clock
}

func TestTokenIsKept(t *testing.T) {
	c, server, p, clock := newBearerStand(t, clientSecret)
	apply := func(tokens int, reason string) {
		t.Helper()
		if _, err := c.Apply(t.Context(), step("Acme GmbH", "")); err != nil {
			t.Fatalf("%s: %v", reason, err)
		}
		if n := p.tokens(); n != tokens {
			t.Errorf("%s: %d tokens, want %d", reason, n, tokens)
		}
	}
	apply(1, "the first call needs one")
	apply(1, "it is kept")
	clock.Advance(569 * time.Second)
	apply(1, "it is good for 600 seconds")
	clock.Advance(time.Second)
	apply(2, "in the last half minute another is asked for")
	p.revoke()
	apply(3, "the file server does not take it, so another is asked for")
	clock.Jump(time.Hour)
	apply(3, "whoever sets the clock changes no lifetime")
	if len(server.Drives()) != 1 {
		t.Errorf("%v", server.Drives())
	}
	if err := c.Probe(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTokenLifetimes(t *testing.T) {
	for said, want := range map[string]time.Duration{
		`"expires_in":600`:                 570 * time.Second,
		`"expires_in":20`:                  10 * time.Second,
		`"scope":"openid"`:                 30 * time.Second,
		`"expires_in":-1`:                  30 * time.Second,
		`"expires_in":9223372036854775807`: 24*time.Hour - 30*time.Second,
	} {
		t.Run(said, func(t *testing.T) {
			c, _, p, clock := newBearerStand(t, clientSecret)
			p.lifetime = said
			for _, test := range []struct {
				wait   time.Duration
				tokens int
			}{{0, 1}, {want - 1, 1}, {1, 2}} {
				clock.Advance(test.wait)
				if _, err := c.me(t.Context()); err != nil || p.tokens() != test.tokens {
					t.Errorf("after %v: %d tokens instead of %d, %v", test.wait, p.tokens(), test.tokens, err)
				}
			}
		})
	}
}

// However many calls need a token, one is asked for.
func TestTokenIsAskedForOnce(t *testing.T) {
	c, _, p, _ := newBearerStand(t, clientSecret)
	for _, tokens := range []int{1, 2} {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := c.me(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := p.tokens(); n != tokens {
			t.Errorf("%d tokens, want %d", n, tokens)
		}
		p.revoke()
	}
}

// Of a call that the file server does not take twice there are two attempts.
func TestTokenOfNobody(t *testing.T) {
	for name, tt := range map[string]struct {
		username string
		message  string
		calls    int
	}{
		"unknown":  {"somebody", "The platform's account on the file server is disabled, is not there or is not known yet.", 2},
		"no claim": {"", "The file server cannot do it right now.", 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, server, p, _ := newBearerStand(t, clientSecret)
			p.username = tt.username
			err := c.Probe(t.Context())
			isVerdict(t, "the account may be made yet", err, passes)
			if platform.MessageOf(err) != tt.message {
				t.Errorf("%q", platform.MessageOf(err))
			}
			if calls := server.Stage().Calls(); len(calls) != tt.calls {
				t.Errorf("called %q", calls)
			}
		})
	}
}

// The message says which of the two 401 it was.
func TestUnauthorized(t *testing.T) {
	s := newStand(t)
	s.Client.token = platform.NewSecret("wrong")
	err := s.Probe(t.Context())
	isVerdict(t, "the server may be starting", err, passes)
	if want := "The file server does not accept our credentials or is still starting."; platform.MessageOf(err) != want {
		t.Errorf("%q", platform.MessageOf(err))
	}
}

func TestTokenFailures(t *testing.T) {
	asJSON := map[string]string{"Content-Type": "application/json"}
	for name, tt := range map[string]struct {
		reason string
		secret string
		fault  stage.Fault
		pass   bool
		after  time.Duration
	}{
		"wrong secret":   {reason: "it does not mend itself", secret: "battery+", pass: never},
		"no secret":      {reason: "it does not mend itself", pass: never},
		"401":            {reason: "it does not mend itself", secret: clientSecret, fault: stage.Fault{Status: 401, Header: asJSON, Body: `{"error":"invalid_client"}`}, pass: never},
		"redirect":       {reason: "a secret is sent to nobody else", secret: clientSecret, fault: stage.Fault{Status: 307, Header: map[string]string{"Location": "/token"}}, pass: never},
		"429":            {reason: "it says when", secret: clientSecret, fault: stage.Fault{Status: 429, Header: map[string]string{"Retry-After": "37"}}, pass: passes, after: 37 * time.Second},
		"500":            {reason: "servers recover", secret: clientSecret, fault: stage.Fault{Status: 500}, pass: passes},
		"HTML":           {reason: "a proxy answers", secret: clientSecret, fault: stage.Fault{Status: 200, Body: "<html>"}, pass: passes},
		"no token":       {reason: "an answer without one is none", secret: clientSecret, fault: stage.Fault{Status: 200, Header: asJSON, Body: `{"token_type":"Bearer"}`}, pass: passes},
		"another type":   {reason: "it is no bearer token", secret: clientSecret, fault: stage.Fault{Status: 200, Header: asJSON, Body: `{"access_token":"a","token_type":"mac"}`}, pass: passes},
		"away":           {reason: "connections break", secret: clientSecret, fault: stage.Fault{Kind: stage.Reset}, pass: passes},
		"half an answer": {reason: "connections break", secret: clientSecret, fault: stage.Fault{Kind: stage.Half}, pass: passes},
		"flood":          {reason: "no more is read than fits", secret: clientSecret, fault: stage.Fault{Kind: stage.Flood}, pass: passes},
	} {
		t.Run(name, func(t *testing.T) {
			c, server, p, _ := newBearerStand(t, tt.secret)
			if tt.fault.Kind != stage.Answer || tt.fault.Status != 0 {
				p.stage.Fail(tt.fault)
			}
			_, err := c.Apply(t.Context(), step("Acme GmbH", ""))
			isVerdict(t, tt.reason, err, tt.pass)
			if after := platform.RetryAfter(err); after != tt.after {
				t.Errorf("retry after %v", after)
			}
			if tt.secret != "" && strings.Contains(err.Error(), tt.secret) {
				t.Errorf("%q shows the secret", err)
			}
			if calls := server.Stage().Calls(); len(calls) > 0 {
				t.Errorf("without a token it called %q", calls)
			}
			if p.stage.Heal(); tt.secret == clientSecret {
				if _, err := c.Apply(t.Context(), step("Acme GmbH", "")); err != nil {
					t.Errorf("healed: %v", err)
				}
			}
		})
	}
}

// A call that waits for a token has an end too.
func TestTokenThatDoesNotCome(t *testing.T) {
	c, _, p, clock := newBearerStand(t, clientSecret)
	p.stage.Fail(stage.Fault{Kind: stage.Nothing, Times: 1})
	go func() {
		for p.tokens() == 0 && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		clock.Advance(time.Minute)
	}()
	err := c.Probe(t.Context())
	isVerdict(t, "the identity provider may be slow today", err, passes)
	if err := c.Probe(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTokenAddressThatIsNone(t *testing.T) {
	clock := clocktest.New(time.Time{})
	credentials := Credentials{TokenURL: "http://user:" + tokenSecret + "@[", ID: "files", Secret: platform.NewSecret(clientSecret)}
	c := NewWithCredentials("http://files.test", credentials, http.DefaultTransport, clock)
	isVerdict(t, "an address does not mend itself", c.Probe(t.Context()), never)
}

// With a token everything else is as with an app token.
func TestApplyWithToken(t *testing.T) {
	c, server, _, _ := newBearerStand(t, clientSecret)
	person := platform.Step{Want: platform.Want{Person: olga()}}
	id, err := c.Apply(t.Context(), person)
	if err != nil {
		t.Fatal(err)
	}
	person.Handle = id
	if again, err := c.Apply(t.Context(), person); err != nil || again != id {
		t.Errorf("%s, %v", again, err)
	}
	want := []standin.User{{ID: id, Username: "olga@acme.test", Name: "Olga Ohm", Mail: "olga@acme.test", Enabled: true}}
	if diff := cmp.Diff(want, server.Users()); diff != "" {
		t.Error(diff)
	}
}
