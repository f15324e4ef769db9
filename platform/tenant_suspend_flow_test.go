package platform_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

const (
	shut = platform.PresenceSuspended
	open = platform.PresenceActive
	gone = platform.PresenceGone
)

// presences are what a person, and their memberships, want now.
func (w *world) presences(t testing.TB, user platform.ID, members ...platform.ID) string {
	t.Helper()
	parts := []string{string(w.wants(t, user).Person.Presence)}
	for _, m := range members {
		parts = append(parts, string(w.wants(t, m).Member.Presence))
	}
	return strings.Join(parts, " ")
}

func expect(parts ...platform.Presence) string {
	return strings.Trim(fmt.Sprint(parts), "[]")
}

func TestAPersonInTwoTenants(t *testing.T) {
	t.Parallel()
	w := office(t)
	m, _ := w.hires(t, "bert")
	other := w.joins(t, m.UserID, "ten_globex", platform.MemberRoleMember)
	w.works(t, done)
	suspend := func(tenant, member platform.ID) {
		t.Helper()
		if _, err := w.SuspendMember(w.by(t, "operator"), platform.SuspendMemberInput{TenantID: tenant, MemberID: member}); err != nil {
			t.Fatal(err)
		}
	}
	now := func() string { return w.presences(t, m.UserID, m.ID, other) }
	if got := now(); got != expect(open, open, open) {
		t.Errorf("at first: %s", got)
	}
	suspend("ten_acme", m.ID)
	if got := now(); got != expect(open, shut, open) {
		t.Errorf("suspended in one: %s", got)
	}
	suspend("ten_globex", other)
	if got := now(); got != expect(shut, shut, shut) {
		t.Errorf("suspended in both: %s", got)
	}
	if _, err := w.RemoveMember(w.by(t, "operator"), platform.RemoveMemberInput{TenantID: "ten_acme", MemberID: m.ID}); err != nil {
		t.Fatal(err)
	}
	if got := now(); got != expect(shut, gone, shut) {
		t.Errorf("removed from one: %s", got)
	}
	if got := w.holder(t, "bert@acme.dezky.test"); got != m.ID {
		t.Errorf("the address is %q's, and it is what the person signs in with to the other tenant", got)
	}
	if _, err := w.ResumeMember(w.by(t, "operator"), platform.ResumeMemberInput{TenantID: "ten_globex", MemberID: other}); err != nil {
		t.Fatal(err)
	}
	if got := now(); got != expect(open, gone, open) {
		t.Errorf("resumed in the other: %s", got)
	}
	if _, err := w.RemoveMember(w.by(t, "operator"), platform.RemoveMemberInput{TenantID: "ten_globex", MemberID: other}); err != nil {
		t.Fatal(err)
	}
	if got := now(); got != expect(gone, gone, gone) || w.holder(t, "bert@acme.dezky.test") != "" {
		t.Errorf("removed from both: %s, the address is %q's", got, w.holder(t, "bert@acme.dezky.test"))
	}
}

func TestATenantsSuspensionIsUndoneExactly(t *testing.T) {
	t.Parallel()
	w := office(t)
	operator := w.by(t, "operator")
	bert, _ := w.hires(t, "bert")
	cara, _ := w.hires(t, "cara")
	both := w.joins(t, cara.UserID, "ten_globex", platform.MemberRoleMember)
	if _, err := w.SuspendMember(operator, platform.SuspendMemberInput{TenantID: "ten_acme", MemberID: bert.ID}); err != nil {
		t.Fatal(err)
	}
	g, err := w.CreateGroup(operator, platform.CreateGroupInput{TenantID: "ten_acme", Name: "All", MemberIds: []platform.ID{cara.ID, bert.ID}})
	if err != nil {
		t.Fatal(err)
	}
	w.works(t, done)
	before := w.generations(t, bert.ID, cara.ID, both, "mem_member", bert.UserID, cara.UserID, "usr_member", g.ID)
	subjects := []platform.ID{bert.ID, cara.ID, both, "mem_member", bert.UserID, cara.UserID, "usr_member", g.ID}

	if tenant, err := w.SuspendTenant(operator, platform.SuspendTenantInput{TenantID: "ten_acme"}); err != nil || tenant.Status != platform.TenantStatusSuspended {
		t.Fatalf("got %+v, %v", tenant, err)
	}
	if got := w.raised(t, before, subjects...); got != "" {
		t.Errorf("raised in the mutation: %s; want it passed on by the step", got)
	}
	w.works(t, done)
	if got := w.raised(t, before, subjects...); strings.Contains(got, string(both)) || strings.Count(got, " ") != len(subjects)-2 {
		t.Errorf("raised: %s; want all but what globex has", got)
	}
	for id, want := range map[platform.ID]platform.MemberState{
		bert.ID: platform.MemberStateSuspended, cara.ID: platform.MemberStateActive, "mem_member": platform.MemberStateActive,
	} {
		if got := w.member(t, id).State; got != want {
			t.Errorf("%s is %s, want %s: a suspension of the tenant leaves states alone", id, got, want)
		}
	}
	if got := w.presences(t, cara.UserID, cara.ID, both); got != expect(open, shut, open) {
		t.Errorf("in two tenants: %s", got)
	}
	if got := w.presences(t, "usr_member", "mem_member"); got != expect(shut, shut) {
		t.Errorf("in this one alone: %s", got)
	}
	if got := w.wants(t, g.ID).Group.Members; len(got) != 0 {
		t.Errorf("the group wants %v while the tenant is shut", got)
	}
	if step := w.step(t, "ten_acme", platform.IntegrationMembers); step.State != platform.ProvisioningStateOK || step.Done != step.Total || step.Done != 4 {
		t.Errorf("the step is %+v", step)
	}
	if _, err := w.SuspendTenant(operator, platform.SuspendTenantInput{TenantID: "ten_acme"}); code(err) != platform.Conflict {
		t.Errorf("suspended twice: %v", err)
	}
	again := w.generations(t, subjects...)
	if _, err := w.ReconcileTenant(operator, platform.ReconcileTenantInput{TenantID: "ten_acme"}); err != nil {
		t.Fatal(err)
	}
	if w.works(t, done); w.raised(t, again, subjects...) != "" {
		t.Errorf("passed on twice: %s", w.raised(t, again, subjects...))
	}

	if _, err := w.ResumeTenant(operator, platform.ResumeTenantInput{TenantID: "ten_acme"}); err != nil {
		t.Fatal(err)
	}
	w.works(t, done)
	if got := w.presences(t, bert.UserID, bert.ID); got != expect(shut, shut) {
		t.Errorf("who was suspended one by one: %s", got)
	}
	if got := w.presences(t, "usr_member", "mem_member"); got != expect(open, open) {
		t.Errorf("everybody else: %s", got)
	}
	if got := w.wants(t, g.ID).Group.Members; len(got) != 1 || got[0].ID != cara.UserID {
		t.Errorf("the group wants %v, want who is active", got)
	}
	if _, err := w.ResumeTenant(operator, platform.ResumeTenantInput{TenantID: "ten_acme"}); code(err) != platform.Conflict {
		t.Errorf("resumed twice: %v", err)
	}
}

// crowd puts n members into globex, of whom nothing else is known.
func (w *world) crowd(t testing.TB, n int) (members []platform.ID) {
	t.Helper()
	w.seats(t, "ten_globex", 1000)
	w.puts(t, func(ctx context.Context, out platform.Writer) error {
		members = nil
		for i := range n {
			u := &platform.User{Document: platform.Document{ID: platform.ID(fmt.Sprintf("usr_%04d", i))}, Subject: fmt.Sprint("crowd", i), CreatedAt: noon}
			m := &platform.Member{
				Document: platform.Document{ID: platform.ID(fmt.Sprintf("mem_%04d", i))}, TenantID: "ten_globex", UserID: u.ID,
				Role: platform.MemberRoleMember, State: platform.MemberStateActive, Source: platform.MemberSourceMutation, JoinedAt: noon,
			}
			if err := errors.Join(out.PutUser(ctx, u), out.PutMember(ctx, m)); err != nil {
				return err
			}
			members = append(members, m.ID)
		}
		return nil
	})
	w.works(t, done)
	return members
}

// flaky is an engine whose transactions fail from the nth on, until it is mended.
type flaky struct {
	store.Engine
	left *int
}

func (e flaky) Tx(ctx context.Context, do func(store.Tx) error) error {
	if *e.left == 0 {
		return platform.Errorf(platform.Unavailable, "The database does not answer.")
	}
	*e.left--
	return e.Engine.Tx(ctx, do)
}

func TestASuspensionGoesOnWhereItWasCutOff(t *testing.T) {
	t.Parallel()
	left := -1
	w := officeOn(t, func(e store.Engine) store.Engine { return flaky{e, &left} })
	members := w.crowd(t, 250) // and the administrator
	before := w.generations(t, members...)
	if _, err := w.SuspendTenant(w.by(t, "operator"), platform.SuspendTenantInput{TenantID: "ten_globex"}); err != nil {
		t.Fatal(err)
	}
	passing := func(steps []platform.Step) platform.Step {
		t.Helper()
		for _, s := range steps {
			if s.Integration == platform.IntegrationMembers {
				return s
			}
			w.report(t, s, done(s))
		}
		t.Fatal("nothing is to be passed on")
		return platform.Step{}
	}
	first := passing(w.claim(t, "ten_globex"))
	left = 2
	if _, err := w.Roster().Apply(t.Context(), first); code(err) != platform.Unavailable {
		t.Fatalf("got %v", err)
	}
	left = -1
	if got := strings.Count(w.raised(t, before, members...), "mem_"); got != 200 {
		t.Errorf("%d members were told before the cut, want two batches", got)
	}
	if step := w.step(t, "ten_globex", platform.IntegrationMembers); step.Done != 200 {
		t.Errorf("the step has come to %d of %d", step.Done, step.Total)
	}
	half := w.generations(t, members...)

	// Another process takes the tenant over. What the first still does is nothing.
	dead := w.session
	w.session = platform.NewID(platform.KindSession)
	steps, err := w.ClaimSteps(t.Context(), "ten_globex", w.session, dead, everything)
	if err != nil {
		t.Fatal(err)
	}
	second := passing(steps)
	zombie := platform.New(platform.Options{Store: w.store, Clock: w.clock, NewID: platform.NewID, Session: func() platform.ID { return dead }})
	if _, err := zombie.Roster().Apply(t.Context(), first); code(err) != platform.Unavailable {
		t.Errorf("the zombie: got %v, want it to be told that it is one", err)
	}
	if got := w.raised(t, half, members...); got != "" {
		t.Errorf("the zombie told %s", got)
	}
	if _, err := w.Roster().Apply(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	w.report(t, second, platform.StepResult{})
	for id, generation := range w.generations(t, members...) {
		if generation != before[id]+1 {
			t.Errorf("%s was told %d times", id, generation-before[id])
		}
	}
	if step := w.step(t, "ten_globex", platform.IntegrationMembers); step.Done != 251 || step.Total != 251 || step.State != platform.ProvisioningStateOK {
		t.Errorf("the step is %+v", step)
	}

	// The look after a takeover is no attempt, and passes nothing on.
	w.works(t, done)
	w.clock.Advance(time.Minute)
	told := w.generations(t, members...)
	sequence := func() int32 {
		doc, err := w.store.Provisioning(t.Context(), "ten_globex")
		if err != nil {
			t.Fatal(err)
		}
		return doc.Sequence
	}
	was := sequence()
	w.works(t, done)
	if got := w.raised(t, told, members...); got != "" || sequence() != was {
		t.Errorf("the look told %q, and made %d events", got, sequence()-was)
	}
	if doc, err := w.store.Provisioning(t.Context(), "ten_globex"); err != nil || doc.DueAt != nil {
		t.Errorf("it is due again at %v, %v", doc.DueAt, err)
	}
}

func TestAZombieTellsNoGroup(t *testing.T) {
	t.Parallel()
	w := office(t)
	made, err := w.groups(t, "globex", "G")
	if err != nil {
		t.Fatal(err)
	}
	w.edits(t, w.member(t, "mem_globex"), func(m *platform.Member, _ *platform.User) { m.State = platform.MemberStateRevoked })
	w.works(t, done)
	before := w.generations(t, made.Object.ID)
	if _, err := w.SuspendTenant(w.by(t, "operator"), platform.SuspendTenantInput{TenantID: "ten_globex"}); err != nil {
		t.Fatal(err)
	}
	steps, dead := w.claim(t, "ten_globex"), w.session
	w.session = platform.NewID(platform.KindSession)
	if _, err := w.ClaimSteps(t.Context(), "ten_globex", w.session, dead, everything); err != nil {
		t.Fatal(err)
	}
	w.session = dead
	for _, s := range steps {
		if s.Integration != platform.IntegrationMembers {
			continue
		}
		if _, err := w.Roster().Apply(t.Context(), s); code(err) != platform.Unavailable || w.raised(t, before, made.Object.ID) != "" {
			t.Errorf("got %v, raised %q", err, w.raised(t, before, made.Object.ID))
		}
	}
}

func TestPassingOnMadeAgainMissesNobody(t *testing.T) {
	t.Parallel()
	w := officeOn(t, func(e store.Engine) store.Engine { return twice{e} })
	members := w.crowd(t, 250)
	before := w.generations(t, members...)
	if _, err := w.SuspendTenant(w.by(t, "operator"), platform.SuspendTenantInput{TenantID: "ten_globex"}); err != nil {
		t.Fatal(err)
	}
	for _, s := range w.claim(t, "ten_globex") {
		if s.Integration != platform.IntegrationMembers {
			continue
		}
		if _, err := w.Roster().Apply(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	for id, generation := range w.generations(t, members...) {
		if generation != before[id]+1 {
			t.Errorf("%s was told %d times", id, generation-before[id])
		}
	}
}

func TestWhoIsClaimedWhileATenantIsShutIsOpenedWithIt(t *testing.T) {
	t.Parallel()
	w := office(t)
	operator := w.by(t, "operator")
	m, _ := w.hires(t, "bert")
	w.works(t, func(s platform.Step) platform.StepResult { // so that one step is tried again by itself
		if s.Subject == m.ID && s.Integration == platform.IntegrationStalwart {
			return platform.StepResult{Err: platform.Errorf(platform.Unavailable, "Away.")}
		}
		return done(s)
	})
	if _, err := w.SuspendTenant(operator, platform.SuspendTenantInput{TenantID: "ten_acme"}); err != nil {
		t.Fatal(err)
	}
	// The retry comes before the tenant's step has come to it.
	w.clock.Advance(time.Minute)
	retried := w.claim(t, m.ID)
	if len(retried) != 3 || retried[0].Want.Member.Presence != shut {
		t.Fatalf("%d steps of the member begin, want all: what was done before was done for an open tenant", len(retried))
	}
	for _, s := range retried {
		w.report(t, s, done(s))
	}
	// A token brings somebody in while the tenant is shut.
	me, err := w.Me(w.as(t, platform.Identity{Subject: "late", Email: "late@x.test", Groups: []string{"tenant-acme"}}))
	if err != nil {
		t.Fatal(err)
	}
	late := me.Memberships[0]
	for _, id := range []platform.ID{late.ID, late.UserID} {
		for _, s := range w.claim(t, id) {
			w.report(t, s, done(s))
		}
	}
	if _, err := w.ResumeTenant(operator, platform.ResumeTenantInput{TenantID: "ten_acme"}); err != nil {
		t.Fatal(err)
	}
	last := map[platform.ID]platform.Presence{}
	w.works(t, func(s platform.Step) platform.StepResult {
		switch {
		case s.Want.Member != nil:
			last[s.Subject] = s.Want.Member.Presence
		case s.Want.Person != nil:
			last[s.Subject] = s.Want.Person.Presence
		}
		return done(s)
	})
	for _, id := range []platform.ID{m.ID, m.UserID, late.ID, late.UserID} {
		if got, told := last[id]; told && got != open || !told && id != m.UserID {
			t.Errorf("%s was last told %q after the tenant was opened", id, got)
		}
	}
}
