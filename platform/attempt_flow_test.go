package platform_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

type (
	update  = platform.UpdateTenantInput
	tenants = *platform.Tenant
)

func TestEveryMutationLeavesOneEvent(t *testing.T) {
	t.Parallel()
	boom := errors.New("the disk is full")
	done, failed := platform.AuditOutcomeDone, platform.AuditOutcomeFailed
	for name, test := range map[string]struct {
		in      update
		useCase func(*world, context.CancelFunc) func(context.Context, update) (tenants, error)
		outcome platform.AuditOutcome
		code    platform.Code // of the event
		err     platform.Code // of the answer
		mend    string        // the field of the answer's userErrors
		seats   int32         // afterwards
		reason  string
	}{
		"success": {
			in: update{TenantID: "ten_acme", Seats: pointer(int32(9))}, outcome: done, seats: 9,
			reason: "written with the change",
		},
		"success that changes nothing": {
			in: update{TenantID: "ten_acme"}, outcome: done, seats: 5,
			reason: "it was tried all the same",
		},
		"success without a change": {
			in: update{TenantID: "ten_acme"}, outcome: done, seats: 5,
			useCase: func(w *world, _ context.CancelFunc) func(context.Context, update) (tenants, error) {
				return func(ctx context.Context, in update) (tenants, error) { return w.store.Tenant(ctx, in.TenantID) }
			},
			reason: "the use case wrote nothing, so the envelope does",
		},
		"user error": {
			in: update{TenantID: "ten_acme", Seats: pointer(int32(0))}, outcome: failed, code: platform.Invalid, mend: "seats", seats: 5,
			reason: "what a person can mend is a failure too",
		},
		"error of ours": {
			in: update{TenantID: "ten_acme"}, outcome: failed, code: platform.Disabled, err: platform.Disabled, seats: 5,
			useCase: func(*world, context.CancelFunc) func(context.Context, update) (tenants, error) {
				return func(context.Context, update) (tenants, error) {
					return nil, platform.Errorf(platform.Disabled, "Not here.")
				}
			},
			reason: "not a person's to mend",
		},
		"unexpected error": {
			in: update{TenantID: "ten_acme"}, outcome: failed, code: platform.Internal, err: platform.Internal, seats: 5,
			useCase: func(*world, context.CancelFunc) func(context.Context, update) (tenants, error) {
				return func(context.Context, update) (tenants, error) { return nil, boom }
			},
			reason: "its text is for the log",
		},
		"panic": {
			in: update{TenantID: "ten_acme"}, outcome: failed, code: platform.Internal, err: platform.Internal, seats: 5,
			useCase: func(*world, context.CancelFunc) func(context.Context, update) (tenants, error) {
				return func(context.Context, update) (tenants, error) { panic(boom) }
			},
			reason: "as every other failure",
		},
		"panic in the transaction": {
			in: update{TenantID: "ten_acme", Seats: pointer(int32(9))}, outcome: failed, code: platform.Internal, err: platform.Internal, seats: 5,
			useCase: func(w *world, _ context.CancelFunc) func(context.Context, update) (tenants, error) {
				return func(ctx context.Context, in update) (tenants, error) {
					event := platform.AuditEvent{Document: platform.Document{ID: "aud_lost"}, At: noon}
					return nil, w.store.Change(ctx, event, func(out platform.Writer) error {
						tenant, err := out.Tenant(ctx, in.TenantID)
						if err != nil {
							return err
						}
						tenant.Seats = 9
						if err := out.PutTenant(ctx, tenant); err != nil {
							return err
						}
						panic(boom)
					})
				}
			},
			reason: "nothing of it is kept",
		},
		"panic after the change": {
			in: update{TenantID: "ten_acme", Seats: pointer(int32(9))}, outcome: done, err: platform.Internal, seats: 9,
			useCase: func(w *world, _ context.CancelFunc) func(context.Context, update) (tenants, error) {
				return func(ctx context.Context, in update) (tenants, error) {
					if _, err := w.UpdateTenant(ctx, in); err != nil {
						return nil, err
					}
					panic(boom)
				}
			},
			reason: "the change stands, and so does its record",
		},
		"cancellation": {
			in: update{TenantID: "ten_acme"}, outcome: failed, code: platform.Internal, err: platform.Internal, seats: 5,
			useCase: func(_ *world, cancel context.CancelFunc) func(context.Context, update) (tenants, error) {
				return func(ctx context.Context, _ update) (tenants, error) { cancel(); return nil, ctx.Err() }
			},
			reason: "the record outlives the request",
		},
		"cancellation before the change": {
			in: update{TenantID: "ten_acme", Seats: pointer(int32(9))}, outcome: failed, code: platform.Internal, err: platform.Internal, seats: 5,
			useCase: func(w *world, cancel context.CancelFunc) func(context.Context, update) (tenants, error) {
				return func(ctx context.Context, in update) (tenants, error) { cancel(); return w.UpdateTenant(ctx, in) }
			},
			reason: "the change does not",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.plant(t)
			ctx, cancel := context.WithCancel(w.by(t, "operator"))
			defer cancel()
			useCase := w.UpdateTenant
			if test.useCase != nil {
				useCase = test.useCase(w, cancel)
			}
			payload, err := platform.Mutate(ctx, w.Platform, test.in, useCase)
			if code(err) != test.err {
				t.Errorf("%s: got error %v, want %q", test.reason, err, test.err)
			}
			mend := ""
			if payload != nil && len(payload.UserErrors) > 0 {
				mend = *payload.UserErrors[0].Field
			}
			if mend != test.mend || (err == nil && mend == "") != (payload != nil && payload.Object != nil) {
				t.Errorf("%s: got %+v, want something to mend in %q", test.reason, payload, test.mend)
			}
			events := w.events(t, "", "ten_acme")
			if len(events) != 1 {
				t.Fatalf("%s: got %d events, want exactly one", test.reason, len(events))
			}
			got := *events[0]
			want := platform.AuditEvent{
				Document: got.Document, At: noon, ActorID: "usr_operator", ActorEmail: "operator@acme.test", Role: platform.RoleOperator,
				TenantID: "ten_acme", Action: platform.ActionTenantUpdated, Target: "ten_acme", Outcome: test.outcome,
				Code: test.code, Reason: got.Reason, IP: "192.0.2.1", UserAgent: "test", RequestID: "req_1", Changes: got.Changes,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (- expected, + found):\n%s", test.reason, diff)
			}
			if (got.Reason != "") != (test.code != "") || strings.Contains(got.Reason, "disk") {
				t.Errorf("the reason is %q", got.Reason)
			}
			if (len(got.Changes) > 0) != (test.seats == 9) {
				t.Errorf("the event's changes: %+v", got.Changes)
			}
			if acme, err := w.store.Tenant(t.Context(), "ten_acme"); err != nil || acme.Seats != test.seats {
				t.Errorf("got %d seats, %v; want %d", acme.Seats, err, test.seats)
			}
		})
	}
}

func TestAMutationOfARequestThatEndedDoesNotBegin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	ctx, cancel := context.WithCancel(w.by(t, "operator"))
	cancel()
	ran := false
	_, err := platform.Mutate(ctx, w.Platform, update{TenantID: "ten_acme"}, func(context.Context, update) (tenants, error) {
		ran = true
		return nil, nil
	})
	if !errors.Is(err, context.Canceled) || ran || len(w.events(t, "", "ten_acme")) != 0 {
		t.Errorf("got %v, ran %v, %d events", err, ran, len(w.events(t, "", "ten_acme")))
	}
}

// broken is a store that cannot record.
type broken struct{ platform.Store }

func (broken) Record(context.Context, platform.AuditEvent) error { return errors.New("no disk") }

func TestWhatCannotBeRecordedIsNoUserError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	ctx := w.by(t, "operator")
	w = worldOn(t, broken{w.store})
	payload, err := platform.Mutate(ctx, w.Platform, update{TenantID: "ten_acme", Seats: pointer(int32(0))}, w.UpdateTenant)
	if payload != nil || code(err) != platform.Unavailable || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("got %+v, %v; want UNAVAILABLE, with the cause for the log", payload, err)
	}
}

func TestDenialsStandInTheRightLog(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		who    string
		tenant platform.ID
		log    platform.ID
		role   platform.Role
		target platform.ID
		reason string
	}{
		"member":          {"member", "ten_acme", "ten_acme", platform.RoleMember, "ten_acme", "the tenant's administrators see who tries what"},
		"support":         {"support", "ten_acme", "ten_acme", platform.RolePartnerStaff, "ten_acme", "in which role it was tried"},
		"another's admin": {"globex", "ten_acme", "", platform.RoleNone, "ten_acme", "a stranger cannot write into a tenant's log"},
		"no such tenant":  {"member", "ten_nothing", "", platform.RoleNone, "ten_nothing", "the platform's log alone"},
		"no tenant":       {"owner", "", "", platform.RolePartnerStaff, "", "about no tenant"},
		"a long ID": {
			"member", platform.ID(strings.Repeat("x", 1<<16)), "", platform.RoleNone,
			platform.ID(strings.Repeat("x", 40) + "…"), "nobody fills the log",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.plant(t)
			tried := update{TenantID: test.tenant}.Attempt()
			refusal := platform.Errorf(platform.Forbidden, "No.")
			if err := w.Denied(w.by(t, test.who), tried, refusal); err != nil {
				t.Fatal(err)
			}
			events := w.events(t, "", "ten_acme", "ten_globex")
			if len(events) != 1 {
				t.Fatalf("got %d events", len(events))
			}
			e := events[0]
			got := []any{e.TenantID, e.Role, e.Target, e.Outcome, e.Code, e.Reason, e.ActorID, e.Action}
			want := []any{test.log, test.role, test.target, platform.AuditOutcomeDenied, platform.Forbidden, "No.", platform.ID("usr_" + test.who), platform.ActionTenantUpdated}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (- expected, + found):\n%s", test.reason, diff)
			}
		})
	}
	w := newWorld(t)
	if err := w.Denied(t.Context(), platform.Attempt{}, errors.New("x")); err != nil || len(w.events(t, "")) != 0 {
		t.Errorf("without a caller: %v, %d events; want nothing recorded", err, len(w.events(t, "")))
	}
}

func create(slug, key string) platform.CreateTenantInput {
	return platform.CreateTenantInput{Slug: slug, Name: "Acme", IdempotencyKey: &key}
}

// mended is the answer's first user error in short.
func mended[T any](p *platform.Payload[T], err error) string {
	switch {
	case err != nil:
		return err.Error()
	case len(p.UserErrors) == 0:
		return ""
	case p.UserErrors[0].Field == nil:
		return string(p.UserErrors[0].Code)
	}
	return string(p.UserErrors[0].Code) + " " + *p.UserErrors[0].Field
}

const conflict = "CONFLICT idempotencyKey"

func TestARepeatDoesNothingAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	ctx := w.by(t, "operator")
	first, err := platform.Mutate(ctx, w.Platform, create("initech", "k"), w.CreateTenant)
	if mended(first, err) != "" {
		t.Fatal(mended(first, err))
	}
	id := first.Object.ID
	if _, err := w.UpdateTenant(ctx, update{TenantID: id, Name: pointer("Initech")}); err != nil {
		t.Fatal(err)
	}
	before := len(w.events(t, "", id))
	second, err := platform.Mutate(ctx, w.Platform, create("initech", "k"), func(context.Context, platform.CreateTenantInput) (tenants, error) {
		t.Error("the use case ran again")
		return nil, nil
	})
	if mended(second, err) != "" || second.Object.ID != id || second.Object.Name != "Initech" {
		t.Errorf("got %+v, %q; want the same tenant as it is now", second, mended(second, err))
	}
	if n := len(w.events(t, "", id)); n != before {
		t.Errorf("the repeat left %d events, want none", n-before)
	}
	other, err := platform.Mutate(ctx, w.Platform, create("initrode", "k"), w.CreateTenant)
	if got := mended(other, err); got != conflict {
		t.Errorf("another input under the key: got %q", got)
	}
	changed, err := platform.Mutate(ctx, w.Platform, update{TenantID: id, IdempotencyKey: pointer("k")}, w.UpdateTenant)
	if got := mended(changed, err); got != conflict {
		t.Errorf("another mutation under the key: got %q", got)
	}
	if n := len(w.events(t, "", id)); n != before+2 {
		t.Errorf("the two conflicts left %d events, want one each", n-before)
	}
	if _, err := w.store.TenantBySlug(t.Context(), "initrode"); code(err) != platform.NotFound {
		t.Errorf("the other tenant: got error %v, want none made", err)
	}
}

func TestARepeatOfASuccessWithoutAChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	runs := 0
	for range 2 {
		in := update{TenantID: "ten_acme", IdempotencyKey: pointer("k")}
		got, err := platform.Mutate(w.by(t, "operator"), w.Platform, in, func(ctx context.Context, in update) (tenants, error) {
			runs++
			return w.store.Tenant(ctx, in.TenantID)
		})
		if mended(got, err) != "" || got.Object.ID != "ten_acme" {
			t.Errorf("got %+v, %q", got, mended(got, err))
		}
	}
	if runs != 1 || len(w.events(t, "ten_acme")) != 1 {
		t.Errorf("%d runs and %d events, want one each", runs, len(w.events(t, "ten_acme")))
	}
}

func TestARepeatWhileTheFirstRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	ctx := w.by(t, "operator")
	begun, end := make(chan struct{}), make(chan struct{})
	var first sync.WaitGroup
	first.Go(func() {
		got, err := platform.Mutate(ctx, w.Platform, create("initech", "k"), func(ctx context.Context, in platform.CreateTenantInput) (tenants, error) {
			close(begun)
			<-end
			return w.CreateTenant(ctx, in)
		})
		if mended(got, err) != "" {
			t.Errorf("the first: %q", mended(got, err))
		}
	})
	<-begun
	got, err := platform.Mutate(ctx, w.Platform, create("initech", "k"), w.CreateTenant)
	if mended(got, err) != conflict || !strings.Contains(got.UserErrors[0].Message, "still running") {
		t.Errorf("got %+v, %v; want it to say so", got, err)
	}
	close(end)
	first.Wait()
	again, err := platform.Mutate(ctx, w.Platform, create("initech", "k"), w.CreateTenant)
	if mended(again, err) != "" || again.Object.Slug != "initech" {
		t.Errorf("after the first: %q", mended(again, err))
	}
}

func TestAnAttemptOfADeadSessionIsTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	ctx := w.by(t, "operator")
	begun, end := make(chan struct{}), make(chan struct{})
	var late sync.WaitGroup
	late.Go(func() {
		got, err := platform.Mutate(ctx, w.Platform, create("initech", "k"), func(ctx context.Context, in platform.CreateTenantInput) (tenants, error) {
			close(begun)
			<-end // the process stands still meanwhile, and is declared dead
			in.Slug = "initech-late"
			return w.CreateTenant(ctx, in)
		})
		if mended(got, err) != conflict {
			t.Errorf("the one who was dead: got %q", mended(got, err))
		}
	})
	<-begun
	sessions, err := w.store.Sessions(t.Context())
	if err != nil || len(sessions) != 1 {
		t.Fatal(sessions, err)
	}
	if err := w.store.BurySession(t.Context(), sessions[0]); err != nil {
		t.Fatal(err)
	}
	other := worldOn(t, w.store)
	got, err := platform.Mutate(ctx, other.Platform, create("initech", "k"), other.CreateTenant)
	if mended(got, err) != "" {
		t.Fatalf("the one who takes over: %q", mended(got, err))
	}
	close(end)
	late.Wait()
	again, err := platform.Mutate(ctx, other.Platform, create("initech", "k"), other.CreateTenant)
	if mended(again, err) != "" || again.Object.ID != got.Object.ID {
		t.Errorf("a repeat: got %+v, %q; want the same tenant", again, mended(again, err))
	}
	if _, err := w.store.TenantBySlug(t.Context(), "initech-late"); code(err) != platform.NotFound {
		t.Errorf("what the dead one made: got error %v, want nothing", err)
	}
}

func TestAFailureGivesTheKeyFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	ctx := w.by(t, "operator")
	in := create("UPPER", "k")
	if got, err := platform.Mutate(ctx, w.Platform, in, w.CreateTenant); mended(got, err) != "INVALID slug" {
		t.Fatalf("got %q", mended(got, err))
	}
	if _, err := platform.Mutate(ctx, w.Platform, in, func(context.Context, platform.CreateTenantInput) (tenants, error) { panic("x") }); err == nil {
		t.Fatal("no panic")
	}
	in.Slug = "initech"
	got, err := platform.Mutate(ctx, w.Platform, in, w.CreateTenant)
	if mended(got, err) != "" || got.Object.Slug != "initech" {
		t.Errorf("mended, under the same key: %q", mended(got, err))
	}
}

func TestKeysAreTheirActorsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	a, err := platform.Mutate(w.by(t, "operator"), w.Platform, create("initech", "k"), w.CreateTenant)
	if mended(a, err) != "" {
		t.Fatal(mended(a, err))
	}
	b, err := platform.Mutate(w.by(t, "owner"), w.Platform, create("initrode", "k"), w.CreateTenant)
	if mended(b, err) != "" || b.Object.ID == a.Object.ID || b.Object.PartnerID != "par_nordic" {
		t.Errorf("got %+v, %q; want a tenant of its own", b, mended(b, err))
	}
}

func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	const invalid = "INVALID idempotencyKey"
	for key, want := range map[string]string{
		"": invalid, strings.Repeat("k", 201): invalid, strings.Repeat("k", 10<<10): invalid,
		strings.Repeat("k", 200): "", "\x00": "", "ключ": "",
	} {
		in := update{TenantID: "ten_acme", IdempotencyKey: &key}
		got, err := platform.Mutate(w.by(t, "operator"), w.Platform, in, w.UpdateTenant)
		if mended(got, err) != want {
			t.Errorf("a key of %d bytes: got %q, want %q", len(key), mended(got, err), want)
		}
	}
	if n := len(w.events(t, "ten_acme")); n != 6 {
		t.Errorf("got %d events, want one for each", n)
	}
}

// TestTransactionsThatRunTwiceDoubleNothing goes through what the platform
// writes, on a database that takes every transaction back once.
func TestTransactionsThatRunTwiceDoubleNothing(t *testing.T) {
	t.Parallel()
	w := worldOn(t, wrapped(t, func(e store.Engine) store.Engine { return twice{e} }))
	w.plant(t)
	ctx := w.by(t, "operator")
	made, err := platform.Mutate(ctx, w.Platform, create("initech", "k"), w.CreateTenant)
	if mended(made, err) != "" {
		t.Fatal(mended(made, err))
	}
	id := made.Object.ID
	if made.Object.Version != 1 {
		t.Errorf("the new tenant has version %d, want 1", made.Object.Version)
	}
	doc, err := w.store.Provisioning(t.Context(), id)
	if err != nil || doc.Sequence != 1 || doc.Generation != 1 {
		t.Errorf("its provisioning: %+v, %v; want sequence and generation 1", doc, err)
	}
	changed, err := platform.Mutate(ctx, w.Platform, update{TenantID: id, Name: pointer("Initech")}, w.UpdateTenant)
	if mended(changed, err) != "" || changed.Object.Version != 2 {
		t.Errorf("the update: %+v, %q; want version 2", changed, mended(changed, err))
	}
	changes := func() map[platform.Action]int {
		out := map[platform.Action]int{}
		for _, e := range w.events(t, "", id) {
			out[e.Action] += len(e.Changes)
		}
		return out
	}
	want := map[platform.Action]int{platform.ActionTenantCreated: 6, platform.ActionTenantUpdated: 1}
	if diff := cmp.Diff(want, changes()); diff != "" {
		t.Errorf("fields that changed (- expected, + found):\n%s", diff)
	}
	steps, err := w.ClaimSteps(t.Context(), id, w.session, "", func(platform.Integration) bool { return true })
	if err != nil || len(steps) != 4 {
		t.Fatalf("claimed %d steps, %v; want 4", len(steps), err)
	}
	for _, s := range steps {
		if s.Attempt != 1 || s.Want.Tenant.MailDomain != "initech.dezky.test" {
			t.Errorf("got %+v, want the first attempt", s)
		}
		if err := w.ReportStep(t.Context(), w.session, s, platform.StepResult{Handle: "h"}, 0); err != nil {
			t.Error(err)
		}
	}
	if doc, err = w.store.Provisioning(t.Context(), id); err != nil || doc.Open || doc.Sequence != 7 {
		t.Errorf("in the end: %+v, %v; want it settled at sequence 7", doc, err)
	}
	if tenant, err := w.store.Tenant(t.Context(), id); err != nil || tenant.Status != platform.TenantStatusActive {
		t.Errorf("the tenant: %+v, %v; want it active", tenant, err)
	}
	want[platform.ActionTenantActivated] = 1
	if diff := cmp.Diff(want, changes()); diff != "" || len(w.events(t, "", id)) != 3 {
		t.Errorf("fields that changed, in %d events (- expected, + found):\n%s", len(w.events(t, "", id)), diff)
	}
	if past, err := w.store.EventsAfter(t.Context(), id, 0, 100); err != nil || len(past) != 7 {
		t.Errorf("got %d provisioning events, %v; want 7", len(past), err)
	}
}

func TestACommitThatNobodyHeardOfIsASuccess(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		key  *string
		lose int32 // which transaction from now
	}{
		"without a key": {nil, 1}, "with a key": {pointer("k"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lose atomic.Int32
			w := worldOn(t, wrapped(t, func(e store.Engine) store.Engine { return forgetful{e, &lose} }))
			w.plant(t)
			ctx := w.by(t, "operator")
			in := platform.CreateTenantInput{Slug: "initech", Name: "Initech", IdempotencyKey: test.key}
			lose.Store(test.lose)
			got, err := platform.Mutate(ctx, w.Platform, in, w.CreateTenant)
			if mended(got, err) != "" || got.Object == nil || got.Object.Slug != "initech" || got.Object.Version != 1 {
				t.Fatalf("got %+v, %q; want the tenant", got, mended(got, err))
			}
			events := w.events(t, "", got.Object.ID)
			if len(events) != 1 || events[0].Outcome != platform.AuditOutcomeDone {
				t.Errorf("got %d events, want one that is done", len(events))
			}
			if test.key == nil {
				return
			}
			again, err := platform.Mutate(ctx, w.Platform, in, w.CreateTenant)
			if mended(again, err) != "" || again.Object.ID != got.Object.ID {
				t.Errorf("a repeat: got %+v, %q; want the same", again, mended(again, err))
			}
		})
	}
}
