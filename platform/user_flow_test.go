package platform_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
)

// roles are somebody's memberships in short: tenant and state.
func states(t testing.TB, w *world, user platform.ID) map[platform.ID]platform.MemberState {
	t.Helper()
	all, err := w.store.MembershipsOf(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	out := map[platform.ID]platform.MemberState{}
	for _, m := range all {
		out[m.TenantID] = m.State
	}
	return out
}

func TestMeStoresTheCallerAndThenDifferencesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	is := platform.Identity{
		Subject: "anna", Email: "anna@acme.test", Name: "Anna", Audience: []string{operators},
		Groups: []string{"tenant-acme", "tenant-acme", "tenant-unknown", "staff"},
	}
	me, err := w.Me(w.as(t, is))
	if err != nil {
		t.Fatal(err)
	}
	want := platform.User{
		Document: platform.Document{ID: me.User.ID, Version: 1}, Subject: "anna", Email: "anna@acme.test", Name: "Anna", CreatedAt: noon,
	}
	if diff := cmp.Diff(want, *me.User); diff != "" || me.IsOperator || me.IsTenantAdmin() || me.ActiveTenantID() != "ten_acme" {
		t.Errorf("operator %v, admin %v, active %q (- expected, + found):\n%s", me.IsOperator, me.IsTenantAdmin(), me.ActiveTenantID(), diff)
	}
	if len(me.Memberships) != 1 || me.Memberships[0].Role != platform.MemberRoleMember || me.Memberships[0].Source != platform.MemberSourceToken {
		t.Errorf("memberships: got %+v, want one, though the group is there twice", me.Memberships)
	}
	events := w.events(t, "")
	if len(events) != 1 || events[0].Action != platform.ActionUserSynced || events[0].Target != me.User.ID || events[0].ActorEmail != "anna@acme.test" {
		t.Fatalf("got %d events: %+v", len(events), events)
	}

	again, err := w.Me(w.as(t, is))
	if err != nil || again.User.Version != 1 || len(w.events(t, "")) != 1 {
		t.Errorf("again: %+v, %v, %d events; want nothing written", again.User, err, len(w.events(t, "")))
	}
	// A token that says less takes away what a token gave, and adds the flag.
	is.Groups = []string{"dezky-platform-admins"}
	is.Email = "anna@new.test"
	last, err := w.Me(w.as(t, is))
	if err != nil || last.User.Version != 2 || last.User.Email != "anna@new.test" || !last.IsOperator || len(last.Memberships) != 0 {
		t.Errorf("with other groups: %+v, %v", last, err)
	}
	if got := states(t, w, me.User.ID)["ten_acme"]; got != platform.MemberStateLapsed {
		t.Errorf("the membership is %s, want it lapsed", got)
	}
	if events := w.events(t, ""); len(events) != 2 || events[0].Target != me.User.ID || events[1].Target != me.User.ID {
		t.Errorf("got %d events, want two about this person", len(events))
	}
	// The groups of the token are not what rights are read from.
	is.Groups = nil
	if me, err := w.Me(w.as(t, is)); err != nil || me.IsOperator {
		t.Errorf("without the group: operator %v, %v", me.IsOperator, err)
	}
}

func TestMeLeavesWhatMutationsGaveAndTook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	// The member was made by a mutation; no token names the group.
	if me, err := w.Me(w.by(t, "member")); err != nil || len(me.Memberships) != 1 || len(w.events(t, "")) != 0 {
		t.Errorf("got %+v, %v, %d events; want the membership and nothing written", me, err, len(w.events(t, "")))
	}
	revoke := func(out platform.Writer) error {
		all, err := out.MembershipsOf(t.Context(), "usr_member")
		if err != nil {
			return err
		}
		all[0].State = platform.MemberStateRevoked
		return out.PutMember(t.Context(), all[0])
	}
	event := platform.AuditEvent{Document: platform.Document{ID: "aud_revoke"}, At: noon, TenantID: "ten_acme"}
	old := w.by(t, "member") // a request that was admitted before
	if err := w.store.Change(t.Context(), event, revoke); err != nil {
		t.Fatal(err)
	}
	is := platform.Identity{Subject: "member", Email: "member@acme.test", Name: "member", Groups: []string{"tenant-acme", "tenant-globex"}}
	for _, ctx := range []struct {
		name string
		me   func() (*platform.Me, error)
	}{
		{"a new request", func() (*platform.Me, error) { return w.Me(w.as(t, is)) }},
		{"and again", func() (*platform.Me, error) { return w.Me(w.as(t, is)) }},
	} {
		me, err := ctx.me()
		if err != nil || len(me.Memberships) != 1 || me.Memberships[0].TenantID != "ten_globex" {
			t.Errorf("%s: got %+v, %v; want globex alone: a tombstone wins over every token", ctx.name, me, err)
		}
	}
	if err := w.Admit(w.as(t, is), platform.RuleTenantMember, platform.Target{TenantID: "ten_acme"}, false); code(err) != platform.NotFound {
		t.Errorf("the revoked member: got %v, want NOT_FOUND on the very next request", err)
	}
	if err := w.Admit(old, platform.RuleTenantMember, platform.Target{TenantID: "ten_acme"}, false); err != nil {
		t.Errorf("the actor is that of its request: %v", err)
	}
	want := map[platform.ID]platform.MemberState{"ten_acme": platform.MemberStateRevoked, "ten_globex": platform.MemberStateActive}
	if diff := cmp.Diff(want, states(t, w, "usr_member")); diff != "" {
		t.Errorf("(- expected, + found):\n%s", diff)
	}
}

func TestMeManyTimesAtOnceMakesOnePerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	is := platform.Identity{Subject: "anna", Email: "anna@acme.test", Groups: []string{"tenant-acme", "tenant-globex"}}
	ctx := w.as(t, is) // all of them begin before the first has stored anything
	var all sync.WaitGroup
	var found sync.Map
	for range 8 {
		all.Go(func() {
			me, err := w.Me(ctx)
			if err != nil || len(me.Memberships) != 2 {
				t.Errorf("got %+v, %v", me, err)
				return
			}
			found.Store(me.User.ID, true)
		})
	}
	all.Wait()
	n := 0
	found.Range(func(any, any) bool { n++; return true })
	if events := w.events(t, ""); n != 1 || len(events) != 1 {
		t.Errorf("got %d people and %d events, want one of each", n, len(events))
	}
}

func TestSignInReadsRightsFromTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	put := func(name string, do func(platform.Writer) error) {
		t.Helper()
		if err := w.store.Change(t.Context(), platform.AuditEvent{Document: platform.Document{ID: platform.ID("aud_" + name)}, At: noon}, do); err != nil {
			t.Fatal(err)
		}
	}
	stranger := w.as(t, platform.Identity{Subject: "nobody", Audience: []string{operators}, Groups: []string{"dezky-platform-admins", "tenant-acme"}})
	for _, rule := range []platform.Rule{platform.RuleOperator, platform.RulePartnerStaff, platform.RuleTenantMember} {
		if err := w.Admit(stranger, rule, platform.Target{TenantID: "ten_acme"}, false); err == nil {
			t.Errorf("@%s admitted a token whose bearer was never stored", rule)
		}
	}
	if a := platform.ActorOf(w.by(t, "owner")); a.Partner == nil {
		t.Error("the owner is staff of nobody")
	}
	put("end", func(out platform.Writer) error {
		partner, err := out.Partner(t.Context(), "par_nordic")
		if err != nil {
			return err
		}
		partner.Status = platform.PartnerStatusTerminated
		return out.PutPartner(t.Context(), partner)
	})
	if err := w.Admit(w.by(t, "owner"), platform.RulePartnerStaff, platform.Target{TenantID: "ten_acme"}, false); code(err) != platform.NotFound {
		t.Errorf("the staff of a terminated partner: got %v, want NOT_FOUND", err)
	}
	for i, state := range []platform.MemberState{platform.MemberStateSuspended, platform.MemberStateLapsed, platform.MemberStateRevoked} {
		put(fmt.Sprint("state", i), func(out platform.Writer) error {
			all, err := out.MembershipsOf(t.Context(), "usr_admin")
			if err != nil {
				return err
			}
			all[0].State = state
			return out.PutMember(t.Context(), all[0])
		})
		if err := w.Admit(w.by(t, "admin"), platform.RuleTenantMember, platform.Target{TenantID: "ten_acme"}, false); code(err) != platform.NotFound {
			t.Errorf("a member who is %s: got %v, want NOT_FOUND", state, err)
		}
	}
}

func TestWhoami(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	is := platform.Identity{Issuer: "i", Subject: "s", Audience: []string{"a"}, Groups: nil, Expires: noon}
	got, err := w.Whoami(w.as(t, is))
	if diff := cmp.Diff(&platform.Whoami{Iss: "i", Aud: []string{"a"}, Sub: "s", Groups: []string{}, Exp: noon}, got); err != nil || diff != "" {
		t.Errorf("%v (- expected, + found):\n%s", err, diff)
	}
	if _, err := w.Whoami(t.Context()); code(err) != platform.Unauthenticated {
		t.Errorf("without a caller: got %v", err)
	}
	if _, err := w.Me(t.Context()); code(err) != platform.Unauthenticated {
		t.Errorf("me without a caller: got %v", err)
	}
}

// Who was made an administrator stays one when their groups change: or the last
// one could go with a group.
func TestATokenDoesNotTakeAnAdministratorAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	is := platform.Identity{Subject: "anna", Email: "anna@acme.test", Name: "Anna", Groups: []string{"tenant-acme"}}
	me, err := w.Me(w.as(t, is))
	if err != nil {
		t.Fatal(err)
	}
	admin := platform.MemberRoleAdmin
	if _, err := w.UpdateMember(w.by(t, "operator"), platform.UpdateMemberInput{
		TenantID: "ten_acme", MemberID: me.Memberships[0].ID, Role: &admin,
	}); err != nil {
		t.Fatal(err)
	}
	is.Groups = nil
	if _, err := w.Me(w.as(t, is)); err != nil {
		t.Fatal(err)
	}
	if got := states(t, w, me.User.ID)["ten_acme"]; got != platform.MemberStateActive {
		t.Errorf("the administrator is %s", got)
	}
}
