package provisioning

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
	"github.com/dezky/platform/store/storetest"
)

// seer is a witness that knows what the test tells it.
type seer struct {
	mu    sync.Mutex
	known map[platform.ID]string // "alive" or "dead"
	fails error
}

func (s *seer) Hold(id platform.ID) error {
	s.set(id, "alive")
	return s.fails
}

func (s *seer) Dead(id platform.ID) bool { return s.state(id) == "dead" }

func (s *seer) Forget(id platform.ID) { s.set(id, "") }

func (s *seer) set(id platform.ID, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[id] = state
}

func (s *seer) state(id platform.ID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[id]
}

// watched are two sessions on one store, with a witness.
func watched(t *testing.T) (a, b *Session, w *seer, clock *clocktest.Clock) {
	t.Helper()
	store, w, clock := storetest.New(t), &seer{known: map[platform.ID]string{}}, clocktest.New(noon)
	open := func() *Session {
		s, err := OpenSession(t.Context(), store, w, clock, platform.NewID, slog.New(slog.DiscardHandler), DefaultIntervals())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	return open(), open(), w, clock
}

func (s *Session) living(t *testing.T) map[platform.ID]bool {
	t.Helper()
	all, err := s.store.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ids := map[platform.ID]bool{}
	for _, one := range all {
		ids[one.ID] = true
	}
	return ids
}

func TestTheWitnessIsBelievedAtOnce(t *testing.T) {
	t.Parallel()
	a, b, w, clock := watched(t)
	look := func() {
		t.Helper()
		if _, err := a.orphans(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	look()
	woken := make(chan error, 1)
	go func() { woken <- a.await(t.Context(), time.Hour) }()
	for range 3 {
		if err := clock.Sleeping(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		clock.Advance(glance)
	}
	if err := clock.Sleeping(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	w.set(b.ID(), "dead")
	clock.Advance(glance)
	if err := <-woken; err != nil {
		t.Fatal(err)
	}
	if a.bereaved() {
		t.Error("the same death is news a second time")
	}
	look()
	if left := a.living(t); left[b.ID()] || !left[a.ID()] {
		t.Errorf("living are %v, want %s alone", left, a.ID())
	}
	if w.state(b.ID()) != "" || w.state(a.ID()) != "alive" {
		t.Error("the buried one was to be forgotten, and nobody else")
	}
}

func TestWhomTheWitnessDoesNotKnowTheBeatJudges(t *testing.T) {
	t.Parallel()
	a, b, w, clock := watched(t)
	w.Forget(b.ID()) // as a process that could hold no lock
	waited := time.Duration(0)
	for ; a.living(t)[b.ID()]; waited += 250 * time.Millisecond {
		if waited > 3*time.Second {
			t.Fatal("it was never declared dead")
		}
		a.beat(t.Context())
		if _, err := a.orphans(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.Advance(250 * time.Millisecond)
	}
	if waited < 2*time.Second {
		t.Errorf("declared dead after %v", waited)
	}
}

func TestANewSessionIsHeldInThePlaceOfTheOld(t *testing.T) {
	t.Parallel()
	a, b, w, _ := watched(t)
	old := b.ID()
	w.set(old, "dead")
	if _, err := a.orphans(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.fails = errors.New("no locks here") // which is no reason not to live
	b.beat(t.Context())
	if id := b.ID(); id == old || w.state(id) != "alive" || w.state(old) != "" || !a.living(t)[id] {
		t.Errorf("the session is %s, of old %s; %v", id, old, w.known)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.state(b.ID()) != "" {
		t.Error("a closed session is still held")
	}
}
