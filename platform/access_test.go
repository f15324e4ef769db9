package platform

import (
	"fmt"
	"testing"
)

const operators = "dezky-operator"

// atRest is a platform for what needs no store: everything that is asked about
// is handed in.
func atRest() *Platform { return New(Options{OperatorAudience: operators, Clock: NewSystemClock()}) }

// who are the people of the table: acme is a customer of nordic.
func who() map[string]*Actor {
	acme, other := &Tenant{Document: Document{ID: "ten_acme"}}, &Tenant{Document: Document{ID: "ten_other"}}
	nordic, baltic := &Partner{Document: Document{ID: "par_nordic"}}, &Partner{Document: Document{ID: "par_baltic"}}
	in := func(t *Tenant, role MemberRole) []*Member {
		return []*Member{{TenantID: t.ID, Role: role, State: MemberStateActive}}
	}
	staff := func(p *Partner, role PartnerRole, memberships ...*Member) *Actor {
		return &Actor{User: &User{PartnerID: p.ID, PartnerRole: role}, Partner: p, Memberships: memberships}
	}
	return map[string]*Actor{
		"nobody":         nil,
		"stranger":       {},
		"user":           {User: &User{}},
		"flag alone":     {User: &User{PlatformAdmin: true}},
		"audience alone": {User: &User{}, Identity: Identity{Audience: []string{operators}}},
		"operator":       {User: &User{PlatformAdmin: true}, Identity: Identity{Audience: []string{"dezky-portal", operators}}},
		"member":         {User: &User{}, Memberships: in(acme, MemberRoleMember)},
		"admin":          {User: &User{}, Memberships: in(acme, MemberRoleAdmin)},
		"other's admin":  {User: &User{}, Memberships: in(other, MemberRoleAdmin)},
		"owner":          staff(nordic, PartnerRoleOwner),
		"staff admin":    staff(nordic, PartnerRoleAdmin),
		"support":        staff(nordic, PartnerRoleSupport),
		"other's owner":  staff(baltic, PartnerRoleOwner),
		"dismissed":      {User: &User{PartnerID: nordic.ID, PartnerRole: PartnerRoleOwner}}, // of a terminated partner
		"both":           staff(nordic, PartnerRoleSupport, in(acme, MemberRoleAdmin)...),
		"both, member":   staff(nordic, PartnerRoleOwner, in(acme, MemberRoleMember)...),
	}
}

// TestTheTableOfWhoMayWhat is the table of rules and roles, row by row: for each
// rule who may read, and who may change.
func TestTheTableOfWhoMayWhat(t *testing.T) {
	t.Parallel()
	p := atRest()
	acme := &Tenant{Document: Document{ID: "ten_acme"}, PartnerID: "par_nordic"}
	const yes, login, unseen, no = "", "UNAUTHENTICATED", "NOT_FOUND", "FORBIDDEN"
	// Everyone is asked about acme; the words are for reads and for mutations.
	all := func(answer string) map[string][2]string {
		out := map[string][2]string{}
		for name := range who() {
			out[name] = [2]string{answer, answer}
		}
		return out
	}
	with := func(base map[string][2]string, names []string, reads, mutations string) map[string][2]string {
		for _, name := range names {
			base[name] = [2]string{reads, mutations}
		}
		return base
	}
	nobody := []string{"nobody"}
	unrelated := []string{"stranger", "user", "flag alone", "audience alone", "other's admin", "other's owner", "dismissed"}
	table := map[Rule]map[string][2]string{
		RulePublic:        all(yes),
		RuleAuthenticated: with(all(yes), nobody, login, login),
		RuleTenantMember: with(with(with(all(yes), unrelated, unseen, unseen), nobody, login, login),
			[]string{"owner", "staff admin", "support"}, yes, no),
		RuleTenantAdmin: with(with(with(with(all(yes), unrelated, unseen, unseen), nobody, login, login),
			[]string{"owner", "staff admin", "support", "both, member"}, yes, no),
			[]string{"member"}, no, no),
		RulePartnerStaff: with(with(with(with(all(yes), unrelated, unseen, unseen), nobody, login, login),
			[]string{"support", "both"}, yes, no),
			[]string{"member", "admin"}, no, no),
		RuleOperator: with(with(all(no), nobody, login, login), []string{"operator"}, yes, yes),
	}
	for rule, row := range table {
		for name, actor := range who() {
			ctx := t.Context()
			if actor != nil {
				ctx = WithActor(ctx, actor)
			}
			for i, mutating := range []bool{false, true} {
				err := p.Admit(ctx, rule, Target{Tenant: acme}, mutating)
				if got := refusal(err); got != row[name][i] {
					t.Errorf("@%s, %s, mutating %v: got %q, want %q", rule, name, mutating, got, row[name][i])
				}
			}
		}
	}
}

func TestPartnerFieldsAreForTheirStaff(t *testing.T) {
	t.Parallel()
	p := atRest()
	const yes, unseen, no = "", "NOT_FOUND", "FORBIDDEN"
	for name, want := range map[string]struct{ reads, changes, own string }{
		"owner":         {yes, yes, yes},
		"staff admin":   {yes, yes, yes},
		"support":       {yes, no, yes},
		"both":          {yes, no, yes},
		"other's owner": {unseen, unseen, yes},
		"dismissed":     {unseen, unseen, no},
		"admin":         {unseen, unseen, no},
		"member":        {unseen, unseen, no},
		"stranger":      {unseen, unseen, no},
		"flag alone":    {unseen, unseen, no},
	} {
		ctx := WithActor(t.Context(), who()[name])
		got := [3]string{
			refusal(p.Admit(ctx, RulePartnerStaff, Target{PartnerID: "par_nordic"}, false)),
			refusal(p.Admit(ctx, RulePartnerStaff, Target{PartnerID: "par_nordic"}, true)),
			refusal(p.Admit(ctx, RulePartnerStaff, Target{}, false)),
		}
		if got != [3]string{want.reads, want.changes, want.own} {
			t.Errorf("%s: got %q, want %+v", name, got, want)
		}
	}
}

func TestOperatorsSentence(t *testing.T) {
	t.Parallel()
	err := atRest().Admit(WithActor(t.Context(), who()["flag alone"]), RuleOperator, Target{TenantID: "ten_nothing"}, true)
	if got := fmt.Sprint(err); got != "This endpoint requires an operator-scoped token" {
		t.Errorf("got %q: the sentence is the product's, to the letter, whatever the ID", got)
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	acme := &Tenant{Document: Document{ID: "ten_acme"}, PartnerID: "par_nordic"}
	orphan := &Tenant{Document: Document{ID: "ten_orphan"}}
	for name, want := range map[string]Role{
		"nobody": RoleNone, "stranger": RoleNone, "user": RoleNone, "flag alone": RoleNone, "audience alone": RoleNone,
		"operator": RoleOperator, "member": RoleMember, "admin": RoleTenantAdmin, "other's admin": RoleNone,
		"owner": RolePartnerStaff, "support": RolePartnerStaff, "other's owner": RoleNone, "dismissed": RoleNone,
		"both": RolePartnerStaff,
	} {
		p, actor := atRest(), who()[name]
		if got := p.roleIn(actor, acme); got != want {
			t.Errorf("%s in acme: got %s, want %s", name, got, want)
		}
		if got := p.roleIn(actor, orphan); got != RoleNone && got != RoleOperator {
			t.Errorf("%s in a tenant without a partner: got %s", name, got)
		}
	}
}
