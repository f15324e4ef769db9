// Package httpcall is how every client calls an outside system over HTTP: with
// one deadline for the whole call, no redirect followed, no more than a few
// calls at once, a bounded answer, and errors that say whether they can pass.
package httpcall

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/dezky/platform/platform"
)

// Limits bound each call.
type Limits struct {
	// Call is the longest that one call may take, its answer included.
	Call time.Duration
	// Answer is the longest body that is read.
	Answer int64
	// Parallel is how many calls may be under way at once.
	Parallel int
}

// DefaultLimits are what a management API needs.
func DefaultLimits() Limits {
	return Limits{Call: 10 * time.Second, Answer: 8 << 20, Parallel: 8}
}

// Caller calls one outside system.
type Caller struct {
	http   *http.Client
	clock  platform.Clock
	system string
	limits Limits
	slots  chan struct{}
}

// New makes a caller. System is how people call the outside system, such as
// "mail server"; it begins the sentences of errors.
func New(system string, transport http.RoundTripper, clock platform.Clock, limits Limits) *Caller {
	return &Caller{
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		clock:  clock,
		system: system,
		limits: limits,
		slots:  make(chan struct{}, limits.Parallel),
	}
}

// Answer is a whole answer, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends one request and reads the whole answer, whatever its status. Its
// errors can pass: no connection, no answer in time, half an answer, too long
// an answer. The effect may have happened all the same.
func (c *Caller) Do(ctx context.Context, req *http.Request) (*Answer, error) {
	ctx, cancel := c.clock.WithTimeout(ctx, c.limits.Call)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, c.unavailable("has no free connection", ctx.Err())
	}
	res, err := c.http.Do(req.WithContext(ctx))
	if err != nil {
		return nil, c.unavailable("does not answer", err)
	}
	defer res.Body.Close() //nolint:errcheck // the body was read, or is given up
	body, err := io.ReadAll(io.LimitReader(res.Body, c.limits.Answer+1))
	if err != nil {
		return nil, c.unavailable("broke off its answer", err)
	}
	if int64(len(body)) > c.limits.Answer {
		return nil, c.unavailable("gave an answer that is too long", fmt.Errorf("more than %d bytes", c.limits.Answer))
	}
	return &Answer{Status: res.StatusCode, Header: res.Header, Body: body}, nil
}

func (c *Caller) unavailable(what string, cause error) error {
	return platform.Errorf(platform.Unavailable, "The %s %s.", c.system, what).Because(cause)
}

// IsJSON says whether the answer calls itself JSON.
func (a *Answer) IsJSON() bool {
	kind, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	return err == nil && (kind == "application/json" || kind == "application/problem+json")
}

// Garbled is the error for an answer that is not what the protocol says. It
// can pass: proxies answer so while what is behind them restarts.
func (c *Caller) Garbled(cause error) error {
	return c.unavailable("gave an answer that makes no sense", cause)
}

// Refused is the error for a status that is not a success. What can pass are
// 408, 425, 429 and every 5xx, after the answer's Retry-After if it has one; all
// else cannot. Where a system's manual knows exceptions, its client asks first.
// Detail is for the log and must hold no secret.
func (c *Caller) Refused(a *Answer, detail string) error {
	cause := fmt.Errorf("status %d", a.Status)
	if detail != "" {
		cause = fmt.Errorf("status %d: %s", a.Status, cut(detail))
	}
	switch {
	case a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly,
		a.Status == http.StatusTooManyRequests, a.Status >= 500:
		return platform.Errorf(platform.Unavailable, "The %s cannot do it right now.", c.system).
			Because(cause).After(c.retryAfter(a.Header.Get("Retry-After")))
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		return platform.Errorf(platform.Unavailable, "The %s does not accept our credentials.", c.system).Because(cause).Never()
	case a.Status >= 300 && a.Status < 400:
		return platform.Errorf(platform.Unavailable, "The %s sends us elsewhere, which we do not follow.", c.system).Because(cause).Never()
	}
	return platform.Errorf(platform.Unavailable, "The %s refused what we asked.", c.system).Because(cause).Never()
}

// retryAfter reads both forms of the header: seconds and a date.
func (c *Caller) retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, date.Sub(c.clock.Now()))
	}
	return 0
}

// cut keeps a log line short.
func cut(text string) string {
	const longest = 300
	if len(text) > longest {
		return text[:longest] + "…"
	}
	return text
}
