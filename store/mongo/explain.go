package mongo

import (
	"context"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/event"

	"github.com/dezky/platform/store"
)

// Explain is the plan that won, the last stage first: its name, and for an index
// its name and what is read of each of its fields. "SORT of the few that are
// named" sorts what was found by ids or by a unique index, and nothing else.
func (e *Engine) Explain(ctx context.Context, coll string, q store.Query) ([]string, error) {
	c, err := e.collection(coll)
	if err != nil {
		return nil, err
	}
	asked, err := newQuery(c, q)
	if err != nil {
		return nil, err
	}
	var plan []string
	err = e.run(ctx, func(ctx context.Context) error {
		answer, err := e.db.RunCommand(ctx, explained(c, asked)).Raw()
		if err != nil {
			return err
		}
		won, ok := answer.Lookup("queryPlanner", "winningPlan").DocumentOK()
		if !ok {
			return fmt.Errorf("an explanation without a plan: %s", answer)
		}
		if inner, ok := won.Lookup("queryPlan").DocumentOK(); ok { // MongoDB 5.1 and newer
			won = inner
		}
		plan = stages(nil, won, asked.few)
		return nil
	})
	return plan, err
}

// explained is the command that explains a find, which has the same fields as
// the find itself.
func explained(c store.Collection, q query) bson.D {
	find := bson.D{{Key: "find", Value: c.Name}, {Key: "filter", Value: q.filter}}
	if q.sort != nil {
		find = append(find, bson.E{Key: "sort", Value: q.sort})
	}
	if q.hint != "" {
		find = append(find, bson.E{Key: "hint", Value: q.hint})
	}
	if q.limit > 0 {
		find = append(find, bson.E{Key: "limit", Value: q.limit})
	}
	if searchable(c) {
		find = append(find, bson.E{Key: "projection", Value: withoutWords()})
	}
	return bson.D{{Key: "explain", Value: find}, {Key: "verbosity", Value: "queryPlanner"}}
}

func stages(lines []string, stage bson.Raw, few bool) []string {
	name, _ := stage.Lookup("stage").StringValueOK()
	line := name
	if name == "SORT" && few {
		line += " of the few that are named"
	}
	if index, ok := stage.Lookup("indexName").StringValueOK(); ok {
		line += " " + index
	}
	if bounds, ok := stage.Lookup("indexBounds").DocumentOK(); ok {
		line += " " + boundsOf(bounds)
	}
	if filter, ok := stage.Lookup("filter").DocumentOK(); ok {
		line += " where " + filter.String()
	}
	lines = append(lines, line)
	if input, ok := stage.Lookup("inputStage").DocumentOK(); ok {
		return stages(lines, input, few)
	}
	inputs, ok := stage.Lookup("inputStages").ArrayOK()
	if !ok {
		return lines
	}
	values, err := inputs.Values()
	if err != nil {
		return append(lines, err.Error())
	}
	for _, input := range values {
		if inner, ok := input.DocumentOK(); ok {
			lines = stages(lines, inner, few)
		}
	}
	return lines
}

func boundsOf(bounds bson.Raw) string {
	elements, err := bounds.Elements()
	if err != nil {
		return err.Error()
	}
	fields := make([]string, len(elements))
	for i, e := range elements {
		ranges := []string{}
		if values, ok := e.Value().ArrayOK(); ok {
			all, err := values.Values()
			if err != nil {
				return err.Error()
			}
			for _, one := range all {
				text, _ := one.StringValueOK()
				ranges = append(ranges, text)
			}
		}
		fields[i] = e.Key() + ": " + strings.Join(ranges, " ")
	}
	return "{" + strings.Join(fields, "; ") + "}"
}

// monitor tells of every command. The driver empties those that sign in before
// it tells of them.
func monitor(trace func(string)) *event.CommandMonitor {
	return &event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			trace(fmt.Sprintf("> %d %s", e.RequestID, e.Command))
		},
		Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) {
			trace(fmt.Sprintf("< %d %s", e.RequestID, e.Reply))
		},
		Failed: func(_ context.Context, e *event.CommandFailedEvent) {
			trace(fmt.Sprintf("! %d %s", e.RequestID, e.Failure))
		},
	}
}
