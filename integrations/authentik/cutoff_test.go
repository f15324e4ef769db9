package authentik

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

// deed is something that the client does to a prepared world.
type deed struct {
	prepare func(w *world, t *testing.T)
	do      func(ctx context.Context, w *world) error
	// repeats are the changing calls of a deed that was done before: none, but for
	// a password, of which nobody can see whether it is set.
	repeats []string
}

// applying is the deed of one step.
func applying(s platform.Step) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		_, err := w.Apply(ctx, s)
		return err
	}
}

// deeds is every kind of change that the client makes.
func deeds() map[string]deed {
	nothing := func(*world, *testing.T) {}
	all := map[string]deed{
		"tenant, new":       {prepare: nothing, do: applying(acme())},
		"tenant, to mend":   {prepare: (*world).bareGroup, do: applying(acme())},
		"person, new":       {prepare: nothing, do: applying(anna())},
		"person, password":  {prepare: nothing, do: applying(anna(withPassword)), repeats: []string{"POST /core/users/2/set_password/"}},
		"person, to mend":   {prepare: (*world).oldAnna, do: applying(anna())},
		"person, suspended": {prepare: (*world).signedInAnna, do: applying(anna(suspended))},
		"person, gone":      {prepare: (*world).signedInAnna, do: applying(anna(gone))},
		"member, new":       {prepare: nothing, do: applying(membership())},
		"member, suspended": {prepare: (*world).choir, do: applying(membership(memberSuspended))},
		"member, gone":      {prepare: (*world).choir, do: applying(membership(memberGone))},
		"group, new":        {prepare: (*world).singers, do: applying(sopranos())},
		"group, to mend":    {prepare: (*world).choir, do: applying(sopranos())},
		"group, gone":       {prepare: (*world).choir, do: applying(sopranos(groupGone))},
		"sessions": {prepare: (*world).signedInAnna, do: func(ctx context.Context, w *world) error {
			return w.EndSessions(ctx, w.Users()["anna@acme.dk"].UUID)
		}},
		"app, gone": {prepare: (*world).crm, do: func(ctx context.Context, w *world) error {
			return w.DeleteApp(ctx, platform.SSOAppRef{ID: "sso_crm", Slug: "acme-crm"})
		}},
	}
	return all
}

// known is all that a world holds, without what is different in each.
func (w *world) known() map[string]any {
	all := map[string]any{}
	for name, u := range w.Users() {
		all["user "+name] = fmt.Sprintf("%s %s %s %s %t %v %v, %d sessions, %d refresh tokens",
			u.Name, u.Email, u.Path, u.Type, u.Active, u.Attributes, u.Groups, len(w.Sessions(name)), w.RefreshTokens(name))
	}
	for name, g := range w.Groups() {
		all["group "+name] = fmt.Sprintf("%v, %d members", g.Attributes, g.Members)
	}
	for slug, a := range w.Applications() {
		all["application "+slug] = fmt.Sprintf("%s %s %s %s, %s for %v, %v", a.Name, a.Group, a.LaunchURL, a.Publisher, a.ProviderName, a.RedirectURIs, a.Bound)
	}
	all["leftovers"] = w.Leftovers()
	return all
}

// atChange makes the i-th changing call from now on fail.
func (w *world) atChange(i int, f stage.Fault) {
	var mu sync.Mutex
	w.before = func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodGet {
			return
		}
		if i--; i == -1 {
			f.On, f.Times = r.Method+" "+strings.TrimPrefix(r.URL.Path, "/api/v3"), 1
			w.Stage().Fail(f)
		}
	}
}

// TestTwice does everything twice, and the second time nothing is changed.
func TestTwice(t *testing.T) {
	for name, d := range deeds() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d.prepare(w, t)
			before := len(w.changing())
			if err := d.do(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			if len(w.changing()) == before {
				t.Error("nothing was changed the first time")
			}
			after, known := len(w.changing()), w.known()
			if err := d.do(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append([]string{}, d.repeats...), w.changing()[after:]); diff != "" {
				t.Errorf("changing calls of the second time (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(known, w.known()); diff != "" {
				t.Errorf("after the second time\n%s", diff)
			}
		})
	}
}

// TestCutOff makes each changing call of everything fail in turn, in every way,
// and does it again: all ends as if nothing had happened.
func TestCutOff(t *testing.T) {
	json := map[string]string{"Content-Type": "application/json"}
	faults := map[string]struct {
		stage.Fault
		canPass bool
		after   time.Duration
	}{
		"reset": {stage.Fault{Kind: stage.Reset}, true, 0},
		"lost":  {stage.Fault{Kind: stage.Lost}, true, 0},
		"403":   {stage.Fault{Status: 403, Header: json, Body: `{"detail":"You do not have permission to perform this action."}`}, false, 0},
		"409":   {stage.Fault{Status: 409}, false, 0},
		"422":   {stage.Fault{Status: 422}, false, 0},
		"429":   {stage.Fault{Status: 429, Header: map[string]string{"Retry-After": "30"}}, true, 30 * time.Second},
		"500":   {stage.Fault{Status: 500, Body: "<h1>Server Error (500)</h1>"}, true, 0},
		"503":   {stage.Fault{Status: 503, Header: map[string]string{"Retry-After": "7"}}, true, 7 * time.Second},
		"HTML":  {stage.Fault{Status: 200, Header: map[string]string{"Content-Type": "text/html"}, Body: "<html>"}, true, 0},
	}
	for name, d := range deeds() {
		whole := newWorld(t)
		d.prepare(whole, t)
		before := len(whole.changing())
		if err := d.do(t.Context(), whole); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		changes := whole.changing()[before:]
		for i, call := range changes {
			for how, f := range faults {
				t.Run(fmt.Sprintf("%s/%d %s/%s", name, i, strings.Fields(call)[0], how), func(t *testing.T) {
					w := newWorld(t)
					d.prepare(w, t)
					started := len(w.changing())
					w.atChange(i, f.Fault)
					ctx := context.WithValue(t.Context(), faulty{}, true)
					err := d.do(ctx, w)
					if platform.CodeOf(err) != platform.Unavailable || platform.CanPass(err) != f.canPass || platform.RetryAfter(err) != f.after {
						t.Fatalf("got %v, can pass: %t, after %s", err, platform.CanPass(err), platform.RetryAfter(err))
					}
					if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), password) {
						t.Errorf("a secret is in the error: %v", err)
					}
					least, most := i+1, i+1
					if strings.HasPrefix(name, "group") { // members come and go a few at once
						least, most = 1, i+atOnce
					}
					if n := len(w.changing()) - started; n < least || n > most {
						t.Errorf("%d changing calls, want none after the one that failed: %v", n, w.changing()[started:])
					}
					if err := d.do(t.Context(), w); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(whole.known(), w.known()); diff != "" {
						t.Errorf("compared with what nothing happened to\n%s", diff)
					}
				})
			}
		}
	}
}

// TestAtOnce does everything eight times at once.
func TestAtOnce(t *testing.T) {
	for name, d := range deeds() {
		t.Run(name, func(t *testing.T) {
			once := newWorld(t)
			d.prepare(once, t)
			if err := d.do(t.Context(), once); err != nil {
				t.Fatal(err)
			}
			w := newWorld(t)
			d.prepare(w, t)
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					// What is removed by one is missed by another, who tries again.
					if err := d.do(t.Context(), w); err != nil && !platform.CanPass(err) {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if err := d.do(t.Context(), w); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(once.known(), w.known()); diff != "" {
				t.Errorf("compared with once\n%s", diff)
			}
		})
	}
}

// TestFaults has an Authentik that fails in every way from the first call on:
// whatever is asked of it ends in time, with an error that says what follows,
// and nothing is changed.
func TestFaults(t *testing.T) {
	json := map[string]string{"Content-Type": "application/json"}
	asks := deeds()
	for name, do := range map[string]func(context.Context, *world) error{
		"probe":          func(ctx context.Context, w *world) error { return w.Probe(ctx) },
		"authenticators": func(ctx context.Context, w *world) error { _, err := w.Authenticators(ctx, subjects(20)); return err },
		"app, new":       func(ctx context.Context, w *world) error { _, err := w.CreateApp(ctx, crmWant()); return err },
		"app, asked for": func(ctx context.Context, w *world) error { _, err := w.FindApp(ctx, "acme-crm"); return err },
	} {
		asks[name] = deed{prepare: func(*world, *testing.T) {}, do: do}
	}
	for name, d := range asks {
		for how, test := range map[string]struct {
			fault   stage.Fault
			canPass bool
			after   time.Duration
		}{
			"nothing":   {stage.Fault{Kind: stage.Nothing}, true, 0},
			"drip":      {stage.Fault{Kind: stage.Drip}, true, 0},
			"half":      {stage.Fault{Kind: stage.Half}, true, 0},
			"flood":     {stage.Fault{Kind: stage.Flood}, true, 0},
			"reset":     {stage.Fault{Kind: stage.Reset}, true, 0},
			"401":       {stage.Fault{Status: 401}, false, 0},
			"403":       {stage.Fault{Status: 403, Header: json, Body: `{"detail":"Token invalid/expired"}`}, false, 0},
			"409":       {stage.Fault{Status: 409}, false, 0},
			"422":       {stage.Fault{Status: 422}, false, 0},
			"429":       {stage.Fault{Status: 429, Header: map[string]string{"Retry-After": "30"}}, true, 30 * time.Second},
			"500":       {stage.Fault{Status: 500}, true, 0},
			"503":       {stage.Fault{Status: 503, Header: map[string]string{"Retry-After": "7"}}, true, 7 * time.Second},
			"HTML":      {stage.Fault{Status: 200, Header: map[string]string{"Content-Type": "text/html"}, Body: "<html>"}, true, 0},
			"truncated": {stage.Fault{Status: 200, Header: json, Body: `{"pagination":{"next":0},"res`}, true, 0},
			"other":     {stage.Fault{Status: 200, Header: json, Body: `{"status":"ok"}`}, true, 0},
			"redirect":  {stage.Fault{Status: 301, Header: map[string]string{"Location": "/elsewhere/"}}, false, 0},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				d.prepare(w, t)
				before := len(w.changing())
				w.Stage().Fail(test.fault)
				ctx := context.WithValue(t.Context(), faulty{}, true)
				var err error
				if test.fault.Kind == stage.Nothing || test.fault.Kind == stage.Drip {
					err = w.inTime(ctx, t, 5*time.Millisecond, d.do)
				} else {
					err = d.do(ctx, w)
				}
				if platform.CodeOf(err) != platform.Unavailable || platform.CanPass(err) != test.canPass || platform.RetryAfter(err) != test.after {
					t.Errorf("got %v, can pass: %t, after %s", err, platform.CanPass(err), platform.RetryAfter(err))
				}
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("the token is in the error: %v", err)
				}
				if calls := w.changing()[before:]; len(calls) > 0 {
					t.Errorf("something was changed: %v", calls)
				}
			})
		}
	}
}

// inTime does something while the clock is moved on past every call's deadline,
// a second at each beat.
func (w *world) inTime(ctx context.Context, t *testing.T, beat time.Duration, do func(context.Context, *world) error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- do(ctx, w) }()
	for range 1000 {
		select {
		case err := <-done:
			return err
		case <-time.After(beat):
			w.clock.Advance(time.Second)
		}
	}
	t.Fatal("it does not end")
	return nil
}

func subjects(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("00000000-0000-4000-8000-%012d", i))
	}
	return slices.Clip(all)
}
