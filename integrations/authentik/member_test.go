package authentik

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/platform"
)

func faultyContext(t *testing.T) context.Context {
	t.Helper()
	return context.WithValue(t.Context(), faulty{}, true)
}

func membership(changes ...func(*platform.MemberWant)) platform.Step {
	w := platform.MemberWant{ID: "mem_anna", Presence: platform.PresenceActive, Tenant: *acme().Want.Tenant, Person: annaWant()}
	for _, change := range changes {
		change(&w)
	}
	return platform.Step{Subject: w.ID, Want: platform.Want{Member: &w}}
}

func memberSuspended(w *platform.MemberWant) { w.Presence = platform.PresenceSuspended }
func memberGone(w *platform.MemberWant)      { w.Presence = platform.PresenceGone }

func ofPerson(changes ...func(*platform.PersonWant)) func(*platform.MemberWant) {
	return func(w *platform.MemberWant) {
		for _, change := range changes {
			change(&w.Person)
		}
	}
}

// bareGroup is a tenant's group that somebody made by hand.
func (w *world) bareGroup(t *testing.T) {
	t.Helper()
	if _, err := w.AddGroup("tenant-acme", map[string]any{"theme": "dark"}); err != nil {
		t.Fatal(err)
	}
}

// choir is everything at once: accounts that are signed in, in two tenants'
// groups and in groups of members.
func (w *world) choir(t *testing.T) {
	t.Helper()
	w.signedInAnna(t)
	w.user(t, "cy@acme.dk", map[string]any{"attributes": markedUser("usr_cy")})
	globex := marked("ten_globex", "globex", "")
	sopranos := map[string]any{"dezky": map[string]any{"tenantId": "ten_acme", "groupId": "grp_sopranos"}}
	for _, g := range []struct {
		name       string
		attributes map[string]any
		members    []string
	}{
		{"tenant-acme", map[string]any{"dezky": marked("ten_acme", "acme", "Acme A/S")}, []string{"anna@acme.dk", "cy@acme.dk"}},
		{"tenant-globex", map[string]any{"dezky": globex}, []string{"anna@acme.dk"}},
		{"group-acme/Sopranos", sopranos, []string{"anna@acme.dk", "bo@acme.dk"}},
		{"group-acme-2/Sopranos", map[string]any{"dezky": globex}, []string{"anna@acme.dk"}},
		{"group-acme/by hand", nil, []string{"anna@acme.dk"}},
	} {
		pk, err := w.AddGroup(g.name, g.attributes)
		if err != nil {
			t.Fatal(err)
		}
		for _, username := range g.members {
			if err := w.addUser(t.Context(), &group{PK: pk}, &user{PK: w.Users()[username].PK}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestMemberIsLetIn(t *testing.T) {
	w := newWorld(t)
	handle, err := w.Apply(t.Context(), membership(ofPerson(withPassword)))
	if err != nil {
		t.Fatal(err)
	}
	u := w.Users()["anna@acme.dk"]
	if u.UUID != handle || !u.Active || !cmp.Equal(u.Groups, []string{"tenant-acme"}) || !cmp.Equal(u.Attributes, markedUser("usr_anna")) {
		t.Errorf("the handle is %q, the account %+v", handle, u)
	}
	if w.CheckPassword("anna@acme.dk", password) {
		t.Error("a password is the person's own step's to set")
	}
	if diff := cmp.Diff(map[string]any{"dezky": marked("ten_acme", "acme", "Acme A/S")}, w.Groups()["tenant-acme"].Attributes); diff != "" {
		t.Errorf("the tenant's group is made as for the tenant\n%s", diff)
	}
	before := len(w.changing())
	for _, s := range []platform.Step{acme(), anna()} {
		if _, err := w.Apply(t.Context(), s); err != nil {
			t.Error(err)
		}
	}
	if calls := w.changing()[before:]; len(calls) > 0 {
		t.Errorf("the tenant's and the person's own steps have nothing left to do: %v", calls)
	}
}

func TestMemberLeavesEveryGroupOfTheTenant(t *testing.T) {
	for name, s := range map[string]platform.Step{"suspended": membership(memberSuspended), "gone": membership(memberGone, ofPerson(gone))} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.choir(t)
			before := len(w.changing())
			if _, err := w.Apply(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			u := w.Users()["anna@acme.dk"]
			if diff := cmp.Diff([]string{"group-acme-2/Sopranos", "tenant-globex"}, u.Groups); diff != "" || !u.Active {
				t.Errorf("active: %t, groups (-want +got)\n%s", u.Active, diff)
			}
			if len(w.Sessions("anna@acme.dk"))+w.RefreshTokens("anna@acme.dk") != 0 || len(w.Sessions("bo@acme.dk")) != 2 {
				t.Errorf("sessions: %v", w.known())
			}
			calls := w.changing()[before:]
			own := "POST /core/groups/" + w.Groups()["tenant-acme"].PK + "/remove_user/"
			if len(calls) != 6 || calls[5] != own || slices.ContainsFunc(calls[:3], func(c string) bool { return c[:6] != "DELETE" }) {
				t.Errorf("sessions end first, and the tenant's group is left last: %v", calls)
			}
		})
	}
}

func TestMemberStates(t *testing.T) {
	for name, test := range map[string]struct {
		reason  string
		account map[string]any // nil for none
		want    []func(*platform.MemberWant)
		code    platform.Code
		calls   int // that change something
		active  bool
	}{
		"of a suspended person":    {"whether they are active is the person's own step's to say", ours(nil), all(ofPerson(suspended)), "", 2, true},
		"shut by hand":             {"the same the other way", ours(map[string]any{"is_active": false}), nil, "", 2, false},
		"made for a suspended one": {"it is made shut", nil, all(ofPerson(suspended)), "", 3, false},
		"mended":                   {"the rest is kept in step", ours(map[string]any{"name": "A"}), nil, "", 3, true},
		"of nobody":                {"a person who is gone has nothing to be in", nil, all(ofPerson(gone)), "", 0, false},
		"not ours, missing":        {"it cannot be made", nil, all(ofPerson(notOurs)), platform.Unavailable, 0, false},
		"not ours, missing, shut":  {"nobody can sign in", nil, all(ofPerson(notOurs, suspended)), "", 0, false},
		"another's":                {"an account is never taken over", ours(map[string]any{"attributes": markedUser("usr_bo")}), nil, platform.Conflict, 0, true},
		"gone, another's":          {"ours is not there", ours(map[string]any{"attributes": markedUser("usr_bo")}), all(memberGone), "", 0, true},
		"gone, missing":            {"ours is not there", nil, all(memberGone), "", 0, false},
		"gone, not in it":          {"it is as wanted", ours(nil), all(memberGone), "", 0, true},
		"suspended, missing":       {"it is as wanted", nil, all(memberSuspended), "", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if test.account != nil {
				w.user(t, "anna@acme.dk", test.account)
			}
			before := len(w.changing())
			_, err := w.Apply(t.Context(), membership(test.want...))
			if (err != nil) != (test.code != "") || (err != nil && (platform.CodeOf(err) != test.code || platform.CanPass(err))) {
				t.Fatalf("%s\ngot %v, can pass: %t", test.reason, err, platform.CanPass(err))
			}
			if calls := w.changing()[before:]; len(calls) != test.calls {
				t.Errorf("%s: changing calls %v, want %d", test.reason, calls, test.calls)
			}
			if u := w.Users()["anna@acme.dk"]; u.Active != test.active {
				t.Errorf("%s: active: %t", test.reason, u.Active)
			}
		})
	}
}

func all(changes ...func(*platform.MemberWant)) []func(*platform.MemberWant) { return changes }

// TestMemberOfAForeignGroup has somebody else's group under the tenant's name:
// it is left alone, and the tenant's others are left all the same.
func TestMemberOfAForeignGroup(t *testing.T) {
	w := newWorld(t)
	w.choir(t)
	pk := w.Groups()["tenant-acme"].PK
	if err := w.patchGroup(t.Context(), pk, map[string]any{"attributes": map[string]any{"dezky": marked("ten_globex", "acme", "")}}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []platform.Step{membership(), membership(memberGone)} {
		if _, err := w.Apply(t.Context(), s); platform.CodeOf(err) != platform.Conflict || platform.CanPass(err) {
			t.Errorf("got %v", err)
		}
	}
	if diff := cmp.Diff([]string{"group-acme-2/Sopranos", "tenant-acme", "tenant-globex"}, w.Users()["anna@acme.dk"].Groups); diff != "" {
		t.Errorf("groups (-want +got)\n%s", diff)
	}
}

// TestMemberAndPersonAtOnce is what happens for somebody new: both steps run
// side by side, and one account is made.
func TestMemberAndPersonAtOnce(t *testing.T) {
	w := newWorld(t)
	steps := []platform.Step{acme(), anna(withPassword), membership()}
	results := make(chan error)
	for _, s := range steps {
		go func() {
			_, err := w.Apply(t.Context(), s)
			results <- err
		}()
	}
	for range steps {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if len(w.Users()) != 2 || len(w.Groups()) != 1 || !w.CheckPassword("anna@acme.dk", password) {
		t.Errorf("%v", w.known())
	}
	if _, err := w.SignInWithPassword("anna@acme.dk", password, standin.Portal); err != nil {
		t.Error(err)
	}
}
