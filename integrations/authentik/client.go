// Package authentik speaks with Authentik, the identity provider, over its API
// v3. Client makes the calls and knows their traps; provision.go says what the
// platform wants of them.
//
// Authentik takes whatever it does not understand for nothing said: an unknown
// or empty filter lists everything, a path without its last slash is answered
// from elsewhere. So every path here ends in a slash, no filter is empty, and
// every row of a list is looked at again on our side.
package authentik

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/dezky/platform/integrations/httpcall"
	"github.com/dezky/platform/platform"
)

// Client calls one Authentik. It is safe for use by many at once.
type Client struct {
	call  *httpcall.Caller
	clock platform.Clock
	base  string
	token platform.Secret
}

// New makes a client of the Authentik at url, which is its public address:
// Authentik makes issuers and links out of the host that it was called by.
// Token is an API token that does not expire; an app password is none.
func New(url string, token platform.Secret, transport http.RoundTripper, clock platform.Clock) *Client {
	return &Client{
		call:  httpcall.New("identity provider", transport, clock, httpcall.DefaultLimits()),
		clock: clock,
		base:  strings.TrimRight(url, "/") + "/api/v3",
		token: token,
	}
}

// send makes one call and returns the answer, whatever its status. Path begins
// and ends with a slash.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body any) (*httpcall.Answer, error) {
	for name, values := range query {
		if slices.Contains(values, "") {
			return nil, platform.Errorf(platform.Internal, "The filter %s is empty and would match everything.", name).Never()
		}
	}
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("write %s %s: %w", method, path, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(content))
	if err != nil {
		return nil, platform.Errorf(platform.Unavailable, "The address of the identity provider is wrong.").Because(err).Never()
	}
	req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return c.call.Do(ctx, req)
}

// read is the content of an answer that must have the given status.
func read[T any](c *Client, a *httpcall.Answer, status int) (T, error) {
	var content T
	if a.Status != status {
		return content, c.refused(a)
	}
	if !a.IsJSON() {
		return content, c.call.Garbled(fmt.Errorf("%s instead of JSON", a.Header.Get("Content-Type")))
	}
	if err := json.Unmarshal(a.Body, &content); err != nil {
		return content, c.call.Garbled(err)
	}
	return content, nil
}

// mostPages ends a list that never does.
const mostPages = 1000

// list reads all pages of a list. The filter says what is asked for and not
// what comes: the caller looks at every row.
func list[T any](ctx context.Context, c *Client, path string, filter url.Values) ([]T, error) {
	type page struct {
		Pagination *struct {
			Next int `json:"next"`
		} `json:"pagination"`
		Results []T `json:"results"`
	}
	var all []T
	number := 1
	for range mostPages {
		query := url.Values{"page_size": {"100"}, "page": {strconv.Itoa(number)}}
		for name, values := range filter {
			query[name] = values
		}
		a, err := c.send(ctx, http.MethodGet, path, query, nil)
		if err != nil {
			return nil, err
		}
		p, err := read[page](c, a, http.StatusOK)
		if err != nil {
			return nil, err
		}
		if p.Pagination == nil {
			return nil, c.call.Garbled(fmt.Errorf("a list of %s without pages", path))
		}
		all = append(all, p.Results...)
		if p.Pagination.Next == 0 {
			return all, nil
		}
		if p.Pagination.Next <= number {
			return nil, c.call.Garbled(fmt.Errorf("page %d of %s is followed by page %d", number, path, p.Pagination.Next))
		}
		number = p.Pagination.Next
	}
	return nil, c.call.Garbled(fmt.Errorf("%s has more than %d pages", path, mostPages))
}

// refused is the error for a status that the call did not want. Only a JSON
// answer that says what is wrong is quoted: Django's pages of errors show the
// request's headers, and a success may show a client's secret.
func (c *Client) refused(a *httpcall.Answer) error {
	if !a.IsJSON() || a.Status < http.StatusBadRequest {
		return c.refusedQuietly(a)
	}
	detail := reasons(a.Body)
	if token := c.token.Reveal(); token != "" {
		detail = strings.ReplaceAll(detail, token, c.token.String())
	}
	return c.call.Refused(a, detail)
}

// refusedQuietly is the same without a word of the answer.
func (c *Client) refusedQuietly(a *httpcall.Answer) error {
	if kind := a.Header.Get("Content-Type"); a.Status == http.StatusOK && !a.IsJSON() {
		return c.call.Garbled(fmt.Errorf("%s instead of JSON", kind)) // a proxy's word, while what is behind it restarts
	}
	return c.call.Refused(a, "")
}

// reasons puts an error's body into a line, such as "name: This field is
// required." A field's value is a list, a text or something nested, and all are
// read alike.
func reasons(body []byte) string {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return "an error without a reason"
	}
	var lines []string
	for name, value := range fields {
		var text string
		var texts []string
		switch {
		case json.Unmarshal(value, &text) == nil:
		case json.Unmarshal(value, &texts) == nil:
			text = strings.Join(texts, " ")
		default:
			text = string(value)
		}
		lines = append(lines, name+": "+text)
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}
