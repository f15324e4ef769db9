package platform

import "context"

// What audit says of members.
const (
	ActionMemberUpdated  Action = "MEMBER_UPDATED"
	ActionMemberRemoved  Action = "MEMBER_REMOVED"
	ActionMemberRestored Action = "MEMBER_RESTORED"
)

// MemberPayload is the answer of mutations about a member.
type MemberPayload = Payload[*Member]

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

func (m *Member) administers() bool {
	return m.State == MemberStateActive && m.Role == MemberRoleAdmin
}

// NoMember is the answer for a member that is not there, or not of this tenant.
func NoMember(id ID) error { return Errorf(NotFound, "There is no member %s.", shorten(id)) }
