package store

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/dezky/platform/platform"
)

func (r reader) Provisioning(ctx context.Context, subject platform.ID) (*platform.Provisioning, error) {
	return oneByID[platform.Provisioning](ctx, r, provisioning, subject, platform.NoProvisioning(subject))
}

func (r reader) ProvisioningsByID(ctx context.Context, subjects []platform.ID) ([]*platform.Provisioning, error) {
	return byID[platform.Provisioning](ctx, r, provisioning, subjects)
}

func longestFailing() order[platform.Provisioning] {
	return order[platform.Provisioning]{
		list: "failing", sort: "failingSince", value: func(p *platform.Provisioning) string { return p.FailingSince.String() },
	}
}

// failing is any moment: a subject that does not fail has none.
func failing() Condition { return compare("failingSince", Gte, "") }

func (r reader) FailingProvisionings(ctx context.Context, page platform.Page) (platform.List[*platform.Provisioning], error) {
	return findPage(ctx, r, provisioning, longestFailing(), page, failing())
}

func (r reader) CountFailingProvisionings(ctx context.Context) (int, error) {
	return count(ctx, r, provisioning, failing())
}

func (r reader) OpenProvisionings(ctx context.Context) ([]*platform.Provisioning, error) {
	return find[platform.Provisioning](ctx, r, provisioning, Query{Where: []Condition{eq("open", true)}})
}

func (r reader) DueProvisionings(ctx context.Context, owner platform.ID, by platform.Time, n int) ([]platform.ID, error) {
	due := Query{Where: []Condition{eq("owner", string(owner)), compare("dueAt", Lte, by.String())}, Sort: "dueAt", Limit: n}
	return idsOf(r.from.Find(ctx, provisioning, due))
}

func (r reader) ProvisioningOwners(ctx context.Context) ([]platform.ID, error) {
	counts, err := countBy(ctx, r, provisioning, "owner", compare("owner", Gt, ""))
	owners := make([]platform.ID, 0, len(counts))
	for owner := range counts {
		owners = append(owners, owner)
	}
	return owners, err
}

func (r reader) ProvisioningsOwnedBy(ctx context.Context, owner platform.ID, n int) ([]platform.ID, error) {
	return idsOf(r.from.Find(ctx, provisioning, Query{Where: []Condition{eq("owner", string(owner))}, Sort: "dueAt", Limit: n}))
}

func idsOf(docs []Doc, err error) ([]platform.ID, error) {
	ids := make([]platform.ID, len(docs))
	for i, d := range docs {
		ids[i] = d.ID
	}
	return ids, err
}

// event is one state of a subject in the log.
type event struct {
	platform.Document
	At platform.Time `json:"at"`
	platform.ProvisioningStatus
}

// PutProvisioning stores the document; a loud one is also the next event.
func (w *writer) PutProvisioning(ctx context.Context, p *platform.Provisioning, loud bool) error {
	if loud {
		p.Sequence++
	}
	store := w.replace
	if p.Version == 0 {
		store = w.insert
	}
	if err := store(ctx, provisioning, p); err != nil || !loud {
		return err
	}
	id := platform.ID(fmt.Sprintf("%s_%s_%d", platform.KindEvent, p.ID, p.Sequence))
	return w.insert(ctx, events, &event{platform.Document{ID: id}, p.ChangedAt, *p.Present()})
}

// raise makes a subject's steps due, in the transaction of the change that
// wants something else.
func (w *writer) raise(ctx context.Context, subject, tenant platform.ID, now platform.Time) error {
	there, err := w.ProvisioningsByID(ctx, []platform.ID{subject})
	if err != nil {
		return err
	}
	if len(there) == 0 {
		return w.PutProvisioning(ctx, platform.NewProvisioning(subject, tenant, platform.StepsOf(subject.Kind()), now), true)
	}
	there[0].Raise(now)
	return w.PutProvisioning(ctx, there[0], true)
}

// EventsAfter reads a subject's log.
func (s *Store) EventsAfter(
	ctx context.Context, subject platform.ID, sequence int32, n int,
) ([]*platform.ProvisioningStatus, error) {
	rows, err := find[event](ctx, s.reader, events, Query{
		Where: []Condition{eq("subjectId", string(subject)), compare("sequence", Gt, int64(sequence))}, Sort: "sequence", Limit: n,
	})
	out := make([]*platform.ProvisioningStatus, len(rows))
	for i, e := range rows {
		out[i] = e.status()
	}
	return out, err
}

// WatchEvents follows the log of all subjects.
func (s *Store) WatchEvents(ctx context.Context, after string) iter.Seq2[platform.LoggedEvent, error] {
	return func(yield func(platform.LoggedEvent, error) bool) {
		for change, err := range s.engine.Watch(ctx, events, Position(after)) {
			if errors.Is(err, ErrPositionLost) {
				err = platform.ErrPositionLost
			}
			logged := platform.LoggedEvent{Position: string(change.Position)}
			if err == nil && change.Doc.ID != "" {
				var e *event
				if e, err = decode[event](change.Doc); err == nil {
					logged.Status = e.status()
				}
			}
			if !yield(logged, err) || err != nil {
				return
			}
		}
	}
}

func (e *event) status() *platform.ProvisioningStatus {
	e.FirstSequence = e.Sequence
	return &e.ProvisioningStatus
}

// Prune forgets attempts and events from before a moment, some at a time.
func (s *Store) Prune(ctx context.Context, before platform.Time) (more bool, err error) {
	const atOnce = 500
	for _, coll := range []string{attempts, events} {
		old := Query{Where: []Condition{compare("at", Lt, before.String())}, Sort: "at", Limit: atOnce}
		err := s.transact(ctx, func(w *writer) error {
			docs, err := w.from.Find(ctx, coll, old)
			if err != nil {
				return err
			}
			more = more || len(docs) == atOnce
			for _, d := range docs {
				if err := w.tx.Delete(ctx, coll, d.ID, d.Version); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	return more, nil
}

// OpenSession begins a session.
func (s *Store) OpenSession(ctx context.Context, session *platform.Session) error {
	return s.transact(ctx, func(w *writer) error { return w.insert(ctx, sessions, session) })
}

// Beat raises a session's beat.
func (s *Store) Beat(ctx context.Context, session platform.ID, at platform.Time) error {
	err := s.engine.Beat(ctx, sessions, session, at)
	if errors.Is(err, ErrNoDocument) {
		return platform.Errorf(platform.NotFound, "This session was declared dead.").Because(err)
	}
	return err
}

// Sessions are all that live.
func (s *Store) Sessions(ctx context.Context) ([]*platform.Session, error) {
	return find[platform.Session](ctx, s.reader, sessions, Query{})
}

// BurySession declares a session dead, unless it has beaten since it was read.
func (s *Store) BurySession(ctx context.Context, session *platform.Session) error {
	err := s.engine.Tx(ctx, func(tx Tx) error { return tx.Delete(ctx, sessions, session.ID, session.Version) })
	if errors.Is(err, ErrStale) {
		return platform.Errorf(platform.Conflict, "The session has beaten meanwhile.").Because(err)
	}
	return err
}
