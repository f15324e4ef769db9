package platform_test

import (
	"context"
	"strings"
	"testing"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

const (
	bertAt = "bert@acme.dezky.test"
	infoAt = "info@acme.dezky.test"
)

// except ends the attempts of one system badly, for ever.
func except(in platform.Integration, subject platform.ID) func(platform.Step) platform.StepResult {
	return func(s platform.Step) platform.StepResult {
		if s.Integration == in && s.Subject == subject {
			return platform.StepResult{Err: platform.Errorf(platform.Conflict, "No.").Never()}
		}
		return done(s)
	}
}

func (w *world) aliases(t testing.TB, m *platform.Member, names ...string) {
	t.Helper()
	in := platform.UpdateMemberInput{TenantID: m.TenantID, MemberID: m.ID, Aliases: append([]string{}, names...)}
	if _, err := w.UpdateMember(w.by(t, "operator"), in); err != nil {
		t.Fatal(err)
	}
}

func (w *world) retries(t testing.TB, m *platform.Member) {
	t.Helper()
	if _, err := w.ReconcileMember(w.by(t, "operator"), platform.ReconcileMemberInput{TenantID: m.TenantID, MemberID: m.ID}); err != nil {
		t.Fatal(err)
	}
	w.works(t, done)
}

func TestAnAliasIsFreeWhenTheMailServerHasLetGoOfIt(t *testing.T) {
	t.Parallel()
	w := office(t)
	bert, _ := w.hires(t, "bert")
	cara, _ := w.hires(t, "cara")
	w.aliases(t, bert, "info", "sales", "bert")
	if got := w.member(t, bert.ID).Aliases; len(got) != 2 || got[0] != infoAt {
		t.Errorf("got %v; want one's own address to be no alias", got)
	}
	w.works(t, done)
	wants := func() bool {
		_, err := w.UpdateMember(w.by(t, "operator"), platform.UpdateMemberInput{TenantID: "ten_acme", MemberID: cara.ID, Aliases: []string{"info"}})
		if err != nil && code(err) != platform.Conflict {
			t.Fatal(err)
		}
		return err == nil
	}
	w.aliases(t, bert, "sales")
	if wants() {
		t.Error("an alias is somebody else's before the mail server was told")
	}
	if w.works(t, except(platform.IntegrationStalwart, bert.ID)); wants() {
		t.Error("an alias is somebody else's though the mail server refused")
	}
	if w.retries(t, bert); !wants() || w.holder(t, infoAt) != cara.ID {
		t.Errorf("the alias is %q's after the mail server let go of it", w.holder(t, infoAt))
	}
	if w.works(t, done); w.holder(t, infoAt) != cara.ID || w.holder(t, "sales@acme.dezky.test") != bert.ID || w.holder(t, bertAt) != bert.ID {
		t.Error("addresses that are in use are free")
	}
}

func TestAnAddressIsFreeWhenBothHaveLetGoOfIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first platform.Integration
		of    func(*platform.Member) platform.ID
	}{
		"the mail server first":       {platform.IntegrationAuthentik, func(m *platform.Member) platform.ID { return m.UserID }},
		"the identity provider first": {platform.IntegrationStalwart, func(m *platform.Member) platform.ID { return m.ID }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := office(t)
			m, _ := w.hires(t, "bert")
			w.works(t, done)
			w.removes(t, m)
			if w.holder(t, bertAt) != m.ID {
				t.Error("free at once")
			}
			if w.works(t, except(test.first, test.of(m))); w.holder(t, bertAt) != m.ID {
				t.Error("free when one of them has not let go")
			}
			if _, _, err := w.CreateMember(w.by(t, "admin"), bert()); code(err) != platform.Conflict {
				t.Errorf("given to somebody else: %v", err)
			}
			if w.retries(t, m); w.holder(t, bertAt) != "" {
				t.Error("not free when both have")
			}
			if u := w.user(t, m.UserID); u.Subject != "" || u.Username != "" {
				t.Errorf("the account is gone, and the person is %+v", u)
			}
			next, _ := w.hires(t, "bert")
			w.works(t, done)
			restore := platform.RestoreMemberInput{TenantID: "ten_acme", MemberID: m.ID}
			if _, err := w.RestoreMember(w.by(t, "admin"), restore); code(err) != platform.Conflict {
				t.Errorf("restored, though somebody has the address: %v", err)
			}
			w.removes(t, next)
			w.works(t, done)
			if back, err := w.RestoreMember(w.by(t, "admin"), restore); err != nil || back.State != platform.MemberStateActive {
				t.Errorf("restored: %+v, %v", back, err)
			}
			if u := w.user(t, m.UserID); u.Username != bertAt || w.holder(t, bertAt) != m.ID {
				t.Errorf("restored as %+v, the address is %q's", u, w.holder(t, bertAt))
			}
			w.works(t, done)
			if got := w.presences(t, m.UserID, m.ID); got != expect(open, open) || w.user(t, m.UserID).Subject == "" {
				t.Errorf("restored: %s, %+v", got, w.user(t, m.UserID))
			}
		})
	}
}

func TestAnAddressOfADeletedGroupIsFreeAgain(t *testing.T) {
	t.Parallel()
	w := office(t)
	admin := w.by(t, "admin")
	in := platform.CreateGroupInput{TenantID: "ten_acme", Name: "Info", MailName: pointer("info")}
	g, err := w.CreateGroup(admin, in)
	if err != nil || g.Address != infoAt || w.holder(t, infoAt) != g.ID {
		t.Fatalf("got %+v, %v", g, err)
	}
	w.works(t, done)
	bert, _ := w.hires(t, "bert")
	takes := func() error {
		_, err := w.UpdateMember(admin, platform.UpdateMemberInput{TenantID: "ten_acme", MemberID: bert.ID, Aliases: []string{"info"}})
		return err
	}
	if code(takes()) != platform.Conflict {
		t.Error("a member has a group's address")
	}
	if _, err := w.DeleteGroup(admin, platform.DeleteGroupInput{TenantID: "ten_acme", GroupID: g.ID}); err != nil {
		t.Fatal(err)
	}
	if w.works(t, except(platform.IntegrationStalwart, g.ID)); w.holder(t, infoAt) != g.ID {
		t.Error("free though the mail server refused")
	}
	retry := platform.RetryOperationInput{TenantID: "ten_acme", SubjectID: g.ID, Integration: platform.IntegrationStalwart}
	if _, err := w.RetryOperation(admin, retry); err != nil {
		t.Fatal(err)
	}
	w.works(t, done)
	if err := takes(); err != nil || w.holder(t, infoAt) != bert.ID {
		t.Errorf("got %v; the address is %q's", err, w.holder(t, infoAt))
	}
}

func TestAddressesWhereThereIsNoMailServer(t *testing.T) {
	t.Parallel()
	w := office(t)
	m, _ := w.hires(t, "bert")
	nothing := func(platform.Integration) bool { return false }
	for range 2 {
		for _, id := range []platform.ID{m.ID, m.UserID} {
			if _, err := w.ClaimSteps(t.Context(), id, w.session, "", nothing); err != nil {
				t.Fatal(err)
			}
		}
		if w.member(t, m.ID).State == platform.MemberStateActive {
			w.removes(t, m)
		}
	}
	if got := w.holder(t, bertAt); got != "" {
		t.Errorf("the address is %q's, and there is nobody to let go of it", got)
	}
}

func TestRestoringAPersonWhoseAddressIsAnotherTenants(t *testing.T) {
	t.Parallel()
	w := office(t)
	m, _ := w.hires(t, "bert")
	other := w.member(t, w.joins(t, m.UserID, "ten_globex", platform.MemberRoleMember))
	w.works(t, done)
	w.removes(t, m)
	w.removes(t, other)
	w.works(t, done)
	restore := platform.RestoreMemberInput{TenantID: "ten_globex", MemberID: other.ID}
	if _, err := w.RestoreMember(w.by(t, "globex"), restore); code(err) != platform.Conflict {
		t.Errorf("got %v; want no account under an address that is acme's to give", err)
	}
	if _, err := w.RestoreMember(w.by(t, "admin"), platform.RestoreMemberInput{TenantID: "ten_acme", MemberID: m.ID}); err != nil {
		t.Error(err)
	}
	if _, err := w.RestoreMember(w.by(t, "globex"), restore); err != nil {
		t.Errorf("now that they have it again: %v", err)
	}
	if _, err := w.RestoreMember(w.by(t, "globex"), restore); code(err) != platform.Conflict {
		t.Errorf("restored twice: %v", err)
	}
}

func TestTheFirstSignInWithANewAccount(t *testing.T) {
	t.Parallel()
	w := office(t)
	m, _ := w.hires(t, "bert")
	is := platform.Identity{Subject: "uuid-bert", Username: "Bert@acme.dezky.test", Email: bertAt, Name: "Somebody", Groups: []string{"tenant-acme"}}
	before, err := w.store.CountUsers(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Me(w.as(t, is))
	if code(err) != platform.Unavailable || platform.RetryAfter(err) <= 0 {
		t.Errorf("before the account is known: %v", err)
	}
	for _, s := range w.claim(t, m.UserID) {
		w.report(t, s, platform.StepResult{Handle: "uuid-bert"})
	}
	me, err := w.Me(w.as(t, is))
	if err != nil || me.User.ID != m.UserID || me.User.Name != "bert" || len(me.Memberships) != 1 || me.Memberships[0].ID != m.ID {
		t.Errorf("afterwards: %+v, %v; want the person who was made, as the administrator named them", me, err)
	}
	if after, err := w.store.CountUsers(t.Context(), ""); err != nil || after != before {
		t.Errorf("%d people, %v; want %d", after, err, before)
	}
	if _, err := w.Me(w.as(t, platform.Identity{Subject: "uuid-other", Username: "other"})); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

func TestAnAccountThatWasRemovedAndMadeAnewIsLearned(t *testing.T) {
	t.Parallel()
	w := office(t)
	m, _ := w.hires(t, "bert")
	w.works(t, func(s platform.Step) platform.StepResult { return platform.StepResult{Handle: "first"} })
	w.removes(t, m)
	removal := w.claim(t, m.UserID)
	if _, err := w.RestoreMember(w.by(t, "admin"), platform.RestoreMemberInput{TenantID: "ten_acme", MemberID: m.ID}); err != nil {
		t.Fatal(err)
	}
	for _, s := range removal { // the account is gone, and wanted again
		w.report(t, s, platform.StepResult{})
	}
	if u := w.user(t, m.UserID); u.Username != bertAt {
		t.Errorf("a removal that nobody wants any more took the name: %+v", u)
	}
	w.works(t, func(s platform.Step) platform.StepResult { return platform.StepResult{Handle: "second"} })
	if got := w.user(t, m.UserID).Subject; got != "second" {
		t.Errorf("the subject is %q, and the next sign-in would make a second person", got)
	}
}

func TestASubjectThatIsSomebodyElsesStaysTheirs(t *testing.T) {
	t.Parallel()
	w := office(t)
	m, _ := w.hires(t, "bert")
	// A token that does not say the username was quicker than the report.
	if _, err := w.Me(w.as(t, platform.Identity{Subject: "uuid-bert"})); err != nil {
		t.Fatal(err)
	}
	for _, s := range w.claim(t, m.UserID) {
		w.report(t, s, platform.StepResult{Handle: "uuid-bert"})
	}
	if u := w.user(t, m.UserID); u.Subject != "" || u.Sealed != "" {
		t.Errorf("the person is %+v", u)
	}
	if step := w.step(t, m.UserID, platform.IntegrationAuthentik); step.State != platform.ProvisioningStateOK {
		t.Errorf("the report is lost: %+v", step)
	}
}

func TestTheSameAddressTwiceAtOnce(t *testing.T) {
	t.Parallel()
	w := officeOn(t, func(e store.Engine) store.Engine { return twice{e} })
	w.seats(t, "ten_acme", 100)
	ctx := w.by(t, "admin")
	ends := atOnce(20, func(i int) error {
		if i%2 == 0 {
			_, err := w.CreateGroup(context.WithoutCancel(ctx), platform.CreateGroupInput{
				TenantID: "ten_acme", Name: strings.Repeat("g", i+1), MailName: pointer("bert"),
			})
			return err
		}
		_, _, err := w.CreateMember(ctx, bert())
		return err
	})
	if ends[""] != 1 || ends[platform.Conflict] != 19 {
		t.Errorf("got %v, want one who has it", ends)
	}
}
