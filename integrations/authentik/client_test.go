package authentik

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

const secret = "a-token-that-nobody-may-read"

// world is an Authentik and a client of it. Every request and every answer is
// held against the specification, where that is at hand.
type world struct {
	*standin.Server
	*Client
	clock *clocktest.Clock
	// before is called with every request before it goes out.
	before func(*http.Request)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	clock := clocktest.New(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	server, err := standin.New(standin.Options{Token: platform.NewSecret(secret), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	host := httptest.NewServer(server)
	t.Cleanup(host.Close)
	w := &world{Server: server, clock: clock}
	server.SetBaseURL(host.URL)
	w.Client = New(host.URL+"/", platform.NewSecret(secret), transport(func(r *http.Request) (*http.Response, error) {
		if w.before != nil {
			w.before(r)
		}
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		if err := checkExchange(r, res); err != nil {
			return nil, err
		}
		return res, nil
	}), clock)
	return w
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// changing are the calls so far that could have changed something.
func (w *world) changing() []string {
	calls := []string{}
	for _, call := range w.Stage().Calls() {
		if !strings.HasPrefix(call, "GET ") {
			calls = append(calls, call)
		}
	}
	return calls
}

func acme() platform.Step {
	return platform.Step{Want: platform.Want{Tenant: &platform.TenantWant{ID: "ten_acme", Slug: "acme", Name: "Acme A/S"}}}
}

func (w *world) apply(t *testing.T, s platform.Step) string {
	t.Helper()
	handle, err := w.Apply(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if handle == "" || handle != w.Groups()["tenant-acme"].PK {
		t.Fatalf("the handle is %q, the groups %v", handle, w.Groups())
	}
	return handle
}

func marked(id, slug, name string) map[string]any {
	return map[string]any{"tenantId": id, "slug": slug, "name": name}
}

func TestApplyTwice(t *testing.T) {
	w := newWorld(t)
	handle := w.apply(t, acme())
	want := map[string]any{"dezky": marked("ten_acme", "acme", "Acme A/S")}
	if diff := cmp.Diff(want, w.Groups()["tenant-acme"].Attributes); diff != "" {
		t.Errorf("attributes (-want +got)\n%s", diff)
	}
	if again := w.apply(t, acme()); again != handle {
		t.Errorf("another handle: %s, then %s", handle, again)
	}
	if diff := cmp.Diff([]string{"POST /core/groups/"}, w.changing()); diff != "" {
		t.Errorf("changing calls (-want +got)\n%s", diff)
	}
}

func TestApplySkipsWhatItDoesNotKnow(t *testing.T) {
	w := newWorld(t)
	for _, want := range []platform.Want{{}, {Domain: &platform.DomainWant{ID: "dom_acme", Name: "acme.dk"}}} {
		if _, err := w.Apply(t.Context(), platform.Step{Want: want}); !errors.Is(err, platform.ErrSkip) || len(w.Stage().Calls()) > 0 {
			t.Errorf("got %v and the calls %v", err, w.Stage().Calls())
		}
	}
}

func TestApplyAdopts(t *testing.T) {
	ours := marked("ten_acme", "acme", "Acme A/S")
	for name, test := range map[string]struct {
		reason string
		before map[string]any
		after  map[string]any
		calls  int // that change something
	}{
		"bare":           {"a group by that name is the tenant's", nil, map[string]any{"dezky": ours}, 1},
		"ours":           {"nothing is missing", map[string]any{"dezky": ours}, map[string]any{"dezky": ours}, 0},
		"no tenant":      {"it says nothing of a tenant", map[string]any{"dezky": map[string]any{"note": "x"}}, map[string]any{"dezky": map[string]any{"note": "x", "tenantId": "ten_acme", "slug": "acme", "name": "Acme A/S"}}, 1},
		"old name":       {"the tenant was renamed", map[string]any{"dezky": marked("ten_acme", "acme", "Acme")}, map[string]any{"dezky": ours}, 1},
		"others' fields": {"a PATCH replaces all attributes, and they are not all ours", map[string]any{"theme": map[string]any{"dark": true}, "big": 12.5}, map[string]any{"theme": map[string]any{"dark": true}, "big": 12.5, "dezky": ours}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			pk, err := w.AddGroup("tenant-acme", test.before)
			if err != nil {
				t.Fatal(err)
			}
			if handle := w.apply(t, acme()); handle != pk {
				t.Errorf("%s: the handle is %s, want %s", test.reason, handle, pk)
			}
			if diff := cmp.Diff(test.after, w.Groups()["tenant-acme"].Attributes); diff != "" {
				t.Errorf("%s (-want +got)\n%s", test.reason, diff)
			}
			if calls := w.changing(); len(calls) != test.calls {
				t.Errorf("changing calls %v, want %d", calls, test.calls)
			}
		})
	}
}

func TestApplyKeepsMembers(t *testing.T) {
	w := newWorld(t)
	if err := w.AddPerson(standin.Person{Username: "anna", Groups: []string{"tenant-acme"}}); err != nil {
		t.Fatal(err)
	}
	w.apply(t, acme())
	if n := w.Groups()["tenant-acme"].Members; n != 1 {
		t.Errorf("%d members, want 1", n)
	}
}

func TestApplyRefusesOthers(t *testing.T) {
	for name, attributes := range map[string]map[string]any{
		"another tenant's": {"dezky": marked("ten_globex", "acme", "Globex")},
		"a text":           {"dezky": "ten_globex"},
		"a number":         {"dezky": map[string]any{"tenantId": 7}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if _, err := w.AddGroup("tenant-acme", attributes); err != nil {
				t.Fatal(err)
			}
			wantConflict(t, w)
		})
	}
	t.Run("administrators'", func(t *testing.T) {
		w := newWorld(t)
		pk, err := w.AddGroup("tenant-acme", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.patchGroup(t.Context(), pk, map[string]any{"is_superuser": true}); err != nil {
			t.Fatal(err)
		}
		wantConflict(t, w)
	})
}

func wantConflict(t *testing.T, w *world) {
	t.Helper()
	before, calls := w.Groups(), len(w.changing())
	_, err := w.Apply(t.Context(), acme())
	if platform.CodeOf(err) != platform.Conflict || platform.CanPass(err) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(before, w.Groups()); diff != "" || len(w.changing()) != calls {
		t.Errorf("something was changed: %v\n%s", w.changing(), diff)
	}
}

func TestApplyTakesNoLookAlike(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"Tenant-Acme", "tenant-acme-2", "tenant-acm"} {
		if _, err := w.AddGroup(name, nil); err != nil {
			t.Fatal(err)
		}
	}
	w.apply(t, acme())
	if n := len(w.Groups()); n != 4 {
		t.Errorf("%d groups, want 4", n)
	}
}

// TestApplyWithoutAFilter has an Authentik that does not know the filter, and
// so lists everything, the tenant's group on the last page.
func TestApplyWithoutAFilter(t *testing.T) {
	w := newWorld(t)
	for i := range 250 {
		if _, err := w.AddGroup(fmt.Sprintf("group-%03d", i), marked("ten_globex", "globex", "")); err != nil {
			t.Fatal(err)
		}
	}
	w.before = func(r *http.Request) {
		query := r.URL.Query()
		query.Del("name")
		r.URL.RawQuery = query.Encode()
	}
	handle := w.apply(t, acme())
	if again := w.apply(t, acme()); again != handle {
		t.Errorf("another handle: %s, then %s", handle, again)
	}
	if n := len(w.Groups()); n != 251 {
		t.Errorf("%d groups, want 251", n)
	}
}

func TestApplyGivesARenamedGroupItsNameBack(t *testing.T) {
	w := newWorld(t)
	s := acme()
	s.Handle = w.apply(t, s)
	if err := w.patchGroup(t.Context(), s.Handle, map[string]any{"name": "Our customers"}); err != nil {
		t.Fatal(err)
	}
	if handle := w.apply(t, s); handle != s.Handle || len(w.Groups()) != 1 {
		t.Errorf("the handle is %s, want %s; groups %v", handle, s.Handle, w.Groups())
	}
}

func TestApplyLeavesAHandleThatIsNotOurs(t *testing.T) {
	w := newWorld(t)
	pk, err := w.AddGroup("others", map[string]any{"dezky": marked("ten_globex", "globex", "")})
	if err != nil {
		t.Fatal(err)
	}
	for _, handle := range []string{pk, "gone", "../users"} {
		s := acme()
		s.Handle = handle
		w.apply(t, s)
	}
	if _, there := w.Groups()["others"]; !there || len(w.Groups()) != 2 {
		t.Errorf("groups %v", w.Groups())
	}
}

// TestApplyAfterALostAnswer cuts every call off, before and after it acted, and
// applies again: one group remains.
func TestApplyAfterALostAnswer(t *testing.T) {
	for name, kind := range map[string]stage.Kind{"reset": stage.Reset, "lost": stage.Lost, "half": stage.Half} {
		for _, on := range []string{"GET /core/groups/", "POST /core/groups/", "PATCH /core/groups/"} {
			t.Run(name+" "+on, func(t *testing.T) {
				w := newWorld(t)
				if strings.HasPrefix(on, "PATCH") {
					if _, err := w.AddGroup("tenant-acme", nil); err != nil {
						t.Fatal(err)
					}
				}
				w.Stage().Fail(stage.Fault{Kind: kind, On: on, Times: 5}) // net/http itself repeats a GET
				if _, err := w.Apply(t.Context(), acme()); platform.CodeOf(err) != platform.Unavailable || !platform.CanPass(err) {
					t.Errorf("got %v", err)
				}
				w.Stage().Heal()
				w.apply(t, acme())
				if n := len(w.Groups()); n != 1 {
					t.Errorf("%d groups, want 1", n)
				}
			})
		}
	}
}

// TestApplyRaces has somebody else make the group between our look and our
// POST.
func TestApplyRaces(t *testing.T) {
	for name, test := range map[string]struct {
		owner    string
		answer   int // instead of the stand-in's 400, if not 0
		conflict bool
	}{
		"400, ours":   {"ten_acme", 0, false},
		"500, ours":   {"ten_acme", 500, false},
		"400, theirs": {"ten_globex", 0, true},
		"500, theirs": {"ten_globex", 500, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if test.answer != 0 {
				w.Stage().Fail(stage.Fault{On: "POST", Status: test.answer, Body: "<h1>Server Error (500)</h1>"})
			}
			w.before = func(r *http.Request) {
				if r.Method == http.MethodPost {
					if _, err := w.AddGroup("tenant-acme", map[string]any{"dezky": marked(test.owner, "acme", "Acme A/S")}); err != nil {
						t.Error(err)
					}
				}
			}
			_, err := w.Apply(t.Context(), acme())
			if test.conflict != (platform.CodeOf(err) == platform.Conflict) || (!test.conflict && err != nil) {
				t.Errorf("got %v", err)
			}
			if diff := cmp.Diff([]string{"POST /core/groups/"}, w.changing()); diff != "" {
				t.Errorf("changing calls (-want +got)\n%s", diff)
			}
		})
	}
}

func TestApplyManyAtOnce(t *testing.T) {
	w := newWorld(t)
	handles := make([]string, 20)
	var all sync.WaitGroup
	for i := range handles {
		all.Go(func() {
			var err error
			if handles[i], err = w.Apply(t.Context(), acme()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, handle := range handles {
		if handle != w.Groups()["tenant-acme"].PK {
			t.Fatalf("handles %v, groups %v", handles, w.Groups())
		}
	}
}

func TestApplyErrors(t *testing.T) {
	json := map[string]string{"Content-Type": "application/json"}
	page := `{"pagination":{"next":%d},"results":[]}`
	for name, test := range map[string]struct {
		reason  string
		fault   stage.Fault
		canPass bool
		after   time.Duration
		log     string // is in the error
	}{
		"token expired":    {"another token is needed", stage.Fault{Status: 403, Header: json, Body: `{"detail":"Token invalid/expired"}`}, false, 0, "Token invalid/expired"},
		"no permission":    {"another role is needed", stage.Fault{Status: 403, Header: json, Body: `{"detail":"You do not have permission to perform this action."}`}, false, 0, "permission"},
		"401":              {"a proxy wants credentials", stage.Fault{Status: 401}, false, 0, "401"},
		"404":              {"the address is wrong", stage.Fault{Status: 404, Header: json, Body: `{"detail":"Not found."}`}, false, 0, "404"},
		"422":              {"it cannot pass", stage.Fault{Status: 422}, false, 0, "422"},
		"a text":           {"a field's error may be a text", stage.Fault{Status: 400, Header: json, Body: `{"non_field_errors":"No recovery flow set."}`}, false, 0, "non_field_errors: No recovery flow set."},
		"a list":           {"or a list", stage.Fault{Status: 400, Header: json, Body: `{"name":["Too long.","Too odd."]}`}, false, 0, "name: Too long. Too odd."},
		"nested":           {"or nested", stage.Fault{Status: 400, Header: json, Body: `{"user_pks":{"0":["A valid integer is required."]}}`}, false, 0, "A valid integer"},
		"no object":        {"or none of it", stage.Fault{Status: 400, Header: json, Body: `["no"]`}, false, 0, "an error without a reason"},
		"echo":             {"an error that quotes our token is not passed on", stage.Fault{Status: 400, Header: json, Body: `{"detail":"Bearer ` + secret + `"}`}, false, 0, "Bearer •••"},
		"debug page":       {"Django shows the request's headers", stage.Fault{Status: 500, Header: map[string]string{"Content-Type": "text/html"}, Body: "HTTP_AUTHORIZATION Bearer " + secret}, true, 0, "500"},
		"429":              {"it says when", stage.Fault{Status: 429, Header: map[string]string{"Retry-After": "30"}}, true, 30 * time.Second, "429"},
		"502":              {"it comes back", stage.Fault{Status: 502, Body: "Bad Gateway"}, true, 0, "502"},
		"503":              {"it says when", stage.Fault{Status: 503, Header: map[string]string{"Retry-After": "7"}}, true, 7 * time.Second, "503"},
		"redirect":         {"the address is wrong, and a redirect loses the method", stage.Fault{Status: 301, Header: map[string]string{"Location": "/elsewhere/"}}, false, 0, "301"},
		"HTML":             {"a proxy speaks while Authentik restarts", stage.Fault{Status: 200, Header: map[string]string{"Content-Type": "text/html"}, Body: "<html>"}, true, 0, "text/html"},
		"empty":            {"half an answer", stage.Fault{Status: 200, Header: json}, true, 0, "JSON"},
		"truncated":        {"half an answer", stage.Fault{Status: 200, Header: json, Body: `{"pagination":{"next":0},"res`}, true, 0, "JSON"},
		"other schema":     {"somebody else answers", stage.Fault{Status: 200, Header: json, Body: `{"status":"ok"}`}, true, 0, "without pages"},
		"endless pages":    {"a list that goes in circles", stage.Fault{Status: 200, Header: json, Body: fmt.Sprintf(page, 1)}, true, 0, "followed by page 1"},
		"204 for a list":   {"nothing was listed", stage.Fault{Status: 204}, false, 0, "204"},
		"group with no pk": {"no handle could be kept", stage.Fault{Status: 200, Header: json, Body: `{"pagination":{"next":0},"results":[{"name":"tenant-acme"}]}`}, true, 0, "no pk"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			test.fault.On = "GET"
			w.Stage().Fail(test.fault)
			_, err := w.Apply(context.WithValue(t.Context(), faulty{}, true), acme())
			if platform.CodeOf(err) != platform.Unavailable || platform.CanPass(err) != test.canPass || platform.RetryAfter(err) != test.after {
				t.Fatalf("%s\ngot %v, can pass: %t, after %s", test.reason, err, platform.CanPass(err), platform.RetryAfter(err))
			}
			if !strings.Contains(err.Error(), test.log) || strings.Contains(err.Error(), secret) {
				t.Errorf("the log should say %q and never the token: %v", test.log, err)
			}
			if calls := w.changing(); len(calls) != 0 {
				t.Errorf("something was changed: %v", calls)
			}
		})
	}
}

func TestApplyErrorsOfCreating(t *testing.T) {
	for name, test := range map[string]struct {
		fault   stage.Fault
		canPass bool
	}{
		"400": {stage.Fault{Status: 400, Header: map[string]string{"Content-Type": "application/json"}, Body: `{"name":["This field must be shorter."]}`}, false},
		"403": {stage.Fault{Status: 403}, false},
		"500": {stage.Fault{Status: 500}, true},
		"503": {stage.Fault{Status: 503}, true},
		// Somebody says that it was made, and it was not.
		"201": {stage.Fault{Status: 201, Header: map[string]string{"Content-Type": "application/json"}, Body: `{}`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			test.fault.On = "POST"
			w.Stage().Fail(test.fault)
			_, err := w.Apply(context.WithValue(t.Context(), faulty{}, true), acme())
			if platform.CodeOf(err) != platform.Unavailable || platform.CanPass(err) != test.canPass {
				t.Errorf("got %v, can pass: %t", err, platform.CanPass(err))
			}
			if calls := w.changing(); len(calls) != 1 {
				t.Errorf("changing calls %v, want one", calls)
			}
		})
	}
}

func TestTokenIsRefused(t *testing.T) {
	w := newWorld(t)
	w.token = platform.NewSecret("another")
	if _, err := w.Apply(t.Context(), acme()); platform.CanPass(err) || !strings.Contains(err.Error(), "Token invalid/expired") {
		t.Errorf("got %v", err)
	}
}

func TestEmptyFilterIsNeverSent(t *testing.T) {
	w := newWorld(t)
	_, err := list[group](t.Context(), w.Client, "/core/groups/", url.Values{"name": {""}})
	if platform.CodeOf(err) != platform.Internal || len(w.Stage().Calls()) > 0 {
		t.Errorf("got %v and the calls %v", err, w.Stage().Calls())
	}
}

func TestAddressThatIsNone(t *testing.T) {
	c := New("http://[", platform.NewSecret(secret), http.DefaultTransport, clocktest.New(time.Time{}))
	if _, err := c.Apply(t.Context(), acme()); platform.CodeOf(err) != platform.Unavailable || platform.CanPass(err) {
		t.Errorf("got %v", err)
	}
}
