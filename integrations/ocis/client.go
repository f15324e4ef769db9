// Package ocis keeps the file server (ownCloud Infinite Scale or OpenCloud) in
// step, over its Graph API. It trusts no filter and no uniqueness there: names
// of spaces are not unique, and a filter that the server does not know lists
// everything.
package ocis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/dezky/platform/integrations/httpcall"
	"github.com/dezky/platform/platform"
)

// Client speaks to one file server.
type Client struct {
	url      string
	username string
	token    platform.Secret
	http     *httpcall.Caller
}

// New makes a client of the server at url. The user is an administrator, or may
// administer spaces; the token is an app token of theirs.
func New(url, username string, token platform.Secret, transport http.RoundTripper, clock platform.Clock) *Client {
	return &Client{
		url:      strings.TrimSuffix(url, "/") + "/graph/v1.0",
		username: username,
		token:    token,
		http:     httpcall.New("file server", transport, clock, httpcall.DefaultLimits()),
	}
}

// drive is a space, as far as it matters here.
type drive struct {
	ID          string
	Name        string
	Description string
	DriveType   string
	Quota       struct{ Used *int64 } // not shown of a disabled space
	Root        struct{ Deleted *struct{ State string } }
}

func (d *drive) disabled() bool { return d.Root.Deleted != nil && d.Root.Deleted.State == "trashed" }

// empty says that nothing is stored in it, as far as is shown.
func (d *drive) empty() bool { return d.Quota.Used != nil && *d.Quota.Used == 0 }

// projects are all project spaces, disabled ones too. The server has no pages.
func (c *Client) projects(ctx context.Context) ([]drive, error) {
	var list struct{ Value json.RawMessage }
	err := c.call(ctx, request{path: "/drives?%24filter=driveType%20eq%20%27project%27"}, &list)
	if err != nil {
		return nil, err
	}
	// An empty list may be null. An answer without one is no list: taken for an
	// empty one, it would make us create a space that is there.
	var all, projects []drive
	if err := json.Unmarshal(list.Value, &all); err != nil {
		return nil, c.http.Garbled(fmt.Errorf("value: %w", err))
	}
	for _, d := range all {
		if d.DriveType == "project" {
			projects = append(projects, d)
		}
	}
	return projects, nil
}

// create makes a project space, however many of that name there are. Its maker
// becomes its manager. Whoever calls it looks for the space afterwards.
func (c *Client) create(ctx context.Context, name, description string) error {
	return c.call(ctx, request{method: http.MethodPost, path: "/drives",
		body: map[string]string{"name": name, "description": description}}, &drive{})
}

func (c *Client) change(ctx context.Context, id string, values map[string]string) error {
	return c.patch(ctx, id, request{body: values})
}

// restore brings a disabled space back. On one that is not disabled it does
// nothing.
func (c *Client) restore(ctx context.Context, id string) error {
	return c.patch(ctx, id, request{header: map[string]string{"Restore": "true"}, body: struct{}{}})
}

func (c *Client) patch(ctx context.Context, id string, r request) error {
	var changed drive
	r.method, r.path = http.MethodPatch, drivePath(id)
	err := c.call(ctx, r, &changed)
	if err == nil && changed.ID != id {
		return c.http.Garbled(fmt.Errorf("changed %q instead of %q", changed.ID, id))
	}
	return err
}

// disable is the first half of removing a space, purge the second. Both are
// done as well when there is nothing to be done.
func (c *Client) disable(ctx context.Context, id string) error {
	return gone(c.call(ctx, request{method: http.MethodDelete, path: drivePath(id)}, nil))
}

func (c *Client) purge(ctx context.Context, id string) error {
	return gone(c.call(ctx, request{method: http.MethodDelete, path: drivePath(id), header: map[string]string{"Purge": "T"}}, nil))
}

func gone(err error) error {
	if theirs, ok := errors.AsType[*graphError](err); ok && theirs.status == http.StatusNotFound {
		return nil
	}
	return err
}

func drivePath(id string) string { return "/drives/" + url.PathEscape(id) }

// request is one call of the API. The zero method is GET.
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
	req, err := http.NewRequestWithContext(ctx, r.method, c.url+r.path, bytes.NewReader(body))
	if err != nil {
		// The cause would show the address, and whatever was put into it.
		return platform.Errorf(platform.Unavailable, "The file server's address is not a URL.").Never()
	}
	req.SetBasicAuth(c.username, c.token.Reveal())
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	answer, err := c.http.Do(ctx, req)
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

// graphError is what the server said, for the log and for whoever knows better.
type graphError struct {
	status  int
	code    string
	message string
}

func (e *graphError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("status %d %s %.300s", e.status, e.code, e.message))
}

// refused reads an error, and knows what differs from other systems: for a
// while after its start the server says 401 to everybody, and 501 says that it
// will never do it.
func (c *Client) refused(answer *httpcall.Answer) error {
	var body struct {
		Error struct{ Code, Message string }
	}
	theirs := &graphError{status: answer.Status}
	if answer.IsJSON() && json.Unmarshal(answer.Body, &body) == nil {
		theirs.code, theirs.message = body.Error.Code, body.Error.Message
	}
	switch answer.Status {
	case http.StatusUnauthorized:
		return platform.Errorf(platform.Unavailable, "The file server does not accept our credentials or is still starting.").Because(theirs)
	case http.StatusNotImplemented:
		return platform.Errorf(platform.Unavailable, "The file server cannot do what we asked.").Because(theirs).Never()
	}
	refused := c.http.Refused(answer, "")
	if ours, ok := errors.AsType[*platform.Error](refused); ok {
		return ours.Because(theirs)
	}
	return refused
}
