package stalwart

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dezky/platform/platform"
)

// queryResult is the answer to a /query.
type queryResult struct{ IDs []string }

func (r *queryResult) isWhole() bool { return r.IDs != nil }

// getResult is the answer to a /get. What is not in its list is not there.
type getResult[T any] struct{ List []T }

func (r *getResult[T]) isWhole() bool { return r.List != nil }

// setResult is the answer to a /set. It never holds more of an object than its
// id, so what was made has to be read back. An id that the server cannot read is
// nowhere in it.
type setResult struct {
	Created      map[string]struct{ ID string }
	Updated      map[string]any
	Destroyed    []string
	NotCreated   map[string]*setError
	NotUpdated   map[string]*setError
	NotDestroyed map[string]*setError
}

// update changes one object. The refusal is the server's, about this object.
func (c *Client) update(ctx context.Context, method, id string, patch map[string]any) (refusal *setError, err error) {
	var result setResult
	err = c.call(ctx, call{"mend", method, map[string]any{"update": map[string]any{id: patch}}, &result})
	if err != nil {
		return nil, err
	}
	return result.updated(c, id)
}

func (r *setResult) updated(c *Client, id string) (refusal *setError, err error) {
	if _, ok := r.Updated[id]; ok {
		return nil, nil
	}
	if refusal = r.NotUpdated[id]; refusal == nil { // as if it had not been asked
		return nil, c.http.Garbled(fmt.Errorf("left out the update of %q", id))
	}
	return refusal, nil
}

// made is the id of what was to be made, or why it was not.
func (r *setResult) made(c *Client, creation string) (id string, refusal *setError, err error) {
	if refusal = r.NotCreated[creation]; refusal != nil {
		return "", refusal, nil
	}
	if id = r.Created[creation].ID; id == "" {
		return "", nil, c.http.Garbled(errors.New("left out what was to be made"))
	}
	return id, nil, nil
}

// destroy destroys objects of one kind, up to the server's limit at once. What
// is gone already is as wanted. The refusals are those of the others, by id.
func (c *Client) destroy(ctx context.Context, kind string, ids []string) (map[string]*setError, error) {
	refusals := map[string]*setError{}
	for len(ids) > 0 {
		n := min(len(ids), maxObjects)
		var result setResult
		err := c.call(ctx, call{"destroy", kind + "/set", map[string]any{"destroy": ids[:n]}, &result})
		if err != nil {
			return nil, err
		}
		done := map[string]bool{}
		for _, id := range result.Destroyed {
			done[id] = true
		}
		var dropped []string
		for _, id := range ids[:n] {
			refusal := result.NotDestroyed[id]
			switch {
			case done[id]:
			case refusal == nil:
				dropped = append(dropped, id)
			case refusal.Type != "notFound":
				refusals[id] = refusal
			}
		}
		if err := c.areGone(ctx, kind, dropped); err != nil {
			return nil, err
		}
		ids = ids[n:]
	}
	return refusals, nil
}

// areGone looks again at what a destruction left out without a word.
func (c *Client) areGone(ctx context.Context, kind string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	var found getResult[struct{ ID string }]
	err := c.call(ctx, call{"look", kind + "/get", map[string]any{"ids": ids, "properties": []string{"id"}}, &found})
	if err != nil {
		return err
	}
	if len(found.List) > 0 {
		return c.http.Garbled(fmt.Errorf("left out the destruction of %s %q", kind, found.List[0].ID))
	}
	return nil
}

// all reads every id of a kind that a filter leaves, page by page, and hands
// each page on, until more says that it has seen enough. Only this sort pages
// safely: by default the server turns round each page, not the whole. What is
// destroyed between two pages can hide one object; who must be sure of it makes
// it, and is told who has it.
func (c *Client) all(ctx context.Context, kind string, filter map[string]any, properties []string, page any, more func(n int) bool) error {
	for from := 0; ; from += maxObjects {
		var ids queryResult
		args := map[string]any{
			"sort":     []any{map[string]any{"property": "id", "isAscending": true}},
			"position": from, "limit": maxObjects,
		}
		if filter != nil {
			args["filter"] = filter
		}
		err := c.call(ctx,
			call{"page", kind + "/query", args, &ids},
			call{"read", kind + "/get", map[string]any{"#ids": resultOf("page", kind), "properties": properties}, page})
		if err != nil {
			return err
		}
		if !more(len(ids.IDs)) || len(ids.IDs) < maxObjects {
			return nil
		}
	}
}

// resultOf stands for the ids that an earlier call of the request finds.
func resultOf(call, kind string) map[string]any {
	return map[string]any{"resultOf": call, "name": kind + "/query", "path": "/ids"}
}

// setError says why one object was not set. What it says of values is left
// out, since they are ours.
type setError struct {
	Type             string
	Description      string
	Properties       []string
	ObjectID         *objectID `json:"objectId"`
	LinkedObjects    []objectID
	ValidationErrors []struct{ Type, Property string }
}

// mostNamed is how many of the things that hold another an error names.
const mostNamed = 20

type objectID struct{ Object, ID string }

// isSecret says that the refusal is of a password.
func (e *setError) isSecret() bool {
	return e.Type == "invalidProperties" && len(e.Properties) > 0 &&
		(e.Properties[0] == "secret" || strings.HasSuffix(e.Properties[0], "/secret"))
}

// isHeldBy says that an address was refused to the very account that has it.
func (e *setError) isHeldBy(account string) bool {
	return e != nil && e.Type == "primaryKeyViolation" && e.ObjectID != nil && *e.ObjectID == (objectID{"Account", account})
}

func (e *setError) Error() string {
	text := e.Type
	if e.Description != "" && !e.isSecret() { // what is said of a password may say a part of it
		text += ": " + e.Description
	}
	if len(e.Properties) > 0 {
		text += fmt.Sprintf(" %q", e.Properties)
	}
	if e.ObjectID != nil {
		text += fmt.Sprintf(", held by %s %s", e.ObjectID.Object, e.ObjectID.ID)
	}
	for i, linked := range e.LinkedObjects {
		if i == mostNamed {
			text += ", …"
			break
		}
		text += fmt.Sprintf(", linked by %s %s", linked.Object, linked.ID)
	}
	for _, v := range e.ValidationErrors {
		text += fmt.Sprintf(", %s: %s", v.Property, v.Type)
	}
	return text
}

// notDone is the error for a refusal; what it says was refused is such as "to
// change the mailbox of ada@acme.test". What was removed a moment ago, be it the
// object or one that it refers to, is looked for anew by the next attempt; all
// else is refused for good.
func (e *setError) notDone(what string) error {
	if e.Type == "notFound" || e.Type == "invalidForeignKey" {
		return platform.Errorf(platform.Unavailable, "Something that is needed was just removed from the mail server.").Because(e)
	}
	return platform.Errorf(platform.Unavailable, "The mail server refused %s.", what).Because(e).Never()
}
