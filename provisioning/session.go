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
	"fmt"
	"log/slog"
	"maps"
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

// glance is how often what may change at any moment is looked at: the witness,
// and the own beat where a call waits for it.
const glance = 25 * time.Millisecond

// Witness sees processes end, where that can be seen: a beat has to stand still
// for a while first. What it says is certain; of a session that it knows nothing
// about it says nothing, and the beat alone counts.
type Witness interface {
	// Hold has this process's session seen, from before it is opened until Forget
	// or the end of the process.
	Hold(session platform.ID) error
	// Dead says that a session's process has ended.
	Dead(session platform.ID) bool
	// Forget is for a session that was buried.
	Forget(session platform.ID)
}

// blind is the witness where there is none.
type blind struct{}

func (blind) Hold(platform.ID) error { return nil }
func (blind) Dead(platform.ID) bool  { return false }
func (blind) Forget(platform.ID)     {}

// Session is this process's life in the eyes of the others.
type Session struct {
	store   platform.Store
	witness Witness
	clock   platform.Clock
	newID   func(platform.Kind) platform.ID
	log     *slog.Logger
	every   Intervals

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
	// ended is what the witness said.
	ended bool
}

// OpenSession begins this process's session. The witness may be nil.
func OpenSession(
	ctx context.Context, store platform.Store, witness Witness, clock platform.Clock,
	newID func(platform.Kind) platform.ID, log *slog.Logger, every Intervals,
) (*Session, error) {
	if witness == nil {
		witness = blind{}
	}
	s := &Session{store: store, witness: witness, clock: clock, newID: newID, log: log, every: every, cancel: func() {}}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	return s, nil
}

func (s *Session) open(ctx context.Context) error {
	begun, now := s.clock.Running(), platform.At(s.clock.Now())
	doc := &platform.Session{Document: platform.Document{ID: s.newID(platform.KindSession)}, StartedAt: now, BeatAt: now}
	if err := s.witness.Hold(doc.ID); err != nil {
		s.log.WarnContext(ctx, "should this process die, the others will learn it by its beat alone", "err", err)
	}
	if err := s.store.OpenSession(ctx, doc); err != nil {
		s.witness.Forget(doc.ID)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel()
	if s.id != "" {
		s.witness.Forget(s.id)
	}
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

// WithLife is the life of the session with this ID: it ends at once when the
// process learns that the session was declared dead, and also with ctx.
func (s *Session) WithLife(ctx context.Context, id platform.ID) (context.Context, context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	live, cancel := context.WithCancel(s.life)
	if s.id != id {
		cancel()
	}
	stop := context.AfterFunc(ctx, cancel)
	return live, func() { stop(); cancel() }
}

// Fresh says whether the session's own beat is young enough to act on.
func (s *Session) Fresh() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fresh()
}

func (s *Session) fresh() bool { return s.clock.Running()-s.beaten <= s.every.Stale }

// Guard lets a call out only while this session's beat is fresh: a process that
// was stopped and woken must not act on what it believed before. A call waits for
// a beat; if it is to be learned that the session is dead, it ends with its life.
func (s *Session) Guard(next http.RoundTripper) http.RoundTripper { return guarded{s, next} }

type guarded struct {
	session *Session
	next    http.RoundTripper
}

func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	for !g.session.Fresh() {
		if err := g.session.clock.Sleep(r.Context(), glance); err != nil {
			return nil, fmt.Errorf("this process has fallen behind and calls nobody: %w", err)
		}
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
			return s.bury(ctx, other)
		}
	}
	return nil
}

func (s *Session) bury(ctx context.Context, other *platform.Session) error {
	err := s.store.BurySession(ctx, other)
	if err == nil {
		s.witness.Forget(other.ID)
	}
	return err
}

// await waits for d, or until the witness sees one of the others end.
func (s *Session) await(ctx context.Context, d time.Duration) error {
	if s.witness == (blind{}) {
		return s.clock.Sleep(ctx, d)
	}
	for end := s.clock.Running() + d; s.clock.Running() < end; {
		if err := s.clock.Sleep(ctx, min(glance, d)); err != nil {
			return err
		}
		if s.bereaved() {
			return nil
		}
	}
	return nil
}

// bereaved says whether one of the others has ended since it was asked last.
func (s *Session) bereaved() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := false
	for id, last := range s.seen {
		if !last.ended && s.witness.Dead(id) {
			last.ended, news = true, true
			s.seen[id] = last
		}
	}
	return news
}

// orphans are the sessions that hold subjects and are dead. It declares dead
// those whose process has ended, and those whose beat stood still for too long,
// by this process's own monotonic clock; while this session's own beat is stale
// it has watched nobody.
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
		if (s.witness.Dead(other.ID) || s.still(other)) && s.bury(ctx, other) == nil {
			s.log.InfoContext(ctx, "a session was declared dead", "session", other.ID)
			continue
		}
		alive[other.ID] = true
	}
	s.mu.Lock()
	maps.DeleteFunc(s.seen, func(id platform.ID, _ sighting) bool { return !alive[id] })
	s.mu.Unlock()
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
		s.seen[other.ID] = sighting{version: other.Version, since: s.clock.Running()}
		return false
	}
	return s.clock.Running()-last.since >= s.every.Dead
}
