package authentik

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

const password = "correct horse battery staple"

func annaWant() platform.PersonWant {
	return platform.PersonWant{
		ID: "usr_anna", Presence: platform.PresenceActive, Ours: true, Username: "anna@acme.dk", Email: "anna@acme.dk", Name: "Anna Holm",
	}
}

func anna(changes ...func(*platform.PersonWant)) platform.Step {
	w := annaWant()
	for _, change := range changes {
		change(&w)
	}
	return platform.Step{Subject: w.ID, Want: platform.Want{Person: &w}}
}

func suspended(w *platform.PersonWant)    { w.Presence = platform.PresenceSuspended }
func gone(w *platform.PersonWant)         { w.Presence = platform.PresenceGone }
func notOurs(w *platform.PersonWant)      { w.Ours = false }
func withPassword(w *platform.PersonWant) { w.Password = platform.NewSecret(password) }

func subject(uuid string) func(*platform.PersonWant) {
	return func(w *platform.PersonWant) { w.Subject = uuid }
}

// user makes an account by hand, and returns its UUID.
func (w *world) user(t *testing.T, username string, more map[string]any) string {
	t.Helper()
	fields := map[string]any{"username": username, "name": ""}
	for name, value := range more {
		fields[name] = value
	}
	a, err := w.send(t.Context(), http.MethodPost, "/core/users/", nil, fields)
	if err != nil || a.Status != http.StatusCreated {
		t.Fatalf("cannot make %s: %v %+v", username, err, a)
	}
	return w.Users()[username].UUID
}

func markedUser(id string) map[string]any {
	return map[string]any{"dezky": map[string]any{"userId": id}}
}

// oldAnna is our account as somebody left it, with much that is not ours.
func (w *world) oldAnna(t *testing.T) {
	t.Helper()
	if _, err := w.AddGroup("choir", nil); err != nil {
		t.Fatal(err)
	}
	w.user(t, "anna@acme.dk", map[string]any{
		"name": "Anna", "is_active": false, "groups": []string{w.Groups()["choir"].PK},
		"attributes": map[string]any{"dezky": map[string]any{"userId": "usr_anna", "note": "x"}, "settings": map[string]any{"locale": "da"}},
	})
}

// signedInAnna is our account, signed in in two browsers and offline, among
// others who are too.
func (w *world) signedInAnna(t *testing.T) {
	t.Helper()
	w.user(t, "anna@acme.dk", map[string]any{"name": "Anna Holm", "email": "anna@acme.dk", "path": userFolder, "attributes": markedUser("usr_anna")})
	w.user(t, "bo@acme.dk", nil)
	for _, username := range []string{"anna@acme.dk", "bo@acme.dk"} {
		_, err := w.SignIn(username, standin.Portal)
		if err == nil {
			_, err = w.SignInOffline(username, standin.Portal)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestPersonIsMade(t *testing.T) {
	w := newWorld(t)
	handle, err := w.Apply(t.Context(), anna(withPassword, func(w *platform.PersonWant) { w.Username, w.Name = "Anna@Acme.dk", " Anna Holm " }))
	if err != nil {
		t.Fatal(err)
	}
	u := w.Users()["anna@acme.dk"]
	want := standin.User{
		PK: 2, UUID: handle, Username: "anna@acme.dk", Name: "Anna Holm", Email: "anna@acme.dk", Path: "dezky/users", Type: "internal",
		Active: true, Attributes: markedUser("usr_anna"), Groups: []string{},
	}
	if diff := cmp.Diff(want, u); diff != "" {
		t.Errorf("the account (-want +got)\n%s", diff)
	}
	if _, err := w.SignInWithPassword("anna@acme.dk", password, standin.Portal); err != nil {
		t.Error(err)
	}
	again := anna(func(w *platform.PersonWant) { w.Name = " Anna Holm " })
	if _, err := w.Apply(t.Context(), again); err != nil || len(w.changing()) != 2 {
		t.Errorf("blanks that Authentik does not keep are no difference: %v, %v", err, w.changing())
	}
}

// TestPersonStates goes through all states of an account, ours and not.
func TestPersonStates(t *testing.T) {
	const other = "00000000-0000-4000-8000-000000000000"
	for name, test := range map[string]struct {
		reason  string
		account map[string]any // nil for none
		want    []func(*platform.PersonWant)
		subject bool // is the account's
		code    platform.Code
		calls   []string // that change something
		handle  bool
	}{
		"as it is":                  {"nothing differs", ours(nil), nil, false, "", nil, true},
		"by subject":                {"the subject names it", ours(nil), nil, true, "", nil, true},
		"unmarked, by subject":      {"the subject names it, and it gets our mark", ours(map[string]any{"attributes": map[string]any{"a": 1}}), nil, true, "", []string{"PATCH /core/users/2/"}, true},
		"unmarked":                  {"an account is never taken over", ours(map[string]any{"attributes": map[string]any{}}), nil, false, platform.Conflict, nil, false},
		"another's":                 {"an account is never taken over", ours(map[string]any{"attributes": markedUser("usr_bo")}), nil, false, platform.Conflict, nil, false},
		"a mark that is none":       {"it cannot be ours", ours(map[string]any{"attributes": map[string]any{"dezky": "usr_anna"}}), nil, false, platform.Conflict, nil, false},
		"another's name by subject": {"the subject is known, and it was removed by hand: the name is another's", ours(map[string]any{"attributes": markedUser("usr_bo")}), mods(subject(other)), false, platform.Conflict, nil, false},
		"removed by hand":           {"it is made anew", nil, mods(subject(other)), false, "", []string{"POST /core/users/"}, true},
		"subject is none":           {"the issuer is set up otherwise", nil, mods(subject("9f2c")), false, platform.Invalid, nil, false},
		"no username":               {"nothing to make it with", nil, mods(func(w *platform.PersonWant) { w.Username = "" }), false, platform.Invalid, nil, false},
		"no username, gone":         {"what cannot be there is gone", nil, mods(gone, func(w *platform.PersonWant) { w.Username = "" }), false, "", nil, false},
		"made suspended":            {"it is made shut", nil, mods(suspended), false, "", []string{"POST /core/users/"}, true},
		"nothing to say":            {"what we do not know is left alone", ours(nil), mods(func(w *platform.PersonWant) { w.Name, w.Email = "", "" }), false, "", nil, true},
		"gone already":              {"it is as wanted", nil, mods(gone), false, "", nil, false},
		"gone, unmarked":            {"ours is not there", ours(map[string]any{"attributes": map[string]any{}}), mods(gone), false, "", nil, false},
		"gone, another's":           {"ours is not there", ours(map[string]any{"attributes": markedUser("usr_bo")}), mods(gone), false, "", nil, false},
		"gone, unmarked, by subject": {"the subject names it, and it is ours", ours(map[string]any{"attributes": map[string]any{}}), mods(gone), true, "",
			[]string{"DELETE /core/users/2/"}, false},
		"gone, another's, by subject": {"another person has it", ours(map[string]any{"attributes": markedUser("usr_bo")}), mods(gone), true, platform.Conflict, nil, false},
		"not ours":                    {"nothing of it is ours to change", map[string]any{"name": "A", "email": "a@b.dk"}, mods(notOurs, withPassword), true, "", nil, true},
		"not ours, shut by hand":      {"it is let in", map[string]any{"name": "A", "is_active": false}, mods(notOurs), true, "", []string{"PATCH /core/users/2/"}, true},
		"not ours, suspended":         {"it is shut out", map[string]any{"name": "A"}, mods(notOurs, suspended), true, "", []string{"PATCH /core/users/2/"}, true},
		"not ours, gone":              {"it stays as it is", map[string]any{"name": "A"}, mods(notOurs, gone), true, "", nil, false},
		"not ours, missing":           {"it cannot be made", nil, mods(notOurs, subject(other)), false, platform.Unavailable, nil, false},
		"not ours, missing, shut":     {"nobody can sign in", nil, mods(notOurs, subject(other), suspended), false, "", nil, false},
		"not ours, missing, gone":     {"it is as wanted", nil, mods(notOurs, subject(other), gone), false, "", nil, false},
		"not ours, only a name":       {"a name alone says nothing", map[string]any{"name": "A"}, mods(notOurs), false, platform.Conflict, nil, false},
		"service account":             {"it is no person's", ours(map[string]any{"type": "service_account", "name": "A"}), nil, true, platform.Conflict, nil, false},
		"service account, gone":       {"it is no person's", ours(map[string]any{"type": "service_account"}), mods(gone), false, platform.Conflict, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var uuid string
			if test.account != nil {
				uuid = w.user(t, "anna@acme.dk", test.account)
			}
			if test.subject {
				test.want = append(test.want, subject(uuid))
			}
			before := len(w.changing())
			handle, err := w.Apply(t.Context(), anna(test.want...))
			if (err != nil) != (test.code != "") || (err != nil && (platform.CodeOf(err) != test.code || platform.CanPass(err))) {
				t.Fatalf("%s\ngot %v, can pass: %t", test.reason, err, platform.CanPass(err))
			}
			if diff := cmp.Diff(append([]string{}, test.calls...), w.changing()[before:]); diff != "" {
				t.Errorf("%s: changing calls (-want +got)\n%s", test.reason, diff)
			}
			if want := w.Users()["anna@acme.dk"].UUID; test.handle != (handle != "") || (handle != "" && handle != want) {
				t.Errorf("%s: the handle is %q, the account %q", test.reason, handle, want)
			}
		})
	}
}

func mods(all ...func(*platform.PersonWant)) []func(*platform.PersonWant) { return all }

// ours is an account as the platform makes it, but for what is said.
func ours(but map[string]any) map[string]any {
	fields := map[string]any{"name": "Anna Holm", "email": "anna@acme.dk", "path": userFolder, "attributes": markedUser("usr_anna")}
	for name, value := range but {
		fields[name] = value
	}
	return fields
}

func TestPersonIsMended(t *testing.T) {
	w := newWorld(t)
	w.oldAnna(t)
	if _, err := w.Apply(t.Context(), anna()); err != nil {
		t.Fatal(err)
	}
	u := w.Users()["anna@acme.dk"]
	attributes := map[string]any{"dezky": map[string]any{"userId": "usr_anna", "note": "x"}, "settings": map[string]any{"locale": "da"}}
	if u.Name != "Anna Holm" || u.Email != "anna@acme.dk" || !u.Active || !cmp.Equal(u.Groups, []string{"choir"}) || !cmp.Equal(u.Attributes, attributes) {
		t.Errorf("got %+v", u)
	}
}

// TestPersonRenamed has somebody change the username: the subject still names
// the account, and so does the handle.
func TestPersonRenamed(t *testing.T) {
	for _, by := range []string{"subject", "handle"} {
		w := newWorld(t)
		s := anna()
		handle, err := w.Apply(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.send(t.Context(), http.MethodPatch, "/core/users/2/", nil, map[string]any{"username": "annie"}); err != nil {
			t.Fatal(err)
		}
		if s.Handle = handle; by == "subject" {
			s = anna(subject(strings.ToUpper(handle)))
		}
		if again, err := w.Apply(t.Context(), s); err != nil || again != handle || len(w.Users()) != 2 {
			t.Errorf("by %s: %q, %v, %v", by, again, err, w.Users())
		}
	}
}

func TestPersonOfAStaleHandle(t *testing.T) {
	w := newWorld(t)
	for _, handle := range []string{w.user(t, "bo", nil), "00000000-0000-4000-8000-000000000000", "6a1d"} {
		s := anna()
		s.Handle = handle
		if got, err := w.Apply(t.Context(), s); err != nil || got != w.Users()["anna@acme.dk"].UUID {
			t.Errorf("with the handle %q: %q, %v", handle, got, err)
		}
	}
}

// TestAdministratorsAreLeftAlone has somebody who administers Authentik: they
// are let in as they are, and nothing of them is changed.
func TestAdministratorsAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	pk, err := w.AddGroup("authentik Admins", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.patchGroup(t.Context(), pk, map[string]any{"is_superuser": true}); err != nil {
		t.Fatal(err)
	}
	uuid := w.user(t, "anna@acme.dk", ours(map[string]any{"groups": []string{pk}}))
	if _, err := w.SignIn("anna@acme.dk", standin.Portal); err != nil {
		t.Fatal(err)
	}
	before := w.known()
	for name, s := range map[string]platform.Step{
		"suspended":           anna(subject(uuid), suspended),
		"not ours, suspended": anna(subject(uuid), notOurs, suspended),
		"gone":                anna(subject(uuid), gone),
		"password":            anna(subject(uuid), withPassword),
		"renamed":             anna(subject(uuid), func(w *platform.PersonWant) { w.Name = "Anna B. Holm" }),
	} {
		if _, err := w.Apply(t.Context(), s); platform.CodeOf(err) != platform.Conflict || platform.CanPass(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if diff := cmp.Diff(before, w.known()); diff != "" {
		t.Errorf("something was changed\n%s", diff)
	}
	if _, err := w.Apply(t.Context(), anna(subject(uuid), notOurs)); err != nil {
		t.Errorf("they are as wanted: %v", err)
	}
}

func TestSuspendedCannotGoOn(t *testing.T) {
	w := newWorld(t)
	w.signedInAnna(t)
	w.user(t, "cy", nil)
	if _, err := w.Apply(t.Context(), anna(suspended, withPassword)); err != nil {
		t.Fatal(err)
	}
	if len(w.Sessions("anna@acme.dk"))+w.RefreshTokens("anna@acme.dk") != 0 || len(w.Sessions("bo@acme.dk")) != 2 || w.RefreshTokens("bo@acme.dk") != 1 {
		t.Errorf("sessions: %v", w.known())
	}
	if _, err := w.SignInWithPassword("anna@acme.dk", password, standin.Portal); err == nil {
		t.Error("signed in")
	}
	if _, err := w.Apply(t.Context(), anna()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SignInWithPassword("anna@acme.dk", password, standin.Portal); err != nil {
		t.Errorf("the password stays: %v", err)
	}
}

// TestPasswordIsNotTold has every answer to a password quote it.
func TestPasswordIsNotTold(t *testing.T) {
	for status, canPass := range map[int]bool{400: false, 403: false, 404: true, 422: false, 429: true, 500: true, 200: false} {
		w := newWorld(t)
		w.Stage().Fail(stage.Fault{
			On: "POST /core/users/2/set_password/", Status: status, Header: map[string]string{"Content-Type": "application/json"},
			Body: `{"password":["` + password + ` is too common, ` + secret + `."]}`,
		})
		ctx := faultyContext(t)
		_, err := w.Apply(ctx, anna(withPassword))
		if err == nil || platform.CanPass(err) != canPass || strings.Contains(err.Error(), password) || strings.Contains(err.Error(), secret) {
			t.Errorf("%d: got %v, can pass: %t", status, err, platform.CanPass(err))
		}
		if u := w.Users()["anna@acme.dk"]; !u.Active {
			t.Errorf("the account is there meanwhile: %+v", u)
		}
	}
}

// TestPersonWithoutAFilter has an Authentik that knows no filter and lists
// everybody, many pages of them.
func TestPersonWithoutAFilter(t *testing.T) {
	w := newWorld(t)
	for i := range 120 {
		w.user(t, "a"+subjects(120)[i], nil)
	}
	w.before = func(r *http.Request) {
		query := r.URL.Query()
		query.Del("username")
		query.Del("uuid")
		r.URL.RawQuery = query.Encode()
	}
	handle, err := w.Apply(t.Context(), anna())
	if err != nil {
		t.Fatal(err)
	}
	before := len(w.changing())
	again, err := w.Apply(t.Context(), anna(subject(handle)))
	if err != nil || again != handle || len(w.changing()) != before {
		t.Errorf("%q, then %q, %v, %v", handle, again, err, w.changing()[before:])
	}
}

func TestSharedAddressIsNoIdentity(t *testing.T) {
	w := newWorld(t)
	w.user(t, "boss", map[string]any{"email": "anna@acme.dk"})
	if _, err := w.Apply(t.Context(), anna()); err != nil || len(w.Users()) != 3 || w.Users()["boss"].Name != "" {
		t.Errorf("%v, %v", err, w.Users())
	}
}

func TestEmptyUserIsNoUser(t *testing.T) {
	w := newWorld(t)
	for _, row := range []string{`{"pk":0,"uuid":"x","username":"anna@acme.dk"}`, `{"pk":2,"username":"anna@acme.dk"}`, `null`} {
		w.Stage().Heal()
		w.Stage().Fail(stage.Fault{Status: 200, Header: map[string]string{"Content-Type": "application/json"}, Body: `{"pagination":{"next":0},"results":[` + row + `]}`})
		if _, err := w.userNamed(faultyContext(t), "anna@acme.dk"); platform.CodeOf(err) != platform.Unavailable || !platform.CanPass(err) {
			t.Errorf("%s: got %v", row, err)
		}
	}
	if _, err := w.listUsers(t.Context(), url.Values{"username": {""}}); platform.CodeOf(err) != platform.Internal {
		t.Errorf("an empty filter: %v", err)
	}
}
