package ocis

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/ocis/standin"
	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

// membership is an active one of the person in Acme, changed by what is given.
func membership(p *platform.PersonWant, changes ...func(*platform.MemberWant)) *platform.MemberWant {
	m := &platform.MemberWant{ID: "mem_olga", Presence: platform.PresenceActive, Tenant: acme, Person: *p, Role: platform.MemberRoleMember}
	for _, change := range changes {
		change(m)
	}
	return m
}

func asAdmin(m *platform.MemberWant)  { m.Role = platform.MemberRoleAdmin }
func paused(m *platform.MemberWant)   { m.Presence = platform.PresenceSuspended }
func finished(m *platform.MemberWant) { m.Presence = platform.PresenceGone }

// seedSpace makes the tenant's space and answers with its id.
func (s *stand) seedSpace() string {
	s.t.Helper()
	id, err := s.applySpace(s.t.Context(), &acme, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// seedMember makes the person's account and grant, and the tenant's space, and
// answers with the account's id.
func (s *stand) seedMember(p *platform.PersonWant, r platform.MemberRole) string {
	s.t.Helper()
	space, account := s.seedSpace(), s.seedAccount(p)
	if err := s.invite(s.t.Context(), space, account, roleOf(r).id); err != nil {
		s.t.Fatal(err)
	}
	return account
}

const olgaEdits, olgaManages = "olga@acme.test is editor of dezky:ten_acme", "olga@acme.test is manager of dezky:ten_acme"

var memberships = map[string]story{
	"nothing there but the space": {
		reason: "the account is made for the membership as for the person",
		before: func(s *stand) string { s.seedSpace(); return "" },
		want:   platform.Want{Member: membership(olga())},
		calls:  []string{look, create, listing, invite}, after: []string{olgaIsOpen, olgaEdits},
	},
	"an administrator": {
		reason: "they manage the space",
		before: func(s *stand) string { s.seedSpace(); return "" },
		want:   platform.Want{Member: membership(olga(), asAdmin)},
		calls:  []string{look, create, listing, invite}, after: []string{olgaIsOpen, olgaManages},
	},
	"a suspended person": {
		reason: "the membership is not what shuts them out",
		before: func(s *stand) string { s.seedSpace(); return "" },
		want:   platform.Want{Member: membership(olga(suspended))},
		calls:  []string{look, create, listing, invite}, after: []string{olgaIsShut, olgaEdits},
	},
	"an account that differs": {
		reason: "the person's own step mends it",
		before: func(s *stand) string {
			s.seedSpace()
			return s.seedAccount(olga(suspended, func(p *platform.PersonWant) { p.Name = "O" }))
		},
		want:  platform.Want{Member: membership(olga())},
		calls: []string{look, listing, invite}, after: []string{"olga@acme.test (O, olga@acme.test) shut", olgaEdits},
	},
	"there": {
		reason: "what is right is left alone",
		before: func(s *stand) string { return s.seedMember(olga(), platform.MemberRoleMember) },
		want:   platform.Want{Member: membership(olga())},
		calls:  []string{look, listing}, after: []string{olgaIsOpen, olgaEdits},
	},
	"there and not recorded": {
		reason: "an attempt that was cut off made it",
		before: func(s *stand) string { s.seedMember(olga(), platform.MemberRoleMember); return "" },
		want:   platform.Want{Member: membership(olga())},
		calls:  []string{look, listing}, after: []string{olgaIsOpen, olgaEdits},
	},
	"became an administrator": {
		reason: "the grant follows the role",
		before: func(s *stand) string { return s.seedMember(olga(), platform.MemberRoleMember) },
		want:   platform.Want{Member: membership(olga(), asAdmin)},
		calls:  []string{look, listing, whoami, regive}, after: []string{olgaIsOpen, olgaManages},
	},
	"is no administrator any more": {
		reason: "the grant follows the role",
		before: func(s *stand) string { return s.seedMember(olga(), platform.MemberRoleAdmin) },
		want:   platform.Want{Member: membership(olga())},
		calls:  []string{look, listing, whoami, regive}, after: []string{olgaIsOpen, olgaEdits},
	},
	"suspended": {
		reason: "there is no grant that is shut, so it is taken away",
		before: func(s *stand) string { return s.seedMember(olga(), platform.MemberRoleMember) },
		want:   platform.Want{Member: membership(olga(), paused)},
		calls:  []string{listing, whoami, revoke}, after: []string{olgaIsOpen},
	},
	"gone": {
		reason: "the account is the person's, and stays",
		before: func(s *stand) string { return s.seedMember(olga(), platform.MemberRoleAdmin) },
		want:   platform.Want{Member: membership(olga(), finished)},
		calls:  []string{listing, whoami, revoke}, after: []string{olgaIsOpen},
	},
	"gone and not recorded": {
		reason: "an attempt that was cut off made it",
		before: func(s *stand) string { s.seedMember(olga(), platform.MemberRoleMember); return "" },
		want:   platform.Want{Member: membership(olga(), finished)},
		calls:  []string{look, listing, whoami, revoke}, after: []string{olgaIsOpen},
	},
	"gone with the person": {
		reason: "somebody removed the account, and its grant outlived it",
		before: func(s *stand) string {
			id := s.seedMember(olga(), platform.MemberRoleMember)
			if err := s.deleteAccount(s.t.Context(), id); err != nil {
				s.t.Error(err)
			}
			return id
		},
		want:  platform.Want{Member: membership(olga(leaving), finished)},
		calls: []string{listing, whoami, revoke},
	},
	"active of a person who is gone": {
		reason: "nobody is made who is not wanted",
		before: func(s *stand) string { s.seedSpace(); return "" },
		want:   platform.Want{Member: membership(olga(leaving))},
		calls:  []string{look},
	},
	"gone and never there": {
		reason: "that is as wanted, and without a space too",
		want:   platform.Want{Member: membership(olga(), finished)},
		calls:  []string{look},
	},
	"gone with the space": {
		reason: "without the space there is no grant on it",
		before: func(s *stand) string { return s.seedAccount(olga()) },
		want:   platform.Want{Member: membership(olga(), finished)},
		calls:  []string{listing}, after: []string{olgaIsOpen},
	},
	"two spaces": {
		reason: "which one stays is for the tenant's step to say",
		before: func(s *stand) string {
			s.seedSpace()
			if err := s.Client.create(s.t.Context(), acme.Name, mark(acme.ID)); err != nil {
				s.t.Error(err)
			}
			return ""
		},
		want:  platform.Want{Member: membership(olga())},
		calls: []string{look, create, listing, invite, invite}, after: []string{olgaIsOpen, olgaEdits, olgaEdits},
	},
	"the platform's own account, as a member": {
		reason: "demoted, it could not manage the space any more",
		before: func(s *stand) string { s.seedSpace(); return "" },
		want:   platform.Want{Member: membership(olga(func(p *platform.PersonWant) { p.Username = "platform" }))},
		calls:  []string{look, listing, whoami}, code: platform.Conflict,
	},
	"the platform's own account, gone": {
		reason: "without its grant it could not manage the space any more",
		before: func(s *stand) string { s.seedSpace(); return "" },
		want:   platform.Want{Member: membership(olga(func(p *platform.PersonWant) { p.Username = "platform" }), finished)},
		calls:  []string{look, listing, whoami}, code: platform.Conflict,
	},
}

func TestApplyMember(t *testing.T) {
	for name, tt := range memberships {
		t.Run(name, tt.play)
	}
}

func TestApplyMemberAfterAnAttemptThatWasCutOff(t *testing.T) {
	for name, tt := range memberships {
		if tt.code == "" {
			t.Run(name, tt.cutOff)
		}
	}
}

// The membership's step may be quicker than the tenant's.
func TestApplyMemberBeforeTheSpace(t *testing.T) {
	s := newStand(t)
	_, err := s.Apply(t.Context(), platform.Step{Want: platform.Want{Member: membership(olga())}})
	isVerdict(t, "the tenant's step makes the space", err, passes)
	s.seedSpace()
	if _, err := s.Apply(t.Context(), platform.Step{Want: platform.Want{Member: membership(olga())}}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{olgaIsOpen, olgaEdits}, s.outside()); diff != "" {
		t.Error(diff)
	}
}

// Several owners of one step all look before any of them has invited.
func TestApplyInParallelMakesOneGrant(t *testing.T) {
	s := newStand(t)
	s.seedSpace()
	id := s.seedAccount(olga())
	s.atOnce("/invite", platform.Step{Want: platform.Want{Member: membership(olga())}, Handle: id})
	if diff := cmp.Diff([]string{olgaIsOpen, olgaEdits}, s.outside()); diff != "" {
		t.Error(diff)
	}
}

// Between our look and our invitation somebody else may invite, in another role.
func TestSomebodyElseInvited(t *testing.T) {
	for name, tt := range map[string]struct {
		role  platform.MemberRole
		calls []string
	}{
		"in the same role":  {platform.MemberRoleMember, []string{look, listing, invite, grants}},
		"in another's role": {platform.MemberRoleAdmin, []string{look, listing, invite, grants, whoami, regive}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			space, id := s.seedSpace(), s.seedAccount(olga())
			before := len(s.server.Stage().Calls())
			s.before = func(r *http.Request) {
				if r.Method == http.MethodPost {
					s.before = nil
					if err := s.invite(t.Context(), space, id, roleOf(tt.role).id); err != nil {
						t.Error(err)
					}
				}
			}
			if _, err := s.Apply(t.Context(), platform.Step{Want: platform.Want{Member: membership(olga())}, Handle: id}); err != nil {
				t.Error(err)
			}
			calls := s.calls(before)
			if i := strings.Index(strings.Join(calls, ","), invite); i < 0 || !cmp.Equal(append(calls[:2:2], calls[3:]...), tt.calls) {
				t.Errorf("called %q, want %q", calls, tt.calls)
			}
			if diff := cmp.Diff([]string{olgaIsOpen, olgaEdits}, s.outside()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGrantsThatAreRefused(t *testing.T) {
	body := func(code, message string) string {
		return `{"error":{"code":"` + code + `","message":"` + message + `"}}`
	}
	asJSON := map[string]string{"Content-Type": "application/json"}
	for name, tt := range map[string]struct {
		reason string
		want   *platform.MemberWant
		fault  stage.Fault
		code   platform.Code
		pass   bool
	}{
		"we manage it no more": {
			"a manager can let us in again", membership(olga(), paused),
			stage.Fault{On: "DELETE", Status: 404, Header: asJSON, Body: body("itemNotFound", "stat: error: not found")}, platform.Unavailable, passes,
		},
		"the account was just removed": {
			"the next attempt makes it anew", membership(olga(func(p *platform.PersonWant) { p.Username = "other" })),
			stage.Fault{On: "POST /graph/v1beta1", Status: 400, Header: asJSON, Body: body("invalidRequest", "itemNotFound: not found")}, platform.Unavailable, passes,
		},
		"the last manager": {
			"a space has one", membership(olga(), paused),
			stage.Fault{On: "DELETE", Status: 403, Header: asJSON, Body: body("accessDenied", "can't remove the last manager")}, platform.Conflict, never,
		},
		"somebody else removed it": {
			"the server calls that a failure, and the next attempt sees that there is nothing to remove", membership(olga(), paused),
			stage.Fault{On: "DELETE", Status: 500, Header: asJSON, Body: body("generalException", "rpc error")}, platform.Unavailable, passes,
		},
		"another is invited": {
			"an answer about something else is none", membership(olga(func(p *platform.PersonWant) { p.Username = "other" })),
			stage.Fault{On: "POST /graph/v1beta1", Status: 200, Header: asJSON, Body: `{"value":[{"id":"u:another"}]}`}, platform.Unavailable, passes,
		},
		"another is changed": {
			"an answer about something else is none", membership(olga(), asAdmin),
			stage.Fault{On: "PATCH", Status: 200, Header: asJSON, Body: `{"id":"u:another"}`}, platform.Unavailable, passes,
		},
		"invited and not there": {
			"the next attempt looks anew", membership(olga(func(p *platform.PersonWant) { p.Username = "other" })),
			stage.Fault{On: "POST /graph/v1beta1", Status: 409, Header: asJSON, Body: body("nameAlreadyExists", "already exists")}, platform.Unavailable, passes,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.seedMember(olga(), platform.MemberRoleMember)
			s.server.Stage().Fail(tt.fault)
			_, err := s.Apply(t.Context(), platform.Step{Want: platform.Want{Member: tt.want}})
			if platform.CodeOf(err) != tt.code || platform.CanPass(err) != tt.pass {
				t.Errorf("%s: %v, can pass %t", tt.reason, err, platform.CanPass(err))
			}
			isSentence(t, err)
		})
	}
}

// The removal of a person goes past spaces that we do not manage, and takes no
// grant from a disabled one.
func TestPersonWhoLeavesGrantsBehind(t *testing.T) {
	s := newStand(t)
	id := s.seedMember(olga(), platform.MemberRoleMember)
	space := s.server.Drives()[0].ID
	s.server.Stage().Fail(stage.Fault{
		On: "DELETE /graph/v1beta1/", Times: 1, Status: 404,
		Header: map[string]string{"Content-Type": "application/json"}, Body: `{"error":{"code":"itemNotFound","message":"stat: error: not found"}}`,
	})
	gone := platform.Step{Want: platform.Want{Person: olga(leaving)}, Handle: id}
	if _, err := s.Apply(t.Context(), gone); err != nil || len(s.server.Users()) != 0 {
		t.Errorf("%v, %v", err, s.server.Users())
	}
	if err := s.disable(t.Context(), space); err != nil {
		t.Fatal(err)
	}
	before := len(s.server.Stage().Calls())
	if _, err := s.Apply(t.Context(), gone); err != nil {
		t.Error(err)
	}
	if calls := s.calls(before); !cmp.Equal(calls, []string{look, listing}) {
		t.Errorf("called %q", calls)
	}
}

// Whoever may enter the tenant's files may do so exactly as long as the account
// and the membership are active.
func TestAccessEndsAndComesBack(t *testing.T) {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"preferred_username":"olga@acme.test"}`)
	}))
	defer provider.Close()
	clock := clocktest.New(time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC))
	server, err := standin.New(standin.Options{
		Username: "platform", Token: platform.NewSecret(tokenSecret), Clock: clock, UserInfo: provider.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	defer web.Close()
	c := New(web.URL, "platform", platform.NewSecret(tokenSecret), http.DefaultTransport, clock)
	if _, err := c.Apply(t.Context(), step("Acme GmbH", "")); err != nil {
		t.Fatal(err)
	}
	space := server.Drives()[0].ID
	var person, member string
	for _, moment := range []struct {
		reason string
		person *platform.PersonWant
		member *platform.MemberWant
		status int
	}{
		{"she joins", olga(), membership(olga()), http.StatusCreated},
		{"the membership is suspended", olga(), membership(olga(), paused), http.StatusNotFound},
		{"and resumed", olga(), membership(olga()), http.StatusNoContent},
		{"she is suspended", olga(suspended), membership(olga(suspended)), http.StatusUnauthorized},
		{"and resumed", olga(), membership(olga()), http.StatusNoContent},
		{"she leaves", olga(leaving), membership(olga(leaving), finished), http.StatusUnauthorized},
		{"she joins again", olga(), membership(olga()), http.StatusNoContent},
	} {
		if person, err = c.Apply(t.Context(), platform.Step{Want: platform.Want{Person: moment.person}, Handle: person}); err != nil {
			t.Fatalf("%s: %v", moment.reason, err)
		}
		if member, err = c.Apply(t.Context(), platform.Step{Want: platform.Want{Member: moment.member}, Handle: member}); err != nil {
			t.Fatalf("%s: %v", moment.reason, err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, web.URL+"/dav/spaces/"+space+"/a.txt", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer hers")
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != moment.status {
			t.Errorf("%s: %d instead of %d", moment.reason, res.StatusCode, moment.status)
		}
	}
}
