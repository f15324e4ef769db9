package graph

import (
	"context"
	"sync"
	"time"

	"github.com/dezky/platform/platform"
)

const (
	// callerAge is how old what is known of a caller may be where a running
	// subscription is authorized again. With recheck it stays within two seconds.
	callerAge = recheck / 2
	// callerTime is how long looking somebody up may take.
	callerTime = 5 * time.Second
	// mostCallers are known at once.
	mostCallers = 1000
)

// callers are looked up once for all their subscriptions that are due at the
// same time. A request of its own always looks for itself.
type callers struct {
	clock platform.Clock
	look  signingIn

	mu    sync.Mutex
	known map[string]knownCaller
}

type knownCaller struct {
	since time.Duration
	actor func() (*platform.Actor, error)
}

func newCallers(clock platform.Clock, look signingIn) *callers {
	return &callers{clock: clock, look: look, known: map[string]knownCaller{}}
}

// signIn is the bearer of a token as the database has them now, or had them less
// than callerAge ago.
func (c *callers) signIn(ctx context.Context, is platform.Identity, from platform.From) (*platform.Actor, error) {
	actor, err := c.of(ctx, is, from).actor()
	if err != nil {
		return nil, err
	}
	own := *actor
	own.Identity, own.From = is, from
	return &own, nil
}

func (c *callers) of(ctx context.Context, is platform.Identity, from platform.From) knownCaller {
	now := c.clock.Running()
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, known := c.known[is.Subject]; known && now-k.since < callerAge {
		return k
	}
	if len(c.known) >= mostCallers {
		clear(c.known) // who is still there is looked up again
	}
	k := knownCaller{now, sync.OnceValues(func() (*platform.Actor, error) {
		// Whoever is first looks for the others too, who must not fail with them.
		ctx, cancel := c.clock.WithTimeout(context.WithoutCancel(ctx), callerTime)
		defer cancel()
		return c.look(ctx, is, from)
	})}
	c.known[is.Subject] = k
	return k
}
