package platform_test

import (
	"testing"
	"time"

	"github.com/dezky/platform/platform"
)

// TestACodeIsGoodAsLongAsWhoAnswersForIt is about an administrator who keeps a
// code for the day on which they are one no more.
func TestACodeIsGoodAsLongAsWhoAnswersForIt(t *testing.T) {
	t.Parallel()
	demote := func(t *testing.T, w *world, m platform.ID) {
		role := isMember
		if _, err := w.UpdateMember(w.by(t, "admin"), platform.UpdateMemberInput{TenantID: "ten_acme", MemberID: m, Role: &role}); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(t *testing.T, w *world, m platform.ID) { w.removes(t, w.member(t, m)) }
	suspend := func(t *testing.T, w *world, m platform.ID) {
		if _, err := w.SuspendMember(w.by(t, "admin"), platform.SuspendMemberInput{TenantID: "ten_acme", MemberID: m}); err != nil {
			t.Fatal(err)
		}
	}
	resend := func(by string) func(*testing.T, *world, platform.ID) string {
		return func(t *testing.T, w *world, i platform.ID) string {
			_, code, err := w.ResendInvitation(w.by(t, by), platform.ResendInvitationInput{TenantID: "ten_acme", InvitationID: i})
			if err != nil {
				t.Fatal(err)
			}
			return code.Reveal()
		}
	}
	for name, test := range map[string]struct {
		out    func(*testing.T, *world, platform.ID)
		resent func(*testing.T, *world, platform.ID) string // before they are out
		again  func(*testing.T, *world, platform.ID) string // after
		want   string
		reason string
	}{
		"still one":                  {nil, nil, nil, "accepted", "that is what it is for"},
		"demoted":                    {demote, nil, nil, notGood, "or they are one again by their own hand"},
		"removed":                    {remove, nil, nil, notGood, "a tombstone wins until somebody else lifts it (A-3)"},
		"suspended":                  {suspend, nil, nil, notGood, "who is shut out lets nobody in"},
		"sent anew by somebody else": {demote, nil, resend("admin"), "accepted", "who sends it answers for it"},
		"sent anew by themselves":    {demote, resend("globex"), nil, notGood, "who sends it answers for it"},
		"sent anew by an operator":   {demote, resend("operator"), nil, "accepted", "who may invite wherever they like"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := office(t)
			mallory := w.joins(t, "usr_globex", "ten_acme", isAdmin)
			i, code, err := w.InviteMember(w.by(t, "globex"), platform.InviteMemberInput{TenantID: "ten_acme", Email: "pocket@x.test", Role: pointer(isAdmin)})
			if err != nil {
				t.Fatal(err)
			}
			secret := code.Reveal()
			if test.resent != nil {
				secret = test.resent(t, w, i.ID)
			}
			w.clock.Advance(time.Hour)
			if test.out != nil {
				test.out(t, w, mallory)
			}
			if test.again != nil {
				secret = test.again(t, w, i.ID)
			}
			p, err := w.accepts(t, "member", secret)
			if got := accepted(t, p, err); got != test.want {
				t.Errorf("%s, want %s (%s)", got, test.want, test.reason)
			}
			if test.want == "accepted" {
				return
			}
			is := platform.Identity{Subject: "pocket", Email: "pocket@x.test", EmailVerified: true}
			if me, err := w.Me(w.as(t, is)); err != nil || len(me.Memberships) != 0 {
				t.Errorf("a sign-in with the address: %+v, %v (%s)", me, err, test.reason)
			}
		})
	}
}

// TestNoOlderInvitationLiftsATombstone is about somebody who was invited by
// another address as well.
func TestNoOlderInvitationLiftsATombstone(t *testing.T) {
	t.Parallel()
	w := office(t)
	_, old := w.invites(t, "private@x.test", isAdmin)
	w.clock.Advance(time.Hour)
	w.removes(t, w.member(t, "mem_member"))
	w.clock.Advance(time.Hour)
	p, err := w.accepts(t, "member", old)
	if got := accepted(t, p, err); got != "This membership was taken away." || w.member(t, "mem_member").State != platform.MemberStateRevoked {
		t.Errorf("the older one: %s, and they are %s", got, w.member(t, "mem_member").State)
	}
	_, anew := w.invites(t, "member@acme.test", isMember)
	p, err = w.accepts(t, "member", anew)
	if got := accepted(t, p, err); got != "accepted" || w.member(t, "mem_member").RemovedAt != nil {
		t.Errorf("a newer one: %s, %+v", got, w.member(t, "mem_member"))
	}
}

// TestNobodyIsMadeAnothersMemberWithoutAWord is about a tenant that invites
// another's people to end their sessions.
func TestNobodyIsMadeAnothersMemberWithoutAWord(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		is     platform.Identity
		joins  int
		reason string
	}{
		"a stranger": {
			platform.Identity{Subject: "new", Email: "new@x.test"}, 1, "a sign-in with the address is enough",
		},
		"another tenant's": {
			platform.Identity{Subject: "globex", Email: "globex@acme.test"}, 0, "they are globex's, and say so with the code",
		},
		"a partner's": {
			platform.Identity{Subject: "owner", Email: "owner@acme.test"}, 0, "a customer signs no staff of its partner out",
		},
		"an operator": {
			platform.Identity{Subject: "operator", Email: "operator@acme.test", Groups: []string{"dezky-platform-admins"}}, 0, "nor an operator",
		},
		"an operator who is new": {
			platform.Identity{Subject: "second", Email: "second@x.test", Groups: []string{"dezky-platform-admins"}}, 0, "nor one whom nobody has seen yet",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := office(t)
			_, code := w.invites(t, test.is.Email, isMember)
			test.is.EmailVerified = true
			me, err := w.Me(w.as(t, test.is))
			if err != nil {
				t.Fatal(err)
			}
			in := func(me *platform.Me) (n int) {
				for _, m := range me.Memberships {
					if m.TenantID == "ten_acme" {
						n++
					}
				}
				return n
			}
			if got := in(me); got != test.joins {
				t.Errorf("%d memberships, want %d (%s)", got, test.joins, test.reason)
			}
			if test.joins > 0 {
				return
			}
			ctx := w.as(t, test.is)
			if p, err := platform.Mutate(ctx, w.Platform, platform.AcceptInvitationInput{Code: code}, w.AcceptInvitation); accepted(t, p, err) != "accepted" {
				t.Errorf("with the code: %+v", p)
			}
		})
	}
}
