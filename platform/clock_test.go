package platform

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dezky/platform/platform/clocktest"
)

var _ Clock = (*clocktest.Clock)(nil)

func TestSystemClock(t *testing.T) {
	t.Parallel()
	c := NewSystemClock()
	if d := time.Since(c.Now()); d < 0 || d > time.Minute {
		t.Errorf("now is %v ago", d)
	}
	before := c.Running()
	if err := c.Sleep(t.Context(), 2*time.Millisecond); err != nil || c.Running()-before < 2*time.Millisecond {
		t.Errorf("slept %v, %v; want 2ms", c.Running()-before, err)
	}
	ctx, cancel := c.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := c.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a sleep beyond a time-out: got %v", err)
	}
}

func TestHeldClockStandsStill(t *testing.T) {
	t.Parallel()
	c := clocktest.New(noon.Time)
	if c.Now() != noon.Time || c.Running() != 0 {
		t.Errorf("got %v and %v, want noon and nothing", c.Now(), c.Running())
	}
	c.Advance(time.Second)
	c.Jump(-time.Hour)
	if c.Now() != noon.Time.Add(time.Second-time.Hour) || c.Running() != time.Second {
		t.Errorf("got %v and %v; a jump moves the wall clock alone", c.Now(), c.Running())
	}
}

func TestHeldClockWakesWhoseTimeHasCome(t *testing.T) {
	t.Parallel()
	c := clocktest.New(noon.Time)
	woken := make(chan time.Duration, 3)
	for _, d := range []time.Duration{3 * time.Second, time.Second, time.Minute} {
		go func() {
			if c.Sleep(t.Context(), d) == nil {
				woken <- d
			}
		}()
	}
	if err := c.Sleeping(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Second - 1)
	select {
	case d := <-woken:
		t.Errorf("the sleep of %v ended early", d)
	default:
	}
	c.Advance(1)
	if d := <-woken; d != time.Second {
		t.Errorf("the sleep of %v ended first", d)
	}
	c.Advance(2 * time.Second)
	if d := <-woken; d != 3*time.Second {
		t.Errorf("the sleep of %v ended second", d)
	}
	if err := c.Sleep(t.Context(), 0); err != nil {
		t.Errorf("a sleep of no time: %v", err)
	}
}

func TestHeldClockLetsGoWithItsContext(t *testing.T) {
	t.Parallel()
	c := clocktest.New(noon.Time)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Sleep(ctx, time.Hour) }()
	if err := c.Sleeping(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := c.Sleeping(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait for sleepers that do not come: got %v", err)
	}
}

func TestHeldClockTimeouts(t *testing.T) {
	t.Parallel()
	c := clocktest.New(noon.Time)
	late, cancel := c.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child, cancelChild := context.WithCancel(late)
	defer cancelChild()
	given, giveUp := c.WithTimeout(t.Context(), time.Minute)
	if late.Err() != nil || given.Err() != nil {
		t.Fatal("a time-out that has not come")
	}
	giveUp()
	<-given.Done()
	if !errors.Is(given.Err(), context.Canceled) {
		t.Errorf("given up: got %v", given.Err())
	}
	c.Advance(time.Minute)
	<-late.Done()
	if !errors.Is(late.Err(), context.DeadlineExceeded) || !errors.Is(context.Cause(late), context.DeadlineExceeded) {
		t.Errorf("too late: got %v, because of %v", late.Err(), context.Cause(late))
	}
	<-child.Done()
	if !errors.Is(context.Cause(child), context.DeadlineExceeded) {
		t.Errorf("what hangs on it: got %v, because of %v", child.Err(), context.Cause(child))
	}
	for id, want := range map[Code]error{Unavailable: late.Err(), Internal: given.Err()} {
		if got := CodeOf(want); got != id {
			t.Errorf("code of %v: got %s, want %s", want, got, id)
		}
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	at := At(time.Date(2026, 1, 31, 13, 0, 0, 123456789, time.FixedZone("CET", 3600)))
	if got := at.String(); got != "2026-01-31T12:00:00.123456Z" {
		t.Errorf("got %s", got)
	}
	if a, b := noon.String(), noon.Add(time.Microsecond).String(); len(a) != len(b) || a >= b {
		t.Errorf("%s and %s do not sort as moments do", a, b)
	}
	for text, test := range map[string]struct{ want, reason string }{
		`"2026-01-31T12:00:00Z"`:           {"2026-01-31T12:00:00.000000Z", "as people write it"},
		`"2026-01-31T13:00:00.5+01:00"`:    {"2026-01-31T12:00:00.500000Z", "of another zone"},
		`"2026-01-31T12:00:00.123456789Z"`: {"2026-01-31T12:00:00.123456Z", "finer than it is kept"},
		`"2026-01-31"`:                     {"", "a day is no moment"},
		`1769860800`:                       {"", "a number says no zone"},
		`null`:                             {"", "nothing is no moment"},
	} {
		var got Time
		err := got.UnmarshalJSON([]byte(text))
		if (err == nil) != (test.want != "") || err == nil && got.String() != test.want {
			t.Errorf("%s (%s): got %s, %v; want %s", text, test.reason, got, err, test.want)
		}
	}
	for _, value := range []any{42, nil, true, "yesterday", ""} {
		var got Time
		if err := got.UnmarshalGQL(value); CodeOf(err) != Invalid {
			t.Errorf("%v: got error %v, want INVALID", value, err)
		}
	}
}
