package ocis

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dezky/platform/integrations/httpcall"
	"github.com/dezky/platform/platform"
)

// Credentials are those of a client at the identity provider whose tokens the
// file server takes: the provider that the file server's own users sign in by.
type Credentials struct {
	// TokenURL is the provider's token endpoint.
	TokenURL string
	ID       string
	Secret   platform.Secret
}

// scopes are what the file server finds an account by: without openid there is
// no userinfo, and without profile no preferred_username in it.
const scopes = "openid profile email"

// bearer keeps one token, which it gets by the grant of client credentials (RFC
// 6749, section 4.4), and gets another shortly before it expires.
type bearer struct {
	credentials Credentials
	http        *httpcall.Caller
	clock       platform.Clock

	// turn is held by who reads or replaces what follows.
	turn  chan struct{}
	token platform.Secret
	until time.Duration // by the clock's monotonic reading
}

func newBearer(credentials Credentials, transport http.RoundTripper, clock platform.Clock) *bearer {
	return &bearer{
		credentials: credentials, clock: clock, turn: make(chan struct{}, 1),
		http: httpcall.New("identity provider", transport, clock, httpcall.DefaultLimits()),
	}
}

// get is a token that is not stale, however many ask at once.
func (b *bearer) get(ctx context.Context, stale platform.Secret) (platform.Secret, error) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return platform.Secret{}, ctx.Err()
	}
	if !b.token.IsZero() && b.token != stale && b.clock.Running() < b.until {
		return b.token, nil
	}
	token, lifetime, err := b.fetch(ctx)
	if err != nil {
		return platform.Secret{}, err
	}
	const early = 30 * time.Second
	b.token, b.until = token, b.clock.Running()+lifetime-min(early, lifetime/2)
	return token, nil
}

func (b *bearer) fetch(ctx context.Context) (token platform.Secret, lifetime time.Duration, err error) {
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {scopes},
		"client_id": {b.credentials.ID}, "client_secret": {b.credentials.Secret.Reveal()},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.credentials.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return token, 0, platform.Errorf(platform.Unavailable, "The identity provider's token address is not a URL.").Never()
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	answer, err := b.http.Do(ctx, req)
	if err != nil {
		return token, 0, err
	}
	var body struct {
		Error       string `json:"error"`
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	unreadable := json.Unmarshal(answer.Body, &body)
	if answer.Status != http.StatusOK {
		return token, 0, b.http.Refused(answer, b.quote(body.Error))
	}
	switch {
	case unreadable != nil:
		return token, 0, b.http.Garbled(unreadable)
	case body.AccessToken == "" || !strings.EqualFold(body.TokenType, "bearer"):
		return token, 0, b.http.Garbled(fmt.Errorf("a token of type %q", b.quote(body.TokenType)))
	}
	return platform.NewSecret(body.AccessToken), b.lifetime(body.ExpiresIn), nil
}

// lifetime is how long a token is good. One that does not say so is taken for
// short-lived; one that says nonsense is asked for again within a day.
func (b *bearer) lifetime(seconds int64) time.Duration {
	if seconds <= 0 {
		return time.Minute
	}
	return time.Duration(min(seconds, 24*60*60)) * time.Second
}

// quote is a text of the provider without what it may have echoed.
func (b *bearer) quote(text string) string {
	if b.credentials.Secret.IsZero() {
		return text
	}
	return strings.ReplaceAll(text, b.credentials.Secret.Reveal(), b.credentials.Secret.String())
}
