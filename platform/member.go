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

	// RemovedAt is when the membership was taken away, of one that is: no older
	// invitation gives it back.
	RemovedAt *Time `json:"removedAt,omitempty"`

	// Address is the member's mailbox, "" for none, and Aliases are the other
	// addresses that it has.
	Address string   `json:"address,omitempty"`
	Aliases []string `json:"aliases,omitempty"`
	// MailQuotaMiB bounds the mailbox; 0 is as much as there is.
	MailQuotaMiB int32 `json:"mailQuotaMiB,omitempty"`
	// Sealed is the mailbox's one-time password, until the mail server has it.
	Sealed Sealed `json:"sealed,omitempty"`
	// MailUntil is until when a connection that was open when the mailbox was
	// frozen may still read it (E-2); nil where none can.
	MailUntil *Time `json:"mailUntil,omitempty"`
}

// IsNode makes a member a Node of the graph.
func (*Member) IsNode() {}

// Mailbox is the member's address, or nil for a member without a mailbox.
func (m *Member) Mailbox() *string { return orNil(m.Address) }

// OtherAddresses are the mailbox's aliases.
func (m *Member) OtherAddresses() []string { return append([]string{}, m.Aliases...) }

// orNil is nil for an empty text.
func orNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

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
	ActionMemberCreated       Action = "MEMBER_CREATED"
	ActionMemberUpdated       Action = "MEMBER_UPDATED"
	ActionMemberSuspended     Action = "MEMBER_SUSPENDED"
	ActionMemberResumed       Action = "MEMBER_RESUMED"
	ActionMemberLoggedOut     Action = "MEMBER_LOGGED_OUT"
	ActionMemberPasswordReset Action = "MEMBER_PASSWORD_RESET"
	ActionMemberReconciled    Action = "MEMBER_RECONCILED"
	ActionMemberRemoved       Action = "MEMBER_REMOVED"
	ActionMemberRestored      Action = "MEMBER_RESTORED"
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
	// MembersAfter are up to n members of a tenant who are not revoked, in the
	// order of their IDs, from after one on. For what goes through all of them.
	MembersAfter(ctx context.Context, tenant, after ID, n int) ([]*Member, error)
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
	// PutMember stores the member, and has their provisioning due when what the
	// membership wants outside differs, and that of the person and of the groups that
	// the member is in when it is anything to those.
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
