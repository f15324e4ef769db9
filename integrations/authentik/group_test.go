package authentik

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
)

func grown(n int) []platform.PersonWant {
	var people []platform.PersonWant
	for i := range n {
		name := fmt.Sprintf("singer%03d@acme.dk", i)
		people = append(people, platform.PersonWant{
			ID: platform.ID(fmt.Sprintf("usr_%d", i)), Presence: platform.PresenceActive, Ours: true, Username: name, Email: name, Name: name,
		})
	}
	return people
}

func sopranos(changes ...func(*platform.GroupWant)) platform.Step {
	cy := platform.PersonWant{ID: "usr_cy", Presence: platform.PresenceActive, Ours: true, Username: "cy@acme.dk"}
	w := platform.GroupWant{
		ID: "grp_sopranos", Presence: platform.PresenceActive, Tenant: *acme().Want.Tenant, Name: "Sopranos",
		Members: []platform.PersonWant{annaWant(), cy},
	}
	for _, change := range changes {
		change(&w)
	}
	return platform.Step{Subject: w.ID, Want: platform.Want{Group: &w}}
}

func groupGone(w *platform.GroupWant) { w.Presence = platform.PresenceGone }

// singers are the accounts of the sopranos, and no group.
func (w *world) singers(t *testing.T) {
	t.Helper()
	w.user(t, "anna@acme.dk", ours(nil))
	w.user(t, "cy@acme.dk", map[string]any{"attributes": markedUser("usr_cy")})
}

// membersOf are the usernames of those in a group.
func (w *world) membersOf(group string) []string {
	names := []string{}
	for name, u := range w.Users() {
		if slices.Contains(u.Groups, group) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestGroupHasItsMembers(t *testing.T) {
	w := newWorld(t)
	w.choir(t)
	handle, err := w.Apply(t.Context(), sopranos())
	if err != nil || handle != w.Groups()["group-acme/Sopranos"].PK {
		t.Fatalf("the handle is %q, %v", handle, err)
	}
	if diff := cmp.Diff([]string{"anna@acme.dk", "cy@acme.dk"}, w.membersOf("group-acme/Sopranos")); diff != "" {
		t.Errorf("members (-want +got)\n%s", diff)
	}
	if len(w.Sessions("bo@acme.dk")) != 2 || w.membersOf("tenant-acme")[0] != "anna@acme.dk" {
		t.Error("something else was changed")
	}
}

func TestGroupWaitsForAccounts(t *testing.T) {
	w := newWorld(t)
	w.user(t, "cy@acme.dk", map[string]any{"attributes": markedUser("usr_cy")})
	_, err := w.Apply(t.Context(), sopranos())
	if platform.CodeOf(err) != platform.Unavailable || !platform.CanPass(err) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{"cy@acme.dk"}, w.membersOf("group-acme/Sopranos")); diff != "" {
		t.Errorf("whoever is there is in it already (-want +got)\n%s", diff)
	}
	if _, err := w.Apply(t.Context(), anna()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Apply(t.Context(), sopranos()); err != nil || len(w.membersOf("group-acme/Sopranos")) != 2 {
		t.Errorf("%v, %v", err, w.membersOf("group-acme/Sopranos"))
	}
}

func TestGroupStates(t *testing.T) {
	mark := func(tenant, id string) map[string]any {
		return map[string]any{"dezky": map[string]any{"tenantId": tenant, "groupId": id}}
	}
	for name, test := range map[string]struct {
		reason  string
		before  map[string]any
		change  []func(*platform.GroupWant)
		code    platform.Code
		canPass bool
		calls   int // that change something
		there   bool
	}{
		"bare":            {"the name is ours alone to give, and it gets our mark", map[string]any{}, nil, "", false, 3, true},
		"another's":       {"it is not ours", mark("ten_globex", "grp_x"), nil, platform.Conflict, false, 0, true},
		"a mark of none":  {"it cannot be ours", map[string]any{"dezky": 7}, nil, platform.Conflict, false, 0, true},
		"a former one's":  {"another of the tenant's is about to leave the name", mark("ten_acme", "grp_old"), nil, platform.Conflict, true, 0, true},
		"gone, ours":      {"it goes", mark("ten_acme", "grp_sopranos"), []func(*platform.GroupWant){groupGone}, "", false, 1, false},
		"gone, bare":      {"we made none without a mark", map[string]any{}, []func(*platform.GroupWant){groupGone}, "", false, 0, true},
		"gone, another's": {"ours is not there", mark("ten_globex", "grp_x"), []func(*platform.GroupWant){groupGone}, "", false, 0, true},
		"blanks":          {"Authentik keeps no blanks around a name", mark("ten_acme", "grp_sopranos"), []func(*platform.GroupWant){func(w *platform.GroupWant) { w.Name = "Sopranos " }}, "", false, 2, true},
		"of those gone":   {"who has no account any more is not waited for", mark("ten_acme", "grp_sopranos"), []func(*platform.GroupWant){func(w *platform.GroupWant) { w.Members[0].Presence = platform.PresenceGone }}, "", false, 1, true},
		"of a foreign account": {"it is never taken over", mark("ten_acme", "grp_sopranos"),
			[]func(*platform.GroupWant){func(w *platform.GroupWant) { w.Members[0].ID = "usr_other" }}, platform.Conflict, false, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.singers(t)
			if _, err := w.AddGroup("group-acme/Sopranos", test.before); err != nil {
				t.Fatal(err)
			}
			before := len(w.changing())
			_, err := w.Apply(t.Context(), sopranos(test.change...))
			if (err != nil) != (test.code != "") || (err != nil && (platform.CodeOf(err) != test.code || platform.CanPass(err) != test.canPass)) {
				t.Fatalf("%s\ngot %v, can pass: %t", test.reason, err, platform.CanPass(err))
			}
			if calls := w.changing()[before:]; len(calls) != test.calls {
				t.Errorf("%s: changing calls %v, want %d", test.reason, calls, test.calls)
			}
			if _, there := w.Groups()["group-acme/Sopranos"]; there != test.there {
				t.Errorf("%s: it is there: %t", test.reason, there)
			}
		})
	}
}

func TestGroupOfAdministratorsIsNoGroup(t *testing.T) {
	w := newWorld(t)
	w.singers(t)
	pk, err := w.AddGroup("group-acme/Sopranos", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.patchGroup(t.Context(), pk, map[string]any{"is_superuser": true}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Apply(t.Context(), sopranos()); platform.CodeOf(err) != platform.Conflict || platform.CanPass(err) || w.Groups()["group-acme/Sopranos"].Members != 0 {
		t.Errorf("got %v", err)
	}
}

func TestGroupIsRenamed(t *testing.T) {
	w := newWorld(t)
	w.singers(t)
	s := sopranos()
	var err error
	if s.Handle, err = w.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	s.Want.Group.Name = "High voices"
	again, err := w.Apply(t.Context(), s)
	if err != nil || again != s.Handle || len(w.Groups()) != 1 || len(w.membersOf("group-acme/High voices")) != 2 {
		t.Errorf("%q, %v, %v", again, err, w.Groups())
	}
	gone := sopranos(groupGone)
	gone.Handle = s.Handle
	if _, err := w.Apply(t.Context(), gone); err != nil || len(w.Groups()) != 0 {
		t.Errorf("it is found by its handle: %v, %v", err, w.Groups())
	}
	if handle, err := w.Apply(t.Context(), s); err != nil || handle == s.Handle {
		t.Errorf("with a handle of what is gone: %q, %v", handle, err)
	}
}

// TestBigGroup has more members than a page, and an Authentik that knows no
// filter by group: others are not taken for members.
func TestBigGroup(t *testing.T) {
	w := newWorld(t)
	people := grown(130)
	for _, p := range people {
		w.user(t, p.Username, map[string]any{"attributes": markedUser(string(p.ID))})
	}
	w.user(t, "bystander", nil)
	s := sopranos(func(w *platform.GroupWant) { w.Members = people })
	for range 2 {
		if _, err := w.Apply(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		w.before = func(r *http.Request) {
			query := r.URL.Query()
			query.Del("groups_by_pk")
			r.URL.RawQuery = query.Encode()
		}
	}
	if n := w.Groups()["group-acme/Sopranos"].Members; n != 130 {
		t.Errorf("%d members", n)
	}
	for _, call := range w.changing() {
		if slices.Contains([]string{"remove_user/"}, call[len(call)-min(len(call), 12):]) {
			t.Errorf("somebody was removed: %s", call)
		}
	}
}

// TestGroupGoneMeanwhile has the group removed between our look at it and our
// look at its members, whose filter is then refused for good.
func TestGroupGoneMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.choir(t)
	w.before = func(r *http.Request) {
		if r.URL.Query().Get("groups_by_pk") != "" {
			w.before = nil
			if err := w.remove(t.Context(), groupPath(w.Groups()["group-acme/Sopranos"].PK)); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := w.Apply(t.Context(), sopranos()); !platform.CanPass(err) || err == nil {
		t.Errorf("got %v", err)
	}
	if _, err := w.Apply(t.Context(), sopranos()); err != nil || len(w.membersOf("group-acme/Sopranos")) != 2 {
		t.Errorf("%v, %v", err, w.known())
	}
}
