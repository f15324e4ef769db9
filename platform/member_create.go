package platform

import (
	"context"
	"time"
)

// CreateMemberInput says who becomes a member.
type CreateMemberInput struct {
	TenantID ID
	Name     string
	// MailName is the part of their address before the @; the rest is the tenant's
	// primary domain.
	MailName       string
	Role           *MemberRole
	Aliases        []string
	MailQuotaMiB   *int32
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in CreateMemberInput) Attempt() Attempt {
	return Attempt{Action: ActionMemberCreated, TenantID: in.TenantID, Key: in.IdempotencyKey}
}

// MemberPasswordPayload is the answer of mutations that make a one-time
// password: the member and, this once, the password.
type MemberPasswordPayload = SecretPayload[*Member]

// mostMailQuota is a pebibyte.
const mostMailQuota = 1 << 30

// newMember is a person who is to be a member, checked.
type newMember struct {
	member, user   ID
	name, mailName string
	role           MemberRole
	aliases        []string
	quota          int32
	password       Secret
}

// draft checks what is said of a new member.
func (in CreateMemberInput) draft() (d newMember, err error) {
	d.role = MemberRoleMember // also of one that is refused, which an import shows
	if in.Role != nil && *in.Role != MemberRoleMember && *in.Role != MemberRoleAdmin {
		return d, Errorf(Invalid, "A role is %s or %s.", MemberRoleAdmin, MemberRoleMember).On("role")
	}
	if in.Role != nil {
		d.role = *in.Role
	}
	if d.name, err = cleanLine("name", in.Name, longestName); err != nil {
		return d, err
	}
	if d.mailName, err = cleanMailName("mailName", in.MailName); err != nil {
		return d, err
	}
	if d.aliases, err = cleanAliases("aliases", in.Aliases); err != nil {
		return d, err
	}
	if in.MailQuotaMiB != nil {
		d.quota = *in.MailQuotaMiB
	}
	return d, checkQuota(d.quota)
}

func checkQuota(mib int32) error {
	if mib < 0 || mib > mostMailQuota {
		return Errorf(Invalid, "A mailbox's quota is 0 for none, or up to %d MiB.", mostMailQuota).On("mailQuotaMiB")
	}
	return nil
}

// CreateMember makes a person who signs in with the address of their mailbox,
// and returns at once with a one-time password, which is shown this once; their
// provisioning is due from then on (E-1).
func (p *Platform) CreateMember(ctx context.Context, in CreateMemberInput) (*Member, Secret, error) {
	d, err := in.draft()
	if err != nil {
		return nil, Secret{}, err
	}
	d.member, d.user, d.password = p.newID(KindMember), p.newID(KindUser), newPassword()
	var m *Member
	err = p.change(ctx, ActionMemberCreated, in.TenantID, d.member, func(w Writer) error {
		t, err := p.growing(ctx, w, in.TenantID, 1)
		if err != nil {
			return err
		}
		if m, err = p.makeMember(ctx, w, t, d); err != nil {
			return err
		}
		return w.PutTenant(ctx, t)
	})
	return m, d.password, err
}

// growing is a tenant that takes members, and has so many free seats. Whoever fills them stores the
// tenant in the same change, so that two who take the last one meet.
func (p *Platform) growing(ctx context.Context, w Writer, tenant ID, more int) (*Tenant, error) {
	t, err := w.Tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if err := t.growable(); err != nil {
		return nil, err
	}
	if more == 0 { // also of one whose seats became fewer than its members
		return t, nil
	}
	counts, err := w.CountMembersOf(ctx, []ID{tenant})
	if err != nil {
		return nil, err
	}
	if counts[tenant]+more > int(t.Seats) {
		return nil, noSeat(t)
	}
	return t, nil
}

// growable refuses new members of a tenant that is shut, or on its way out.
func (t *Tenant) growable() error {
	if t.Status == TenantStatusSuspended {
		return Errorf(Conflict, "A suspended tenant takes no members.")
	}
	return t.changeable()
}

func noSeat(t *Tenant) error {
	return Errorf(Conflict, "All %d seats of the tenant are taken.", t.Seats)
}

// makeMember stores a new person and their membership. The seat is theirs
// already. Somebody who is refused has changed nothing: all addresses are looked
// at before any is claimed.
func (p *Platform) makeMember(ctx context.Context, w Writer, t *Tenant, d newMember) (*Member, error) {
	domain, err := p.primaryDomain(t)
	if err != nil {
		return nil, err
	}
	m := &Member{
		Document: Document{ID: d.member}, TenantID: t.ID, UserID: d.user, Role: d.role, State: MemberStateActive,
		Source: MemberSourceMutation, JoinedAt: p.now(), Address: d.mailName + "@" + domain, MailQuotaMiB: d.quota,
	}
	u := &User{
		Document: Document{ID: d.user}, Email: m.Address, Username: m.Address, Name: d.name, Ours: true, CreatedAt: m.JoinedAt,
	}
	m.nameAliases(domain, d.aliases)
	own, err := unclaimed(ctx, w, m.ID, "mailName", m.Address)
	if err != nil {
		return nil, err
	}
	others, err := unclaimed(ctx, w, m.ID, "aliases", m.Aliases...)
	if err != nil {
		return nil, err
	}
	if err := claim(ctx, w, t.ID, m.ID, append(own, others...)...); err != nil {
		return nil, err
	}
	if m.Sealed, err = p.seal(d.password, m.ID); err != nil {
		return nil, err
	}
	if u.Sealed, err = p.seal(d.password, u.ID); err != nil {
		return nil, err
	}
	if err := w.PutUser(ctx, u); err != nil {
		return nil, err
	}
	return m, w.PutMember(ctx, m)
}

// setAliases gives the member exactly these mail names in a domain.
func (m *Member) setAliases(ctx context.Context, w Writer, domain string, names []string) error {
	m.nameAliases(domain, names)
	return claimAddresses(ctx, w, m.TenantID, m.ID, "aliases", m.Aliases...)
}

func (m *Member) nameAliases(domain string, names []string) {
	m.Aliases = nil
	for _, name := range names {
		if alias := name + "@" + domain; alias != m.Address {
			m.Aliases = append(m.Aliases, alias)
		}
	}
}

// mailUntil is until when a mailbox that is frozen now may still be read; nil
// where the mail server cannot say.
func (p *Platform) mailUntil(ctx context.Context) *Time {
	if p.mailboxes == nil {
		return nil
	}
	ctx, cancel := p.clock.WithTimeout(ctx, askTime)
	defer cancel()
	longest, err := p.mailboxes.LongestConnection(ctx)
	if err != nil {
		return nil
	}
	until := p.now().Add(longest)
	return &until
}

// askTime is how long a person waits for what an outside system adds to an
// answer that is good without it.
const askTime = 2 * time.Second
