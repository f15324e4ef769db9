package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
	"github.com/dezky/platform/store/storetest"
)

// start is when the tests begin.
var start = platform.At(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC))

func change(t testing.TB, s *store.Store, do func(platform.Writer) error) platform.AuditEvent {
	t.Helper()
	event := platform.AuditEvent{
		Document: platform.Document{ID: platform.NewID(platform.KindAuditEvent)}, At: start, Role: platform.RoleSystem,
		Action: "TESTED", Outcome: platform.AuditOutcomeDone,
	}
	if err := s.Change(t.Context(), event, do); err != nil {
		t.Fatalf("Change: %v", err)
	}
	all, err := s.AuditEventsByID(t.Context(), []platform.ID{event.ID})
	if err != nil || len(all) != 1 {
		t.Fatalf("the event of the change: got %d, %v; want one", len(all), err)
	}
	return *all[0]
}

// field is one change of an audit event in short.
type field struct{ Object, Field, Before, After string }

func fieldsOf(e platform.AuditEvent) (all []field) {
	text := func(s *string) string {
		if s == nil {
			return "nothing"
		}
		return *s
	}
	for _, c := range e.Changes {
		all = append(all, field{string(c.Object), c.Field, text(c.Before), text(c.After)})
	}
	return all
}

func TestAuditNotesWhatAChangeChanges(t *testing.T) {
	t.Parallel()
	s, ctx := storetest.New(t), t.Context()
	tenant := &platform.Tenant{
		Document: platform.Document{ID: "ten_a"}, Slug: "acme", Name: "Acme <& Co>", Status: platform.TenantStatusPending,
		Plan: platform.PlanStarter, Seats: 5, Industry: "Anvils", BrandColor: "#112233", CreatedAt: start,
	}
	put := func(w platform.Writer) error { return w.PutTenant(ctx, tenant) }

	made := fieldsOf(change(t, s, put))
	want := []field{
		{"ten_a", "brandColor", "nothing", `"#112233"`},
		{"ten_a", "createdAt", "nothing", `"2026-01-31T12:00:00.000000Z"`},
		{"ten_a", "industry", "nothing", `"Anvils"`},
		{"ten_a", "name", "nothing", `"Acme \u003c\u0026 Co\u003e"`},
		{"ten_a", "plan", "nothing", `"STARTER"`},
		{"ten_a", "seats", "nothing", "5"},
		{"ten_a", "slug", "nothing", `"acme"`},
		{"ten_a", "status", "nothing", `"PENDING"`},
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("a new tenant (- expected, + found):\n%s", diff)
	}

	tenant.Seats, tenant.Industry, tenant.BrandColor = 7, "", ""
	want = []field{
		{"ten_a", "brandColor", `"#112233"`, "nothing"},
		{"ten_a", "industry", `"Anvils"`, "nothing"},
		{"ten_a", "seats", "5", "7"},
	}
	if diff := cmp.Diff(want, fieldsOf(change(t, s, put))); diff != "" {
		t.Errorf("a tenant with other values, in the order of their names (- expected, + found):\n%s", diff)
	}
	if got := fieldsOf(change(t, s, put)); len(got) != 0 {
		t.Errorf("a put of what is there: got %v, want no changes", got)
	}
}

func TestASlugIsTakenOnce(t *testing.T) {
	t.Parallel()
	s, ctx := storetest.New(t), t.Context()
	put := func(id platform.ID) error {
		event := platform.AuditEvent{Document: platform.Document{ID: platform.NewID(platform.KindAuditEvent)}, At: start, Action: "TESTED"}
		return s.Change(ctx, event, func(w platform.Writer) error {
			return w.PutTenant(ctx, &platform.Tenant{Document: platform.Document{ID: id}, Slug: "acme", CreatedAt: start})
		})
	}
	if err := put("ten_a"); err != nil {
		t.Fatal(err)
	}
	err := put("ten_b")
	ours, ok := errors.AsType[*platform.Error](err)
	if !ok || ours.Code != platform.Conflict || ours.Field != "slug" {
		t.Errorf("the slug again: got %v, want a conflict on slug", err)
	}
	if n, err := s.CountAuditEventsOf(ctx, ""); n != 1 || err != nil {
		t.Errorf("audit events: got %d, %v; want that of the first alone", n, err)
	}
	if _, err := s.Provisioning(ctx, "ten_b"); platform.CodeOf(err) != platform.NotFound {
		t.Errorf("provisioning of the refused tenant: got error %v, want NOT_FOUND", err)
	}
}

func TestAChangeOfSomethingOlderIsRefused(t *testing.T) {
	t.Parallel()
	s, ctx := storetest.New(t), t.Context()
	change(t, s, func(w platform.Writer) error {
		return w.PutTenant(ctx, &platform.Tenant{Document: platform.Document{ID: "ten_a"}, Slug: "acme", CreatedAt: start})
	})
	old, err := s.Tenant(ctx, "ten_a")
	if err != nil {
		t.Fatal(err)
	}
	newer := *old
	newer.Seats = 9
	change(t, s, func(w platform.Writer) error { return w.PutTenant(ctx, &newer) })
	event := platform.AuditEvent{Document: platform.Document{ID: "aud_old"}, At: start, Action: "TESTED"}
	runs := 0
	err = s.Change(ctx, event, func(w platform.Writer) error { runs++; return w.PutTenant(ctx, old) })
	if platform.CodeOf(err) != platform.Conflict {
		t.Errorf("a put of what is older: got error %v, want CONFLICT", err)
	}
	if runs < 2 || runs > 10 {
		t.Errorf("it was tried %d times, want a few", runs)
	}
	if now, err := s.Tenant(ctx, "ten_a"); err != nil || now.Seats != 9 || old.Version != 1 {
		t.Errorf("got %+v, %v and an old version %d; want nine seats and an untouched version 1", now, err, old.Version)
	}
}

func TestPutTenantRaisesWhatIsWantedOutside(t *testing.T) {
	t.Parallel()
	s, ctx := storetest.New(t), t.Context()
	tenant := &platform.Tenant{Document: platform.Document{ID: "ten_a"}, Slug: "acme", Name: "Acme", CreatedAt: start}
	for _, step := range []struct {
		reason               string
		change               func()
		generation, sequence int32
	}{
		{"a new tenant is due", func() {}, 1, 1},
		{"a color is nobody's outside", func() { tenant.BrandColor = "#000000" }, 1, 1},
		{"a name is wanted outside", func() { tenant.Name = "Acme Two" }, 2, 2},
		{"and so is the old one again", func() { tenant.Name = "Acme" }, 3, 3},
	} {
		step.change()
		change(t, s, func(w platform.Writer) error { return w.PutTenant(ctx, tenant) })
		doc, err := s.Provisioning(ctx, "ten_a")
		if err != nil {
			t.Fatal(err)
		}
		if doc.Generation != step.generation || doc.Sequence != step.sequence {
			t.Errorf("%s: got generation %d and sequence %d, want %d and %d",
				step.reason, doc.Generation, doc.Sequence, step.generation, step.sequence)
		}
	}
}

func TestPruneForgetsWhatIsOld(t *testing.T) {
	t.Parallel()
	s, ctx := storetest.New(t), t.Context()
	// 502 events: more than are forgotten at once.
	for range 2 {
		change(t, s, func(w platform.Writer) error {
			doc := platform.NewProvisioning(platform.NewID(platform.KindTenant), "ten_a", platform.StepsOf(platform.KindTenant), start.Add(-8*24*time.Hour))
			for range 251 {
				if err := w.PutProvisioning(ctx, doc, true); err != nil {
					return err
				}
				doc.Version = max(doc.Version, 1) // so that the next one replaces it
			}
			return nil
		})
	}
	young := platform.NewProvisioning("ten_young", "ten_young", platform.StepsOf(platform.KindTenant), start)
	change(t, s, func(w platform.Writer) error { return w.PutProvisioning(ctx, young, true) })
	for i, at := range []platform.Time{start.Add(-8 * 24 * time.Hour), start} {
		a := platform.IdempotentAttempt{Document: platform.Document{ID: []platform.ID{"att_old", "att_young"}[i]}, At: at, Session: "ses_gone"}
		if earlier, err := s.ClaimAttempt(ctx, a); earlier != nil || err != nil {
			t.Fatalf("claim %s: %v, %v", a.ID, earlier, err)
		}
	}

	before := start.Add(-7 * 24 * time.Hour)
	for _, want := range []bool{true, false, false} {
		if more, err := s.Prune(ctx, before); more != want || err != nil {
			t.Errorf("Prune: got %v, %v; want %v", more, err, want)
		}
	}
	if events, err := s.EventsAfter(ctx, "ten_young", 0, 10); len(events) != 1 || err != nil {
		t.Errorf("young events: got %d, %v; want 1", len(events), err)
	}
	for id, there := range map[platform.ID]bool{"att_old": false, "att_young": true} {
		// The same attempt of a living session answers with the one that is there.
		session := &platform.Session{Document: platform.Document{ID: platform.NewID(platform.KindSession)}}
		if err := s.OpenSession(ctx, session); err != nil {
			t.Fatal(err)
		}
		earlier, err := s.ClaimAttempt(ctx, platform.IdempotentAttempt{
			Document: platform.Document{ID: id}, Input: "other", Session: session.ID, At: start,
		})
		if err != nil || (earlier != nil) != there {
			t.Errorf("%s: got %v, %v; want it there: %v", id, earlier, err, there)
		}
	}
}
