package platform_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// invites asks an address into acme, and answers with the code.
func (w *world) invites(t testing.TB, email string, role platform.MemberRole) (*platform.Invitation, string) {
	t.Helper()
	i, code, err := w.InviteMember(w.by(t, "admin"), platform.InviteMemberInput{TenantID: "ten_acme", Email: email, Role: &role})
	if err != nil {
		t.Fatal(err)
	}
	return i, code.Reveal()
}

func (w *world) accepts(t testing.TB, by, code string) (*platform.MemberPayload, error) {
	t.Helper()
	return platform.Mutate(w.by(t, by), w.Platform, platform.AcceptInvitationInput{Code: code}, w.AcceptInvitation)
}

// accepted says whether an answer made a member, or the sentence why not.
func accepted(t testing.TB, p *platform.MemberPayload, err error) string {
	t.Helper()
	switch {
	case err != nil:
		t.Fatal(err)
	case len(p.UserErrors) > 0:
		return p.UserErrors[0].Message
	}
	return "accepted"
}

const (
	notGood   = "This code is not good, or not any more."
	isMember  = platform.MemberRoleMember
	isAdmin   = platform.MemberRoleAdmin
	allTaken  = "All 2 seats of the tenant are taken."
	inviteFor = 30 * 24 * time.Hour
)

func TestACodeIsGoodOnce(t *testing.T) {
	t.Parallel()
	w := office(t)
	in := platform.InviteMemberInput{TenantID: "ten_acme", Email: "New@X.test", IdempotencyKey: pointer("k1")}
	ctx := w.by(t, "admin")
	first, err := platform.MutateSecret(ctx, w.Platform, in, w.InviteMember)
	if err != nil || first.Secret == nil {
		t.Fatalf("got %+v, %v", first, err)
	}
	i, secret := first.Object, *first.Secret
	if i.Email != "new@x.test" || i.Role != isMember || i.InvitedBy != "usr_admin" || !i.Expires.Equal(noon.Add(inviteFor).Time) ||
		i.Code == "" || strings.Contains(i.Code, secret) {
		t.Errorf("the invitation is %+v", i)
	}
	again, err := platform.MutateSecret(ctx, w.Platform, in, w.InviteMember)
	if err != nil || again.Secret != nil || again.Object.ID != i.ID || again.UserErrors[0].Code != platform.UserErrorCodeAlreadyShown {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	if log := w.telling(t, "ten_acme", ""); strings.Contains(log, secret) || strings.Contains(log, i.Code) {
		t.Errorf("the log has the code: %s", log)
	}
	p, err := w.accepts(t, "globex", " "+secret+"\n")
	if got := accepted(t, p, err); got != "accepted" || p.Object.Role != isMember || p.Object.State != platform.MemberStateActive ||
		p.Object.UserID != "usr_globex" || p.Object.Source != platform.MemberSourceMutation {
		t.Errorf("%s: %+v", got, p.Object)
	}
	for _, by := range []string{"globex", "support"} {
		p, err := w.accepts(t, by, secret)
		if got := accepted(t, p, err); got != notGood {
			t.Errorf("%s, after it was used: %s", by, got)
		}
	}
	w.full(t, "ten_acme", 3)
}

func TestEveryCodeThatIsNotGoodHasOneAnswer(t *testing.T) {
	t.Parallel()
	w := office(t)
	admin := w.by(t, "admin")
	resent, old := w.invites(t, "resent@x.test", isMember)
	_, fresh, err := w.ResendInvitation(admin, platform.ResendInvitationInput{TenantID: "ten_acme", InvitationID: resent.ID})
	if err != nil {
		t.Fatal(err)
	}
	revoked, gone := w.invites(t, "revoked@x.test", isMember)
	if i, err := w.RevokeInvitation(admin, platform.RevokeInvitationInput{TenantID: "ten_acme", InvitationID: revoked.ID}); err != nil || i.State != platform.InvitationStateRevoked {
		t.Fatalf("got %+v, %v", i, err)
	}
	w.clock.Advance(time.Minute)
	expired, late := w.invites(t, "late@x.test", isMember)
	for name, secret := range map[string]string{
		"wrong": "WRONG", "none": "", "too long": strings.Repeat("A", 65), "replaced": old, "revoked": gone, "small": strings.ToLower(fresh.Reveal()),
	} {
		p, err := w.accepts(t, "globex", secret)
		if got := accepted(t, p, err); got != notGood || *p.UserErrors[0].Field != "code" || p.UserErrors[0].Code != platform.UserErrorCodeInvalid {
			t.Errorf("%s: %s, %+v", name, got, p.UserErrors)
		}
	}
	for _, do := range []func() error{
		func() error {
			_, _, err := w.ResendInvitation(admin, platform.ResendInvitationInput{TenantID: "ten_acme", InvitationID: revoked.ID})
			return err
		},
		func() error {
			_, err := w.RevokeInvitation(admin, platform.RevokeInvitationInput{TenantID: "ten_acme", InvitationID: revoked.ID})
			return err
		},
	} {
		if err := do(); code(err) != platform.Conflict {
			t.Errorf("what is revoked stays so: %v", err)
		}
	}
	if _, _, err := w.ResendInvitation(admin, platform.ResendInvitationInput{TenantID: "ten_globex", InvitationID: resent.ID}); code(err) != platform.NotFound {
		t.Errorf("through another tenant: %v", err)
	}
	w.clock.Advance(inviteFor - time.Second)
	p, err := w.accepts(t, "globex", fresh.Reveal())
	if got := accepted(t, p, err); got != notGood {
		t.Errorf("expired a minute ago: %s", got)
	}
	p, err = w.accepts(t, "globex", late)
	if got := accepted(t, p, err); got != "accepted" {
		t.Errorf("a second before it expires: %s", got)
	}
	if i, err := w.store.Invitation(t.Context(), "ten_acme", expired.ID); err != nil || i.State != platform.InvitationStateAccepted || i.MemberID != p.Object.ID {
		t.Errorf("the invitation is %+v, %v", i, err)
	}
	_, anew, err := w.ResendInvitation(admin, platform.ResendInvitationInput{TenantID: "ten_acme", InvitationID: resent.ID})
	if err != nil {
		t.Fatal(err)
	}
	p, err = w.accepts(t, "support", anew.Reveal())
	if got := accepted(t, p, err); got != "accepted" {
		t.Errorf("one that had expired, sent again: %s", got)
	}
}

func TestAcceptingAgainWithTheSameKey(t *testing.T) {
	t.Parallel()
	var lose atomic.Int32
	w := officeOn(t, func(e store.Engine) store.Engine { return forgetful{e, &lose} })
	_, secret := w.invites(t, "a@x.test", isMember)
	ctx := w.by(t, "globex")
	in := platform.AcceptInvitationInput{Code: secret, IdempotencyKey: pointer("k1")}
	lose.Store(2) // the first is the key's
	first, err := platform.Mutate(ctx, w.Platform, in, w.AcceptInvitation)
	if err != nil || first.Object == nil || first.Object.UserID != "usr_globex" {
		t.Fatalf("the commit had gone through: %+v, %v", first, err)
	}
	again, err := platform.Mutate(ctx, w.Platform, in, w.AcceptInvitation)
	if err != nil || again.Object == nil || again.Object.ID != first.Object.ID {
		t.Errorf("the same again: %+v, %v; want the member (M-2)", again, err)
	}
}

func TestAcceptingTwiceAtOnce(t *testing.T) {
	t.Parallel()
	w := officeOn(t, func(e store.Engine) store.Engine { return twice{e} })
	_, secret := w.invites(t, "a@x.test", isMember)
	callers := []context.Context{w.by(t, "globex"), w.by(t, "support"), w.by(t, "owner"), w.by(t, "globex")}
	ends := atOnce(len(callers), func(i int) error {
		_, err := w.AcceptInvitation(callers[i], platform.AcceptInvitationInput{Code: secret})
		return err
	})
	if ends[""] != 1 || ends[platform.Invalid] != len(callers)-1 {
		t.Errorf("got %v, want one who is in", ends)
	}
	w.full(t, "ten_acme", 3)
}

func TestWhomAnInvitationMakesWhat(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		state  platform.MemberState // of their membership before; "" for none
		role   platform.MemberRole
		offers platform.MemberRole
		full   bool
		want   string
		is     platform.MemberRole
		reason string
	}{
		"nobody yet":           {"", "", isAdmin, false, "accepted", isAdmin, "that is what it is for"},
		"nobody yet, no seat":  {"", "", isMember, true, allTaken, "", "bound by seats too (E-8)"},
		"a member":             {platform.MemberStateActive, isMember, isAdmin, false, "accepted", isAdmin, "the role is taken over"},
		"a member, no seat":    {platform.MemberStateActive, isMember, isAdmin, true, "accepted", isAdmin, "they have theirs"},
		"an administrator":     {platform.MemberStateActive, isAdmin, isMember, false, "accepted", isAdmin, "nobody demotes themselves (E-7)"},
		"suspended":            {platform.MemberStateSuspended, isMember, isMember, false, "This membership is suspended.", isMember, "an older invitation is no way around a suspension"},
		"lapsed":               {platform.MemberStateLapsed, isAdmin, isMember, false, "accepted", isMember, "what they were is over"},
		"removed":              {platform.MemberStateRevoked, isAdmin, isMember, false, "accepted", isMember, "a mutation lifts a tombstone (A-3)"},
		"removed, and no seat": {platform.MemberStateRevoked, isMember, isMember, true, allTaken, isMember, "they had given theirs up"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := office(t)
			var m *platform.Member
			if test.state != "" {
				m = w.member(t, w.joins(t, "usr_globex", "ten_acme", test.role))
				w.edits(t, m, func(m *platform.Member, _ *platform.User) {
					m.State, m.Source = test.state, platform.MemberSourceToken
				})
			}
			_, secret := w.invites(t, "a@x.test", test.offers)
			if test.full {
				w.seats(t, "ten_acme", 2)
			}
			p, err := w.accepts(t, "globex", secret)
			if got := accepted(t, p, err); got != test.want {
				t.Fatalf("%s, want %s (%s)", got, test.want, test.reason)
			}
			all, err := w.store.MembershipsOf(t.Context(), "usr_globex")
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range all {
				switch {
				case found.TenantID != "ten_acme":
				case m != nil && found.ID != m.ID:
					t.Errorf("a second membership: %+v", found)
				case found.Role != test.is:
					t.Errorf("%s, want %s (%s)", found.Role, test.is, test.reason)
				case test.want == "accepted" && (found.State != platform.MemberStateActive || found.Source != platform.MemberSourceMutation):
					t.Errorf("%+v (%s)", found, test.reason)
				case test.want != "accepted" && found.State != test.state:
					t.Errorf("%s, want it left alone (%s)", found.State, test.reason)
				}
			}
		})
	}
}

func TestAVerifiedAddressTakesItsInvitationUp(t *testing.T) {
	t.Parallel()
	w := office(t)
	i, _ := w.invites(t, "new@x.test", isAdmin)
	state := func() platform.InvitationState {
		found, err := w.store.Invitation(t.Context(), "ten_acme", i.ID)
		if err != nil {
			t.Fatal(err)
		}
		return found.State
	}
	comes := func(is platform.Identity) int {
		t.Helper()
		me, err := w.Me(w.as(t, is))
		if err != nil {
			t.Fatal(err)
		}
		return len(me.Memberships)
	}
	is := platform.Identity{Subject: "new", Email: "New@X.test", Name: "New"}
	if n := comes(is); n != 0 || state() != platform.InvitationStateOpen {
		t.Errorf("an address that nobody vouches for: %d memberships, %s", n, state())
	}
	is.EmailVerified = true
	w.seats(t, "ten_acme", 2)
	if n := comes(is); n != 0 || state() != platform.InvitationStateOpen {
		t.Errorf("without a seat: %d memberships, %s; want it to wait on", n, state())
	}
	events := len(w.events(t, "", "ten_acme"))
	if n := comes(is); n != 0 || len(w.events(t, "", "ten_acme")) != events {
		t.Error("a sign-in that changes nothing leaves a record")
	}
	w.seats(t, "ten_acme", 3)
	if n := comes(is); n != 1 || state() != platform.InvitationStateAccepted {
		t.Errorf("with a seat: %d memberships, %s", n, state())
	}
	a, err := w.SignIn(t.Context(), is, platform.From{})
	if err != nil || a.Memberships[0].Role != isAdmin {
		t.Errorf("got %+v, %v", a, err)
	}
	w.invites(t, "late@x.test", isMember)
	w.clock.Advance(inviteFor)
	if n := comes(platform.Identity{Subject: "late", Email: "late@x.test", EmailVerified: true}); n != 0 {
		t.Error("taken up when it had expired")
	}
}

func TestWhoWasShutOutIsNotLetInByAnOlderInvitation(t *testing.T) {
	t.Parallel()
	for name, out := range map[string]func(*world, *platform.Member){
		"removed": func(w *world, m *platform.Member) { w.removes(t, m) },
		"suspended": func(w *world, m *platform.Member) {
			if _, err := w.SuspendMember(w.by(t, "admin"), platform.SuspendMemberInput{TenantID: "ten_acme", MemberID: m.ID}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		w := office(t)
		w.invites(t, "Member@acme.test", isAdmin)
		out(w, w.member(t, "mem_member"))
		state := w.member(t, "mem_member").State
		is := platform.Identity{Subject: "member", Email: "member@acme.test", EmailVerified: true, Groups: []string{"tenant-acme"}}
		if me, err := w.Me(w.as(t, is)); err != nil || len(me.Memberships) != 0 || w.member(t, "mem_member").State != state {
			t.Errorf("%s: the next sign-in made them %s, %v", name, w.member(t, "mem_member").State, err)
		}
		if name == "suspended" {
			continue
		}
		w.invites(t, "member@acme.test", isMember)
		if me, err := w.Me(w.as(t, is)); err != nil || len(me.Memberships) != 1 || me.Memberships[0].ID != "mem_member" {
			t.Errorf("%s, and invited anew: %+v, %v", name, me, err)
		}
	}
}

func TestWhatAnInvitationIsRefusedFor(t *testing.T) {
	t.Parallel()
	w := office(t)
	admin := w.by(t, "admin")
	invite := func(email string) error {
		_, _, err := w.InviteMember(admin, platform.InviteMemberInput{TenantID: "ten_acme", Email: email})
		return err
	}
	for _, email := range []string{"", "nobody", "A <a@x.test>", "a@x.test, b@x.test", "a b@x.test", `"a"@x.test`, strings.Repeat("a", 250) + "@x.test"} {
		if err := invite(email); code(err) != platform.Invalid {
			t.Errorf("%q: %v", email, err)
		}
	}
	if err := invite("a@x.test"); err != nil {
		t.Fatal(err)
	}
	if err := invite("A@x.test"); code(err) != platform.Conflict {
		t.Errorf("invited twice: %v", err)
	}
	if _, _, err := w.InviteMember(w.by(t, "globex"), platform.InviteMemberInput{TenantID: "ten_globex", Email: "a@x.test"}); err != nil {
		t.Errorf("by another tenant: %v", err)
	}
	w.clock.Advance(inviteFor)
	if err := invite("a@x.test"); err != nil {
		t.Errorf("once more, when the first has expired: %v", err)
	}
	if n, err := w.store.CountOpenInvitationsOf(t.Context(), "ten_acme"); err != nil || n != 1 {
		t.Errorf("%d wait, %v", n, err)
	}
	w.turns(t, "ten_acme", platform.TenantStatusSuspended)
	if err := invite("b@x.test"); code(err) != platform.Conflict {
		t.Errorf("into a tenant that is shut: %v", err)
	}
	if _, err := w.AcceptInvitation(w.as(t, platform.Identity{Subject: "stranger"}), platform.AcceptInvitationInput{Code: "A"}); code(err) != platform.Conflict {
		t.Errorf("by somebody who was never stored: %v", err)
	}
	if _, err := w.AcceptInvitation(t.Context(), platform.AcceptInvitationInput{Code: "A"}); code(err) != platform.Unauthenticated {
		t.Errorf("by nobody: %v", err)
	}
}

func TestAThousandInvitationsWaitAtMost(t *testing.T) {
	t.Parallel()
	w := office(t)
	w.puts(t, func(ctx context.Context, out platform.Writer) error {
		for n := range 999 {
			err := out.PutInvitation(ctx, &platform.Invitation{
				Document: platform.Document{ID: platform.ID(fmt.Sprintf("ivt_%04d", n))}, TenantID: "ten_acme", Email: fmt.Sprint(n, "@x.test"),
				State: platform.InvitationStateOpen, CreatedAt: noon, Expires: noon.Add(time.Hour),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	w.invites(t, "last@x.test", isMember)
	in := platform.InviteMemberInput{TenantID: "ten_acme", Email: "more@x.test"}
	if _, _, err := w.InviteMember(w.by(t, "admin"), in); code(err) != platform.Conflict {
		t.Errorf("got %v", err)
	}
	if _, err := w.RevokeInvitation(w.by(t, "admin"), platform.RevokeInvitationInput{TenantID: "ten_acme", InvitationID: "ivt_0000"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.InviteMember(w.by(t, "admin"), in); err != nil {
		t.Errorf("when one waits less: %v", err)
	}
}
