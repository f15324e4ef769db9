package provisioning

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
	"github.com/dezky/platform/store/storetest"
)

// two are two processes on one database, whose sessions beat and watch when the
// test says so.
func two(t testing.TB) (a, b *process, clock *clocktest.Clock) {
	t.Helper()
	file := database(t)
	clock = clocktest.New(noon)
	nobody := map[platform.Integration]platform.Provisioner{}
	a = start(t, storetest.Open(t, file), clock, DefaultIntervals(), nobody)
	b = start(t, storetest.Open(t, file), clock, DefaultIntervals(), nobody)
	return a, b, clock
}

func (p *process) watches(t testing.TB) []platform.ID {
	t.Helper()
	dead, err := p.session.orphans(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dead
}

func (p *process) alive(t testing.TB, id platform.ID) bool {
	t.Helper()
	all, err := p.store.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.ID == id {
			return true
		}
	}
	return false
}

func TestASessionThatStandsStillIsDeclaredDead(t *testing.T) {
	t.Parallel()
	a, b, clock := two(t)
	id := b.session.ID()
	var waited time.Duration
	for ; b.alive(t, id); waited += 250 * time.Millisecond {
		if waited > 3*time.Second {
			t.Fatal("it never was")
		}
		a.session.beat(t.Context())
		a.watches(t)
		clock.Advance(250 * time.Millisecond)
	}
	if waited < 2*time.Second {
		t.Errorf("declared dead after %v, want two seconds at least", waited)
	}
	if !a.alive(t, a.session.ID()) {
		t.Error("the watcher is dead too")
	}
}

func TestASessionThatBeatsIsNotDeclaredDead(t *testing.T) {
	t.Parallel()
	a, b, clock := two(t)
	clock.Jump(-time.Hour) // wall clocks do not count
	for i := range 40 {
		a.session.beat(t.Context())
		if i%4 == 0 { // slowly, once a second
			b.session.beat(t.Context())
		}
		a.watches(t)
		clock.Advance(250 * time.Millisecond)
		clock.Jump(time.Duration(i) * time.Minute)
	}
	if !a.alive(t, b.session.ID()) {
		t.Error("a session that beats was declared dead")
	}
}

func TestProcessesThatWerePausedTogetherLetEachOtherLive(t *testing.T) {
	t.Parallel()
	for name, wake := range map[string]func(testing.TB, *process){
		"beats first":   func(t testing.TB, p *process) { p.session.beat(t.Context()); p.watches(t) },
		"watches first": func(t testing.TB, p *process) { p.watches(t); p.session.beat(t.Context()); p.watches(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, clock := two(t)
			for range 4 {
				// Each has seen the other's last beat.
				a.session.beat(t.Context())
				b.session.beat(t.Context())
				a.watches(t)
				b.watches(t)
				clock.Advance(500 * time.Millisecond)
			}
			clock.Advance(3 * time.Second)
			wake(t, a)
			if !a.alive(t, b.session.ID()) {
				t.Error("the first to wake declared the other dead, though it had watched nobody meanwhile")
			}
			clock.Advance(100 * time.Millisecond)
			wake(t, b)
			if !b.alive(t, a.session.ID()) {
				t.Error("the second to wake declared the first dead")
			}
		})
	}
}

func TestABuriedSessionHasNotBeatenMeanwhile(t *testing.T) {
	t.Parallel()
	a, b, _ := two(t)
	all, err := a.store.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.session.beat(t.Context())
	for _, s := range all {
		if s.ID != b.session.ID() {
			continue
		}
		if err := a.store.BurySession(t.Context(), s); platform.CodeOf(err) != platform.Conflict {
			t.Errorf("got %v, want CONFLICT", err)
		}
	}
	if !a.alive(t, b.session.ID()) {
		t.Error("it was buried alive")
	}
}

func bury(t testing.TB, by, who *process) {
	t.Helper()
	all, err := by.store.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.ID == who.session.ID() {
			if err := by.store.BurySession(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAProcessThatFindsItselfDeadBeginsAnew(t *testing.T) {
	t.Parallel()
	a, b, _ := two(t)
	old := b.session.ID()
	life, end := b.session.WithLife(t.Context(), old)
	defer end()
	bury(t, a, b)
	if life.Err() != nil {
		t.Error("the life ended before the process knew")
	}
	b.session.beat(t.Context())
	<-life.Done()
	if b.session.ID() == old || !a.alive(t, b.session.ID()) || a.alive(t, old) {
		t.Errorf("the session is %s, of old %s", b.session.ID(), old)
	}
	late, end := b.session.WithLife(t.Context(), old)
	defer end()
	if late.Err() == nil {
		t.Error("an attempt of the dead session was given the life of the new one")
	}
	fresh, end := b.session.WithLife(t.Context(), b.session.ID())
	if fresh.Err() != nil {
		t.Error("the new session has no life")
	}
	end()
	if fresh.Err() == nil {
		t.Error("a life that was given back")
	}
}

func TestALifeEndsAlsoWhenNoNewSessionCanBeOpened(t *testing.T) {
	t.Parallel()
	a, b, _ := two(t)
	life, end := b.session.WithLife(t.Context(), b.session.ID())
	defer end()
	bury(t, a, b)
	b.session.newID = func(platform.Kind) platform.ID { return a.session.ID() } // is taken
	b.session.beat(t.Context())
	<-life.Done()
	b.session.newID = platform.NewID
	b.session.beat(t.Context())
	if next, end := b.session.WithLife(t.Context(), b.session.ID()); next.Err() != nil || !a.alive(t, b.session.ID()) {
		t.Error("the next beat did not open a session")
	} else {
		end()
	}
}

func TestClosedSessionsAreGoneAtOnce(t *testing.T) {
	t.Parallel()
	a, b, _ := two(t)
	for range 2 { // closing again is nothing
		if err := b.session.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if a.alive(t, b.session.ID()) || !a.alive(t, a.session.ID()) {
		t.Error("want the closed one gone, and the other there")
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestGuard(t *testing.T) {
	t.Parallel()
	_, b, clock := two(t)
	calls := 0
	guard := b.session.Guard(roundTrip(func(*http.Request) (*http.Response, error) { calls++; return nil, errors.New("called") }))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://outside.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		do     func()
		lets   bool
		reason string
	}{
		{func() {}, true, "a new session is fresh"},
		{func() { clock.Advance(time.Second) }, true, "as old as it may be"},
		{func() { clock.Advance(1) }, false, "stopped, and woken: what it believes may be wrong"},
		{func() { clock.Jump(-time.Hour) }, false, "the wall clock does not count"},
		{func() { b.session.beat(t.Context()) }, true, "it has a beat again"},
	} {
		step.do()
		before := calls
		patience, end := context.WithCancel(t.Context())
		if !step.lets {
			end() // it would wait for a beat
		}
		_, err := guard.RoundTrip(request.WithContext(patience)) //nolint:bodyclose // there is none
		end()
		if err == nil || (calls > before) != step.lets || b.session.Fresh() != step.lets {
			t.Errorf("%s: let out %v, want %v", step.reason, calls > before, step.lets)
		}
	}
}

func TestRunBeats(t *testing.T) {
	t.Parallel()
	clock := clocktest.New(noon)
	p := start(t, storetest.New(t), clock, DefaultIntervals(), nil)
	stop := runs(t, p.session.Run)
	beat := func() (int64, platform.Time) {
		all, err := p.store.Sessions(t.Context())
		if err != nil || len(all) != 1 {
			t.Fatalf("there are the sessions %v: %v", all, err)
		}
		return all[0].Version, all[0].BeatAt
	}
	for range 3 {
		version, at := beat()
		until(t, "another beat", func() bool {
			clock.Advance(500 * time.Millisecond) // again where the beat before still had its time-out standing
			now, then := beat()
			return now > version && then.After(at.Time)
		})
	}
	stop()
}
