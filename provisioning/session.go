// Package provisioning brings the outside systems in step with what the store
// says should be, again and again, until they are.
//
// What is guaranteed: nothing is queued in memory, so a process that is killed
// loses no work; a subject is in the hands of one session at a time, and a
// session whose beat stands still loses what it holds, first on paper and then
// in fact: it calls nothing outside any more, and its reports are dropped. Each
// attempt ends in a state that is written down. Steps of a subject run side by
// side and fail alone.
//
// What is not: that an outside system is asked once only. A dead process's call
// may land after its successor has looked, so provisioners adopt what they find,
// and look again (platform.Provisioner).
package provisioning

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/dezky/platform/platform"
)

// Intervals are how quickly sessions live and die.
type Intervals struct {
	// Beat is how often a session raises its beat.
	Beat time.Duration
	// Stale is how old a session's own beat may be before it does nothing more.
	Stale time.Duration
	// Dead is how long another's beat may stand still before it is declared dead.
	Dead time.Duration
	// Look is how often a process looks for what is due, whatever it was told.
	Look time.Duration
}

// DefaultIntervals let a dead process's work go on after about two seconds.
func DefaultIntervals() Intervals {
	return Intervals{Beat: 500 * time.Millisecond, Stale: time.Second, Dead: 2 * time.Second, Look: 250 * time.Millisecond}
}

// Session is this process's life in the eyes of the others.
type Session struct {
	store platform.Store
	clock platform.Clock
	newID func(platform.Kind) platform.ID
	log   *slog.Logger
	every Intervals

	mu sync.Mutex
	id platform.ID
	// beaten is when the newest beat was begun, by the monotonic clock.
	beaten time.Duration
	seen   map[platform.ID]sighting
	// life ends when the session was declared dead, and with it all its attempts.
	life   context.Context
	cancel context.CancelFunc
}

// sighting is another session's beat, and since when it is what it is.
type sighting struct {
	version int64
	since   time.Duration
}

// OpenSession begins this process's session.
func OpenSession(
	ctx context.Context, store platform.Store, clock platform.Clock,
	newID func(platform.Kind) platform.ID, log *slog.Logger, every Intervals,
) (*Session, error) {
	s := &Session{store: store, clock: clock, newID: newID, log: log, every: every, cancel: func() {}}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	return s, nil
}

func (s *Session) open(ctx context.Context) error {
	begun, now := s.clock.Running(), platform.At(s.clock.Now())
	doc := &platform.Session{Document: platform.Document{ID: s.newID(platform.KindSession)}, StartedAt: now, BeatAt: now}
	if err := s.store.OpenSession(ctx, doc); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel()
	s.id, s.beaten, s.seen = doc.ID, begun, map[platform.ID]sighting{}
	s.life, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return nil
}

// ID is the session's present ID. It changes when the process finds that it was
// declared dead.
func (s *Session) ID() platform.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// WithLife is ctx, ended also when the session with this ID was declared dead.
func (s *Session) WithLife(ctx context.Context, id platform.ID) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id != id || s.life.Err() != nil {
		cancel()
		return ctx, cancel
	}
	stop := context.AfterFunc(s.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// Fresh says whether the session's own beat is young enough to act on.
func (s *Session) Fresh() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fresh()
}

func (s *Session) fresh() bool { return s.clock.Running()-s.beaten <= s.every.Stale }

// Guard lets a call out only while this session's beat is fresh: a process that
// was stopped and woken must not act on what it believed before.
func (s *Session) Guard(next http.RoundTripper) http.RoundTripper { return guarded{s, next} }

type guarded struct {
	session *Session
	next    http.RoundTripper
}

func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if !g.session.Fresh() {
		return nil, errors.New("this process has fallen behind and calls nobody")
	}
	return g.next.RoundTrip(r)
}

// Run beats until ctx ends.
func (s *Session) Run(ctx context.Context) error {
	for s.clock.Sleep(ctx, s.every.Beat) == nil {
		s.beat(ctx)
	}
	return nil
}

func (s *Session) beat(ctx context.Context) {
	begun := s.clock.Running()
	call, cancel := s.clock.WithTimeout(ctx, s.every.Stale)
	defer cancel()
	id := s.ID()
	err := s.store.Beat(call, id, platform.At(s.clock.Now()))
	switch {
	case err == nil:
		s.mu.Lock()
		if begun-s.beaten > s.every.Stale {
			clear(s.seen) // stopped and woken, it has watched nobody meanwhile
		}
		s.beaten = begun
		s.mu.Unlock()
	case platform.CodeOf(err) == platform.NotFound:
		s.log.WarnContext(ctx, "this session was declared dead", "session", id)
		s.mu.Lock()
		s.cancel() // also when no new one can be opened yet
		s.mu.Unlock()
		if err := s.open(call); err != nil {
			s.log.WarnContext(ctx, "no new session", "err", err)
		}
	case ctx.Err() == nil:
		s.log.WarnContext(ctx, "the beat failed", "session", id, "err", err)
	}
}

// Close ends the session, so that others need not wait to take over.
func (s *Session) Close(ctx context.Context) error {
	all, err := s.store.Sessions(ctx)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.ID == s.ID() {
			return s.store.BurySession(ctx, other)
		}
	}
	return nil
}

// orphans are the sessions that hold subjects and are dead. It declares dead
// those whose beat stood still for too long, by this process's own monotonic
// clock; while this session's own beat is stale it has watched nobody.
func (s *Session) orphans(ctx context.Context) ([]platform.ID, error) {
	// Owners first: who owns has opened a session before, so it is among those
	// read afterwards, unless it died.
	owners, err := s.store.ProvisioningOwners(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.store.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	alive := map[platform.ID]bool{}
	for _, other := range all {
		if s.still(other) && s.store.BurySession(ctx, other) == nil {
			s.log.InfoContext(ctx, "a session was declared dead", "session", other.ID)
			continue
		}
		alive[other.ID] = true
	}
	var dead []platform.ID
	for _, owner := range owners {
		if !alive[owner] {
			dead = append(dead, owner)
		}
	}
	return dead, nil
}

// still says whether another session's beat has stood still for too long.
func (s *Session) still(other *platform.Session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.fresh() {
		clear(s.seen)
		return false
	}
	last, known := s.seen[other.ID]
	if other.ID == s.id {
		return false
	}
	if !known || last.version != other.Version {
		s.seen[other.ID] = sighting{other.Version, s.clock.Running()}
		return false
	}
	if s.clock.Running()-last.since < s.every.Dead {
		return false
	}
	delete(s.seen, other.ID)
	return true
}
