package stalwart

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/stalwart/standin"
	"github.com/dezky/platform/platform"
)

func acme() platform.TenantWant {
	return platform.TenantWant{ID: "ten_acme", Slug: "acme", Name: "Acme GmbH", MailDomain: "acme.dezky.test"}
}

// ada's mailbox, with everything that a mailbox can have.
func ada() platform.MailboxWant {
	return platform.MailboxWant{
		Presence: platform.PresenceActive, Address: "ada@acme.dezky.test", Aliases: []string{"countess@acme.dezky.test", "ada@acme.test"},
		Name: "Ada Lovelace", QuotaBytes: 1 << 30,
	}
}

const adaPassword = "an unlikely phrase of words"

func memberStep(w platform.MailboxWant, handle string) platform.Step {
	return platform.Step{Subject: "mem_ada", Integration: platform.IntegrationStalwart, Handle: handle, Want: platform.Want{
		Member: &platform.MemberWant{ID: "mem_ada", Tenant: acme(), Mailbox: &w},
	}}
}

func groupStep(w platform.GroupWant, handle string) platform.Step {
	w.Tenant = acme()
	if w.ID == "" {
		w.ID = "grp_sales"
	}
	return platform.Step{Subject: w.ID, Integration: platform.IntegrationStalwart, Handle: handle, Want: platform.Want{Group: &w}}
}

func sales() platform.GroupWant {
	return platform.GroupWant{
		Presence: platform.PresenceActive, Name: "Sales", Address: "sales@acme.dezky.test",
		Recipients: []string{"ada@acme.dezky.test", "odd/name~x@acme.test"},
	}
}

func domainStep(presence platform.Presence, handle string) platform.Step {
	return platform.Step{Subject: "dom_acme", Integration: platform.IntegrationStalwart, Handle: handle, Want: platform.Want{
		Domain: &platform.DomainWant{ID: "dom_acme", Presence: presence, Tenant: acme(), Name: "acme.test"},
	}}
}

// newDomains is a stand with the domains acme.dezky.test (b) and acme.test (c),
// whose keys have come.
func newDomains(t *testing.T) *stand {
	t.Helper()
	s := newStand(t)
	s.apply(t, step())
	s.apply(t, domainStep(platform.PresenceActive, ""))
	s.clock.Advance(second)
	return s
}

func (s *stand) apply(t *testing.T, step platform.Step) string {
	t.Helper()
	handle, err := s.Apply(t.Context(), step)
	if err != nil {
		t.Fatalf("apply %+v: %v", step.Want, err)
	}
	return handle
}

// changes is how many changing calls a function makes.
func (s *stand) changes(do func()) int {
	before := len(s.server.Stage().Calls())
	do()
	n := 0
	for _, call := range s.server.Stage().Calls()[before:] {
		if strings.Contains(call, "/set") {
			n++
		}
	}
	return n
}

// set makes one call by somebody else's hand, and answers with the ids of what
// was created.
func (s *stand) set(t *testing.T, method string, args map[string]any) map[string]string {
	t.Helper()
	var result setResult
	if err := s.call(t.Context(), call{"a", method, args, &result}); err != nil {
		t.Fatal(err)
	}
	if len(result.NotCreated)+len(result.NotUpdated)+len(result.NotDestroyed) > 0 {
		t.Fatalf("cannot prepare %v: %v %v %v", args, result.NotCreated, result.NotUpdated, result.NotDestroyed)
	}
	ids := map[string]string{}
	for creation, made := range result.Created {
		ids[creation] = made.ID
	}
	return ids
}

// seen is all that is there.
type seen struct {
	Domains  map[string]standin.Domain
	Accounts map[string]standin.Account
	Lists    map[string]standin.List
	Keys     int
	Tasks    int
}

func (s *stand) look() seen {
	keys, tasks := s.server.Orphans()
	return seen{s.server.Domains(), s.server.Accounts(), s.server.Lists(), keys, tasks}
}

// scissors cut off the nth call.
type scissors struct {
	http.RoundTripper
	how string
	mu  sync.Mutex
	n   int
}

var errCut = errors.New("cut off")

func (c *scissors) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.n--
	cut := c.n == 0
	c.mu.Unlock()
	if cut && c.how == "before" {
		return nil, errCut
	}
	res, err := c.RoundTripper.RoundTrip(r)
	if !cut || err != nil {
		return res, err
	}
	body, err := io.ReadAll(res.Body)
	if err == nil {
		err = res.Body.Close()
	}
	if c.how == "lost" || err != nil {
		return nil, errCut
	}
	res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:len(body)/2]), broken{}))
	return res, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errCut }

// Whatever is wanted, and wherever an attempt is cut off, the next one finds
// what it left: what is there afterwards is as if nothing had been cut off, and
// applying once more changes nothing.
func TestEveryCallCutOff(t *testing.T) {
	gone := func(w platform.MailboxWant) platform.MailboxWant { w.Presence = platform.PresenceGone; return w }
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, s *stand) (handle string)
		step    func(handle string) platform.Step
		calls   int
	}{
		"make a domain": {
			step: func(string) platform.Step {
				s := domainStep(platform.PresenceActive, "")
				s.Want.Domain.Name = "new.test"
				return s
			},
			calls: 2,
		},
		"remove a domain": {
			step:  func(string) platform.Step { return domainStep(platform.PresenceGone, "c") },
			calls: 6,
		},
		"make a mailbox": {step: func(h string) platform.Step { return memberStep(ada(), h) }, calls: 3},
		"mend a mailbox": {
			prepare: func(t *testing.T, s *stand) string {
				return s.set(t, "x:Account/set", map[string]any{"create": map[string]any{"a": map[string]any{
					"@type": "User", "name": "ada", "domainId": "b",
				}}})["a"]
			},
			step: func(h string) platform.Step { return memberStep(ada(), h) }, calls: 3,
		},
		"move a mailbox": {
			prepare: func(t *testing.T, s *stand) string { return s.apply(t, memberStep(ada(), "")) },
			step: func(h string) platform.Step {
				w := ada()
				w.Address, w.Aliases = "ada.king@acme.test", []string{"ada@acme.dezky.test"}
				return memberStep(w, h)
			}, calls: 3,
		},
		"remove a mailbox": {
			prepare: func(t *testing.T, s *stand) string { return s.apply(t, memberStep(ada(), "")) },
			step:    func(h string) platform.Step { return memberStep(gone(ada()), h) }, calls: 2,
		},
		"remove a mailbox that nobody knows of": {
			prepare: func(t *testing.T, s *stand) string { s.apply(t, memberStep(ada(), "")); return "" },
			step:    func(h string) platform.Step { return memberStep(gone(ada()), h) }, calls: 3,
		},
		"make a list": {step: func(h string) platform.Step { return groupStep(sales(), h) }, calls: 3},
		"mend a list": {
			prepare: func(t *testing.T, s *stand) string {
				w := sales()
				w.Recipients = []string{"bob@elsewhere.test"}
				return s.apply(t, groupStep(w, ""))
			},
			step: func(h string) platform.Step { return groupStep(sales(), h) }, calls: 2,
		},
		"remove a list": {
			prepare: func(t *testing.T, s *stand) string { return s.apply(t, groupStep(sales(), "")) },
			step: func(h string) platform.Step {
				w := sales()
				w.Address = ""
				return groupStep(w, h)
			}, calls: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			prepare := func() (*stand, platform.Step) {
				s, handle := newDomains(t), ""
				if tt.prepare != nil {
					handle = tt.prepare(t, s)
				}
				return s, tt.step(handle)
			}
			clean, step := prepare()
			before := len(clean.server.Stage().Calls())
			handle := clean.apply(t, step)
			if calls := clean.server.Stage().Calls()[before:]; len(calls) != tt.calls {
				t.Fatalf("called %q", calls)
			}
			for n := 1; n <= tt.calls; n++ {
				for _, how := range []string{"before", "lost", "half"} {
					s, step := prepare()
					whole := New(s.url[:len(s.url)-len("/jmap")], platform.NewSecret(adminSecret),
						&scissors{RoundTripper: http.DefaultTransport, how: how, n: n}, s.clock)
					if _, err := whole.Apply(t.Context(), step); err == nil || !platform.CanPass(err) {
						t.Fatalf("%s %d: the attempt that was cut off: %v", how, n, err)
					}
					again := s.apply(t, step)
					if again != handle && step.Handle == "" && again != "" || !cmp.Equal(s.look(), clean.look()) {
						t.Errorf("%s %d: handle %q instead of %q: %s", how, n, again, handle, cmp.Diff(clean.look(), s.look()))
					}
					if more := s.changes(func() { s.apply(t, step) }); more > 0 {
						t.Errorf("%s %d: applied again it made %d changing calls", how, n, more)
					}
				}
			}
		})
	}
}

// Eight at once make one, and all learn the same handle.
func TestEightAtOnce(t *testing.T) {
	withPassword := ada()
	withPassword.Password = platform.NewSecret(adaPassword)
	for name, step := range map[string]platform.Step{
		"domain":  {Want: platform.Want{Domain: &platform.DomainWant{ID: "dom_x", Tenant: acme(), Name: "new.test"}}},
		"mailbox": memberStep(withPassword, ""), "list": groupStep(sales(), ""),
	} {
		t.Run(name, func(t *testing.T) {
			s := newDomains(t)
			before := s.look()
			handles := make([]string, 8)
			s.server.Stage().Hold()
			called := len(s.server.Stage().Calls())
			var all sync.WaitGroup
			for i := range handles {
				all.Go(func() {
					handle, err := s.Apply(t.Context(), step)
					if err != nil {
						t.Error(err)
					}
					handles[i] = handle
				})
			}
			for len(s.server.Stage().Calls()) < called+limits().Parallel {
				s.clock.Sleep(t.Context(), 0)
			}
			s.server.Stage().Release()
			all.Wait()
			if len(slices.Compact(handles)) != 1 {
				t.Errorf("handles %q", handles)
			}
			after := s.look()
			made := len(after.Domains) + len(after.Accounts) + len(after.Lists) - len(before.Domains) - len(before.Accounts) - len(before.Lists)
			if made != 1 {
				t.Errorf("made %d: %+v", made, after)
			}
		})
	}
}
