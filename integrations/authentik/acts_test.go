package authentik

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

func TestEndSessionsEndsOnlyTheirs(t *testing.T) {
	w := newWorld(t)
	w.signedInAnna(t)
	for range 120 { // more than a page
		if _, err := w.SignIn("anna@acme.dk", standin.Portal); err != nil {
			t.Fatal(err)
		}
	}
	others := w.Sessions("bo@acme.dk")
	if err := w.EndSessions(t.Context(), w.Users()["anna@acme.dk"].UUID); err != nil {
		t.Fatal(err)
	}
	if len(w.Sessions("anna@acme.dk"))+w.RefreshTokens("anna@acme.dk") != 0 {
		t.Errorf("left: %v, %d", w.Sessions("anna@acme.dk"), w.RefreshTokens("anna@acme.dk"))
	}
	if diff := cmp.Diff(others, w.Sessions("bo@acme.dk")); diff != "" || w.RefreshTokens("bo@acme.dk") != 1 {
		t.Errorf("another's were ended\n%s", diff)
	}
}

// TestEndSessionsTouchesNobodyElse has an Authentik that does not know one of
// the filters, and so lists everybody's.
func TestEndSessionsTouchesNobodyElse(t *testing.T) {
	for _, filter := range []string{"user__username", "user"} {
		w := newWorld(t)
		w.signedInAnna(t)
		before := w.known()
		w.before = func(r *http.Request) {
			query := r.URL.Query()
			query.Del(filter)
			r.URL.RawQuery = query.Encode()
		}
		err := w.EndSessions(t.Context(), w.Users()["anna@acme.dk"].UUID)
		if platform.CodeOf(err) != platform.Unavailable || platform.CanPass(err) {
			t.Errorf("without %s: got %v", filter, err)
		}
		if diff := cmp.Diff(before, w.known()); diff != "" {
			t.Errorf("without %s something was touched\n%s", filter, diff)
		}
	}
}

// TestEndSessionsOfNobody names people in ways in which nobody can be found.
func TestEndSessionsOfNobody(t *testing.T) {
	w := newWorld(t)
	w.signedInAnna(t)
	before := w.known()
	for subject, code := range map[string]platform.Code{
		"00000000-0000-4000-8000-000000000000": "",
		"":                                     platform.Invalid,
		"anna@acme.dk":                         platform.Invalid,
		"2":                                    platform.Invalid,
	} {
		if err := w.EndSessions(t.Context(), subject); (err != nil) != (code != "") || (err != nil && (platform.CodeOf(err) != code || platform.CanPass(err))) {
			t.Errorf("%q: got %v", subject, err)
		}
	}
	if diff := cmp.Diff(before, w.known()); diff != "" {
		t.Errorf("something was touched\n%s", diff)
	}
}

// TestEndSessionsAgain has the person sign in while their sessions are ended:
// once, which is ended too, and always, which is told.
func TestEndSessionsAgain(t *testing.T) {
	for times, ends := range map[int32]bool{1: true, 2: true, 100: false} {
		w := newWorld(t)
		w.signedInAnna(t)
		var signedIn atomic.Int32
		w.before = func(r *http.Request) {
			if r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/core/authenticated_sessions/") && signedIn.Add(1) <= times {
				if _, err := w.SignIn("anna@acme.dk", standin.Portal); err != nil {
					t.Error(err)
				}
			}
		}
		err := w.EndSessions(t.Context(), w.Users()["anna@acme.dk"].UUID)
		if ends != (err == nil) || !platform.CanPass(err) || ends != (len(w.Sessions("anna@acme.dk")) == 0) {
			t.Errorf("%d times: %v, %v", times, err, w.Sessions("anna@acme.dk"))
		}
		if n := len(w.changing()); n > 20 {
			t.Errorf("%d times: %d changing calls", times, n)
		}
	}
}

// TestEndSessionsOfWhoLeaves has the account removed meanwhile, after which
// Authentik refuses the filter for good.
func TestEndSessionsOfWhoLeaves(t *testing.T) {
	w := newWorld(t)
	w.signedInAnna(t)
	uuid := w.Users()["anna@acme.dk"].UUID
	var once sync.Once
	w.before = func(r *http.Request) {
		if strings.Contains(r.URL.Path, "refresh_tokens") {
			once.Do(func() {
				if err := w.remove(t.Context(), userPath(w.Users()["anna@acme.dk"].PK)); err != nil {
					t.Error(err)
				}
			})
		}
	}
	if err := w.EndSessions(t.Context(), uuid); err != nil {
		t.Error(err)
	}
}

func TestAuthenticators(t *testing.T) {
	w := newWorld(t)
	want := map[string]int{}
	var asked []string
	for i, username := range []string{"anna", "bo", "cy", "di", "ed"} {
		uuid := w.user(t, username, nil)
		asked, want[uuid] = append(asked, uuid), i
		for range i {
			if err := w.AddDevice(username, []string{"totp", "webauthn"}[i%2], true); err != nil {
				t.Fatal(err)
			}
		}
		for _, device := range []struct {
			kind      string
			confirmed bool
		}{{"static", true}, {"totp", false}} {
			if err := w.AddDevice(username, device.kind, device.confirmed); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := w.Authenticators(t.Context(), append(asked, asked[0], "00000000-0000-4000-8000-000000000000", "", "no-uuid"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("authenticators (-want +got)\n%s", diff)
	}
	if n := len(w.Stage().Calls()) - len(w.changing()); n != 11 {
		t.Errorf("%d calls, want two for each and one for whom nobody knows", n)
	}
}

// TestAuthenticatorsAreAllOrNothing has one of many calls fail.
func TestAuthenticatorsAreAllOrNothing(t *testing.T) {
	w := newWorld(t)
	var asked []string
	for _, username := range []string{"anna", "bo", "cy", "di", "ed", "fy"} {
		asked = append(asked, w.user(t, username, nil))
	}
	w.Stage().Fail(stage.Fault{On: "GET /authenticators/", Status: 503, Times: 1})
	got, err := w.Authenticators(faultyContext(t), asked)
	if got != nil || platform.CodeOf(err) != platform.Unavailable || !platform.CanPass(err) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAuthenticatorsFewAtOnce(t *testing.T) {
	w := newWorld(t)
	w.Stage().Hold()
	done := make(chan error)
	go func() {
		_, err := w.Authenticators(t.Context(), subjects(40))
		done <- err
	}()
	if err := w.clock.Sleeping(t.Context(), atOnce); err != nil {
		t.Fatal(err)
	}
	for len(w.Stage().Calls()) < atOnce {
		continue
	}
	if n := len(w.Stage().Calls()); n != atOnce {
		t.Errorf("%d calls at once", n)
	}
	w.Stage().Release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestProbe(t *testing.T) {
	json := map[string]string{"Content-Type": "application/json"}
	me := func(fields string) stage.Fault {
		return stage.Fault{Status: 200, Header: json, Body: `{"user":{` + fields + `}}`}
	}
	for name, test := range map[string]struct {
		fault   *stage.Fault
		ok      bool
		canPass bool
	}{
		"well":          {nil, true, false},
		"bad token":     {&stage.Fault{Status: 403, Header: json, Body: `{"detail":"Token invalid/expired"}`}, false, false},
		"not active":    {ptr(me(`"pk":1,"username":"x","is_active":false`)), false, false},
		"of nobody":     {ptr(me(`"pk":0,"username":"","is_active":true`)), false, true},
		"impersonating": {&stage.Fault{Status: 200, Header: json, Body: `{"user":{"pk":1,"username":"x","is_active":true},"original":{"pk":2}}`}, false, false},
		"down":          {&stage.Fault{Status: 503}, false, true},
	} {
		w := newWorld(t)
		if test.fault != nil {
			w.Stage().Fail(*test.fault)
		}
		err := w.Probe(faultyContext(t))
		if test.ok != (err == nil) || (err != nil && (platform.CodeOf(err) != platform.Unavailable || platform.CanPass(err) != test.canPass)) {
			t.Errorf("%s: got %v, can pass: %t", name, err, platform.CanPass(err))
		}
		if len(w.changing()) > 0 {
			t.Errorf("%s: a probe changes nothing: %v", name, w.changing())
		}
	}
}

func ptr[T any](v T) *T { return &v }
