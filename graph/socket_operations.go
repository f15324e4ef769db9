package graph

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/dezky/platform/platform"
)

// operation is one of a socket's running operations. Once its life is over,
// nothing more is said of it.
type operation struct {
	id    string
	from  platform.From
	guard guard
	life  context.Context
	end   context.CancelFunc

	stream bool // a subscription; written and read under the socket's mu
}

// ctx is where the operation's errors come from.
func (op *operation) ctx() context.Context { return withRequest(op.life, op.from) }

// subscribe begins an operation of any kind.
func (c *socket) subscribe(m message) ending {
	if c.caller.Load() == nil {
		return ending{4401, "Unauthorized"}
	}
	params, err := decodeParams(m.Payload)
	if platform.CodeOf(err) == platform.Invalid || m.ID == "" || len(m.ID) > socketID {
		return endInvalid()
	}
	op := &operation{id: m.ID, from: c.from}
	op.from.RequestID = string(platform.NewID(platform.KindRequest))
	op.life, op.end = context.WithCancel(c.running)
	if err != nil {
		c.fail(op, err)
		return ending{}
	}

	c.mu.Lock()
	_, taken := c.live[m.ID]
	full, drained := len(c.live) >= socketLive, c.drained
	if !taken && !full && !drained {
		c.live[m.ID] = op
		c.work.Go(func() { c.run(op, params) })
	}
	c.mu.Unlock()
	switch {
	case taken:
		op.end()
		return ending{4409, "Subscriber for " + strings.ToValidUTF8(cut(m.ID, 64), "") + " already exists"}
	case full:
		c.fail(op, platform.Errorf(platform.ResourceExhausted, "A connection has at most %d operations at once.", socketLive))
	case drained:
		op.end() // the client asks again, of whom it reaches then
	}
	return ending{}
}

// complete ends an operation that the client has had enough of.
func (c *socket) complete(id string) ending {
	if id == "" {
		return endInvalid()
	}
	c.mu.Lock()
	op := c.live[id]
	c.mu.Unlock()
	if op != nil {
		c.retire(op)
	}
	return ending{}
}

// retire gives an operation's id free and ends it.
func (c *socket) retire(op *operation) {
	c.mu.Lock()
	if c.live[op.id] == op {
		delete(c.live, op.id)
	}
	c.mu.Unlock()
	op.end()
}

// follow makes an operation one that ends when the server stops. It says if
// there is still time.
func (c *socket) follow(op *operation) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	op.stream = true
	return !c.drained
}

// guarded are the live operations that somebody may see no more one day.
func (c *socket) guarded() []*operation {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*operation
	for _, op := range c.live {
		if op.guard.guards() {
			all = append(all, op)
		}
	}
	return all
}

// run carries an operation out, to its end.
func (c *socket) run(op *operation, params *graphql.RawParams) {
	defer c.retire(op)
	ctx := op.ctx()
	defer func() {
		if cause := recover(); cause != nil {
			c.fail(op, recovered(ctx, cause))
		}
	}()
	ctx, err := c.signedIn(graphql.StartOperationTrace(ctx), c.caller.Load(), op.from)
	if err != nil {
		c.fail(op, err)
		return
	}
	prepared, invalid := c.exec.CreateOperationContext(ctx, params)
	if invalid != nil {
		c.send(op, "error", c.exec.DispatchError(graphql.WithOperationContext(ctx, prepared), invalid).Errors, true)
		return
	}
	if prepared.Operation.Operation == ast.Subscription {
		if !c.follow(op) {
			return
		}
	} else {
		leave, err := c.turns.take(ctx)
		if err != nil {
			c.fail(op, err)
			return
		}
		defer leave()
	}
	answer, ctx := c.exec.DispatchOperation(withGuard(ctx, &op.guard), prepared)
	for res := answer(ctx); res != nil; res = answer(ctx) {
		if len(res.Data) == 0 {
			c.send(op, "error", res.Errors, true)
			return
		}
		c.send(op, "next", res, false)
	}
	c.send(op, "complete", nil, true)
}

// fail ends an operation by an error.
func (c *socket) fail(op *operation, err error) {
	c.send(op, "error", gqlerror.List{c.present(op.ctx(), err)}, true)
}

// send says something about an operation that still lives. The last word gives
// its id free before the client can know.
func (c *socket) send(op *operation, kind string, payload any, last bool) {
	frame, err := json.Marshal(reply{ID: op.id, Type: kind, Payload: payload})
	if err != nil {
		c.complain(op.ctx(), err)
		op.end()
		return
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if op.life.Err() != nil {
		return
	}
	if last {
		c.retire(op)
	}
	c.write(frame)
}
