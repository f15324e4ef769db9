package platform_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
)

// doors are the sign-ins of a test: whose sessions were ended, and what there is
// to count.
type doors struct {
	away   bool
	ended  []string
	counts map[string]int
	asked  int
	hangs  chan struct{}
}

func (d *doors) EndSessions(_ context.Context, subject string) error {
	if d.away {
		return platform.Errorf(platform.Unavailable, "The identity provider does not answer.")
	}
	d.ended = append(d.ended, subject)
	return nil
}

func (d *doors) Authenticators(ctx context.Context, _ []string) (map[string]int, error) {
	d.asked++
	if d.hangs != nil {
		close(d.hangs)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if d.away {
		return nil, platform.Errorf(platform.Unavailable, "The identity provider does not answer.")
	}
	return d.counts, nil
}

func (w *world) removes(t testing.TB, m *platform.Member) {
	t.Helper()
	if _, err := w.RemoveMember(w.by(t, "operator"), platform.RemoveMemberInput{TenantID: m.TenantID, MemberID: m.ID}); err != nil {
		t.Fatal(err)
	}
}

func TestForceLogout(t *testing.T) {
	t.Parallel()
	w := office(t)
	door := &doors{}
	w.asks(platform.Options{SignIns: door})
	logout := func(by string, tenant, member platform.ID) error {
		_, err := w.ForceLogoutMember(w.by(t, by), platform.ForceLogoutMemberInput{TenantID: tenant, MemberID: member})
		return err
	}
	if err := logout("admin", "ten_acme", "mem_globex"); code(err) != platform.NotFound {
		t.Errorf("another tenant's: %v", err)
	}
	if err := logout("admin", "ten_acme", "mem_admin"); code(err) != platform.Conflict {
		t.Errorf("oneself: %v", err)
	}
	door.away = true
	if err := logout("admin", "ten_acme", "mem_member"); code(err) != platform.Unavailable || w.user(t, "usr_member").SignedOutAt != nil {
		t.Errorf("while the provider is away: %v, signed out at %v", err, w.user(t, "usr_member").SignedOutAt)
	}
	door.away = false
	if len(door.ended) != 0 {
		t.Fatalf("ended: %v", door.ended)
	}
	before := w.generations(t, "usr_member", "mem_member")
	if err := logout("admin", "ten_acme", "mem_member"); err != nil || len(door.ended) != 1 || door.ended[0] != "member" {
		t.Errorf("got %v, ended %v", err, door.ended)
	}
	if got := w.raised(t, before, "usr_member", "mem_member"); got != "" {
		t.Errorf("raised: %s", got)
	}
	for name, test := range map[string]struct {
		issued platform.Time
		want   platform.Code
	}{
		"from before":          {noon.Add(-time.Minute), platform.Unauthenticated},
		"of the same second":   {noon, platform.Unauthenticated},
		"that does not say":    {platform.Time{}, platform.Unauthenticated},
		"from the next second": {noon.Add(time.Second), ""},
	} {
		is := platform.Identity{Subject: "member", IssuedAt: test.issued}
		if _, err := w.SignIn(t.Context(), is, platform.From{}); code(err) != test.want {
			t.Errorf("a token %s: got %v, want %q", name, err, test.want)
		}
	}
	if _, err := w.SignIn(t.Context(), platform.Identity{Subject: "admin", IssuedAt: noon}, platform.From{}); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	m, _ := w.hires(t, "bert")
	if err := logout("admin", "ten_acme", m.ID); err != nil || len(door.ended) != 1 {
		t.Errorf("who has no account yet has no sessions: %v, %v", err, door.ended)
	}
	w.removes(t, m)
	if err := logout("admin", "ten_acme", m.ID); code(err) != platform.Conflict {
		t.Errorf("who was removed is nobody's to log out any more: %v", err)
	}
	w.asks(platform.Options{})
	if err := logout("admin", "ten_acme", "mem_member"); code(err) != platform.Disabled {
		t.Errorf("where there is no provider: %v", err)
	}
}

func TestWhatAResetReaches(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change  func(*world, *platform.Member)
		user    bool // whether the sign-in gets it
		mailbox bool
		code    platform.Code
		reason  string
	}{
		"the tenant's alone": {func(*world, *platform.Member) {}, true, true, "", "one password for both (E-4)"},
		"suspended": {func(w *world, m *platform.Member) {
			w.edits(t, m, func(m *platform.Member, _ *platform.User) { m.State = platform.MemberStateSuspended })
		}, true, true, "", "for when they are resumed"},
		"in another tenant too": {func(w *world, m *platform.Member) {
			w.joins(t, m.UserID, "ten_globex", platform.MemberRoleMember)
		}, false, true, "", "their sign-in is another tenant's too"},
		"suspended in another": {func(w *world, m *platform.Member) {
			id := w.joins(t, m.UserID, "ten_globex", platform.MemberRoleMember)
			w.edits(t, w.member(t, id), func(m *platform.Member, _ *platform.User) { m.State = platform.MemberStateSuspended })
		}, false, true, "", "they may be resumed there"},
		"removed from another": {func(w *world, m *platform.Member) {
			id := w.joins(t, m.UserID, "ten_globex", platform.MemberRoleMember)
			w.edits(t, w.member(t, id), func(m *platform.Member, _ *platform.User) { m.State = platform.MemberStateRevoked })
		}, true, true, "", "nobody else's any more"},
		"staff": {func(w *world, m *platform.Member) {
			w.edits(t, m, func(_ *platform.Member, u *platform.User) { u.PartnerID = "par_nordic" })
		}, false, true, "", "their sign-in opens more than this tenant"},
		"platform administrator": {func(w *world, m *platform.Member) {
			w.edits(t, m, func(_ *platform.Member, u *platform.User) { u.PlatformAdmin = true })
		}, false, true, "", "their sign-in opens everything"},
		"not ours": {func(w *world, m *platform.Member) {
			w.edits(t, m, func(_ *platform.Member, u *platform.User) { u.Ours = false })
		}, false, true, "", "the account was there before"},
		"not ours, no mailbox": {func(w *world, m *platform.Member) {
			w.edits(t, m, func(m *platform.Member, u *platform.User) { u.Ours, m.Address = false, "" })
		}, false, false, platform.Conflict, "there is nothing to reset"},
		"no mailbox": {func(w *world, m *platform.Member) {
			w.edits(t, m, func(m *platform.Member, _ *platform.User) { m.Address = "" })
		}, true, false, "", "the sign-in alone"},
		"removed": {func(w *world, m *platform.Member) { w.removes(t, m) }, false, false, platform.Conflict, "there is nothing to reset"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := office(t)
			m, first := w.hires(t, "bert")
			w.works(t, done)
			test.change(w, m)
			w.works(t, done)
			before := w.generations(t, m.ID, m.UserID)
			_, password, err := w.ResetMemberPassword(w.by(t, "admin"), platform.ResetMemberPasswordInput{TenantID: "ten_acme", MemberID: m.ID})
			if code(err) != test.code {
				t.Fatalf("got %v, want %q (%s)", err, test.code, test.reason)
			}
			user, mailbox := w.user(t, m.UserID).Sealed != "", w.member(t, m.ID).Sealed != ""
			if user != test.user || mailbox != test.mailbox {
				t.Errorf("sign-in %v, mailbox %v (%s)", user, mailbox, test.reason)
			}
			var want []string
			if test.mailbox {
				want = append(want, string(m.ID))
			}
			if test.user {
				want = append(want, string(m.UserID))
			}
			if got := w.raised(t, before, m.ID, m.UserID); got != strings.Join(want, " ") {
				t.Errorf("raised %q, want %q", got, want)
			}
			if err == nil && (password.IsZero() || password.Reveal() == first) {
				t.Error("there is no new password")
			}
			if log := w.telling(t, "ten_acme", ""); err == nil && strings.Contains(log, password.Reveal()) {
				t.Error("the log has the password")
			}
		})
	}
}

// edits changes a member, and the person, past every rule.
func (w *world) edits(t testing.TB, m *platform.Member, change func(*platform.Member, *platform.User)) {
	w.puts(t, func(ctx context.Context, out platform.Writer) error {
		m, err := out.Member(ctx, m.TenantID, m.ID)
		if err != nil {
			return err
		}
		u, err := out.User(ctx, m.UserID)
		if err != nil {
			return err
		}
		change(m, u)
		return errors.Join(out.PutUser(ctx, u), out.PutMember(ctx, m))
	})
}

func TestATenantKeepsAnAdministratorAndNobodyShutsThemselvesOut(t *testing.T) {
	t.Parallel()
	ways := map[string]func(*world, context.Context, platform.ID) error{
		"suspend": func(w *world, ctx context.Context, id platform.ID) error {
			_, err := w.SuspendMember(ctx, platform.SuspendMemberInput{TenantID: "ten_acme", MemberID: id})
			return err
		},
		"remove": func(w *world, ctx context.Context, id platform.ID) error {
			_, err := w.RemoveMember(ctx, platform.RemoveMemberInput{TenantID: "ten_acme", MemberID: id})
			return err
		},
		"demote": func(w *world, ctx context.Context, id platform.ID) error {
			_, err := w.UpdateMember(ctx, platform.UpdateMemberInput{TenantID: "ten_acme", MemberID: id, Role: pointer(platform.MemberRoleMember)})
			return err
		},
	}
	for name, do := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := office(t)
			if err := do(w, w.by(t, "operator"), "mem_admin"); code(err) != platform.Conflict || w.member(t, "mem_admin").State != platform.MemberStateActive {
				t.Errorf("the last administrator: %v", err)
			}
			other := w.joins(t, "usr_owner", "ten_acme", platform.MemberRoleAdmin)
			if err := do(w, w.by(t, "admin"), "mem_admin"); code(err) != platform.Conflict {
				t.Errorf("oneself, though there is another: %v", err)
			}
			if err := do(w, w.by(t, "admin"), "mem_globex"); code(err) != platform.NotFound {
				t.Errorf("another tenant's: %v", err)
			}
			// Each of two does it to the other at once.
			first, second := w.by(t, "admin"), w.by(t, "owner")
			ends := atOnce(2, func(i int) error {
				if i == 0 {
					return do(w, first, other)
				}
				return do(w, second, "mem_admin")
			})
			if diff := cmp.Diff(map[platform.Code]int{"": 1, platform.Conflict: 1}, ends); diff != "" {
				t.Errorf("(- expected, + found):\n%s", diff)
			}
			if n, err := w.store.CountAdminsOf(t.Context(), "ten_acme"); err != nil || n != 1 {
				t.Errorf("%d administrators are left, %v", n, err)
			}
		})
	}
	w := office(t)
	suspended := w.joins(t, "usr_owner", "ten_acme", platform.MemberRoleAdmin)
	w.edits(t, w.member(t, suspended), func(m *platform.Member, _ *platform.User) { m.State = platform.MemberStateSuspended })
	if err := ways["remove"](w, w.by(t, "operator"), "mem_admin"); code(err) != platform.Conflict {
		t.Errorf("an administrator who is suspended is none: %v", err)
	}
	if err := ways["remove"](w, w.by(t, "operator"), suspended); err != nil {
		t.Errorf("and can go: %v", err)
	}
}

func TestWhatAnUpdateRaises(t *testing.T) {
	t.Parallel()
	w := office(t)
	admin := w.by(t, "admin")
	m, _ := w.hires(t, "bert")
	g, err := w.CreateGroup(admin, platform.CreateGroupInput{TenantID: "ten_acme", Name: "All", MemberIds: []platform.ID{m.ID, "mem_member"}})
	if err != nil {
		t.Fatal(err)
	}
	w.works(t, done)
	in := platform.UpdateMemberInput{TenantID: "ten_acme", MemberID: m.ID}
	with := func(f func(*platform.UpdateMemberInput)) platform.UpdateMemberInput { in := in; f(&in); return in }
	all := []platform.ID{m.ID, m.UserID, g.ID, "mem_member", "usr_member", "ten_acme"}
	for _, test := range []struct {
		name   string
		do     func() error
		want   []platform.ID
		reason string
	}{
		{"nothing", func() error { _, err := w.UpdateMember(admin, in); return err }, nil, "no difference"},
		{"the same role", func() error {
			_, err := w.UpdateMember(admin, with(func(in *platform.UpdateMemberInput) { in.Role = pointer(platform.MemberRoleMember) }))
			return err
		}, nil, "no difference"},
		{"role", func() error {
			_, err := w.UpdateMember(admin, with(func(in *platform.UpdateMemberInput) { in.Role = pointer(platform.MemberRoleAdmin) }))
			return err
		}, []platform.ID{m.ID}, "the membership's own"},
		{"aliases", func() error {
			_, err := w.UpdateMember(admin, with(func(in *platform.UpdateMemberInput) { in.Aliases = []string{"info", "bert"} }))
			return err
		}, []platform.ID{m.ID}, "the mailbox's"},
		{"the same aliases", func() error {
			_, err := w.UpdateMember(admin, with(func(in *platform.UpdateMemberInput) { in.Aliases = []string{"INFO", "info"} }))
			return err
		}, nil, "no difference"},
		{"name", func() error {
			_, err := w.UpdateMember(admin, with(func(in *platform.UpdateMemberInput) { in.Name = pointer("Bertram") }))
			return err
		}, []platform.ID{m.ID, m.UserID}, "the account's, and what mails show"},
		{"suspended", func() error {
			_, err := w.SuspendMember(admin, platform.SuspendMemberInput{TenantID: "ten_acme", MemberID: m.ID})
			return err
		}, []platform.ID{m.ID, m.UserID, g.ID}, "all that they are in"},
		{"resumed", func() error {
			_, err := w.ResumeMember(admin, platform.ResumeMemberInput{TenantID: "ten_acme", MemberID: m.ID})
			return err
		}, []platform.ID{m.ID, m.UserID, g.ID}, "all that they are in"},
		{"removed", func() error {
			_, err := w.RemoveMember(admin, platform.RemoveMemberInput{TenantID: "ten_acme", MemberID: m.ID})
			return err
		}, []platform.ID{m.ID, m.UserID, g.ID}, "all that they are in"},
		{"removed again", func() error {
			_, err := w.RemoveMember(admin, platform.RemoveMemberInput{TenantID: "ten_acme", MemberID: m.ID})
			return err
		}, nil, "no difference"},
		{"a new colour", func() error {
			_, err := w.UpdateTenant(w.by(t, "operator"), platform.UpdateTenantInput{TenantID: "ten_acme", BrandColor: pointer("#aabbcc")})
			return err
		}, nil, "nothing outside has it"},
	} {
		before := w.generations(t, all...)
		if err := test.do(); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		var want []string
		for _, id := range test.want {
			want = append(want, string(id))
		}
		if got := w.raised(t, before, all...); got != strings.Join(want, " ") {
			t.Errorf("%s: raised %q, want %q (%s)", test.name, got, want, test.reason)
		}
		w.works(t, done)
	}
}

func TestWhatAnUpdateIsRefusedFor(t *testing.T) {
	t.Parallel()
	w := office(t)
	m, _ := w.hires(t, "bert")
	cara, _ := w.hires(t, "cara")
	w.joins(t, cara.UserID, "ten_globex", platform.MemberRoleMember)
	dora, _ := w.hires(t, "dora")
	w.removes(t, dora)
	type in = platform.UpdateMemberInput
	for name, test := range map[string]struct {
		in     in
		field  string
		reason string
	}{
		"somebody's alias":      {in{MemberID: m.ID, Aliases: []string{"cara"}}, "aliases", "the address is taken"},
		"no alias":              {in{MemberID: m.ID, Aliases: []string{"?"}}, "aliases", "no mail name"},
		"negative quota":        {in{MemberID: m.ID, MailQuotaMiB: pointer(int32(-1))}, "mailQuotaMiB", "0 is none"},
		"no name":               {in{MemberID: m.ID, Name: pointer("")}, "name", "nobody is nobody"},
		"another tenant's too":  {in{MemberID: cara.ID, Name: pointer("C")}, "name", "they are theirs too"},
		"not ours":              {in{MemberID: "mem_member", Name: pointer("M")}, "name", "the account was there before"},
		"no mailbox, aliases":   {in{MemberID: "mem_member", Aliases: []string{"m"}}, "memberId", "there is none"},
		"no mailbox, and quota": {in{MemberID: "mem_member", MailQuotaMiB: pointer(int32(1))}, "memberId", "there is none"},
		"removed":               {in{MemberID: dora.ID, Name: pointer("D")}, "memberId", "restore them first"},
	} {
		test.in.TenantID = "ten_acme"
		got, err := platform.Mutate(w.by(t, "admin"), w.Platform, test.in, w.UpdateMember)
		if err != nil || len(got.UserErrors) != 1 || *got.UserErrors[0].Field != test.field {
			t.Errorf("%s: got %+v, %v, want something to mend in %s (%s)", name, got, err, test.field, test.reason)
		}
	}
}

func TestAdministratorsUpdateThemselves(t *testing.T) {
	t.Parallel()
	w := office(t)
	chief := newcomer{TenantID: "ten_acme", Name: "Bert", MailName: "bert", Role: pointer(platform.MemberRoleAdmin)}
	m, _, err := w.CreateMember(w.by(t, "admin"), chief)
	if err != nil {
		t.Fatal(err)
	}
	w.works(t, done)
	ctx := w.as(t, platform.Identity{Subject: w.user(t, m.UserID).Subject})
	in := platform.UpdateMemberInput{TenantID: "ten_acme", MemberID: m.ID, Name: pointer("Bertram"), Aliases: []string{"chef"}, Role: pointer(platform.MemberRoleAdmin)}
	if got, err := w.UpdateMember(ctx, in); err != nil || len(got.Aliases) != 1 || w.user(t, m.UserID).Name != "Bertram" {
		t.Errorf("got %+v, %v; want E-7 to refuse no more than it says", got, err)
	}
	in.Role = pointer(platform.MemberRoleMember)
	if _, err := w.UpdateMember(ctx, in); code(err) != platform.Conflict {
		t.Errorf("demoted themselves: %v", err)
	}
}

// clockwork is a mail server whose connections go on for so long.
type clockwork struct {
	longest time.Duration
	away    bool
}

func (c *clockwork) LongestConnection(context.Context) (time.Duration, error) {
	if c.away {
		return 0, platform.Errorf(platform.Unavailable, "The mail server does not answer.")
	}
	return c.longest, nil
}

func (*clockwork) MailUse(context.Context, []string) (map[string]platform.Use, error) {
	return nil, nil
}

func TestUntilWhenMailIsReadAfterAFreeze(t *testing.T) {
	t.Parallel()
	w := office(t)
	server := &clockwork{longest: 30 * time.Minute}
	w.asks(platform.Options{Mailboxes: server})
	admin := w.by(t, "admin")
	m, _ := w.hires(t, "bert")
	w.works(t, done)
	until := func() string {
		if at := w.member(t, m.ID).MailUntil; at != nil {
			return at.Sub(noon.Time).String()
		}
		return "never"
	}
	suspend := platform.SuspendMemberInput{TenantID: "ten_acme", MemberID: m.ID}
	if _, err := w.SuspendMember(admin, suspend); err != nil || until() != "30m0s" {
		t.Errorf("when it was said: %s, %v", until(), err)
	}
	w.clock.Advance(time.Minute)
	if w.works(t, done); until() != "31m0s" || w.step(t, m.ID, platform.IntegrationStalwart).OpenUntil == nil {
		t.Errorf("when it was done: %s", until())
	}
	w.clock.Advance(time.Hour)
	if w.wants(t, m.ID); until() != "31m0s" {
		t.Errorf("when it was looked after once more: %s", until())
	}
	if _, err := w.ResumeMember(admin, platform.ResumeMemberInput{TenantID: "ten_acme", MemberID: m.ID}); err != nil || until() != "never" {
		t.Errorf("resumed: %s, %v", until(), err)
	}
	if w.works(t, done); until() != "never" || w.step(t, m.ID, platform.IntegrationStalwart).OpenUntil != nil {
		t.Errorf("resumed and done: %s", until())
	}
	server.away = true
	if _, err := w.SuspendMember(admin, suspend); err != nil || until() != "never" {
		t.Errorf("a server that does not say holds nothing up: %s, %v", until(), err)
	}
	for _, s := range w.claim(t, m.ID) {
		w.report(t, s, done(s))
	}
	if step := w.step(t, m.ID, platform.IntegrationStalwart); step.State != platform.ProvisioningStateError || step.NextTry == nil {
		t.Errorf("but the step says that it is not known yet: %+v", step)
	}
	server.away = false
	w.clock.Advance(time.Minute)
	if w.works(t, done); until() == "never" {
		t.Error("and then it is")
	}
}
