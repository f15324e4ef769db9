package store

import (
	"context"

	"github.com/dezky/platform/platform"
)

// ClaimAttempt stores a running attempt, or answers with the one that is there.
func (s *Store) ClaimAttempt(ctx context.Context, a platform.IdempotentAttempt) (earlier *platform.IdempotentAttempt, err error) {
	err = s.transact(ctx, func(w *writer) error {
		earlier = nil
		there, err := byID[platform.IdempotentAttempt](ctx, w.reader, attempts, []platform.ID{a.ID})
		if err != nil {
			return err
		}
		if len(there) == 0 {
			return w.insert(ctx, attempts, &a)
		}
		if earlier = there[0]; earlier.State == platform.AttemptStateDone || earlier.Input != a.Input {
			return nil
		}
		alive, err := w.from.Get(ctx, sessions, []platform.ID{earlier.Session})
		if err != nil || len(alive) > 0 {
			return err
		}
		a.Version, earlier = earlier.Version, nil
		return w.replace(ctx, attempts, &a)
	})
	return earlier, err
}

// DropAttempt forgets an attempt that this session runs.
func (s *Store) DropAttempt(ctx context.Context, id, session platform.ID) error {
	return s.transact(ctx, func(w *writer) error {
		there, err := byID[platform.IdempotentAttempt](ctx, w.reader, attempts, []platform.ID{id})
		if err != nil || len(there) == 0 || there[0].State == platform.AttemptStateDone || there[0].Session != session {
			return err
		}
		return w.tx.Delete(ctx, attempts, id, there[0].Version)
	})
}

// finishAttempt marks the attempt that an event ends as done, in the
// transaction of the change.
func (w *writer) finishAttempt(ctx context.Context, event platform.AuditEvent) error {
	if event.Attempt == "" {
		return nil
	}
	lost := platform.Errorf(platform.Conflict, "Another attempt with this idempotency key took over.").On("idempotencyKey")
	a, err := oneByID[platform.IdempotentAttempt](ctx, w.reader, attempts, event.Attempt, lost)
	if err != nil {
		return err
	}
	if a.State == platform.AttemptStateDone {
		return lost
	}
	a.State, a.Target = platform.AttemptStateDone, event.Target
	return w.replace(ctx, attempts, a)
}
