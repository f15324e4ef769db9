package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/dezky/platform/platform"
)

// The media types of answers (GraphQL over HTTP).
const (
	plainJSON    = "application/json"
	responseJSON = "application/graphql-response+json"
)

// post is GraphQL over HTTP by POST. It is our own because gqlgen's echoes the
// body of a request that it cannot read.
type post struct{ *Handler }

// Supports takes what no transport before it took.
func (post) Supports(*http.Request) bool { return true }

// Do answers one request.
func (t post) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	ctx := r.Context()
	params, status, err := readParams(w, r)
	if err != nil {
		t.refuse(ctx, w, status, err)
		return
	}
	kind := plainJSON
	if accepts(r, responseJSON) {
		kind = responseJSON
	}
	operation, invalid := exec.CreateOperationContext(ctx, params)
	if invalid == nil && operation.Operation.Operation == ast.Subscription {
		invalid = gqlerror.List{gqlerror.Wrap(platform.Errorf(platform.Invalid,
			"A subscription is a stream: ask for it with Accept: text/event-stream."))}
	}
	if invalid != nil {
		res := exec.DispatchError(graphql.WithOperationContext(ctx, operation), invalid)
		status := http.StatusOK
		if kind == responseJSON {
			status = http.StatusBadRequest
		}
		writeJSON(w, status, kind, res)
		return
	}
	next, ctx := exec.DispatchOperation(ctx, operation)
	res := next(ctx)
	writeJSON(w, statusOfAnswer(res), kind, res)
}

// statusOfAnswer is 200 for whatever was run, but for a caller that is missing:
// browsers and proxies act on that.
func statusOfAnswer(res *graphql.Response) int {
	for _, err := range res.Errors {
		if err.Extensions["code"] == platform.Unauthenticated {
			return http.StatusUnauthorized
		}
	}
	return http.StatusOK
}

// readParams reads the request's body, or says with which status it is refused.
// Nothing of the body is in the error.
func readParams(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, int, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, http.StatusMethodNotAllowed, platform.Errorf(platform.Invalid, "Send GraphQL by POST.")
	}
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := parameters["charset"]
	if err != nil || kind != plainJSON || charset != "" && !strings.EqualFold(charset, "utf-8") || r.Header.Get("Content-Encoding") != "" {
		return nil, http.StatusUnsupportedMediaType, platform.Errorf(platform.Invalid, "Send application/json in UTF-8, as it is.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longestBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return nil, http.StatusRequestEntityTooLarge, platform.Errorf(platform.Invalid, "A request has at most %d bytes.", longestBody)
	}
	if err != nil {
		return nil, http.StatusBadRequest, platform.Errorf(platform.Invalid, "The request broke off.")
	}
	var params graphql.RawParams
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err = decoder.Decode(&params); err == nil {
		_, err = decoder.Token() // a second value, or anything but the end
	}
	if !errors.Is(err, io.EOF) {
		return nil, http.StatusBadRequest, platform.Errorf(platform.Invalid, "The body is no GraphQL request in JSON.")
	}
	if params.Query == "" {
		return nil, http.StatusBadRequest, platform.Errorf(platform.Invalid, "The request has no query.")
	}
	params.Headers = r.Header
	return &params, 0, nil
}

// accepts says whether the client takes a media type, by its own name.
func accepts(r *http.Request, kind string) bool {
	for _, header := range r.Header.Values("Accept") {
		for entry := range strings.SplitSeq(header, ",") {
			name, _, err := mime.ParseMediaType(entry)
			if err == nil && name == kind {
				return true
			}
		}
	}
	return false
}
