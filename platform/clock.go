package platform

import (
	"context"
	"time"
)

// Clock is where all time comes from, so that a test can hold it.
type Clock interface {
	// Now is the wall clock.
	Now() time.Time
	// Running is a monotonic reading: it never jumps, whatever happens to the
	// wall clock, and says nothing about the hour.
	Running() time.Duration
	// Sleep waits for d, or returns ctx's error as soon as ctx ends.
	Sleep(ctx context.Context, d time.Duration) error
	// WithTimeout is context.WithTimeout by this clock.
	WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
}

// SystemClock is the machine's clock.
type SystemClock struct{ start time.Time }

// NewSystemClock starts a monotonic reading at zero.
func NewSystemClock() SystemClock {
	return SystemClock{start: time.Now()} //nolint:forbidigo // the one place where the machine's clock enters
}

// Now is the machine's wall clock.
func (SystemClock) Now() time.Time {
	return time.Now() //nolint:forbidigo // the one place where the machine's clock enters
}

// Running is the time since the clock was made.
func (c SystemClock) Running() time.Duration {
	return time.Since(c.start) //nolint:forbidigo // the one place where the machine's clock enters
}

// Sleep waits by the machine's clock.
func (SystemClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d) //nolint:forbidigo // the one place where the machine's clock enters
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// WithTimeout ends the context after d of the machine's clock.
func (SystemClock) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d) //nolint:forbidigo // the one place where the machine's clock enters
}
