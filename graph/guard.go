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

func withGuard(ctx context.Context) (context.Context, *guard) {
	g := &guard{}
	return context.WithValue(ctx, guardKey{}, g), g
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

// watchOver checks again and again until ctx ends; it returns the error with which
// the operation has to end, or nil when ctx ended first. Who the caller is, is
// read anew each time; the token counts until its exp and the skew are over.
func (h *Handler) watchOver(ctx context.Context, g *guard) error {
	a := platform.ActorOf(ctx)
	for {
		wait := recheck
		if a != nil {
			wait = min(wait, a.Identity.Expires.Add(signInSkew).Sub(h.clock.Now()))
		}
		if h.clock.Sleep(ctx, max(wait, 0)) != nil {
			return nil
		}
		if err := h.stillAllowed(ctx, a, g); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (h *Handler) stillAllowed(ctx context.Context, a *platform.Actor, g *guard) error {
	if a != nil {
		if !h.clock.Now().Before(a.Identity.Expires.Add(signInSkew).Time) {
			return platform.Errorf(platform.Unauthenticated, "The token has expired.")
		}
		now, err := h.p.SignIn(ctx, a.Identity, a.From)
		if err != nil {
			return err
		}
		ctx = platform.WithActor(ctx, now)
	}
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
