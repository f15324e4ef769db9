package graph

import (
	"context"
	"sync"
	"time"

	"github.com/dezky/platform/platform"
)

// recheck is how often a running subscription is authorized again: a right
// that was taken away ends it within two seconds.
const recheck = time.Second

// guard authorizes a running subscription for as long as it lives.
type guard struct {
	mu     sync.Mutex
	checks []func(context.Context) error
}

type guardKey struct{}

func withGuard(ctx context.Context, g *guard) context.Context {
	return context.WithValue(ctx, guardKey{}, g)
}

// guardOf is the operation's guard. One that no transport watches over is made
// for nobody.
func guardOf(ctx context.Context) *guard {
	if g, ok := ctx.Value(guardKey{}).(*guard); ok {
		return g
	}
	return &guard{}
}

// watch adds a check that has to hold as long as the operation runs.
func (g *guard) watch(check func(context.Context) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.checks = append(g.checks, check)
}

// guards says whether there is anything to check.
func (g *guard) guards() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.checks) > 0
}

// holds says whether the operation may go on for the actor of ctx.
func (g *guard) holds(ctx context.Context) error {
	g.mu.Lock()
	checks := g.checks
	g.mu.Unlock()
	for _, check := range checks {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// watchOver checks again and again until ctx ends; it returns the error with which
// the operation has to end, or nil when ctx ended first. After each check it
// calls tick.
func (h *Handler) watchOver(ctx context.Context, g *guard, tick func()) error {
	a := platform.ActorOf(ctx)
	for {
		wait := recheck
		if a != nil {
			wait = h.untilRecheck(&a.Identity)
		}
		if h.clock.Sleep(ctx, wait) != nil {
			return nil
		}
		if err := h.stillAllowed(ctx, a, g); err != nil && ctx.Err() == nil {
			return err
		}
		tick()
	}
}

// every rings a bell at most once in d, as often as it is called. One that has
// not been heard yet rings no louder.
func (h *Handler) every(d time.Duration, bell chan<- struct{}) func() {
	last := h.clock.Running()
	return func() {
		if now := h.clock.Running(); now-last >= d {
			last = now
			select {
			case bell <- struct{}{}:
			default:
			}
		}
	}
}

// stillAllowed makes of a panic an error, which ends the one operation.
func (h *Handler) stillAllowed(ctx context.Context, a *platform.Actor, g *guard) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = recovered(ctx, cause)
		}
	}()
	if a != nil {
		if ctx, err = h.stillSignedIn(ctx, &a.Identity, a.From); err != nil {
			return err
		}
	}
	return g.holds(ctx)
}

// untilRecheck is how long what somebody may do counts without another look.
func (h *Handler) untilRecheck(is *platform.Identity) time.Duration {
	return max(0, min(recheck, is.Expires.Add(signInSkew).Sub(h.clock.Now())))
}

// unexpired fails when a token's exp and the skew are over.
func (h *Handler) unexpired(is *platform.Identity) error {
	if !h.clock.Now().Before(is.Expires.Add(signInSkew).Time) {
		return platform.Errorf(platform.Unauthenticated, "The token has expired.")
	}
	return nil
}

// signedIn makes the bearer of a token that was checked before the actor of ctx,
// as the database has them now.
func (h *Handler) signedIn(ctx context.Context, is *platform.Identity, from platform.From) (context.Context, error) {
	return h.actingAs(ctx, is, from, h.p.SignIn)
}

// stillSignedIn is signedIn for what runs already: it may be a little behind.
func (h *Handler) stillSignedIn(ctx context.Context, is *platform.Identity, from platform.From) (context.Context, error) {
	return h.actingAs(ctx, is, from, h.callers.signIn)
}

// signingIn looks up what the bearer of a token may do.
type signingIn func(context.Context, platform.Identity, platform.From) (*platform.Actor, error)

func (h *Handler) actingAs(
	ctx context.Context, is *platform.Identity, from platform.From, signIn signingIn,
) (context.Context, error) {
	if err := h.unexpired(is); err != nil {
		return nil, err
	}
	actor, err := signIn(ctx, *is, from)
	if err != nil {
		return nil, err
	}
	return platform.WithActor(ctx, actor), nil
}
