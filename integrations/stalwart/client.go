// Package stalwart keeps the mail server in step, over its management API:
// JMAP with objects of its own (x:Domain and the like). What it takes for
// granted of the server is in the recordings in testdata, which are of a live
// 0.16.19.
package stalwart

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/dezky/platform/integrations/httpcall"
	"github.com/dezky/platform/platform"
)

// Client speaks to one mail server.
type Client struct {
	url           string
	authorization platform.Secret
	http          *httpcall.Caller
}

// New makes a client of the server at url. The token is an API key (API_…), or
// the recovery administrator's user:password.
func New(url string, token platform.Secret, transport http.RoundTripper, clock platform.Clock) *Client {
	return &Client{
		// The session's apiUrl is the server's public address, which need not
		// be reachable from here, so it is never asked for.
		url:           strings.TrimSuffix(url, "/") + "/jmap",
		authorization: authorization(token),
		http:          httpcall.New("mail server", transport, clock, limits()),
	}
}

// limits are the usual ones, but for the calls at once: the server takes four
// of one account.
func limits() httpcall.Limits {
	l := httpcall.DefaultLimits()
	l.Parallel = 4
	return l
}

// What the server takes in one request.
const (
	maxCalls   = 16
	maxObjects = 500
)

func authorization(token platform.Secret) platform.Secret {
	text := token.Reveal()
	if !strings.HasPrefix(text, "API_") && strings.Contains(text, ":") {
		return platform.NewSecret("Basic " + base64.StdEncoding.EncodeToString([]byte(text)))
	}
	return platform.NewSecret("Bearer " + text)
}

// call is one method call, and where its answer goes. Its id is any name that
// no other call of the request has.
type call struct {
	id     string
	method string
	args   any
	out    any
}

// call makes up to 16 method calls in one request. They are carried out in
// their order and not as one: when one fails, those before it stay done, and
// those after it are tried. The error is the first failure's; an answer that
// came before it is in its out.
func (c *Client) call(ctx context.Context, calls ...call) error {
	methods := make([]any, len(calls))
	for i, one := range calls {
		methods[i] = []any{one.method, one.args, one.id}
	}
	body, err := json.Marshal(map[string]any{
		"using":       []string{"urn:ietf:params:jmap:core", "urn:stalwart:jmap"},
		"methodCalls": methods,
	})
	if err != nil {
		return err
	}
	answer, err := c.post(ctx, body)
	if err != nil {
		return err
	}
	if answer.Status != http.StatusOK {
		return c.refused(answer)
	}
	return c.read(answer, calls)
}

func (c *Client) post(ctx context.Context, body []byte) (*httpcall.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		// The cause would show the address, and whatever was put into it.
		return nil, platform.Errorf(platform.Unavailable, "The mail server's address is not a URL.").Never()
	}
	req.Header.Set("Authorization", c.authorization.Reveal())
	req.Header.Set("Content-Type", "application/json")
	return c.http.Do(ctx, req)
}

// refused reads a request-level error. Its detail is left out: for a request
// that the server cannot read, that is our own request, passwords and all.
func (c *Client) refused(answer *httpcall.Answer) error {
	var problem struct{ Type, Title, Limit string }
	if !answer.IsJSON() || json.Unmarshal(answer.Body, &problem) != nil {
		return c.http.Refused(answer, "")
	}
	what := strings.TrimSpace(problem.Type + " " + problem.Title + " " + problem.Limit)
	if answer.Status == http.StatusBadRequest && problem.Limit == "maxConcurrentRequests" {
		return platform.Errorf(platform.Unavailable, "The mail server has too many requests of ours at once.").Because(errors.New(what))
	}
	return c.http.Refused(answer, what)
}

// read takes the answers apart by the ids of their calls.
func (c *Client) read(answer *httpcall.Answer, calls []call) error {
	var envelope struct{ MethodResponses [][3]json.RawMessage }
	if err := json.Unmarshal(answer.Body, &envelope); err != nil {
		return c.http.Garbled(err)
	}
	for _, one := range calls {
		name, args, err := find(envelope.MethodResponses, one.id)
		switch {
		case err != nil:
			return c.http.Garbled(fmt.Errorf("%s: %w", one.method, err))
		case name == "error":
			return c.failed(one.method, args)
		case name != one.method:
			return c.http.Garbled(fmt.Errorf("%s is answered by %q", one.method, name))
		}
		if err := json.Unmarshal(args, one.out); err != nil {
			return c.http.Garbled(fmt.Errorf("%s: %w", one.method, err))
		}
		if whole, ok := one.out.(interface{ isWhole() bool }); ok && !whole.isWhole() {
			return c.http.Garbled(fmt.Errorf("%s: the answer lacks its list", one.method))
		}
	}
	return nil
}

func find(responses [][3]json.RawMessage, id string) (name string, args json.RawMessage, err error) {
	for _, response := range responses {
		var theirs string
		if err := json.Unmarshal(response[2], &theirs); err != nil || theirs != id {
			continue
		}
		err := json.Unmarshal(response[0], &name)
		return name, response[1], err
	}
	return "", nil, errors.New("no answer")
}

// failed reads a method-level error. Only serverUnavailable can pass: it stands
// for a lost race or a failing store.
func (c *Client) failed(method string, args json.RawMessage) error {
	var theirs struct{ Type, Description string }
	if err := json.Unmarshal(args, &theirs); err != nil {
		return c.http.Garbled(fmt.Errorf("%s: error: %w", method, err))
	}
	cause := fmt.Errorf("%s: %s: %s", method, theirs.Type, theirs.Description)
	switch theirs.Type {
	case "serverUnavailable":
		return platform.Errorf(platform.Unavailable, "The mail server cannot do it right now.").Because(cause)
	case "invalidArguments": // its description quotes values of ours
		cause = fmt.Errorf("%s: %s", method, theirs.Type)
	}
	return platform.Errorf(platform.Unavailable, "The mail server refused what we asked.").Because(cause).Never()
}
