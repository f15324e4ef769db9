package platform_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

type newcomer = platform.CreateMemberInput

func bert() newcomer { return newcomer{TenantID: "ten_acme", Name: "Bert", MailName: "Bert"} }

func TestAOneTimePasswordIsShownOnceAndKeptSealed(t *testing.T) {
	t.Parallel()
	w := office(t)
	ctx := w.by(t, "admin")
	in := bert()
	in.IdempotencyKey = pointer("k1")
	first, err := platform.MutateSecret(ctx, w.Platform, in, w.CreateMember)
	if err != nil || first.Secret == nil || len(first.UserErrors) > 0 {
		t.Fatalf("got %+v, %v", first, err)
	}
	password, m := *first.Secret, first.Object
	u := w.user(t, m.UserID)
	want := platform.Member{
		Document: platform.Document{ID: m.ID, Version: 1}, TenantID: "ten_acme", UserID: u.ID, Role: platform.MemberRoleMember,
		State: platform.MemberStateActive, Source: platform.MemberSourceMutation, JoinedAt: noon, Address: "bert@acme.dezky.test", Sealed: m.Sealed,
	}
	if diff := cmp.Diff(want, *m); diff != "" {
		t.Errorf("(- expected, + found):\n%s", diff)
	}
	if !u.Ours || u.Subject != "" || u.Username != m.Address || u.Email != m.Address {
		t.Errorf("the person is %+v", u)
	}
	for _, sealed := range []platform.Sealed{m.Sealed, u.Sealed} {
		if sealed == "" || strings.Contains(string(sealed), password) {
			t.Errorf("the seal is %q", sealed)
		}
	}
	for _, id := range []platform.ID{m.ID, u.ID} {
		s := w.claim(t, id)[0]
		sealed := s.Want.Person
		if got := fmt.Sprintf("%v %+v", s.Want, sealed); strings.Contains(got, password) {
			t.Errorf("a step that is printed shows the password: %s", got)
		}
	}

	again, err := platform.MutateSecret(ctx, w.Platform, in, w.CreateMember)
	if err != nil || again.Secret != nil || again.Object.ID != m.ID || len(again.UserErrors) != 1 ||
		again.UserErrors[0].Code != platform.UserErrorCodeAlreadyShown {
		t.Errorf("the same again: %+v, %v; want the member and ALREADY_SHOWN", again, err)
	}
	in.Name = "Berta"
	other, err := platform.MutateSecret(ctx, w.Platform, in, w.CreateMember)
	if err != nil || other.Secret != nil || other.Object != nil || len(other.UserErrors) != 1 || other.UserErrors[0].Code != platform.UserErrorCodeConflict {
		t.Errorf("something else with the key: %+v, %v; want CONFLICT", other, err)
	}
	in = bert()
	taken, err := platform.MutateSecret(ctx, w.Platform, in, w.CreateMember)
	if err != nil || taken.Secret != nil || len(taken.UserErrors) != 1 || *taken.UserErrors[0].Field != "mailName" {
		t.Errorf("without the key: %+v, %v; want the address to be taken", taken, err)
	}

	log := w.telling(t, "ten_acme", "")
	if strings.Contains(log, password) || strings.Contains(log, string(m.Sealed)) || strings.Contains(log, string(u.Sealed)) ||
		!strings.Contains(log, `"sealed"`) {
		t.Errorf("the log says that there was one, and no more: %s", log)
	}
}

func TestAPasswordIsWipedWhereItsSystemHasIt(t *testing.T) {
	t.Parallel()
	w := office(t)
	m, password := w.hires(t, "bert")
	sealed := func() string { return fmt.Sprint(w.user(t, m.UserID).Sealed != "", w.member(t, m.ID).Sealed != "") }
	person, own := w.claim(t, m.UserID), w.claim(t, m.ID)
	for _, s := range person {
		if s.Want.Person.Password.Reveal() != password {
			t.Errorf("%s of the person does not get the password", s.Integration)
		}
	}
	for _, s := range own {
		if s.Want.Member.Mailbox.Password.Reveal() != password {
			t.Errorf("%s of the member does not get the password", s.Integration)
		}
	}
	away := platform.StepResult{Err: platform.Errorf(platform.Unavailable, "Away.")}
	by := func(steps []platform.Step, in platform.Integration) platform.Step {
		t.Helper()
		for _, s := range steps {
			if s.Integration == in {
				return s
			}
		}
		t.Fatalf("%s is not due", in)
		return platform.Step{}
	}
	for _, report := range []struct {
		step platform.Step
		end  platform.StepResult
		want string
	}{
		{by(person, platform.IntegrationOCIS), platform.StepResult{}, "true true"}, // it takes no password
		{by(person, platform.IntegrationAuthentik), away, "true true"},
		{by(own, platform.IntegrationAuthentik), platform.StepResult{}, "true true"},
		{by(own, platform.IntegrationStalwart), away, "true true"},
	} {
		if w.report(t, report.step, report.end); sealed() != report.want {
			t.Errorf("after %s of %s: sealed %s, want %s", report.step.Integration, report.step.Subject, sealed(), report.want)
		}
	}
	w.clock.Advance(time.Minute)
	person, own = w.claim(t, m.UserID), w.claim(t, m.ID)
	if w.report(t, by(person, platform.IntegrationAuthentik), platform.StepResult{Handle: "uuid-bert"}); sealed() != "false true" {
		t.Errorf("Authentik has it: sealed %s, want the mailbox's alone", sealed())
	}
	if w.report(t, by(own, platform.IntegrationStalwart), platform.StepResult{Handle: "a"}); sealed() != "false false" {
		t.Errorf("the mail server has it: sealed %s, want none", sealed())
	}
	if got := w.user(t, m.UserID).Subject; got != "uuid-bert" {
		t.Errorf("the subject is %q, want the handle", got)
	}
}

func TestAnAttemptFromBeforeAResetWipesNothing(t *testing.T) {
	t.Parallel()
	w := office(t)
	m, _ := w.hires(t, "bert")
	early := append(w.claim(t, m.UserID), w.claim(t, m.ID)...)
	_, second, err := w.ResetMemberPassword(w.by(t, "admin"), platform.ResetMemberPasswordInput{TenantID: "ten_acme", MemberID: m.ID})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range early {
		w.report(t, s, done(s))
	}
	if w.user(t, m.UserID).Sealed == "" || w.member(t, m.ID).Sealed == "" {
		t.Error("a report of an attempt that had the first password wiped the second")
	}
	for _, id := range []platform.ID{m.UserID, m.ID} {
		for _, s := range w.claim(t, id) {
			got := platform.Secret{}
			if s.Want.Person != nil {
				got = s.Want.Person.Password
			} else {
				got = s.Want.Member.Mailbox.Password
			}
			if got.Reveal() != second.Reveal() {
				t.Errorf("%s of %s does not get the second password", s.Integration, s.Subject)
			}
			w.report(t, s, done(s))
		}
	}
	if w.user(t, m.UserID).Sealed != "" || w.member(t, m.ID).Sealed != "" {
		t.Error("the second password is still kept")
	}
}

func TestASystemThatIsNotUsedHereKeepsNoPassword(t *testing.T) {
	t.Parallel()
	w := office(t)
	m, _ := w.hires(t, "bert")
	for _, id := range []platform.ID{m.UserID, m.ID} {
		steps, err := w.ClaimSteps(t.Context(), id, w.session, "", func(platform.Integration) bool { return false })
		if err != nil || len(steps) > 0 {
			t.Fatalf("%s: %v, %v", id, steps, err)
		}
	}
	if w.user(t, m.UserID).Sealed != "" || w.member(t, m.ID).Sealed != "" {
		t.Error("nobody waits for the password, and it is kept")
	}
}

func TestAWrongKeyStopsWhatItSealed(t *testing.T) {
	t.Parallel()
	w := office(t)
	m, _ := w.hires(t, "bert")
	right := w.Platform
	w.asks(platform.Options{SealKey: platform.NewSecret("another")})
	for _, id := range []platform.ID{m.UserID, m.ID} {
		if steps := w.claim(t, id); len(steps) > 0 {
			t.Errorf("%s: %d steps begin without their password", id, len(steps))
		}
		status, err := w.ProvisioningOf(t.Context(), id)
		if err != nil || status.Status != platform.ProvisioningStateError {
			t.Errorf("%s: %+v, %v", id, status, err)
		}
		for _, s := range status.Steps {
			if s.NextTry != nil || s.Cause == "" {
				t.Errorf("%s: %+v; want an error that does not pass", id, s)
			}
		}
		if due, err := w.store.DueProvisionings(t.Context(), "", platform.At(w.clock.Now()), 10); err != nil || len(due) > 1 {
			t.Errorf("still due: %v, %v", due, err)
		}
	}
	w.Platform = right
	retry := platform.RetryOperationInput{TenantID: "ten_acme", SubjectID: m.ID, Integration: platform.IntegrationStalwart}
	if _, err := w.RetryOperation(w.by(t, "admin"), retry); err != nil {
		t.Error(err)
	}
	if steps := w.claim(t, m.ID); len(steps) != 1 || steps[0].Want.Member.Mailbox.Password.IsZero() {
		t.Errorf("with the right key: %v", steps)
	}
}

func TestALostAnswerStillShowsThePassword(t *testing.T) {
	t.Parallel()
	var lose atomic.Int32
	w := officeOn(t, func(e store.Engine) store.Engine { return forgetful{e, &lose} })
	ctx := w.by(t, "admin")
	lose.Store(1)
	got, err := platform.MutateSecret(ctx, w.Platform, bert(), w.CreateMember)
	if err != nil || got.Secret == nil || got.Object == nil || got.Object.Address != "bert@acme.dezky.test" {
		t.Fatalf("got %+v, %v; want the member and the password: nobody can be shown it later", got, err)
	}
	s := w.claim(t, got.Object.ID)[0]
	if s.Want.Member.Mailbox.Password.Reveal() != *got.Secret {
		t.Error("the password that was shown is not the one that was sealed")
	}
}

func TestWhatANewMemberIsRefusedFor(t *testing.T) {
	t.Parallel()
	w := office(t)
	change := func(f func(*newcomer)) newcomer { in := bert(); f(&in); return in }
	for name, test := range map[string]struct {
		in     newcomer
		field  string
		reason string
	}{
		"no name":            {change(func(in *newcomer) { in.Name = " " }), "name", "somebody is somebody"},
		"no mail name":       {change(func(in *newcomer) { in.MailName = "" }), "mailName", "they sign in with it"},
		"digit first":        {change(func(in *newcomer) { in.MailName = "1bert" }), "mailName", "the file server wants a letter"},
		"two dots":           {change(func(in *newcomer) { in.MailName = "b..t" }), "mailName", "no mail server takes it"},
		"an @":               {change(func(in *newcomer) { in.MailName = "bert@acme.test" }), "mailName", "the domain is the tenant's"},
		"reserved":           {change(func(in *newcomer) { in.MailName = "Postmaster" }), "mailName", "RFC 2142"},
		"too long":           {change(func(in *newcomer) { in.MailName = strings.Repeat("b", 65) }), "mailName", "RFC 5321"},
		"no role":            {change(func(in *newcomer) { in.Role = pointer(platform.MemberRole("BOSS")) }), "role", "there are two"},
		"bad alias":          {change(func(in *newcomer) { in.Aliases = []string{"ok", "not ok"} }), "aliases", "each is a mail name"},
		"reserved alias":     {change(func(in *newcomer) { in.Aliases = []string{"abuse"} }), "aliases", "RFC 2142"},
		"too many aliases":   {change(func(in *newcomer) { in.Aliases = make([]string, 21) }), "aliases", "bounded"},
		"negative quota":     {change(func(in *newcomer) { in.MailQuotaMiB = pointer(int32(-1)) }), "mailQuotaMiB", "0 is none"},
		"more than there is": {change(func(in *newcomer) { in.MailQuotaMiB = pointer(int32(1<<30 + 1)) }), "mailQuotaMiB", "bounded"},
	} {
		got, err := platform.MutateSecret(w.by(t, "admin"), w.Platform, test.in, w.CreateMember)
		if err != nil || got.Secret != nil || len(got.UserErrors) != 1 || *got.UserErrors[0].Field != test.field {
			t.Errorf("%s: got %+v, %v, want something to mend in %s (%s)", name, got, err, test.field, test.reason)
		}
	}
	for _, status := range []platform.TenantStatus{platform.TenantStatusSuspended, platform.TenantStatusDeleting, platform.TenantStatusDeleted} {
		w.turns(t, "ten_acme", status)
		if _, _, err := w.CreateMember(w.by(t, "operator"), bert()); code(err) != platform.Conflict {
			t.Errorf("a tenant that is %s takes a member: %v", status, err)
		}
	}
	homeless := worldOn(t, w.store)
	homeless.Platform = platform.New(platform.Options{
		Store: w.store, Clock: w.clock, NewID: platform.NewID, Session: func() platform.ID { return w.session }, SealKey: platform.NewSecret("for tests"),
	})
	homeless.turns(t, "ten_acme", platform.TenantStatusActive)
	if _, _, err := homeless.CreateMember(w.by(t, "admin"), bert()); code(err) != platform.Conflict {
		t.Errorf("a tenant without a domain: got %v", err)
	}
}

func TestTheLastSeatIsTakenOnce(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(store.Engine) store.Engine{
		"as it is":                   func(e store.Engine) store.Engine { return e },
		"every change is made again": func(e store.Engine) store.Engine { return twice{e} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := officeOn(t, wrap)
			w.seats(t, "ten_acme", 3) // two are taken
			ctx := w.by(t, "admin")
			ends := atOnce(50, func(i int) error {
				_, _, err := w.CreateMember(ctx, newcomer{TenantID: "ten_acme", Name: "N", MailName: fmt.Sprint("n", i)})
				return err
			})
			if diff := cmp.Diff(map[platform.Code]int{"": 1, platform.Conflict: 49}, ends); diff != "" {
				t.Errorf("(- expected, + found):\n%s", diff)
			}
			w.full(t, "ten_acme", 3)
		})
	}
}

// full says that a tenant has as many active members as seats.
func (w *world) full(t testing.TB, tenant platform.ID, want int) {
	t.Helper()
	counts, err := w.store.CountMembersOf(t.Context(), []platform.ID{tenant})
	if err != nil || counts[tenant] != want {
		t.Errorf("%s has %d active members, %v; want %d", tenant, counts[tenant], err, want)
	}
}

func TestEveryWayToASeatMeetsTheOthers(t *testing.T) {
	t.Parallel()
	w := office(t)
	w.seats(t, "ten_acme", 20)
	admin := w.by(t, "admin")
	suspended, _ := w.hires(t, "sue")
	removed, _ := w.hires(t, "rob")
	if _, err := w.SuspendMember(admin, platform.SuspendMemberInput{TenantID: "ten_acme", MemberID: suspended.ID}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.RemoveMember(admin, platform.RemoveMemberInput{TenantID: "ten_acme", MemberID: removed.ID}); err != nil {
		t.Fatal(err)
	}
	w.works(t, done)
	_, invited, err := w.InviteMember(admin, platform.InviteMemberInput{TenantID: "ten_acme", Email: "globex@acme.test"})
	if err != nil {
		t.Fatal(err)
	}
	begun, err := w.BulkCreateMembers(admin, platform.BulkCreateMembersInput{TenantID: "ten_acme", Rows: []*platform.MemberRowInput{{Name: "I", MailName: "ida"}}})
	if err != nil {
		t.Fatal(err)
	}
	batch := w.claim(t, begun.Object.ID)[0]
	globex := w.by(t, "globex")
	w.seats(t, "ten_acme", 3) // two are taken
	ways := []func() error{
		func() error { _, _, err := w.CreateMember(admin, bert()); return err },
		func() error {
			_, err := w.AcceptInvitation(globex, platform.AcceptInvitationInput{Code: invited.Reveal()})
			return err
		},
		func() error {
			_, err := w.ResumeMember(admin, platform.ResumeMemberInput{TenantID: "ten_acme", MemberID: suspended.ID})
			return err
		},
		func() error {
			_, err := w.RestoreMember(admin, platform.RestoreMemberInput{TenantID: "ten_acme", MemberID: removed.ID})
			return err
		},
		func() error {
			_, err := w.Roster().Apply(context.WithoutCancel(t.Context()), batch)
			rows, _ := w.RowsOfImports(t.Context(), []platform.ID{begun.Object.ID})
			if err == nil && rows[begun.Object.ID][0].State == platform.ImportRowStateFailed {
				return platform.Errorf(platform.Conflict, "%s", rows[begun.Object.ID][0].Message)
			}
			return err
		},
	}
	ends := atOnce(len(ways), func(i int) error { return ways[i]() })
	if diff := cmp.Diff(map[platform.Code]int{"": 1, platform.Conflict: len(ways) - 1}, ends); diff != "" {
		t.Errorf("(- expected, + found):\n%s", diff)
	}
	w.full(t, "ten_acme", 3)
}

// rewrites is an engine that remembers which documents a transaction replaced.
type rewrites struct {
	store.Engine
	ids *[]platform.ID
}

func (e rewrites) Tx(ctx context.Context, do func(store.Tx) error) error {
	return e.Engine.Tx(ctx, func(tx store.Tx) error { *e.ids = nil; return do(rewritten{tx, e.ids}) })
}

type rewritten struct {
	store.Tx
	ids *[]platform.ID
}

func (tx rewritten) Replace(ctx context.Context, coll string, d store.Doc) error {
	*tx.ids = append(*tx.ids, d.ID)
	return tx.Tx.Replace(ctx, coll, d)
}

// Where a transaction sees a snapshot, two that count and then add see each other
// only in a document that both replace.
func TestWhoCountsReplacesTheTenant(t *testing.T) {
	t.Parallel()
	var ids []platform.ID
	w := officeOn(t, func(e store.Engine) store.Engine { return rewrites{e, &ids} })
	w.seats(t, "ten_acme", 100)
	admin, globex := w.by(t, "admin"), w.by(t, "globex")
	m, _ := w.hires(t, "cara")
	_, secret := w.invites(t, "a@x.test", isMember)
	begun := w.imports(t, people(1))
	chunk := w.claim(t, begun.Object.ID)[0]
	var made *platform.Group
	for _, test := range []struct {
		name string
		do   func() error
	}{
		{"create", func() error { _, _, err := w.CreateMember(admin, bert()); return err }},
		{"demote", func() error {
			_, err := w.UpdateMember(admin, platform.UpdateMemberInput{TenantID: "ten_acme", MemberID: m.ID, Role: pointer(isMember)})
			return err
		}},
		{"suspend", func() error {
			_, err := w.SuspendMember(admin, platform.SuspendMemberInput{TenantID: "ten_acme", MemberID: m.ID})
			return err
		}},
		{"resume", func() error {
			_, err := w.ResumeMember(admin, platform.ResumeMemberInput{TenantID: "ten_acme", MemberID: m.ID})
			return err
		}},
		{"remove", func() error {
			_, err := w.RemoveMember(admin, platform.RemoveMemberInput{TenantID: "ten_acme", MemberID: m.ID})
			return err
		}},
		{"restore", func() error {
			_, err := w.RestoreMember(admin, platform.RestoreMemberInput{TenantID: "ten_acme", MemberID: m.ID})
			return err
		}},
		{"invite", func() error {
			_, _, err := w.InviteMember(admin, platform.InviteMemberInput{TenantID: "ten_acme", Email: "b@x.test"})
			return err
		}},
		{"accept", func() error {
			_, err := w.AcceptInvitation(globex, platform.AcceptInvitationInput{Code: secret})
			return err
		}},
		{"create a group", func() (err error) {
			made, err = w.CreateGroup(admin, platform.CreateGroupInput{TenantID: "ten_acme", Name: "G"})
			return err
		}},
		{"put into a group", func() error {
			_, err := w.UpdateGroup(admin, platform.UpdateGroupInput{TenantID: "ten_acme", GroupID: made.ID, AddMemberIds: []platform.ID{m.ID}})
			return err
		}},
	} {
		if err := test.do(); err != nil || !slices.Contains(ids, "ten_acme") {
			t.Errorf("%s: %v, replaced %v", test.name, err, ids)
		}
	}
	tenant := func() int64 {
		found, err := w.store.Tenant(t.Context(), "ten_acme")
		if err != nil {
			t.Fatal(err)
		}
		return found.Version
	}
	before := tenant()
	if _, err := w.Roster().Apply(t.Context(), chunk); err != nil || tenant() != before+1 {
		t.Errorf("import: %v; the tenant went from version %d to %d", err, before, tenant())
	}
}

func TestASuspensionFreesASeat(t *testing.T) {
	t.Parallel()
	w := office(t)
	admin := w.by(t, "admin")
	bert, _ := w.hires(t, "bert")
	w.seats(t, "ten_acme", 3)
	if _, _, err := w.CreateMember(admin, newcomer{TenantID: "ten_acme", Name: "C", MailName: "cara"}); code(err) != platform.Conflict {
		t.Fatalf("got %v, want no seat", err)
	}
	if _, err := w.SuspendMember(admin, platform.SuspendMemberInput{TenantID: "ten_acme", MemberID: bert.ID}); err != nil {
		t.Fatal(err)
	}
	cara, _ := w.hires(t, "cara")
	resume := platform.ResumeMemberInput{TenantID: "ten_acme", MemberID: bert.ID}
	if _, err := w.ResumeMember(admin, resume); code(err) != platform.Conflict {
		t.Errorf("resumed without a seat: %v", err)
	}
	if _, err := w.RemoveMember(admin, platform.RemoveMemberInput{TenantID: "ten_acme", MemberID: cara.ID}); err != nil {
		t.Fatal(err)
	}
	if m, err := w.ResumeMember(admin, resume); err != nil || m.State != platform.MemberStateActive {
		t.Errorf("with a seat: %+v, %v", m, err)
	}
	if _, err := w.ResumeMember(admin, resume); code(err) != platform.Conflict {
		t.Errorf("resumed twice: %v", err)
	}
	if _, err := w.RestoreMember(admin, platform.RestoreMemberInput{TenantID: "ten_acme", MemberID: cara.ID}); code(err) != platform.Conflict {
		t.Errorf("restored without a seat: %v", err)
	}
}
