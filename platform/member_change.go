package platform

import (
	"context"
	"strings"
)

// UpdateMemberInput says what changes of a member. What is absent stays; aliases
// are those that there are then.
type UpdateMemberInput struct {
	TenantID       ID
	MemberID       ID
	Name           *string
	Role           *MemberRole
	Aliases        []string
	MailQuotaMiB   *int32
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

// SuspendMemberInput names who is shut out.
type SuspendMemberInput struct {
	TenantID       ID
	MemberID       ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in SuspendMemberInput) Attempt() Attempt {
	return Attempt{Action: ActionMemberSuspended, TenantID: in.TenantID, Target: in.MemberID, Key: in.IdempotencyKey}
}

// ResumeMemberInput names who is let in again.
type ResumeMemberInput struct {
	TenantID       ID
	MemberID       ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in ResumeMemberInput) Attempt() Attempt {
	return Attempt{Action: ActionMemberResumed, TenantID: in.TenantID, Target: in.MemberID, Key: in.IdempotencyKey}
}

// ForceLogoutMemberInput names whose sessions end.
type ForceLogoutMemberInput struct {
	TenantID       ID
	MemberID       ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in ForceLogoutMemberInput) Attempt() Attempt {
	return Attempt{Action: ActionMemberLoggedOut, TenantID: in.TenantID, Target: in.MemberID, Key: in.IdempotencyKey}
}

// ResetMemberPasswordInput names who gets a new one-time password.
type ResetMemberPasswordInput struct {
	TenantID       ID
	MemberID       ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in ResetMemberPasswordInput) Attempt() Attempt {
	return Attempt{Action: ActionMemberPasswordReset, TenantID: in.TenantID, Target: in.MemberID, Key: in.IdempotencyKey}
}

// ReconcileMemberInput names whose steps are all tried at once.
type ReconcileMemberInput struct {
	TenantID       ID
	MemberID       ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in ReconcileMemberInput) Attempt() Attempt {
	return Attempt{Action: ActionMemberReconciled, TenantID: in.TenantID, Target: in.MemberID, Key: in.IdempotencyKey}
}

// UpdateMember changes what people can say of a member. The name is the
// person's, and is changed where they are nobody else's member too.
func (p *Platform) UpdateMember(ctx context.Context, in UpdateMemberInput) (*Member, error) {
	return p.changeMember(ctx, ActionMemberUpdated, in.TenantID, in.MemberID, func(w Writer, t *Tenant, m *Member) error {
		if m.State == MemberStateRevoked {
			return Errorf(Conflict, "This member was removed.").On("memberId")
		}
		if in.Role != nil {
			if m.Role == MemberRoleAdmin && *in.Role != MemberRoleAdmin && self(ctx, m.UserID) {
				return notOneself()
			}
			if m.Role = *in.Role; m.Role == MemberRoleAdmin {
				m.Source = MemberSourceMutation // or the last administrator could go with a group of theirs (A-3, E-7)
			}
		}
		if in.MailQuotaMiB != nil {
			m.MailQuotaMiB = *in.MailQuotaMiB
		}
		if err := checkQuota(m.MailQuotaMiB); err != nil {
			return err
		}
		if m.Address == "" && (in.Aliases != nil || in.MailQuotaMiB != nil) {
			return Errorf(Conflict, "This member has no mailbox.").On("memberId")
		}
		if in.Aliases != nil {
			names, err := cleanAliases("aliases", in.Aliases)
			if err != nil {
				return err
			}
			domain, err := p.primaryDomain(t)
			if err != nil {
				return err
			}
			if err := m.setAliases(ctx, w, domain, names); err != nil {
				return err
			}
		}
		if in.Name == nil {
			return nil
		}
		return p.rename(ctx, w, m, *in.Name)
	})
}

func (p *Platform) rename(ctx context.Context, w Writer, m *Member, name string) error {
	name, err := cleanLine("name", name, longestName)
	if err != nil {
		return err
	}
	u, alone, err := p.ownPerson(ctx, w, m)
	if err != nil {
		return err
	}
	if !alone {
		return Errorf(Conflict, "This person is not the tenant's alone, and keeps their name.").On("name")
	}
	u.Name = name
	return w.PutUser(ctx, u)
}

// ownPerson is the person behind a membership. They are the tenant's alone when
// the platform made them, no other tenant has them, and no role beside: then its
// administrators speak for them.
func (p *Platform) ownPerson(ctx context.Context, w Writer, m *Member) (u *User, alone bool, err error) {
	if u, err = w.User(ctx, m.UserID); err != nil {
		return nil, false, err
	}
	held, err := w.MembershipsOf(ctx, u.ID)
	if err != nil {
		return nil, false, err
	}
	alone = u.Ours && !u.PlatformAdmin && u.PartnerID == ""
	for _, other := range held {
		alone = alone && (other.ID == m.ID || other.over())
	}
	return u, alone, nil
}

// SuspendMember shuts a member out of the tenant (E-2). Who is nobody else's
// cannot sign in at all then; a person whom others want keeps what those use.
func (p *Platform) SuspendMember(ctx context.Context, in SuspendMemberInput) (*Member, error) {
	var until *Time
	m, err := p.store.Member(ctx, in.TenantID, in.MemberID)
	if err == nil && m.State == MemberStateActive && !self(ctx, m.UserID) { // what will be refused asks nobody outside
		until = p.mailUntil(ctx)
	}
	return p.changeMember(ctx, ActionMemberSuspended, in.TenantID, in.MemberID, func(_ Writer, _ *Tenant, m *Member) error {
		if m.State != MemberStateActive {
			return Errorf(Conflict, "This member is not active.").On("memberId")
		}
		m.State = MemberStateSuspended
		if m.Address != "" {
			m.MailUntil = until
		}
		return nil
	})
}

// ResumeMember lets a suspended member in again, with what they had, if there is
// a seat for them.
func (p *Platform) ResumeMember(ctx context.Context, in ResumeMemberInput) (*Member, error) {
	return p.changeMember(ctx, ActionMemberResumed, in.TenantID, in.MemberID, func(w Writer, t *Tenant, m *Member) error {
		if m.State != MemberStateSuspended {
			return Errorf(Conflict, "This member is not suspended.").On("memberId")
		}
		if _, err := p.growing(ctx, w, t.ID, 1); err != nil {
			return err
		}
		m.State, m.MailUntil = MemberStateActive, nil
		return nil
	})
}

// ForceLogoutMember ends the member's sessions, and nobody else's (E-3): those
// at the identity provider, and what was signed in here before. It answers when
// they have ended.
func (p *Platform) ForceLogoutMember(ctx context.Context, in ForceLogoutMemberInput) (*Member, error) {
	m, err := p.store.Member(ctx, in.TenantID, in.MemberID)
	if err != nil {
		return nil, err
	}
	if self(ctx, m.UserID) {
		return nil, notOneself()
	}
	if m.over() {
		return nil, Errorf(Conflict, "This member was removed.").On("memberId")
	}
	u, err := p.store.User(ctx, m.UserID)
	if err != nil {
		return nil, err
	}
	if p.signIns == nil {
		return nil, Errorf(Disabled, "There is no identity provider here.")
	}
	if u.Subject != "" {
		if err := p.signIns.EndSessions(ctx, u.Subject); err != nil {
			return nil, err
		}
	}
	now := p.now()
	err = p.change(ctx, ActionMemberLoggedOut, in.TenantID, m.ID, func(w Writer) error {
		u, err := w.User(ctx, m.UserID)
		if err != nil {
			return err
		}
		u.SignedOutAt = &now
		return w.PutUser(ctx, u)
	})
	return m, err
}

// ResetMemberPassword makes one new one-time password (E-4), shown this once:
// for the mailbox, and for the sign-in of a person who is the tenant's alone.
func (p *Platform) ResetMemberPassword(ctx context.Context, in ResetMemberPasswordInput) (*Member, Secret, error) {
	password := newPassword()
	m, err := p.changeMember(ctx, ActionMemberPasswordReset, in.TenantID, in.MemberID, func(w Writer, _ *Tenant, m *Member) error {
		if m.State == MemberStateRevoked {
			return Errorf(Conflict, "This member was removed.").On("memberId")
		}
		u, alone, err := p.ownPerson(ctx, w, m)
		if err != nil {
			return err
		}
		if !alone && m.Address == "" {
			return Errorf(Conflict, "This person is not the tenant's alone, and has no mailbox here.").On("memberId")
		}
		if m.Address != "" {
			if m.Sealed, err = p.seal(password, m.ID); err != nil {
				return err
			}
		}
		if !alone {
			return nil
		}
		if u.Sealed, err = p.seal(password, u.ID); err != nil {
			return err
		}
		return w.PutUser(ctx, u)
	})
	return m, password, err
}

// RemoveMember takes a membership away. Mailbox, files and, of a person whom
// nobody else wants, the sign-in go. It leaves a tombstone, which wins over every
// token's groups until RestoreMember or a new invitation lifts it, also
// while the step that takes the group away fails. An invitation to their address
// that still waits goes with it, or the next sign-in would bring them back.
func (p *Platform) RemoveMember(ctx context.Context, in RemoveMemberInput) (*Member, error) {
	return p.changeMember(ctx, ActionMemberRemoved, in.TenantID, in.MemberID, func(w Writer, _ *Tenant, m *Member) error {
		now := p.now()
		m.State, m.Sealed, m.RemovedAt = MemberStateRevoked, "", &now
		u, err := w.User(ctx, m.UserID)
		if err != nil {
			return err
		}
		return revokeInvitations(ctx, w, m.TenantID, strings.ToLower(u.Email), func(*Invitation) bool { return true })
	})
}

// RestoreMember lifts the tombstone of a member who was removed, if there is a
// seat. What had gone outside is made anew, empty, and waits for a new password.
func (p *Platform) RestoreMember(ctx context.Context, in RestoreMemberInput) (*Member, error) {
	return p.changeMember(ctx, ActionMemberRestored, in.TenantID, in.MemberID, func(w Writer, t *Tenant, m *Member) error {
		if m.State != MemberStateRevoked {
			return Errorf(Conflict, "This member was not removed.").On("memberId")
		}
		if _, err := p.growing(ctx, w, t.ID, 1); err != nil {
			return err
		}
		m.State, m.Source, m.MailUntil, m.RemovedAt = MemberStateActive, MemberSourceMutation, nil, nil
		if m.Address != "" {
			if err := claimAddresses(ctx, w, t.ID, m.ID, "memberId", append([]string{m.Address}, m.Aliases...)...); err != nil {
				return err
			}
		}
		u, err := w.User(ctx, m.UserID)
		if err != nil || !u.Ours || u.Username != "" {
			return err
		}
		if u.Email != m.Address { // it is of another tenant, which may have given it to somebody else
			return Errorf(Conflict, "This person's account is gone. Make them a member anew.").On("memberId")
		}
		u.Username = u.Email // it was let go of when the account had gone
		return w.PutUser(ctx, u)
	})
}

// ReconcileMember has every step of a member, and of the person, tried at once.
func (p *Platform) ReconcileMember(ctx context.Context, in ReconcileMemberInput) (*Member, error) {
	var m *Member
	err := p.change(ctx, ActionMemberReconciled, in.TenantID, in.MemberID, func(w Writer) (err error) {
		if m, err = w.Member(ctx, in.TenantID, in.MemberID); err != nil {
			return err
		}
		docs, err := w.ProvisioningsByID(ctx, []ID{m.ID, m.UserID})
		if err != nil {
			return err
		}
		for _, doc := range docs {
			doc.Raise(p.now())
			if err := w.PutProvisioning(ctx, doc, true); err != nil {
				return err
			}
		}
		return nil
	})
	return m, err
}

func notOneself() error { return Errorf(Conflict, "Nobody does this to themselves.").On("memberId") }

// changeMember changes a member, of oneself at most what UpdateMember lets one,
// and leaves the tenant an active administrator (E-7). Two such changes at once meet in the tenant's
// document, so that each sees what the other left.
func (p *Platform) changeMember(
	ctx context.Context, action Action, tenant, id ID, law func(Writer, *Tenant, *Member) error,
) (*Member, error) {
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
		if self(ctx, m.UserID) && action != ActionMemberUpdated {
			return notOneself()
		}
		admin := m.administers()
		if err := law(w, t, m); err != nil {
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
