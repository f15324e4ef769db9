package platform

import (
	"context"
	"slices"
)

// What a person and their memberships want outside. It is worked out when a step
// is claimed, over all that there is in one snapshot, and never stored.

// presence is how much of a membership there should be outside.
func (m *Member) presence(t *Tenant) Presence {
	switch {
	case m.over() || t.Status == TenantStatusDeleted:
		return PresenceGone
	case m.State == MemberStateSuspended || t.shut():
		return PresenceSuspended
	}
	return PresenceActive
}

// shut says that nobody of the tenant is let in (B-5, B-6).
func (t *Tenant) shut() bool {
	return t.Status == TenantStatusSuspended || t.Status == TenantStatusDeleting
}

// presence is how much of a person there should be outside: as much as the one
// who wants most of them wants. An account that the platform did not make is shut
// out by somebody's word alone, and never removed.
func (u *User) presence(memberships []Presence) Presence {
	switch {
	case u.PlatformAdmin, u.PartnerID != "", slices.Contains(memberships, PresenceActive):
		return PresenceActive
	case slices.Contains(memberships, PresenceSuspended):
		return PresenceSuspended
	case u.Ours:
		return PresenceGone
	}
	return PresenceActive
}

// over says that nothing of a membership is wanted outside.
func (m *Member) over() bool { return m.State == MemberStateRevoked || m.State == MemberStateLapsed }

// Raises says whether the change from an old version, nil for none, is anything
// to the membership's own steps.
func (m *Member) Raises(old *Member) bool {
	return m.RaisesOthers(old) || old != nil && (m.Role != old.Role || !slices.Equal(m.Aliases, old.Aliases) ||
		m.MailQuotaMiB != old.MailQuotaMiB || m.Sealed != old.Sealed && m.Sealed != "")
}

// RaisesOthers says whether that change is anything to the steps of the person,
// and of the groups that the member is in: those ask of a membership if it
// counts, and for its address.
func (m *Member) RaisesOthers(old *Member) bool {
	if old == nil {
		return !m.over()
	}
	return m.State != old.State && !(m.over() && old.over()) || m.Address != old.Address
}

// Raises says whether the change from an old version is anything to the person's
// own steps.
func (u *User) Raises(old *User) bool {
	return u.RaisesMemberships(old) || u.PlatformAdmin != old.PlatformAdmin || u.PartnerID != old.PartnerID ||
		u.Sealed != old.Sealed && u.Sealed != ""
}

// RaisesMemberships says whether that change is anything to the steps of the
// person's memberships.
func (u *User) RaisesMemberships(old *User) bool {
	return u.Name != old.Name || u.Email != old.Email || u.Username != old.Username || u.Subject != old.Subject
}

// personWant is what a person wants, and which of their tenants are shut.
func (p *Platform) personWant(ctx context.Context, r Reader, id ID) (*PersonWant, *User, []ID, error) {
	u, err := r.User(ctx, id)
	if err != nil {
		return nil, nil, nil, err
	}
	held, err := r.MembershipsOf(ctx, id)
	if err != nil {
		return nil, nil, nil, err
	}
	ids := make([]ID, len(held))
	for i, m := range held {
		ids[i] = m.TenantID
	}
	tenants, err := r.TenantsByID(ctx, ids)
	if err != nil {
		return nil, nil, nil, err
	}
	var presences []Presence
	var shut []ID
	for _, m := range held {
		i := slices.IndexFunc(tenants, func(t *Tenant) bool { return t.ID == m.TenantID })
		if i < 0 {
			continue
		}
		presences = append(presences, m.presence(tenants[i]))
		if tenants[i].shut() && !m.over() {
			shut = append(shut, m.TenantID)
		}
	}
	want := u.want()
	want.Presence = u.presence(presences)
	return &want, u, shut, nil
}

// want is what the platform knows of a person's account.
func (u *User) want() PersonWant {
	return PersonWant{
		ID: u.ID, Presence: PresenceActive, Ours: u.Ours, Subject: u.Subject, Username: u.Username, Email: u.Email, Name: u.Name,
	}
}

// memberWant is what a membership wants, and its tenant if that is shut.
func (p *Platform) memberWant(ctx context.Context, r Reader, tenant, id ID) (*MemberWant, []ID, error) {
	m, err := r.Member(ctx, tenant, id)
	if err != nil {
		return nil, nil, err
	}
	t, err := r.Tenant(ctx, tenant)
	if err != nil {
		return nil, nil, err
	}
	person, _, _, err := p.personWant(ctx, r, m.UserID)
	if err != nil {
		return nil, nil, err
	}
	want := &MemberWant{ID: m.ID, Presence: m.presence(t), Tenant: p.tenantWant(t), Person: *person, Role: m.Role}
	shut := t.ifShut()
	if m.over() {
		shut = nil
	}
	if m.Address == "" {
		return want, shut, nil
	}
	want.Mailbox = &MailboxWant{
		Presence: want.Presence, Address: m.Address, Aliases: m.Aliases, Name: person.Name, QuotaBytes: int64(m.MailQuotaMiB) << 20,
	}
	want.Mailbox.Password, err = p.open(m.Sealed, m.ID)
	return want, shut, err
}

// ifShut names the tenant, if it is shut.
func (t *Tenant) ifShut() []ID {
	if t.shut() {
		return []ID{t.ID}
	}
	return nil
}

func (p *Platform) tenantWant(t *Tenant) TenantWant {
	want := t.Desired()
	want.CreatedAt = t.CreatedAt
	if p.mailDomain != "" {
		want.MailDomain = want.Slug + "." + p.mailDomain
	}
	return want
}

// want is what should be outside of a subject, as things are in this
// transaction, and which shut tenants that follows from.
func (p *Platform) want(ctx context.Context, b Book, doc *Provisioning) (want Want, shut []ID, err error) {
	switch doc.ID.Kind() {
	case KindUser:
		var u *User
		if want.Person, u, shut, err = p.personWant(ctx, b, doc.ID); err == nil {
			want.Person.Password, err = p.open(u.Sealed, u.ID)
		}
	case KindMember:
		want.Member, shut, err = p.memberWant(ctx, b, doc.TenantID, doc.ID)
	case KindGroup:
		want.Group, shut, err = p.groupWant(ctx, b, doc.TenantID, doc.ID)
	case KindImport:
		want.Import = &ImportWant{ID: doc.ID, TenantID: doc.TenantID}
	default:
		var t *Tenant
		if t, err = b.Tenant(ctx, doc.TenantID); err == nil {
			tenant := p.tenantWant(t)
			want.Tenant = &tenant
		}
	}
	return want, shut, err
}

// learn writes down what a step that is done tells of a person or a membership:
// whom the identity provider calls them, that nobody waits for a password any
// more, and which addresses are free again.
func (p *Platform) learn(ctx context.Context, b Book, doc *Provisioning, attempt Step) error {
	done := doc.step(attempt.Integration)
	if done == nil || !done.settled() { // one that was made for what is wanted no more is due again
		return nil
	}
	switch want := attempt.Want; {
	case want.Person != nil:
		return p.learnOfPerson(ctx, b, doc, attempt)
	case want.Member != nil:
		return p.learnOfMember(ctx, b, doc, attempt)
	case want.Group != nil && want.Group.Presence == PresenceGone && !doc.Open:
		return freeAddresses(ctx, b, doc.ID)
	}
	return nil
}

func (p *Platform) learnOfPerson(ctx context.Context, b Book, doc *Provisioning, attempt Step) error {
	u, err := b.User(ctx, doc.ID)
	if err != nil {
		return err
	}
	old := *u
	gone := u.Ours && attempt.Want.Person.Presence == PresenceGone
	if attempt.Integration == IntegrationAuthentik {
		u.Sealed = ""
		if done := doc.step(IntegrationAuthentik); u.Ours && !gone && done.State == ProvisioningStateOK && done.Handle != "" {
			// Also when it was known: an account that was removed by an attempt that
			// something else was wanted of meanwhile is another one by now.
			if err := learnSubject(ctx, b, u, done.Handle); err != nil {
				return err
			}
		}
	}
	if gone && !doc.Open { // not before: the systems that still have the person know them by it
		u.Subject, u.Username = "", ""
	}
	if *u != old {
		if err := b.KeepUser(ctx, u); err != nil {
			return err
		}
	}
	if doc.Open {
		return nil
	}
	held, err := b.MembershipsOf(ctx, u.ID)
	for _, m := range held {
		if err == nil {
			err = p.letGo(ctx, b, m, u)
		}
	}
	return err
}

// learnSubject takes over what the identity provider calls a person, unless that
// is somebody else by now: then it stays theirs.
func learnSubject(ctx context.Context, r UserReader, u *User, subject string) error {
	if u.Subject == subject {
		return nil
	}
	_, err := r.UserBySubject(ctx, subject)
	if err != nil && CodeOf(err) == NotFound {
		u.Subject, err = subject, nil
	}
	return err
}

func (p *Platform) learnOfMember(ctx context.Context, b Book, doc *Provisioning, attempt Step) error {
	m, err := b.Member(ctx, doc.TenantID, doc.ID)
	if err != nil {
		return err
	}
	if attempt.Integration == IntegrationStalwart && m.Address != "" {
		until := doc.step(IntegrationStalwart).OpenUntil
		if m.Sealed != "" || !sameTime(until, m.MailUntil) {
			m.Sealed, m.MailUntil = "", until
			if err := b.KeepMember(ctx, m); err != nil {
				return err
			}
		}
	}
	if doc.Open {
		return nil
	}
	u, err := b.User(ctx, m.UserID)
	if err != nil {
		return err
	}
	return p.letGo(ctx, b, m, u)
}

func sameTime(a, b *Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(b.Time)
}

// letGo frees the addresses that a membership needs no more: those that the mail
// server has let go of, and that nobody signs in with.
func (p *Platform) letGo(ctx context.Context, b Book, m *Member, u *User) error {
	if m.Address == "" {
		return nil
	}
	docs, err := b.ProvisioningsByID(ctx, []ID{m.ID})
	if err != nil || len(docs) == 0 || docs[0].Open {
		return err
	}
	needed := append([]string{m.Address}, m.Aliases...)
	if m.State == MemberStateRevoked {
		needed = nil
		if u.Username == m.Address {
			needed = []string{m.Address}
		}
	}
	return freeAddresses(ctx, b, m.ID, needed...)
}
