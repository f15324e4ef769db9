package platform

import (
	"context"
	"slices"
	"sync/atomic"
)

// Actor is who acts: what the token says, and what the database says of them.
// It is made anew for each request, so that a right that was taken away is gone
// on the next one.
type Actor struct {
	Identity Identity
	From     From
	// User is nil for a valid token whose bearer was never stored.
	User *User
	// Memberships are the active ones.
	Memberships []*Member
	// Partner is set for the staff of an active partner.
	Partner *Partner

	all []*Member
}

// From is where a request comes from, for the audit log.
type From struct {
	IP        string
	UserAgent string
	RequestID string
}

// Role is in which role an actor acted.
type Role string

// The roles.
const (
	RoleOperator     Role = "OPERATOR"
	RolePartnerStaff Role = "PARTNER_STAFF"
	RoleTenantAdmin  Role = "TENANT_ADMIN"
	RoleMember       Role = "MEMBER"
	// RoleNone is a caller without a role in what they tried.
	RoleNone Role = "NONE"
	// RoleSystem is the platform itself.
	RoleSystem Role = "SYSTEM"
)

type actorKey struct{}

// WithActor puts the actor into the context of everything that a request does.
func WithActor(ctx context.Context, a *Actor) context.Context {
	var held atomic.Pointer[Actor]
	held.Store(a)
	return context.WithValue(ctx, actorKey{}, &held)
}

// ActorOf is the actor of a request, or nil when there is no caller.
func ActorOf(ctx context.Context) *Actor {
	held, ok := ctx.Value(actorKey{}).(*atomic.Pointer[Actor])
	if !ok {
		return nil
	}
	return held.Load()
}

// become lets the rest of a request see what its first sign-in made of the
// caller.
func become(ctx context.Context, a *Actor) {
	if held, ok := ctx.Value(actorKey{}).(*atomic.Pointer[Actor]); ok {
		held.Store(a)
	}
}

// caller is the actor, or Unauthenticated.
func caller(ctx context.Context) (*Actor, error) {
	if a := ActorOf(ctx); a != nil {
		return a, nil
	}
	return nil, Errorf(Unauthenticated, "Sign in to do this.")
}

// SignIn makes the actor of a token's bearer from what the database says now.
func (p *Platform) SignIn(ctx context.Context, is Identity, from From) (*Actor, error) {
	a := &Actor{Identity: is, From: from}
	u, err := p.store.UserBySubject(ctx, is.Subject)
	if err != nil {
		if CodeOf(err) == NotFound {
			return a, nil
		}
		return nil, err
	}
	if u.SignedOutAt != nil && is.IssuedAt.Unix() <= u.SignedOutAt.Unix() {
		return nil, Errorf(Unauthenticated, "You were signed out. Sign in again.")
	}
	a.User = u
	if a.all, err = p.store.MembershipsOf(ctx, u.ID); err != nil {
		return nil, err
	}
	for _, m := range a.all {
		if m.State == MemberStateActive {
			a.Memberships = append(a.Memberships, m)
		}
	}
	if u.PartnerID == "" {
		return a, nil
	}
	partner, err := p.store.Partner(ctx, u.PartnerID)
	if err != nil {
		return nil, err
	}
	if partner.Status == PartnerStatusActive {
		a.Partner = partner
	}
	return a, nil
}

// operator says whether both halves are there: the token's audience and the
// stored flag.
func (a *Actor) operator(audience string) bool {
	return a.User != nil && a.User.PlatformAdmin && slices.Contains(a.Identity.Audience, audience)
}

// writes says whether the actor's partner role may change things.
func (a *Actor) writes() bool {
	return a.User.PartnerRole == PartnerRoleOwner || a.User.PartnerRole == PartnerRoleAdmin
}

// roleIn is the actor's strongest role in a tenant; RoleNone means that they
// cannot see it.
func (p *Platform) roleIn(a *Actor, t *Tenant) Role {
	if a == nil {
		return RoleNone
	}
	if a.operator(p.operatorAudience) {
		return RoleOperator
	}
	if a.staffOf(t) {
		return RolePartnerStaff
	}
	return a.memberIn(t)
}

// staffOf says whether the actor is staff of the tenant's partner.
func (a *Actor) staffOf(t *Tenant) bool { return a.Partner != nil && t.PartnerID == a.Partner.ID }

// memberIn is the actor's role as a member of a tenant, or RoleNone.
func (a *Actor) memberIn(t *Tenant) Role {
	for _, m := range a.Memberships {
		if m.TenantID != t.ID {
			continue
		}
		if m.Role == MemberRoleAdmin {
			return RoleTenantAdmin
		}
		return RoleMember
	}
	return RoleNone
}

// roleFor is the actor's role in the audit log's words.
func (p *Platform) roleFor(a *Actor, t *Tenant) Role {
	switch {
	case a == nil:
		return RoleSystem
	case t != nil:
		return p.roleIn(a, t)
	case a.operator(p.operatorAudience):
		return RoleOperator
	case a.Partner != nil:
		return RolePartnerStaff
	}
	return RoleNone
}
