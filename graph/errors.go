package graph

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/dezky/platform/platform"
)

// presenter makes of an error what a client may see: the platform's own words
// and code, gqlgen's words about the document, and of everything else nothing
// but the request's id, under which the log has it.
func presenter(log *slog.Logger) graphql.ErrorPresenterFunc {
	return func(ctx context.Context, err error) *gqlerror.Error {
		out := &gqlerror.Error{Extensions: map[string]any{}}
		var framed *gqlerror.Error
		if errors.As(err, &framed) {
			out.Path, out.Locations = framed.Path, framed.Locations
		}
		if out.Path == nil && graphql.GetPathContext(ctx) != nil {
			out.Path = graphql.GetPath(ctx)
		}
		ours, isOurs := errors.AsType[*platform.Error](err)
		switch {
		case isOurs && ours.Code != platform.Internal:
			out.Message = ours.Message
			out.Extensions["code"] = ours.Code
			if ours.Field != "" {
				out.Extensions["field"] = ours.Field
			}
			if ours.Code == platform.Unavailable {
				log.WarnContext(ctx, "unavailable", "requestId", requestOf(ctx).RequestID, "path", out.Path.String(), "err", err)
			}
		case framed != nil && isDocuments(framed):
			out.Message, out.Extensions["code"] = cut(strings.Join(strings.Fields(framed.Message), " "), 300), framed.Extensions["code"]
		case isNoNumber(err):
			out.Message, out.Extensions["code"] = "This is no whole number of 32 bits.", platform.Invalid
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			out.Message, out.Extensions["code"] = "The request was ended before its answer.", platform.Unavailable
		default:
			log.ErrorContext(ctx, "unexpected error", "requestId", requestOf(ctx).RequestID, "path", out.Path.String(), "err", err)
			out.Message, out.Extensions["code"] = "Something went wrong on our side.", platform.Internal
		}
		out.Extensions["requestId"] = requestOf(ctx).RequestID
		return out
	}
}

// isDocuments says whether an error is about the document or its variables:
// gqlgen's own, in which nothing of ours can be.
func isDocuments(err *gqlerror.Error) bool {
	code := err.Extensions["code"]
	return code == errcode.ParseFailed || code == errcode.ValidationFailed
}

// isNoNumber says whether a variable was too large for its type, or had a
// fraction, which gqlgen sees no sooner than where it is used.
func isNoNumber(err error) bool {
	_, tooLarge := errors.AsType[*graphql.NumberOverflowError](err)
	_, unreadable := errors.AsType[*strconv.NumError](err)
	return tooLarge || unreadable
}

// recovered makes an error of a panic, stack and all, for the log.
func recovered(_ context.Context, cause any) error {
	return fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
}

// inDocument orders errors as their fields stand in the document, whichever
// field was quicker; those of one field by their paths.
func inDocument(a, b *gqlerror.Error) int {
	x, y := placeOf(a), placeOf(b)
	return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column), strings.Compare(a.Path.String(), b.Path.String()))
}

func placeOf(err *gqlerror.Error) gqlerror.Location {
	if len(err.Locations) == 0 {
		return gqlerror.Location{}
	}
	return err.Locations[0]
}
