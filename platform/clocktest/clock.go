// Package clocktest has a clock that stands still until a test moves it. It
// satisfies platform.Clock without importing it.
package clocktest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Clock stands still until Advance moves it.
type Clock struct {
	mu      sync.Mutex
	now     time.Time
	running time.Duration
	waiting []*waiter
	arrived chan struct{}
}

type waiter struct {
	at   time.Duration
	done chan struct{}
}

// New is a clock that stands at now.
func New(now time.Time) *Clock {
	return &Clock{now: now, arrived: make(chan struct{})}
}

// Now is where the clock stands.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Running is how far the clock was moved.
func (c *Clock) Running() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}

// Advance moves the clock on and wakes everyone whose time has come, the
// earliest first.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.running += d
	slices.SortStableFunc(c.waiting, func(a, b *waiter) int { return int(a.at - b.at) })
	for len(c.waiting) > 0 && c.waiting[0].at <= c.running {
		close(c.waiting[0].done)
		c.waiting = c.waiting[1:]
	}
}

// Jump moves the wall clock alone, as a clock that is set does.
func (c *Clock) Jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Sleeping waits until n waits stand, so that a test can move the clock past
// them. It gives up with ctx.
func (c *Clock) Sleeping(ctx context.Context, n int) error {
	for {
		c.mu.Lock()
		enough, arrived := len(c.waiting) >= n, c.arrived
		c.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-arrived:
		}
	}
}

// Sleep waits until the clock was moved by d.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	w := c.wait(d)
	select {
	case <-ctx.Done():
		c.forget(w)
		return ctx.Err()
	case <-w.done:
		return nil
	}
}

// WithTimeout ends the context when the clock was moved by d.
func (c *Clock) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancelCause(ctx)
	w := c.wait(d)
	go func() {
		select {
		case <-inner.Done():
			c.forget(w)
		case <-w.done:
			cancel(context.DeadlineExceeded)
		}
	}()
	return timed{inner}, func() { cancel(context.Canceled) }
}

// timed says DeadlineExceeded when its time was up, as a context of the
// context package does.
type timed struct{ context.Context }

func (t timed) Err() error {
	if err := t.Context.Err(); err == nil || !errors.Is(context.Cause(t.Context), context.DeadlineExceeded) {
		return err
	}
	return context.DeadlineExceeded
}

func (c *Clock) wait(d time.Duration) *waiter {
	w := &waiter{done: make(chan struct{})}
	if d <= 0 {
		close(w.done)
		return w
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w.at = c.running + d
	c.waiting = append(c.waiting, w)
	close(c.arrived)
	c.arrived = make(chan struct{})
	return w
}

func (c *Clock) forget(w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = slices.DeleteFunc(c.waiting, func(other *waiter) bool { return other == w })
}
