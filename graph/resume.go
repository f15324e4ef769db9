package graph

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// place is where a subscription's events say how far they are, for a stream
// that broke and goes on by Last-Event-ID.
type place struct {
	variable    string // that gives the argument after
	isCursor    bool
	root, field string // what the answer calls the root field, and the place in it
}

// resumable is nil for an operation that cannot go on: its root field has no
// argument after, the document does not leave it to a variable, or it does not
// ask for what that has to be, cursor or sequence.
func resumable(operation *graphql.OperationContext) *place {
	if operation.Operation.Operation != ast.Subscription || len(operation.Operation.SelectionSet) != 1 {
		return nil
	}
	root, ok := operation.Operation.SelectionSet[0].(*ast.Field)
	if !ok || root.Definition == nil {
		return nil
	}
	given, declared := root.Arguments.ForName("after"), root.Definition.Arguments.ForName("after")
	if given == nil || declared == nil || given.Value.Kind != ast.Variable {
		return nil
	}
	p := &place{variable: given.Value.Raw, isCursor: declared.Type.Name() == "Cursor", root: root.Alias}
	name := "sequence"
	if p.isCursor {
		name = "cursor"
	}
	for _, selected := range root.SelectionSet {
		if field, ok := selected.(*ast.Field); ok && field.Name == name {
			p.field = field.Alias
			return p
		}
	}
	return nil
}

// goOn begins an operation after an event that the client has seen. That counts
// more than the variable: a client that comes again repeats its first request.
func (p *place) goOn(operation *graphql.OperationContext, lastEvent string) {
	switch {
	case p == nil || lastEvent == "":
	case p.isCursor:
		operation.Variables[p.variable] = lastEvent
	default:
		if sequence, err := strconv.ParseInt(lastEvent, 10, 32); err == nil {
			operation.Variables[p.variable] = sequence
		}
	}
}

// of is the place of an event, or "" where it has none.
func (p *place) of(data []byte) string {
	if p == nil {
		return ""
	}
	var event map[string]map[string]json.RawMessage
	if json.Unmarshal(data, &event) != nil {
		return ""
	}
	raw := event[p.root][p.field]
	var cursor string
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return ""
	case !p.isCursor:
		return string(raw)
	case json.Unmarshal(raw, &cursor) != nil || strings.ContainsAny(cursor, "\x00\r\n"):
		return ""
	}
	return cursor
}
