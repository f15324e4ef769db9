package ocis

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

var acme = platform.TenantWant{ID: "ten_acme", Slug: "acme", Name: "Acme GmbH"}

// olga is a person as her step wants her, changed by what is given.
func olga(changes ...func(*platform.PersonWant)) *platform.PersonWant {
	p := &platform.PersonWant{
		ID: "usr_olga", Presence: platform.PresenceActive, Ours: true,
		Username: "olga@acme.test", Email: "olga@acme.test", Name: "Olga Ohm",
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

func suspended(p *platform.PersonWant) { p.Presence = platform.PresenceSuspended }
func leaving(p *platform.PersonWant)   { p.Presence = platform.PresenceGone }
func theirs(p *platform.PersonWant)    { p.Ours = false }

// seedAccount makes the person's account, as an earlier attempt has left it.
func (s *stand) seedAccount(p *platform.PersonWant) string {
	s.t.Helper()
	a, err := s.createAccount(s.t.Context(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	return a.ID
}

const olgaIsOpen, olgaIsShut = "olga@acme.test (Olga Ohm, olga@acme.test) open", "olga@acme.test (Olga Ohm, olga@acme.test) shut"

var people = map[string]story{
	"missing": {
		reason: "files can be shared with who has not signed in yet",
		want:   platform.Want{Person: olga()},
		calls:  []string{look, create}, after: []string{olgaIsOpen},
	},
	"missing and suspended": {
		reason: "it is there, and shut",
		want:   platform.Want{Person: olga(suspended)},
		calls:  []string{look, create}, after: []string{olgaIsShut},
	},
	"missing and somebody else's": {
		reason: "files can be shared with them too",
		want:   platform.Want{Person: olga(theirs)},
		calls:  []string{look, create}, after: []string{olgaIsOpen},
	},
	"without a name": {
		reason: "the server wants one",
		want:   platform.Want{Person: olga(func(p *platform.PersonWant) { p.Name, p.Email = "", "" })},
		calls:  []string{look, create}, after: []string{"olga@acme.test (olga@acme.test, ) open"},
	},
	"there": {
		reason: "what is right is left alone",
		before: func(s *stand) string { return s.seedAccount(olga()) },
		want:   platform.Want{Person: olga()},
		calls:  []string{look, search}, after: []string{olgaIsOpen},
	},
	"there and not recorded": {
		reason: "an attempt that was cut off made it",
		before: func(s *stand) string { s.seedAccount(olga()); return "" },
		want:   platform.Want{Person: olga()},
		calls:  []string{look, search}, after: []string{olgaIsOpen},
	},
	"there in capital letters": {
		reason: "a username is the same in any case, for sign-in too",
		before: func(s *stand) string {
			s.seedAccount(olga(func(p *platform.PersonWant) { p.Username = "Olga@Acme.test" }))
			return ""
		},
		want:  platform.Want{Person: olga()},
		calls: []string{look, search}, after: []string{"Olga@Acme.test (Olga Ohm, olga@acme.test) open"},
	},
	"everything differs": {
		reason: "all of it is mended at once",
		before: func(s *stand) string {
			return s.seedAccount(olga(suspended, func(p *platform.PersonWant) { p.Name, p.Email = "O", "o@acme.test" }))
		},
		want:  platform.Want{Person: olga()},
		calls: []string{look, search, whoami, mend}, after: []string{olgaIsOpen},
	},
	"another username": {
		reason: "the recorded account is renamed, since a new one would lack the files",
		before: func(s *stand) string {
			return s.seedAccount(olga(func(p *platform.PersonWant) { p.Username = "olga@old.test" }))
		},
		want:  platform.Want{Person: olga()},
		calls: []string{look, search, whoami, mend}, after: []string{olgaIsOpen},
	},
	"another username and another name": {
		reason: "in the directory a new username moves the entry, so it goes by itself",
		before: func(s *stand) string {
			return s.seedAccount(olga(func(p *platform.PersonWant) { p.Username, p.Name = "olga@old.test", "Olga Old" }))
		},
		want:  platform.Want{Person: olga()},
		calls: []string{look, search, whoami, mend, mend}, after: []string{olgaIsOpen},
	},
	"another username that is taken": {
		reason: "which of two accounts is the person's is for a person to say",
		before: func(s *stand) string {
			s.seedAccount(olga())
			return s.seedAccount(olga(func(p *platform.PersonWant) { p.Username = "olga@old.test" }))
		},
		want:  platform.Want{Person: olga()},
		calls: []string{look, search, whoami, mend},
		after: []string{olgaIsOpen, "olga@old.test (Olga Ohm, olga@acme.test) open"}, code: platform.Conflict,
	},
	"without a mail": {
		reason: "the list for administrators says that there is none",
		before: func(s *stand) string {
			return s.seedAccount(olga(func(p *platform.PersonWant) { p.Email = "" }))
		},
		want:  platform.Want{Person: olga()},
		calls: []string{look, search, whoami, mend}, after: []string{olgaIsOpen},
	},
	"nothing known but the username": {
		reason: "nothing can be cleared",
		before: func(s *stand) string { return s.seedAccount(olga()) },
		want:   platform.Want{Person: olga(func(p *platform.PersonWant) { p.Name, p.Email = "", "" })},
		calls:  []string{look}, after: []string{olgaIsOpen},
	},
	"recorded one is gone": {
		reason: "what somebody removed is made anew",
		before: func(*stand) string { return "11111111-1111-4111-8111-111111111111" },
		want:   platform.Want{Person: olga()},
		calls:  []string{look, look, create}, after: []string{olgaIsOpen},
	},
	"suspended": {
		reason: "it is shut and stays",
		before: func(s *stand) string { return s.seedAccount(olga()) },
		want:   platform.Want{Person: olga(suspended)},
		calls:  []string{look, search, whoami, mend}, after: []string{olgaIsShut},
	},
	"resumed": {
		reason: "it is opened as it was",
		before: func(s *stand) string { return s.seedAccount(olga(suspended)) },
		want:   platform.Want{Person: olga()},
		calls:  []string{look, search, whoami, mend}, after: []string{olgaIsOpen},
	},
	"gone and never there": {
		reason: "that is as wanted",
		want:   platform.Want{Person: olga(leaving)},
		calls:  []string{look},
	},
	"gone": {
		reason: "its grants would outlive it",
		before: func(s *stand) string { return s.seedMember(olga(), platform.MemberRoleMember) },
		want:   platform.Want{Person: olga(leaving)},
		calls:  []string{look, whoami, listing, revoke, end},
	},
	"gone and not recorded": {
		reason: "an attempt that was cut off made it",
		before: func(s *stand) string { s.seedAccount(olga()); return "" },
		want:   platform.Want{Person: olga(leaving)},
		calls:  []string{look, whoami, listing, end},
	},
	"gone by somebody else's hand": {
		reason: "the grants that it left are taken away",
		before: func(s *stand) string {
			id := s.seedMember(olga(), platform.MemberRoleMember)
			if err := s.deleteAccount(s.t.Context(), id); err != nil {
				s.t.Error(err)
			}
			return id
		},
		want:  platform.Want{Person: olga(leaving)},
		calls: []string{look, listing, revoke},
	},
	"gone, and the username is another's by now": {
		reason: "what is recorded is gone, and the other is not ours to remove",
		before: func(s *stand) string { s.seedAccount(olga()); return "11111111-1111-4111-8111-111111111111" },
		want:   platform.Want{Person: olga(leaving)},
		calls:  []string{look, listing}, after: []string{olgaIsOpen},
	},
	"gone and somebody else's": {
		reason: "who knows what it held before we found it: it is shut, and stays",
		before: func(s *stand) string { return s.seedAccount(olga()) },
		want:   platform.Want{Person: olga(leaving, theirs)},
		calls:  []string{look, whoami, mend}, after: []string{olgaIsShut},
	},
	"gone, somebody else's and shut": {
		reason: "that is as wanted",
		before: func(s *stand) string { return s.seedAccount(olga(suspended)) },
		want:   platform.Want{Person: olga(leaving, theirs)},
		calls:  []string{look}, after: []string{olgaIsShut},
	},
	"a username that begins with a digit": {
		reason: "the server's rule does not change by waiting",
		want:   platform.Want{Person: olga(func(p *platform.PersonWant) { p.Username = "1olga" })},
		calls:  []string{look, create}, code: platform.Invalid,
	},
	"a mail that is none": {
		reason: "the server's rule does not change by waiting",
		want:   platform.Want{Person: olga(func(p *platform.PersonWant) { p.Email = "olga" })},
		calls:  []string{look, create}, code: platform.Invalid,
	},
	"a new mail that is none": {
		reason: "the server's rule does not change by waiting",
		before: func(s *stand) string { return s.seedAccount(olga()) },
		want:   platform.Want{Person: olga(func(p *platform.PersonWant) { p.Email = "olga" })},
		calls:  []string{look, search, whoami, mend}, after: []string{olgaIsOpen}, code: platform.Invalid,
	},
	"the platform's own, suspended": {
		reason: "it could never open itself again",
		want:   platform.Want{Person: olga(suspended, func(p *platform.PersonWant) { p.Username = "platform" })},
		calls:  []string{look, search, whoami}, code: platform.Conflict,
	},
	"the platform's own, gone": {
		reason: "without it nothing could be mended again",
		want:   platform.Want{Person: olga(leaving, func(p *platform.PersonWant) { p.Username = "platform" })},
		calls:  []string{look, whoami}, code: platform.Conflict,
	},
	"a username with signs that mean something in a path": {
		reason: "they are the username's and not the path's",
		before: func(s *stand) string {
			return s.seedAccount(olga(func(p *platform.PersonWant) { p.Username = "o/l?g#a+%41&$x=1" }))
		},
		want:  platform.Want{Person: olga(suspended, func(p *platform.PersonWant) { p.Username = "o/l?g#a+%41&$x=1" })},
		calls: []string{look, search, whoami, mend}, after: []string{"o/l?g#a+%41&$x=1 (Olga Ohm, olga@acme.test) shut"},
	},
}

func TestApplyPerson(t *testing.T) {
	for name, tt := range people {
		t.Run(name, tt.play)
	}
}

func TestApplyPersonAfterAnAttemptThatWasCutOff(t *testing.T) {
	for name, tt := range people {
		if tt.code == "" {
			t.Run(name, tt.cutOff)
		}
	}
}

func TestApplyPersonSkipsWithoutUsername(t *testing.T) {
	s := newStand(t)
	nobody := olga(func(p *platform.PersonWant) { p.Username = "" })
	for name, want := range map[string]platform.Want{"person": {Person: nobody}, "member": {Member: membership(nobody)}} {
		if _, err := s.Apply(t.Context(), platform.Step{Want: want}); !errors.Is(err, platform.ErrSkip) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if calls := s.calls(0); len(calls) > 0 {
		t.Errorf("called %q", calls)
	}
}

// Several owners of one step all look before any of them has made an account.
func TestApplyInParallelMakesOneAccount(t *testing.T) {
	for subject, want := range map[string]platform.Want{"person": {Person: olga()}, "member": {Member: membership(olga())}} {
		t.Run(subject, func(t *testing.T) {
			s := newStand(t)
			s.seedSpace()
			handles := s.atOnce("/users", platform.Step{Want: want})
			if slices.ContainsFunc(handles, func(h string) bool { return h == "" || h != handles[0] }) {
				t.Errorf("handles %q", handles)
			}
			after := []string{olgaIsOpen}
			if subject == "member" {
				after = append(after, "olga@acme.test is editor of dezky:ten_acme")
			}
			if diff := cmp.Diff(after, s.outside()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// atOnce applies a step eight times at once. All wait before they post to a path
// that ends so, until all have come so far. It answers with the handles.
func (s *stand) atOnce(path string, step platform.Step) []string {
	const owners = 8
	var ready sync.WaitGroup
	ready.Add(owners)
	s.before = func(r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, path) {
			ready.Done()
			ready.Wait()
		}
	}
	handles := make([]string, owners)
	var all sync.WaitGroup
	for i := range owners {
		all.Go(func() {
			var err error
			if handles[i], err = s.Apply(s.t.Context(), step); err != nil {
				s.t.Error(err)
			}
		})
	}
	all.Wait()
	s.before = nil
	return handles
}

// Between two calls of an attempt somebody else may be faster.
func TestSomebodyElseWasFasterWithAPerson(t *testing.T) {
	const missing = `{"error":{"code":"itemNotFound","message":"not found"}}`
	asJSON := map[string]string{"Content-Type": "application/json"}
	for name, tt := range map[string]struct {
		reason string
		before func(*stand) string
		want   *platform.PersonWant
		fault  stage.Fault
		ends   bool
	}{
		"made and removed": {
			"the next attempt looks anew", nil, olga(),
			stage.Fault{On: "POST", Status: 409, Header: asJSON, Body: `{"error":{"code":"nameAlreadyExists"}}`}, false,
		},
		"removed before it is mended": {
			"the next attempt looks anew", func(s *stand) string { return s.seedAccount(olga()) }, olga(suspended),
			stage.Fault{On: "PATCH", Status: 404, Header: asJSON, Body: missing}, false,
		},
		"removed before it is removed": {
			"that is what was wanted", func(s *stand) string { return s.seedAccount(olga()) }, olga(leaving),
			stage.Fault{On: "DELETE /graph/v1.0/users/", Status: 404, Header: asJSON, Body: missing}, true,
		},
		"another is changed": {
			"an answer about something else is none", func(s *stand) string { return s.seedAccount(olga()) }, olga(suspended),
			stage.Fault{On: "PATCH", Status: 200, Header: asJSON, Body: `{"id":"another"}`}, false,
		},
		"another is made": {
			"an answer about something else is none", nil, olga(),
			stage.Fault{On: "POST", Status: 201, Header: asJSON, Body: `{"id":"a","onPremisesSamAccountName":"another"}`}, false,
		},
		"an id that is somebody's username": {
			"the server takes both in the same place", func(s *stand) string { return s.seedAccount(olga()) }, olga(),
			stage.Fault{On: "GET /graph/v1.0/users/", Times: 1, Status: 200, Header: asJSON, Body: `{"id":"a","onPremisesSamAccountName":"b"}`}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			handle := ""
			if tt.before != nil {
				handle = tt.before(s)
			}
			s.server.Stage().Fail(tt.fault)
			_, err := s.Apply(t.Context(), platform.Step{Want: platform.Want{Person: tt.want}, Handle: handle})
			if tt.ends {
				if err != nil {
					t.Errorf("%s: %v", tt.reason, err)
				}
				return
			}
			isVerdict(t, tt.reason, err, passes)
		})
	}
}

// A mail that the server hides is not one that differs.
func TestMailThatIsNotShown(t *testing.T) {
	s := newStand(t)
	id := s.seedAccount(olga())
	s.server.Stage().Fail(stage.Fault{
		On: "GET /graph/v1.0/users", Times: 2, Status: 200, Header: map[string]string{"Content-Type": "application/json"},
		Body: `{"id":"` + id + `","onPremisesSamAccountName":"olga@acme.test","displayName":"Olga Ohm","accountEnabled":true,
			"value":[{"id":"` + id + `","displayName":"Olga Ohm","onPremisesSamAccountName":"","userType":"Member"}]}`,
	})
	before := len(s.server.Stage().Calls())
	if _, err := s.Apply(t.Context(), platform.Step{Want: platform.Want{Person: olga()}, Handle: id}); err != nil {
		t.Error(err)
	}
	if calls := s.calls(before); !cmp.Equal(calls, []string{look, search}) {
		t.Errorf("called %q", calls)
	}
}
