package graph

import (
	"context"
	"sync"
	"time"

	"github.com/dezky/platform/platform"
)

// callerAge is how old what is known of a caller may be where a running
// subscription is authorized again. With recheck it stays within two seconds.
const callerAge = recheck / 2

// callers are looked up once for all their subscriptions that are due at the
// same time. A request of its own always looks for itself.
type callers struct {
	mu    sync.Mutex
	known map[string]*knownCaller
}

type knownCaller struct {
	since time.Duration
	once  sync.Once
	actor *platform.Actor
	err   error
}

// callerTime is how long looking somebody up may take.
const callerTime = 5 * time.Second

// actor is the bearer of a token as the database has them now, or had them less
// than callerAge ago.
func (c *callers) actor(ctx context.Context, h *Handler, is *platform.Identity, from platform.From) (*platform.Actor, error) {
	k := c.of(is.Subject, h.clock.Running())
	k.once.Do(func() {
		// Whoever is first looks for the others too, who must not fail with them.
		ctx, cancel := h.clock.WithTimeout(context.WithoutCancel(ctx), callerTime)
		defer cancel()
		k.actor, k.err = h.p.SignIn(ctx, *is, from)
	})
	if k.err != nil {
		return nil, k.err
	}
	own := *k.actor
	own.Identity, own.From = *is, from
	return &own, nil
}

func (c *callers) of(subject string, now time.Duration) *knownCaller {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.known[subject]
	if k != nil && now-k.since < callerAge {
		return k
	}
	if c.known == nil || len(c.known) > 1000 {
		c.known = map[string]*knownCaller{} // who is there is looked up again
	}
	k = &knownCaller{since: now}
	c.known[subject] = k
	return k
}
