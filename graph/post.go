package graph

import (
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/dezky/platform/platform"
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
	kind := answerKind(r)
	switch {
	case err != nil:
		t.refuseAs(ctx, w, status, kind, err)
		return
	case kind == "":
		t.refuse(ctx, w, http.StatusNotAcceptable, platform.Errorf(platform.Invalid, "Answers are %s or %s.", responseJSON, plainJSON))
		return
	}
	// Only now: a body that comes slowly keeps nobody else from their turn.
	leave, err := t.turns.take(ctx)
	if err != nil {
		t.refuseAs(ctx, w, statusOf(platform.CodeOf(err)), kind, err)
		return
	}
	defer leave()
	defer func() {
		if cause := recover(); cause != nil {
			t.refuseAs(ctx, w, http.StatusInternalServerError, kind, recovered(ctx, cause))
		}
	}()
	operation, invalid := exec.CreateOperationContext(ctx, params)
	if invalid == nil && operation.Operation.Operation == ast.Subscription {
		invalid = gqlerror.List{gqlerror.Wrap(platform.Errorf(platform.Invalid,
			"A subscription is a stream: ask for it with Accept: text/event-stream."))}
	}
	if invalid != nil {
		res := exec.DispatchError(graphql.WithOperationContext(ctx, operation), invalid)
		status := http.StatusOK // for clients that read nothing else
		if kind == responseJSON {
			status = http.StatusBadRequest
		}
		writeJSON(w, status, kind, refusal{res.Errors, res.Extensions})
		return
	}
	next, ctx := exec.DispatchOperation(ctx, operation)
	res := next(ctx)
	if res == nil {
		return // the client went away
	}
	writeAnswer(w, statusOfAnswer(res), kind, res)
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
