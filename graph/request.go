package graph

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/dezky/platform/platform"
)

type requestKey struct{}

// withRequest keeps where a request comes from, for its errors and its log.
func withRequest(ctx context.Context, from platform.From) context.Context {
	return context.WithValue(ctx, requestKey{}, from)
}

func requestOf(ctx context.Context) platform.From {
	from, _ := ctx.Value(requestKey{}).(platform.From)
	return from
}

// callerIP is where a request comes from, behind a number of proxies that are
// ours. Each of them adds whom it speaks with to X-Forwarded-For, at the end; what
// stands before their entries anybody may have written.
func callerIP(r *http.Request, proxies int) string {
	var passed []string
	for _, header := range r.Header.Values("X-Forwarded-For") {
		for entry := range strings.SplitSeq(header, ",") {
			passed = append(passed, strings.TrimSpace(entry))
		}
	}
	if proxies > 0 && len(passed) >= proxies {
		return cut(passed[len(passed)-proxies], 64)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// statusOf is the HTTP status of a request that a code ended before it ran.
func statusOf(code platform.Code) int {
	switch code {
	case platform.Unauthenticated:
		return http.StatusUnauthorized
	case platform.Unavailable:
		return http.StatusServiceUnavailable
	case platform.ResourceExhausted:
		return http.StatusTooManyRequests
	case platform.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// retrySoon is what a client is told to wait where nobody knows better.
const retrySoon = 2 * time.Second

// refusal is the answer to a request that was not run: it has no data, not even
// null.
type refusal struct {
	Errors     gqlerror.List  `json:"errors"`
	Extensions map[string]any `json:"extensions,omitempty"`
}

// writeJSON writes an answer whole.
func writeJSON(w http.ResponseWriter, status int, kind string, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"errors":[{"message":"Something went wrong on our side."}]}`)
	}
	writeBody(w, status, kind, body)
}

// writeAnswer is writeJSON of an answer whose data is JSON already, and is not
// read through once more.
func writeAnswer(w http.ResponseWriter, status int, kind string, res *graphql.Response) {
	if len(res.Data) == 0 || res.HasNext != nil {
		writeJSON(w, status, kind, res)
		return
	}
	body := make([]byte, 0, len(res.Data)+512)
	body = append(body, '{')
	member := func(name string, value any) (err error) {
		var text []byte
		if text, err = json.Marshal(value); err == nil {
			body = append(append(append(body, '"'), name...), `":`...)
			body = append(append(body, text...), ',')
		}
		return err
	}
	var err error
	if len(res.Errors) > 0 {
		err = member("errors", res.Errors)
	}
	body = append(append(append(body, `"data":`...), res.Data...), ',')
	if len(res.Extensions) > 0 {
		err = errors.Join(err, member("extensions", res.Extensions))
	}
	if err != nil {
		writeJSON(w, status, kind, res)
		return
	}
	body[len(body)-1] = '}'
	writeBody(w, status, kind, body)
}

// writeBody has nobody to tell when the client went away.
func writeBody(w http.ResponseWriter, status int, kind string, body []byte) {
	head := w.Header()
	head.Set("Content-Type", kind+"; charset=utf-8")
	switch status {
	case http.StatusUnauthorized:
		head.Set("WWW-Authenticate", `Bearer realm="dezky"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		head.Set("Retry-After", strconv.Itoa(int(retrySoon.Seconds())))
	}
	w.WriteHeader(status)
	w.Write(body) //nolint:errcheck // see above
}
