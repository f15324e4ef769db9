package platform_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
)

func (w *world) groups(t testing.TB, by, name string, members ...platform.ID) (*platform.GroupPayload, error) {
	t.Helper()
	in := platform.CreateGroupInput{TenantID: "ten_acme", Name: name, MemberIds: members}
	if by == "globex" {
		in.TenantID = "ten_globex"
	}
	return platform.Mutate(w.by(t, by), w.Platform, in, w.CreateGroup)
}

func TestAGroupsNameIsItsTenantsOnce(t *testing.T) {
	t.Parallel()
	w := office(t)
	first, err := w.groups(t, "admin", " Sales ")
	if err != nil || first.Object == nil || first.Object.Name != "Sales" {
		t.Fatalf("got %+v, %v", first, err)
	}
	for _, name := range []string{"Sales", "SALES", "sales"} {
		got, err := w.groups(t, "admin", name)
		if err != nil || len(got.UserErrors) != 1 || *got.UserErrors[0].Field != "name" || got.UserErrors[0].Code != platform.UserErrorCodeConflict {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if got, err := w.groups(t, "globex", "sales"); err != nil || got.Object == nil {
		t.Errorf("in another tenant: %+v, %v", got, err)
	}
	other, err := w.groups(t, "admin", "Service")
	if err != nil {
		t.Fatal(err)
	}
	rename := func(name string) error {
		_, err := w.UpdateGroup(w.by(t, "admin"), platform.UpdateGroupInput{TenantID: "ten_acme", GroupID: other.Object.ID, Name: &name})
		return err
	}
	if err := rename("sAles"); code(err) != platform.Conflict {
		t.Errorf("renamed to a name that is taken: %v", err)
	}
	if err := rename("SERVICE"); err != nil {
		t.Errorf("renamed in capitals alone: %v", err)
	}
	remove := platform.DeleteGroupInput{TenantID: "ten_acme", GroupID: first.Object.ID}
	if _, err := w.DeleteGroup(w.by(t, "globex"), platform.DeleteGroupInput{TenantID: "ten_globex", GroupID: first.Object.ID}); code(err) != platform.NotFound {
		t.Errorf("deleted by another tenant: %v", err)
	}
	if g, err := w.DeleteGroup(w.by(t, "admin"), remove); err != nil || g.Status != platform.GroupStatusDeleted {
		t.Fatalf("got %+v, %v", g, err)
	}
	if _, err := w.DeleteGroup(w.by(t, "admin"), remove); code(err) != platform.NotFound {
		t.Errorf("deleted twice: %v", err)
	}
	if err := rename("Sales"); err != nil {
		t.Errorf("the name of a deleted group: %v", err)
	}
	if got := w.wants(t, first.Object.ID).Group; got.Presence != gone {
		t.Errorf("the deleted group wants to be %s", got.Presence)
	}
	list, err := w.GroupsOf(t.Context(), "ten_acme", nil, nil)
	if n, countErr := list.TotalCount(t.Context()); err != nil || countErr != nil || n != 1 || len(list.Nodes()) != 1 || list.Nodes()[0].Name != "Sales" {
		t.Errorf("listed: %d, %+v, %v, %v", n, list.Nodes(), err, countErr)
	}
}

func TestWhatAGroupIsRefusedFor(t *testing.T) {
	t.Parallel()
	w := office(t)
	revoked := w.member(t, w.joins(t, "usr_support", "ten_acme", isMember))
	w.removes(t, revoked)
	for _, name := range []string{"", " ", "a/b", "tenant:acme", "-a", "a-", "a\u0301", strings.Repeat("a", 61), "a\u200bb"} {
		got, err := w.groups(t, "admin", name)
		if err != nil || len(got.UserErrors) != 1 || *got.UserErrors[0].Field != "name" {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{"a", "Ärzte 2", "R.u_n-ner", strings.Repeat("a", 60)} {
		if got, err := w.groups(t, "admin", name); err != nil || got.Object == nil {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	for _, id := range []platform.ID{"mem_globex", "mem_nobody", revoked.ID} {
		if _, err := w.groups(t, "admin", "G", "mem_member", id); code(err) != platform.NotFound {
			t.Errorf("with %s: %v", id, err)
		}
	}
	bad := platform.CreateGroupInput{TenantID: "ten_acme", Name: "M", MailName: pointer("postmaster")}
	if _, err := w.CreateGroup(w.by(t, "admin"), bad); code(err) != platform.Invalid {
		t.Errorf("with a reserved address: %v", err)
	}
	w.turns(t, "ten_acme", platform.TenantStatusDeleting)
	if got, err := w.groups(t, "operator", "H"); err != nil || len(got.UserErrors) != 1 {
		t.Errorf("of a tenant that is on its way out: %+v, %v", got, err)
	}
}

func TestAGroupWantsItsActiveMembers(t *testing.T) {
	t.Parallel()
	w := office(t)
	w.seats(t, "ten_acme", 10)
	bert, _ := w.hires(t, "bert")
	cara, _ := w.hires(t, "cara")
	made, err := w.groups(t, "admin", "All", bert.ID, cara.ID, "mem_member", bert.ID)
	if err != nil || len(made.Object.MemberIDs) != 3 {
		t.Fatalf("got %+v, %v; want each once", made, err)
	}
	w.works(t, done)
	g := made.Object
	want := func() string {
		got := w.wants(t, g.ID).Group
		var names []string
		for _, p := range got.Members {
			names = append(names, p.Name)
		}
		return strings.Join(names, " ") + "; " + strings.Join(got.Recipients, " ")
	}
	has := func(when string, names ...string) {
		t.Helper()
		got := want()
		for _, name := range []string{"bert", "cara", "member"} {
			wanted := strings.Contains(strings.Join(names, " "), name)
			if strings.Contains(strings.Split(got, ";")[0], name) != wanted || name != "member" && strings.Contains(got, name+"@acme.dezky.test") != wanted {
				t.Errorf("%s: the group wants %q, and %s should be there: %v", when, got, name, wanted)
			}
		}
	}
	has("at first", "bert", "cara", "member")
	if _, err := w.SuspendMember(w.by(t, "admin"), platform.SuspendMemberInput{TenantID: "ten_acme", MemberID: bert.ID}); err != nil {
		t.Fatal(err)
	}
	has("one suspended", "cara", "member")
	w.removes(t, cara)
	has("one removed", "member")
	if all, err := w.MembersOfGroups(t.Context(), []platform.ID{g.ID}); err != nil || len(all[g.ID]) != 2 {
		t.Errorf("shown are %+v, %v; want who was not removed", all[g.ID], err)
	}
	if _, err := w.ResumeMember(w.by(t, "admin"), platform.ResumeMemberInput{TenantID: "ten_acme", MemberID: bert.ID}); err != nil {
		t.Fatal(err)
	}
	has("and resumed", "bert", "member")
	w.works(t, done)
	before := w.generations(t, g.ID)
	change := func(add, remove []platform.ID) error {
		_, err := w.UpdateGroup(w.by(t, "admin"), platform.UpdateGroupInput{
			TenantID: "ten_acme", GroupID: g.ID, Name: pointer("All"), AddMemberIds: add, RemoveMemberIds: remove,
		})
		return err
	}
	if err := change([]platform.ID{bert.ID}, []platform.ID{"mem_nobody"}); err != nil || w.raised(t, before, g.ID) != "" {
		t.Errorf("without a difference: %v, raised %q", err, w.raised(t, before, g.ID))
	}
	if err := change(nil, []platform.ID{"mem_member"}); err != nil || w.raised(t, before, g.ID) == "" {
		t.Errorf("with one: %v", err)
	}
	has("and one taken out", "bert")
}

func TestHowManyGroupsThereMayBe(t *testing.T) {
	t.Parallel()
	w := office(t)
	var last *platform.Group
	w.puts(t, func(ctx context.Context, out platform.Writer) error {
		for n := range 200 {
			last = &platform.Group{
				Document: platform.Document{ID: platform.ID(fmt.Sprintf("grp_%04d", n))}, TenantID: "ten_acme", Name: fmt.Sprint("G", n),
				Status: platform.GroupStatusActive, CreatedAt: noon,
			}
			if err := out.PutGroup(ctx, last); err != nil {
				return err
			}
		}
		return nil
	})
	if got, err := w.groups(t, "admin", "One more"); err != nil || len(got.UserErrors) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := w.DeleteGroup(w.by(t, "admin"), platform.DeleteGroupInput{TenantID: "ten_acme", GroupID: last.ID}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.groups(t, "admin", "One more"); err != nil || got.Object == nil {
		t.Errorf("with one less: %+v, %v", got, err)
	}
	many := make([]platform.ID, 1001)
	for i := range many {
		many[i] = platform.ID(fmt.Sprint("mem_", i))
	}
	if got, err := w.groups(t, "globex", "Many", many...); err != nil || len(got.UserErrors) != 1 || *got.UserErrors[0].Field != "memberIds" {
		t.Errorf("with too many members: %+v, %v", got, err)
	}
	// All of them hear of the tenant's being shut, in batches too.
	w.works(t, done)
	var ids []platform.ID
	for n := range 199 {
		ids = append(ids, platform.ID(fmt.Sprintf("grp_%04d", n)))
	}
	before := w.generations(t, ids...)
	if _, err := w.SuspendTenant(w.by(t, "operator"), platform.SuspendTenantInput{TenantID: "ten_acme"}); err != nil {
		t.Fatal(err)
	}
	w.works(t, done)
	for id := range before {
		before[id]++
	}
	if diff := cmp.Diff(before, w.generations(t, ids...)); diff != "" {
		t.Errorf("(- expected, + found):\n%s", diff)
	}
}
