package platform

import (
	"context"
	"strings"
)

// Rule says whom a field of the graph admits. Each is a directive of the schema.
type Rule string

// The rules.
const (
	RulePublic        Rule = "public"
	RuleAuthenticated Rule = "authenticated"
	RuleTenantMember  Rule = "tenantMember"
	RuleTenantAdmin   Rule = "tenantAdmin"
	RulePartnerStaff  Rule = "partnerStaff"
	RuleOperator      Rule = "operator"
)

// OperatorsOnly is the answer to everyone else where operators are needed. It
// is the product's own sentence, to the letter.
const OperatorsOnly = "This endpoint requires an operator-scoped token"

// Target is what a field is about: a tenant by one of its names, or as the
// parent of the field; or a partner. All empty is the caller's own.
type Target struct {
	TenantID   ID
	TenantSlug string
	Tenant     *Tenant
	PartnerID  ID
}

// Admit answers nil when the rule lets the caller do what a field does. No
// caller is Unauthenticated; what the caller cannot see is NotFound, in the
// same words as what does not exist; what they see and may not do is Forbidden.
// What cannot be read admits nobody.
func (p *Platform) Admit(ctx context.Context, rule Rule, on Target, mutating bool) error {
	if rule == RulePublic {
		return nil
	}
	a, err := caller(ctx)
	if err != nil {
		return err
	}
	switch rule {
	case RuleAuthenticated:
		return nil
	case RuleOperator:
		if !a.operator(p.operatorAudience) {
			return Errorf(Forbidden, OperatorsOnly)
		}
		return nil
	case RulePartnerStaff:
		if on.Tenant == nil && on.TenantID == "" && on.TenantSlug == "" {
			return p.admitStaff(ctx, a, on.PartnerID, mutating)
		}
	}
	t, err := p.visibleTenant(ctx, a, on)
	if err != nil {
		return err
	}
	if role := p.roleIn(a, t); role == RoleTenantAdmin || role == RoleMember {
		if err := t.Policy.allows(a, p.now()); err != nil {
			return err
		}
	}
	return p.admitTo(rule, a, t, mutating)
}

// admitTo is the table of who may do what in a tenant that they see. The staff
// of its partner may be members too, and then have the rights of both. Of a tenant
// that is shut (B-5) the members, whose tokens may still be good, change nothing.
func (p *Platform) admitTo(rule Rule, a *Actor, t *Tenant, mutating bool) error {
	staff, member := a.staffOf(t), a.memberIn(t)
	switch {
	case a.operator(p.operatorAudience):
		return nil
	case mutating && t.shut() && !staff:
		return Errorf(Forbidden, "The tenant is suspended: its members change nothing.")
	case rule == RuleTenantMember:
		if member != RoleNone || staff && !mutating {
			return nil
		}
		return Errorf(Forbidden, "Only a member of the tenant may do this.")
	case rule == RuleTenantAdmin:
		if member == RoleTenantAdmin || staff && !mutating {
			return nil
		}
		return Errorf(Forbidden, "Only an administrator of the tenant may do this.")
	case rule == RulePartnerStaff && staff && (!mutating || a.writes()):
		return nil
	}
	return Errorf(Forbidden, "Only the partner's own administrators may do this.")
}

// admitStaff is for fields about a partner; without one, the caller's own.
func (p *Platform) admitStaff(ctx context.Context, a *Actor, partner ID, mutating bool) error {
	if a.operator(p.operatorAudience) {
		if partner == "" {
			return nil
		}
		_, err := p.store.Partner(ctx, partner)
		return err
	}
	switch {
	case partner != "" && (a.Partner == nil || a.Partner.ID != partner):
		return NoPartner(partner)
	case a.Partner == nil, mutating && !a.writes():
		return Errorf(Forbidden, "Only the partner's own administrators may do this.")
	}
	return nil
}

// visibleTenant is the tenant that a field is about, if the caller can see it.
func (p *Platform) visibleTenant(ctx context.Context, a *Actor, on Target) (t *Tenant, err error) {
	switch {
	case on.Tenant != nil:
		t = on.Tenant
	case on.TenantID != "":
		t, err = p.store.Tenant(ctx, on.TenantID)
	default:
		t, err = p.store.TenantBySlug(ctx, on.TenantSlug)
	}
	if err != nil {
		return nil, err
	}
	if p.roleIn(a, t) != RoleNone {
		return t, nil
	}
	if on.Tenant == nil && on.TenantID == "" {
		return nil, NoTenant(on.TenantSlug)
	}
	return nil, NoTenant(t.ID)
}

// NoTenant is the answer for a tenant that is not there, or not for the caller.
func NoTenant[Name ID | string](name Name) error {
	return Errorf(NotFound, "There is no tenant %s.", shorten(ID(name)))
}

// NoPartner is the answer for a partner that is not there, or not for the
// caller.
func NoPartner[Name ID | string](name Name) error {
	return Errorf(NotFound, "There is no partner %s.", shorten(ID(name)))
}

// Node is anything that has a global ID.
type Node interface{ IsNode() }

// Node finds anything by its ID, if the caller may see it. What is not there and
// what is not for the caller are the same answer.
func (p *Platform) Node(ctx context.Context, id ID) (Node, error) {
	a, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	node, err := p.findNode(ctx, a, id)
	if err == nil && node != nil {
		return node, nil
	}
	if err == nil || CodeOf(err) == NotFound || CodeOf(err) == Forbidden {
		return nil, Errorf(NotFound, "There is nothing with the ID %s.", shorten(id))
	}
	return nil, err
}

func (p *Platform) findNode(ctx context.Context, a *Actor, id ID) (Node, error) {
	ids := []ID{id}
	switch id.Kind() {
	case KindTenant:
		return p.visibleTenant(ctx, a, Target{TenantID: id})
	case KindPartner:
		if err := p.admitStaff(ctx, a, id, false); err != nil {
			return nil, err
		}
		return p.store.Partner(ctx, id)
	case KindUser:
		return only(p.store.UsersByID(ctx, ids))(func(u *User) error { return p.seesUser(a, u) })
	case KindMember:
		return only(p.store.MembersByID(ctx, ids))(func(m *Member) error {
			rule := RuleTenantMember
			if m.State == MemberStateRevoked || m.State == MemberStateLapsed { // not in the directory
				rule = RuleTenantAdmin
			}
			return p.Admit(ctx, rule, Target{TenantID: m.TenantID}, false)
		})
	case KindSubscription:
		return only(p.store.SubscriptionsByID(ctx, ids))(func(s *TenantSubscription) error {
			return p.Admit(ctx, RuleTenantMember, Target{TenantID: s.TenantID}, false)
		})
	case KindGroup:
		return only(p.store.GroupsByID(ctx, ids))(func(g *Group) error {
			if g.Status == GroupStatusDeleted {
				return NoGroup(g.ID)
			}
			return p.Admit(ctx, RuleTenantAdmin, Target{TenantID: g.TenantID}, false)
		})
	case KindInvitation:
		return only(p.store.InvitationsByID(ctx, ids))(func(i *Invitation) error {
			return p.Admit(ctx, RuleTenantAdmin, Target{TenantID: i.TenantID}, false)
		})
	case KindImport:
		return only(p.store.ImportsByID(ctx, ids))(func(i *Import) error {
			return p.Admit(ctx, RuleTenantAdmin, Target{TenantID: i.TenantID}, false)
		})
	case KindAuditEvent:
		return only(p.store.AuditEventsByID(ctx, ids))(func(e *AuditEvent) error { return p.seesEvent(ctx, e) })
	}
	return nil, nil
}

// only is the single row of a look-up, after a check, or nil.
func only[T Node](rows []T, err error) func(check func(T) error) (Node, error) {
	return func(check func(T) error) (Node, error) {
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		return rows[0], check(rows[0])
	}
}

// seesUser admits people to themselves and operators to everyone. Everybody
// else reads a person through a membership.
func (p *Platform) seesUser(a *Actor, u *User) error {
	if a.operator(p.operatorAudience) || a.User != nil && a.User.ID == u.ID {
		return nil
	}
	return NoUser(u.ID)
}

// NoUser is the answer for a person who is not there, or not for the caller.
func NoUser(id ID) error { return Errorf(NotFound, "There is no user %s.", shorten(id)) }

func (p *Platform) seesEvent(ctx context.Context, e *AuditEvent) error {
	if e.TenantID == "" {
		return p.Admit(ctx, RuleOperator, Target{}, false)
	}
	return p.Admit(ctx, RuleTenantAdmin, Target{TenantID: e.TenantID}, false)
}

// shorten keeps an ID that somebody made up from filling the answer or the log.
func shorten(id ID) ID {
	const longest = 40
	if len(id) > longest {
		return ID(strings.ToValidUTF8(string(id[:longest]), "")) + "…"
	}
	return id
}
