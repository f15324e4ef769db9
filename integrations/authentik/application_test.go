package authentik

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

func crmWant() platform.SSOAppWant {
	return platform.SSOAppWant{
		ID: "sso_crm", Tenant: *acme().Want.Tenant, Name: "Acme CRM", Slug: "acme-crm",
		RedirectURIs: []string{"https://crm.acme.dk/cb"}, LaunchURL: "https://crm.acme.dk",
	}
}

// crm is an application that was made, beside somebody else's.
func (w *world) crm(t *testing.T) {
	t.Helper()
	for _, want := range []platform.SSOAppWant{crmWant(), {
		ID: "sso_wiki", Tenant: *acme().Want.Tenant, Name: "Wiki", Slug: "acme-wiki", RedirectURIs: []string{"https://wiki.acme.dk/"},
	}} {
		if _, err := w.CreateApp(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCreateApp(t *testing.T) {
	w := newWorld(t)
	made, err := w.CreateApp(t.Context(), crmWant())
	if err != nil {
		t.Fatal(err)
	}
	base := strings.TrimSuffix(w.base, "/api/v3")
	app := w.Applications()["acme-crm"]
	want := standin.Application{
		PK: made.Handles.Application, Name: "Acme CRM", Slug: "acme-crm", Group: "acme", LaunchURL: "https://crm.acme.dk", Publisher: "sso_crm",
		Provider: app.Provider, ProviderName: "acme-crm (sso_crm)", ClientID: made.ClientID,
		RedirectURIs: []string{"https://crm.acme.dk/cb"}, Bound: []string{"tenant-acme"},
	}
	if diff := cmp.Diff(want, app); diff != "" {
		t.Errorf("the application (-want +got)\n%s", diff)
	}
	if made.Issuer != base+"/application/o/acme-crm/" || made.Discovery != made.Issuer+".well-known/openid-configuration" {
		t.Errorf("issuer %q, discovery %q", made.Issuer, made.Discovery)
	}
	if len(made.ClientSecret.Reveal()) < 40 || made.Handles.Provider != fmt.Sprint(app.Provider) || made.Handles.Binding == "" {
		t.Errorf("got %+v", made)
	}
	res, err := http.Get(made.Discovery)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("discovery: %d", res.StatusCode)
	}
	found, err := w.FindApp(t.Context(), "acme-crm")
	if diff := cmp.Diff(platform.SSOAppFound{ID: "sso_crm", Slug: "acme-crm", Name: "Acme CRM", Handles: made.Handles, Whole: true}, found); diff != "" || err != nil {
		t.Errorf("%v, found (-want +got)\n%s", err, diff)
	}
}

func TestOnlyMembersSignInToAnApp(t *testing.T) {
	w := newWorld(t)
	w.crm(t)
	for _, s := range []platform.Step{membership(), anna(withPassword)} {
		if _, err := w.Apply(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.SignInWithPassword("anna@acme.dk", password, "acme-crm"); err != nil {
		t.Error(err)
	}
	w.user(t, "bo", nil)
	if _, err := w.SignIn("bo", "acme-crm"); err == nil {
		t.Error("somebody of no tenant signed in")
	}
}

// TestAppIsNeverOpen looks at the application after each call of making it: as
// long as nobody is bound to it, no token can be had.
func TestAppIsNeverOpen(t *testing.T) {
	w := newWorld(t)
	w.user(t, "bo", nil)
	look := func() {
		if app, there := w.Applications()["acme-crm"]; there && app.Provider != 0 && len(app.Bound) == 0 {
			t.Errorf("it is open to everybody: %+v", app)
		}
		if _, err := w.SignIn("bo", "acme-crm"); err == nil {
			t.Error("somebody of no tenant signed in")
		}
	}
	w.before = func(*http.Request) { look() }
	if _, err := w.CreateApp(t.Context(), crmWant()); err != nil {
		t.Fatal(err)
	}
	look()
	if err := w.DeleteApp(t.Context(), platform.SSOAppRef{ID: "sso_crm", Slug: "acme-crm"}); err != nil {
		t.Fatal(err)
	}
}

func TestCreateAppRefusals(t *testing.T) {
	with := func(change func(*platform.SSOAppWant)) platform.SSOAppWant {
		want := crmWant()
		change(&want)
		return want
	}
	cases := map[string]struct {
		want  platform.SSOAppWant
		code  platform.Code
		field string
	}{
		"no ID":        {with(func(w *platform.SSOAppWant) { w.ID = "" }), platform.Internal, ""},
		"no slug":      {with(func(w *platform.SSOAppWant) { w.Slug = "" }), platform.Invalid, "slug"},
		"odd slug":     {with(func(w *platform.SSOAppWant) { w.Slug = "acme/crm" }), platform.Invalid, "slug"},
		"letters":      {with(func(w *platform.SSOAppWant) { w.Slug = "ærø" }), platform.Invalid, "slug"},
		"taken":        {with(func(w *platform.SSOAppWant) { w.Slug = standin.Portal }), platform.Conflict, "slug"},
		"no redirects": {with(func(w *platform.SSOAppWant) { w.RedirectURIs = nil }), platform.Invalid, "redirectUris"},
		"a blank one":  {with(func(w *platform.SSOAppWant) { w.RedirectURIs = []string{""} }), platform.Invalid, "redirectUris"},
		"no name":      {with(func(w *platform.SSOAppWant) { w.Name = " " }), platform.Invalid, "name"},
		"odd launch":   {with(func(w *platform.SSOAppWant) { w.LaunchURL = "crm" }), platform.Unavailable, ""},
	}
	for _, slug := range reservedSlugs {
		cases[slug] = cases["no slug"]
		c := cases[slug]
		c.want.Slug = slug
		cases[slug] = c
	}
	for name, test := range cases {
		w := newWorld(t)
		if _, err := w.Apply(t.Context(), acme()); err != nil {
			t.Fatal(err)
		}
		before := w.known()
		_, err := w.CreateApp(faultyContext(t), test.want)
		field := ""
		if ours, ok := errorAs(err); ok {
			field = ours.Field
		}
		if platform.CodeOf(err) != test.code || platform.CanPass(err) || field != test.field {
			t.Errorf("%s: got %v on %q", name, err, field)
		}
		if diff := cmp.Diff(before, w.known()); diff != "" {
			t.Errorf("%s: something was made\n%s", name, diff)
		}
	}
}

func TestCreateAppWithoutItsBasis(t *testing.T) {
	empty := stage.Fault{Status: 200, Header: map[string]string{"Content-Type": "application/json"}, Body: `{"pagination":{"next":0},"results":[]}`}
	two := empty
	two.Body = `{"pagination":{"next":0},"results":[` + strings.Repeat(`{"pk":"a","slug":"x","designation":"authorization","managed":"`+signingKey+`","private_key_available":true},`, 2) + `{}]}`
	for name, test := range map[string]struct {
		on      string
		fault   stage.Fault
		missing string
	}{
		"no flow":         {"GET /flows/instances/", empty, authorizationFlow},
		"too many flows":  {"GET /flows/instances/", two, authorizationFlow},
		"no key":          {"GET /crypto/certificatekeypairs/", empty, signingKey},
		"too many keys":   {"GET /crypto/certificatekeypairs/", two, signingKey},
		"no mapping":      {"GET /propertymappings/provider/scope/", empty, "scope-openid"},
		"unknown mapping": {"GET /propertymappings/", stage.Fault{Status: 400, Header: empty.Header, Body: `{"managed":["Select a valid choice. scope-email is not one of the available choices."]}`}, "scope-email"},
	} {
		w := newWorld(t)
		test.fault.On = test.on
		w.Stage().Fail(test.fault)
		_, err := w.CreateApp(faultyContext(t), crmWant())
		if platform.CodeOf(err) != platform.Unavailable || platform.CanPass(err) || !strings.Contains(err.Error(), test.missing) || len(w.changing()) > 0 {
			t.Errorf("%s: got %v after %v", name, err, w.changing())
		}
	}
}

// creating are the changing calls of making an application.
var creating = []string{"POST /core/applications/", "POST /policies/bindings/", "POST /providers/oauth2/", "PATCH /core/applications/acme-crm/"}

// TestCreateAppIsAllOrNothing makes each call of making an application fail in
// turn: nothing is left, and a repeat makes it.
func TestCreateAppIsAllOrNothing(t *testing.T) {
	json := map[string]string{"Content-Type": "application/json"}
	for _, on := range append(slices.Clone(creating), "GET /providers/oauth2/3/setup_urls/") {
		for name, f := range map[string]stage.Fault{
			"reset":  {Kind: stage.Reset},
			"lost":   {Kind: stage.Lost},
			"half":   {Kind: stage.Half},
			"400":    {Status: 400, Header: json, Body: `{"name":["no"]}`},
			"403":    {Status: 403},
			"500":    {Status: 500},
			"garble": {Status: 201, Header: json, Body: `{}`},
			"secret": {Status: 202, Header: json, Body: `{"client_secret":"` + secret + `"}`},
		} {
			w := newWorld(t)
			if _, err := w.Apply(t.Context(), acme()); err != nil {
				t.Fatal(err)
			}
			before := w.known()
			f.On, f.Times = on, 1
			if strings.HasPrefix(on, "GET") {
				f.Times = 5 // net/http itself repeats a GET
			}
			w.Stage().Fail(f)
			_, err := w.CreateApp(faultyContext(t), crmWant())
			if platform.CodeOf(err) != platform.Unavailable || strings.Contains(err.Error(), secret) {
				t.Errorf("%s, %s: got %v", on, name, err)
			}
			if diff := cmp.Diff(before, w.known()); diff != "" {
				t.Errorf("%s, %s: something is left\n%s", on, name, diff)
			}
			w.Stage().Heal()
			if _, err := w.CreateApp(t.Context(), crmWant()); err != nil {
				t.Errorf("%s, %s: again: %v", on, name, err)
			}
		}
	}
}

// TestCreateAppAfterACrash has nothing work any more from some call on, so that
// nothing is undone either; a repeat removes what is left and begins anew.
func TestCreateAppAfterACrash(t *testing.T) {
	for i, on := range creating {
		w := newWorld(t)
		w.before = func(r *http.Request) {
			if r.Method+" "+strings.TrimPrefix(r.URL.Path, "/api/v3") == on {
				w.before = nil
				w.Stage().Fail(stage.Fault{Kind: stage.Lost, On: on, Times: 1})
				w.Stage().Fail(stage.Fault{Kind: stage.Reset})
			}
		}
		if _, err := w.CreateApp(faultyContext(t), crmWant()); !platform.CanPass(err) || err == nil {
			t.Errorf("%s: got %v", on, err)
		}
		if _, there := w.Applications()["acme-crm"]; !there {
			t.Fatalf("%s: nothing is left, so there is nothing to test", on)
		}
		w.Stage().Heal()
		first := w.Applications()["acme-crm"]
		made, err := w.CreateApp(t.Context(), crmWant())
		if app := w.Applications()["acme-crm"]; err != nil || app.PK == first.PK || app.ClientID != made.ClientID || w.Leftovers() != 0 || len(w.Applications()) != 3 {
			t.Errorf("%s (%d): %v, %v", on, i, err, w.known())
		}
	}
}

// TestCreateAppAgain is a repeat of what had succeeded: the secret is a new one,
// since the first is kept nowhere.
func TestCreateAppAgain(t *testing.T) {
	w := newWorld(t)
	first, err := w.CreateApp(t.Context(), crmWant())
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.CreateApp(t.Context(), crmWant())
	if err != nil || first.ClientSecret.Reveal() == second.ClientSecret.Reveal() || w.Leftovers() != 0 || len(w.Applications()) != 3 {
		t.Errorf("%v, %v", err, w.known())
	}
}

// TestCreateAppUndoesAfterTheEnd has the caller go away in the middle: what was
// begun is undone all the same.
func TestCreateAppUndoesAfterTheEnd(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(faultyContext(t))
	w.before = func(r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/v3/providers/oauth2/") && r.Method == http.MethodPost {
			cancel()
		}
	}
	if _, err := w.CreateApp(ctx, crmWant()); platform.CodeOf(err) != platform.Unavailable {
		t.Errorf("got %v", err)
	}
	if _, there := w.Applications()["acme-crm"]; there || w.Leftovers() != 0 {
		t.Errorf("left: %v", w.known())
	}
}

// TestUndoingEnds has an Authentik that answers nothing any more in the middle.
func TestUndoingEnds(t *testing.T) {
	w := newWorld(t)
	w.before = func(r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/policies/bindings/") {
			w.before = nil
			w.Stage().Fail(stage.Fault{Kind: stage.Nothing})
		}
	}
	start := w.clock.Running()
	err := w.inTime(faultyContext(t), t, 20*time.Millisecond, func(ctx context.Context, w *world) error { _, err := w.CreateApp(ctx, crmWant()); return err })
	if took := w.clock.Running() - start; platform.CodeOf(err) != platform.Unavailable || !platform.CanPass(err) || took > 2*undoTime {
		t.Errorf("%v after %s", err, took)
	}
}

func TestDeleteApp(t *testing.T) {
	for name, test := range map[string]struct {
		reason string
		before func(*testing.T, *world)
		ref    platform.SSOAppRef
		left   []string
		code   platform.Code
	}{
		"whole":           {"all of it goes, and no more", nil, platform.SSOAppRef{ID: "sso_crm", Slug: "acme-crm"}, []string{"acme-wiki"}, ""},
		"not there":       {"that is as wanted", nil, platform.SSOAppRef{ID: "sso_x", Slug: "x"}, []string{"acme-crm", "acme-wiki"}, ""},
		"another's":       {"ours is not there", nil, platform.SSOAppRef{ID: "sso_x", Slug: "acme-crm"}, []string{"acme-crm", "acme-wiki"}, ""},
		"the platform's":  {"it is not ours to remove", nil, platform.SSOAppRef{ID: "sso_x", Slug: standin.Portal}, []string{"acme-crm", "acme-wiki"}, ""},
		"without an ID":   {"the platform's own have none either", nil, platform.SSOAppRef{Slug: standin.Portal}, []string{"acme-crm", "acme-wiki"}, platform.Internal},
		"provider is off": {"it is found by its name", detached, platform.SSOAppRef{ID: "sso_crm", Slug: "acme-crm"}, []string{"acme-wiki"}, ""},
		"app is off":      {"the provider is found by its name", withoutApplication, platform.SSOAppRef{ID: "sso_crm", Slug: "acme-crm"}, []string{"acme-wiki"}, ""},
	} {
		w := newWorld(t)
		w.crm(t)
		if test.before != nil {
			test.before(t, w)
		}
		err := w.DeleteApp(t.Context(), test.ref)
		if (err != nil) != (test.code != "") || (err != nil && platform.CodeOf(err) != test.code) {
			t.Errorf("%s (%s): got %v", name, test.reason, err)
		}
		left := []string{}
		for slug := range w.Applications() {
			if !slices.Contains(standin.Applications(), slug) {
				left = append(left, slug)
			}
		}
		slices.Sort(left)
		if diff := cmp.Diff(test.left, left); diff != "" || w.Leftovers() != 0 {
			t.Errorf("%s (%s): %d left over, applications (-want +got)\n%s", name, test.reason, w.Leftovers(), diff)
		}
	}
}

func detached(t *testing.T, w *world) {
	t.Helper()
	if _, err := w.send(t.Context(), http.MethodPatch, applicationPath("acme-crm"), nil, map[string]any{"provider": nil}); err != nil || w.Leftovers() != 1 {
		t.Fatal(err, w.Leftovers())
	}
}

func withoutApplication(t *testing.T, w *world) {
	t.Helper()
	if err := w.remove(t.Context(), applicationPath("acme-crm")); err != nil || w.Leftovers() != 1 {
		t.Fatal(err, w.Leftovers())
	}
}

// TestDeleteAppByHandles has somebody change what we know an app by.
func TestDeleteAppByHandles(t *testing.T) {
	w := newWorld(t)
	made, err := w.CreateApp(t.Context(), crmWant())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.send(t.Context(), http.MethodPatch, applicationPath("acme-crm"), nil, map[string]any{"meta_publisher": "Acme"}); err != nil {
		t.Fatal(err)
	}
	ref := platform.SSOAppRef{ID: "sso_crm", Slug: "acme-crm", Handles: made.Handles}
	for range 2 {
		if err := w.DeleteApp(t.Context(), ref); err != nil || len(w.Applications()) != 2 || w.Leftovers() != 0 {
			t.Errorf("%v, %v", err, w.known())
		}
	}
}

func TestFindAppThatIsNone(t *testing.T) {
	w := newWorld(t)
	for _, slug := range []string{"none", "", "../users"} {
		if _, err := w.FindApp(t.Context(), slug); platform.CodeOf(err) != platform.NotFound {
			t.Errorf("%q: got %v", slug, err)
		}
	}
	if found, err := w.FindApp(t.Context(), standin.Portal); err != nil || found.ID != "" || !found.Whole {
		t.Errorf("got %+v, %v", found, err)
	}
}

func errorAs(err error) (*platform.Error, bool) { return errors.AsType[*platform.Error](err) }
