package platform

import (
	"context"
	"slices"
)

// Member is a user in a tenant, with a role and a state there. One person can
// be a member of many tenants.
type Member struct {
	Document
	TenantID ID           `json:"tenantId"`
	UserID   ID           `json:"userId"`
	Role     MemberRole   `json:"role"`
	State    MemberState  `json:"state"`
	Source   MemberSource `json:"source"`
	JoinedAt Time         `json:"joinedAt"`
}

// IsNode makes a member a Node of the graph.
func (*Member) IsNode() {}

// MemberRole is what a member may do in the tenant.
type MemberRole string

// The roles.
const (
	MemberRoleAdmin  MemberRole = "ADMIN"
	MemberRoleMember MemberRole = "MEMBER"
)

// MemberState says whether the membership counts.
type MemberState string

// The states.
const (
	MemberStateActive    MemberState = "ACTIVE"
	MemberStateSuspended MemberState = "SUSPENDED"
	// MemberStateLapsed is a membership that a token gave and no token names any
	// more. The next token that names it brings it back.
	MemberStateLapsed MemberState = "LAPSED"
	// MemberStateRevoked is a tombstone: it wins over every token's groups until
	// a mutation lifts it.
	MemberStateRevoked MemberState = "REVOKED"
)

// MemberSource says who made the membership: what a token gave, a token without
// the group takes away; what a mutation gave, it does not.
type MemberSource string

// The sources.
const (
	MemberSourceToken    MemberSource = "TOKEN"
	MemberSourceMutation MemberSource = "MUTATION"
)

// MemberConnection is a page of members.
type MemberConnection = Connection[*Member]

// MemberEdge is a member in a list.
type MemberEdge = Edge[*Member]

// What audit says of members.
const (
	ActionMemberUpdated  Action = "MEMBER_UPDATED"
	ActionMemberRemoved  Action = "MEMBER_REMOVED"
	ActionMemberRestored Action = "MEMBER_RESTORED"
)

// MemberPayload is the answer of mutations about a member.
type MemberPayload = Payload[*Member]

// MemberReader reads memberships.
type MemberReader interface {
	// MembershipsOf are all memberships of a person, in every state, oldest first.
	MembershipsOf(ctx context.Context, user ID) ([]*Member, error)
	// MembersByID are those of the members who exist, in no order.
	MembersByID(ctx context.Context, ids []ID) ([]*Member, error)
	// MembersOf lists the members of a tenant who are not revoked, oldest first.
	MembersOf(ctx context.Context, tenant ID, page Page) (List[*Member], error)
	// CountMembersOf counts the active members of tenants, as one read.
	CountMembersOf(ctx context.Context, tenants []ID) (map[ID]int, error)
	// Member is the member of this tenant with this ID, or NotFound.
	Member(ctx context.Context, tenant, id ID) (*Member, error)
	// CountAdminsOf counts the active administrators of a tenant.
	CountAdminsOf(ctx context.Context, tenant ID) (int, error)
}

// MemberLister reads the members of many tenants, outside of transactions.
type MemberLister interface {
	// FirstMembersOf is the first page of MembersOf for each tenant, as one read.
	FirstMembersOf(ctx context.Context, tenants []ID, first int) (map[ID]List[*Member], error)
}

// MemberWriter changes memberships.
type MemberWriter interface {
	PutMember(ctx context.Context, m *Member) error
}

// MembersOf lists a tenant's members. The total counts the active ones.
func (p *Platform) MembersOf(ctx context.Context, tenant ID, page Page) (*Connection[*Member], error) {
	list, err := p.store.MembersOf(ctx, tenant, page)
	if err != nil {
		return nil, err
	}
	return p.members(tenant, page, list), nil
}

// FirstMembersOf is the first page of MembersOf for many tenants.
func (p *Platform) FirstMembersOf(ctx context.Context, tenants []ID, first int) (map[ID]*Connection[*Member], error) {
	lists, err := p.store.FirstMembersOf(ctx, tenants, first)
	if err != nil {
		return nil, err
	}
	return firstPages(tenants, first, lists, p.members), nil
}

func (p *Platform) members(tenant ID, page Page, list List[*Member]) *Connection[*Member] {
	return NewConnection(page, list, func(ctx context.Context) (int, error) {
		counts, err := p.store.CountMembersOf(ctx, []ID{tenant})
		return counts[tenant], err
	})
}

// UpdateMemberInput says what changes of a member.
type UpdateMemberInput struct {
	TenantID       ID
	MemberID       ID
	Role           *MemberRole
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in UpdateMemberInput) Attempt() Attempt {
	return Attempt{Action: ActionMemberUpdated, TenantID: in.TenantID, Target: in.MemberID, Key: in.IdempotencyKey}
}

// RemoveMemberInput names who is no member any more.
type RemoveMemberInput struct {
	TenantID       ID
	MemberID       ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in RemoveMemberInput) Attempt() Attempt {
	return Attempt{Action: ActionMemberRemoved, TenantID: in.TenantID, Target: in.MemberID, Key: in.IdempotencyKey}
}

// RestoreMemberInput names who is a member again.
type RestoreMemberInput struct {
	TenantID       ID
	MemberID       ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in RestoreMemberInput) Attempt() Attempt {
	return Attempt{Action: ActionMemberRestored, TenantID: in.TenantID, Target: in.MemberID, Key: in.IdempotencyKey}
}

// UpdateMember changes a member's role.
func (p *Platform) UpdateMember(ctx context.Context, in UpdateMemberInput) (*Member, error) {
	return p.changeMember(ctx, ActionMemberUpdated, in.TenantID, in.MemberID, func(m *Member) error {
		if m.State == MemberStateRevoked {
			return Errorf(Conflict, "This member was removed.").On("memberId")
		}
		if in.Role != nil {
			m.Role = *in.Role
		}
		return nil
	})
}

// RemoveMember takes a membership away. It leaves a tombstone, which wins over
// every token's groups until RestoreMember lifts it.
func (p *Platform) RemoveMember(ctx context.Context, in RemoveMemberInput) (*Member, error) {
	return p.changeMember(ctx, ActionMemberRemoved, in.TenantID, in.MemberID, func(m *Member) error {
		m.State = MemberStateRevoked
		return nil
	})
}

// RestoreMember lifts the tombstone of a member who was removed.
func (p *Platform) RestoreMember(ctx context.Context, in RestoreMemberInput) (*Member, error) {
	return p.changeMember(ctx, ActionMemberRestored, in.TenantID, in.MemberID, func(m *Member) error {
		if m.State != MemberStateRevoked {
			return Errorf(Conflict, "This member was not removed.").On("memberId")
		}
		m.State, m.Source = MemberStateActive, MemberSourceMutation
		return nil
	})
}

// changeMember changes a member who is not the caller, and leaves the tenant an
// active administrator (E-7). Two such changes at once meet in the tenant's
// document, so that each sees what the other left.
func (p *Platform) changeMember(ctx context.Context, action Action, tenant, id ID, law func(*Member) error) (*Member, error) {
	var m *Member
	err := p.change(ctx, action, tenant, id, func(w Writer) error {
		t, err := w.Tenant(ctx, tenant)
		if err != nil {
			return err
		}
		if err := t.changeable(); err != nil {
			return err
		}
		if m, err = w.Member(ctx, tenant, id); err != nil {
			return err
		}
		if self(ctx, m.UserID) {
			return Errorf(Conflict, "Nobody does this to themselves.").On("memberId")
		}
		admin := m.administers()
		if err := law(m); err != nil {
			return err
		}
		if admin && !m.administers() {
			admins, err := w.CountAdminsOf(ctx, tenant)
			if err != nil {
				return err
			}
			if admins < 2 {
				return Errorf(Conflict, "A tenant keeps one active administrator.").On("memberId")
			}
		}
		if err := w.PutMember(ctx, m); err != nil {
			return err
		}
		return w.PutTenant(ctx, t)
	})
	return m, err
}

// syncMemberships says which memberships change when a token names tenants: a
// new tenant gives one, one that a token gave and none names any more goes to
// rest, and a tombstone or a suspension stays what it is.
func syncMemberships(u *User, held []*Member, named []*Tenant, newID func() ID, now Time) (changed []*Member) {
	for _, t := range named {
		if !slices.ContainsFunc(held, func(m *Member) bool { return m.TenantID == t.ID }) {
			changed = append(changed, &Member{
				Document: Document{ID: newID()}, TenantID: t.ID, UserID: u.ID,
				Role: MemberRoleMember, State: MemberStateActive, Source: MemberSourceToken, JoinedAt: now,
			})
		}
	}
	for _, m := range held {
		names := slices.ContainsFunc(named, func(t *Tenant) bool { return t.ID == m.TenantID })
		if m.Source == MemberSourceToken && m.State == MemberStateActive && !names {
			gone := *m
			gone.State = MemberStateLapsed
			changed = append(changed, &gone)
		}
		if m.State == MemberStateLapsed && names {
			back := *m
			back.State = MemberStateActive
			changed = append(changed, &back)
		}
	}
	return changed
}

func (m *Member) administers() bool {
	return m.State == MemberStateActive && m.Role == MemberRoleAdmin
}

// NoMember is the answer for a member that is not there, or not of this tenant.
func NoMember(id ID) error { return Errorf(NotFound, "There is no member %s.", shorten(id)) }
