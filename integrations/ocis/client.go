// Package ocis keeps the file server (ownCloud Infinite Scale or OpenCloud) in
// step, over its Graph API. It trusts no filter and no uniqueness there: names
// of spaces are not unique, and a filter that the server does not know lists
// everything. Of accounts the username alone is unique, whatever its case, and
// it is the one that the identity provider's tokens name.
package ocis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/dezky/platform/integrations/httpcall"
	"github.com/dezky/platform/platform"
)

// Client speaks to one file server. It is safe for use by many at once.
type Client struct {
	url  string
	http *httpcall.Caller
	// It signs in with an app token of a user, or with bearer tokens where bearer
	// is not nil.
	username string
	token    platform.Secret
	bearer   *bearer
}

// New makes a client of the server at url. The user is an administrator; the
// token is an app token of theirs. With less than that role the tenants' spaces
// can be kept in step, and people cannot.
func New(url, username string, token platform.Secret, transport http.RoundTripper, clock platform.Clock) *Client {
	c := newClient(url, transport, clock)
	c.username, c.token = username, token
	return c
}

// NewWithCredentials makes a client of the server at url that signs in with
// bearer tokens of the identity provider, as the user whose username is the
// tokens' preferred_username. That user is there before, and an administrator.
func NewWithCredentials(url string, credentials Credentials, transport http.RoundTripper, clock platform.Clock) *Client {
	c := newClient(url, transport, clock)
	c.bearer = newBearer(credentials, transport, clock)
	return c
}

func newClient(url string, transport http.RoundTripper, clock platform.Clock) *Client {
	return &Client{
		url:  strings.TrimSuffix(url, "/") + "/graph",
		http: httpcall.New("file server", transport, clock, httpcall.DefaultLimits()),
	}
}

// request is one call of the API. The zero method is GET. The path begins with
// the version.
type request struct {
	method string
	path   string
	header map[string]string
	body   any
}

// call makes one call and reads its answer into out, which is nil where the
// answer has no body.
func (c *Client) call(ctx context.Context, r request, out any) error {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return err
		}
	}
	answer, err := c.send(ctx, r, body)
	if err != nil {
		return err
	}
	if answer.Status < 200 || answer.Status > 299 {
		return c.refused(answer)
	}
	if out == nil && answer.Status == http.StatusNoContent {
		return nil
	}
	if out == nil {
		return c.http.Garbled(fmt.Errorf("status %d and %d bytes instead of nothing", answer.Status, len(answer.Body)))
	}
	if err := json.Unmarshal(answer.Body, out); err != nil {
		return c.http.Garbled(err)
	}
	return nil
}

// send makes one call, and once more with another bearer token if the server
// does not take the first: whatever it answers with 401 it has not done.
func (c *Client) send(ctx context.Context, r request, body []byte) (*httpcall.Answer, error) {
	if c.bearer == nil {
		return c.attempt(ctx, r, body, func(req *http.Request) { req.SetBasicAuth(c.username, c.token.Reveal()) })
	}
	var token platform.Secret
	for {
		stale := token
		var err error
		if token, err = c.bearer.get(ctx, stale); err != nil {
			return nil, err
		}
		answer, err := c.attempt(ctx, r, body, func(req *http.Request) { req.Header.Set("Authorization", "Bearer "+token.Reveal()) })
		if err != nil || answer.Status != http.StatusUnauthorized || !stale.IsZero() {
			return answer, err
		}
	}
}

func (c *Client) attempt(ctx context.Context, r request, body []byte, sign func(*http.Request)) (*httpcall.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, c.url+r.path, bytes.NewReader(body))
	if err != nil {
		// The cause would show the address, and whatever was put into it.
		return nil, platform.Errorf(platform.Unavailable, "The file server's address is not a URL.").Never()
	}
	sign(req)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	return c.http.Do(ctx, req)
}

// list reads a list. An empty one may be null. An answer without one is no list:
// taken for an empty one, it would make us create what is there.
func list[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	var answer struct{ Value json.RawMessage }
	if err := c.call(ctx, request{path: path}, &answer); err != nil {
		return nil, err
	}
	var all []T
	if err := json.Unmarshal(answer.Value, &all); err != nil {
		return nil, c.http.Garbled(fmt.Errorf("value: %w", err))
	}
	return all, nil
}

// graphError is what the server said, for the log and for whoever knows better.
type graphError struct {
	status  int
	code    string
	message string
}

func (e *graphError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("status %d %s %.300s", e.status, e.code, e.message))
}

// said is what the server said, or nil for an error that is not its answer.
func said(err error) *graphError {
	theirs, _ := errors.AsType[*graphError](err)
	return theirs
}

func hasStatus(err error, status int) bool {
	theirs := said(err)
	return theirs != nil && theirs.status == status
}

// refused reads an error, and knows what differs from other systems: for a
// while after its start the server says 401 to everybody, and 501 says that it
// will never do it. It challenges whoever has wrong credentials, and does not
// challenge an account that is disabled or that it does not know.
func (c *Client) refused(answer *httpcall.Answer) error {
	var body struct {
		Error struct{ Code, Message string }
	}
	theirs := &graphError{status: answer.Status}
	if answer.IsJSON() && json.Unmarshal(answer.Body, &body) == nil {
		theirs.code, theirs.message = body.Error.Code, body.Error.Message
	}
	switch {
	case answer.Status == http.StatusUnauthorized && answer.Header.Get("Www-Authenticate") == "":
		return platform.Errorf(platform.Unavailable, "The platform's account on the file server is disabled, is not there or is not known yet.").Because(theirs)
	case answer.Status == http.StatusUnauthorized:
		return platform.Errorf(platform.Unavailable, "The file server does not accept our credentials or is still starting.").Because(theirs)
	case answer.Status == http.StatusNotImplemented:
		return platform.Errorf(platform.Unavailable, "The file server cannot do what we asked.").Because(theirs).Never()
	}
	refused := c.http.Refused(answer, "")
	if ours, ok := errors.AsType[*platform.Error](refused); ok {
		return ours.Because(theirs)
	}
	return refused
}
