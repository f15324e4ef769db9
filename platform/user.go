package platform

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// User is a person who has signed in, or was made a member. Their subject at the
// identity provider names them; all its issuers say the same subject.
type User struct {
	Document
	// Subject is "" as long as nobody knows it: an account that is still to be made,
	// or is gone.
	Subject string `json:"subject,omitempty"`
	// Username is what the person signs in with, in small letters, where it is known.
	Username string `json:"username,omitempty"`
	// Ours says that the platform made the account at the identity provider.
	Ours bool `json:"ours,omitempty"`
	// Sealed is the account's one-time password, until the identity provider has it.
	Sealed Sealed `json:"sealed,omitempty"`
	// SignedOutAt is when the person's sessions were last ended by force: tokens
	// from before are good for nothing here (E-3).
	SignedOutAt *Time  `json:"signedOutAt,omitempty"`
	Email       string `json:"email"`
	Name        string `json:"name"`
	// PlatformAdmin is half of what makes an operator; the token's audience is
	// the other half.
	PlatformAdmin bool `json:"platformAdmin"`
	// AdminBy says where that comes from, or that it was taken away.
	AdminBy AdminSource `json:"adminBy,omitempty"`
	// PartnerID makes the person staff of a partner; "" otherwise.
	PartnerID   ID          `json:"partnerId,omitempty"`
	PartnerRole PartnerRole `json:"partnerRole,omitempty"`
	CreatedAt   Time        `json:"createdAt"`
}

// IsNode makes a user a Node of the graph.
func (*User) IsNode() {}

// AdminSource says who made a platform administrator, or unmade one: what a
// token gave, a token without the group takes away; what a mutation gave or
// took, no token changes.
type AdminSource string

// The sources.
const (
	AdminSourceToken   AdminSource = "TOKEN"
	AdminSourceGranted AdminSource = "GRANTED"
	AdminSourceRevoked AdminSource = "REVOKED"
)

// What audit says of users.
const (
	ActionUserSynced           Action = "USER_SYNCED"
	ActionUserUpdated          Action = "USER_UPDATED"
	ActionPlatformAdminGranted Action = "PLATFORM_ADMIN_GRANTED"
	ActionPlatformAdminRevoked Action = "PLATFORM_ADMIN_REVOKED"
)

// Groups of the identity provider that make a platform administrator.
var platformAdminGroups = [...]string{"dezky-platform-admins", "authentik Admins"}

// UserReader reads people.
type UserReader interface {
	// UserBySubject is the person whom a token names, or NotFound.
	UserBySubject(ctx context.Context, subject string) (*User, error)
	// UnknownUsers are the people with this user name whose subject nobody knows yet.
	UnknownUsers(ctx context.Context, username string) ([]*User, error)
	// UsersByID are those of the people who exist, in no order.
	UsersByID(ctx context.Context, ids []ID) ([]*User, error)
	// User is the person with this ID, or NotFound.
	User(ctx context.Context, id ID) (*User, error)
	// Users is a page of everybody, by address; search finds people by the
	// beginnings of words in name and address.
	Users(ctx context.Context, search string, page Page) (List[*User], error)
	// CountUsers counts them.
	CountUsers(ctx context.Context, search string) (int, error)
}

// UserWriter changes people.
type UserWriter interface {
	// PutUser stores the person, and has their provisioning due when what they want
	// outside differs, and that of their memberships when it is anything to those. A
	// person of whom nothing is outside raises nothing.
	PutUser(ctx context.Context, u *User) error
}

// Me is who calls, as the portal needs it in one round trip.
type Me struct {
	User        *User
	Memberships []*Member
	// Partner is set for the staff of an active partner.
	Partner    *Partner
	IsOperator bool
}

// IsTenantAdmin says whether the caller administers any tenant.
func (m *Me) IsTenantAdmin() bool {
	return slices.ContainsFunc(m.Memberships, func(m *Member) bool { return m.Role == MemberRoleAdmin })
}

// Whoami is what the caller's own token says, and never the token.
type Whoami struct {
	Iss    string
	Aud    []string
	Sub    string
	Groups []string
	Exp    Time
}

// Whoami tells callers what their token says.
func (p *Platform) Whoami(ctx context.Context) (*Whoami, error) {
	a, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	return &Whoami{
		Iss: a.Identity.Issuer, Aud: a.Identity.Audience, Sub: a.Identity.Subject,
		Groups: append([]string{}, a.Identity.Groups...), Exp: a.Identity.Expires,
	}, nil
}

// Me makes the caller's user if they are new, and brings it in step with what
// the token says. It writes differences only.
func (p *Platform) Me(ctx context.Context) (*Me, error) {
	a, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	tenants, err := p.store.TenantsBySlug(ctx, tenantSlugs(a.Identity.Groups))
	if err != nil {
		return nil, err
	}
	waiting, err := p.invitationsOf(ctx, p.store, a.Identity)
	if err != nil {
		return nil, err
	}
	if a.User != nil {
		waiting = slices.DeleteFunc(waiting, func(i *Invitation) bool { return !i.takesUp(a.User, a.all) })
	}
	if len(waiting) > 0 || !p.inStep(a, tenants) {
		if err := p.syncUser(ctx, a, tenants); err != nil {
			return nil, err
		}
		if a, err = p.SignIn(ctx, a.Identity, a.From); err != nil {
			return nil, err
		}
		become(ctx, a)
	}
	return &Me{User: a.User, Memberships: a.Memberships, Partner: a.Partner, IsOperator: a.operator(p.operatorAudience)}, nil
}

// tenantSlugs are the slugs of the tenants whose groups are named, each once.
func tenantSlugs(groups []string) []string {
	var slugs []string
	for _, g := range groups {
		if slug, ok := strings.CutPrefix(g, TenantGroupPrefix); ok && slug != "" && !slices.Contains(slugs, slug) {
			slugs = append(slugs, slug)
		}
	}
	return slugs
}

// inStep says whether syncUser would change nothing.
func (p *Platform) inStep(a *Actor, tenants []*Tenant) bool {
	if a.User == nil {
		return false
	}
	u := *a.User
	if u.sync(a.Identity) {
		return false
	}
	return len(syncMemberships(a.User, a.all, tenants, func() ID { return "" }, Time{})) == 0
}

func (p *Platform) syncUser(ctx context.Context, a *Actor, tenants []*Tenant) error {
	id := p.newID(KindUser)
	if a.User != nil {
		id = a.User.ID
	}
	now := p.now()
	err := p.change(ctx, ActionUserSynced, "", id, func(w Writer) error {
		u, err := w.UserBySubject(ctx, a.Identity.Subject)
		if CodeOf(err) == NotFound && err != nil {
			u = &User{Document: Document{ID: id}, Subject: a.Identity.Subject, CreatedAt: now}
			err = stillMade(ctx, w, a.Identity.Username)
		}
		if err != nil {
			return err
		}
		changed := u.sync(a.Identity) || u.Version == 0
		if changed {
			if err := w.PutUser(ctx, u); err != nil {
				return err
			}
		}
		held, err := w.MembershipsOf(ctx, u.ID)
		if err != nil {
			return err
		}
		waiting, err := p.invitationsOf(ctx, w, a.Identity)
		if err != nil {
			return err
		}
		held, taken, err := p.takeUp(ctx, w, u, held, waiting)
		if err != nil {
			return err
		}
		changed = changed || taken
		for _, m := range syncMemberships(u, held, tenants, func() ID { return p.newID(KindMember) }, now) {
			if err := w.PutMember(ctx, m); err != nil {
				return err
			}
			changed = true
		}
		if !changed {
			return errUnchanged // another call with the same token was quicker
		}
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// stillMade refuses whoever signs in with an account that the platform has just
// made, and of which it does not know yet that it is there: or one person would
// become two.
func stillMade(ctx context.Context, r UserReader, username string) error {
	if username == "" {
		return nil
	}
	made, err := r.UnknownUsers(ctx, strings.ToLower(username))
	if err == nil && len(made) > 0 {
		err = Errorf(Unavailable, "Your account is still being made. Try again in a moment.").After(time.Second)
	}
	return err
}

// sync takes over what the token says of the person, and says if that changed
// anything.
func (u *User) sync(is Identity) bool {
	old := *u
	if is.Email != "" && !u.Ours {
		u.Email = is.Email
	}
	if is.Name != "" && !u.Ours {
		u.Name = is.Name
	}
	if is.Username != "" && !u.Ours {
		u.Username = strings.ToLower(is.Username)
	}
	named := slices.ContainsFunc(is.Groups, func(g string) bool {
		return slices.Contains(platformAdminGroups[:], g)
	})
	switch {
	case u.AdminBy == AdminSourceGranted || u.AdminBy == AdminSourceRevoked:
	case named:
		u.PlatformAdmin, u.AdminBy = true, AdminSourceToken
	default:
		u.PlatformAdmin, u.AdminBy = false, ""
	}
	return *u != old
}

// ActiveTenantID is the tenant that the caller joined first, or "".
func (m *Me) ActiveTenantID() ID {
	var first *Member
	for _, m := range m.Memberships {
		if first == nil || m.JoinedAt.Before(first.JoinedAt.Time) {
			first = m
		}
	}
	if first == nil {
		return ""
	}
	return first.TenantID
}

// PartnerRole is what the caller may do for the partner, if they are its staff.
func (m *Me) PartnerRole() *PartnerRole {
	if m.Partner == nil {
		return nil
	}
	return m.User.StaffRole()
}

// StaffRole is what the person may do for their partner; nil without one.
func (u *User) StaffRole() *PartnerRole {
	if u.PartnerRole == "" {
		return nil
	}
	return &u.PartnerRole
}

// UserConnection is a page of people.
type UserConnection = Connection[*User]

// UserEdge is a person in a list.
type UserEdge = Edge[*User]

// UserPayload is the answer of mutations about a person.
type UserPayload = Payload[*User]

// UpdateUserInput says what changes of one of a partner's staff.
type UpdateUserInput struct {
	UserID         ID
	PartnerRole    PartnerRole
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in UpdateUserInput) Attempt() Attempt {
	return Attempt{Action: ActionUserUpdated, Target: in.UserID, Key: in.IdempotencyKey}
}

// GrantPlatformAdminInput names who becomes a platform administrator.
type GrantPlatformAdminInput struct {
	UserID         ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in GrantPlatformAdminInput) Attempt() Attempt {
	return Attempt{Action: ActionPlatformAdminGranted, Target: in.UserID, Key: in.IdempotencyKey}
}

// RevokePlatformAdminInput names who is no platform administrator any more.
type RevokePlatformAdminInput struct {
	UserID         ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in RevokePlatformAdminInput) Attempt() Attempt {
	return Attempt{Action: ActionPlatformAdminRevoked, Target: in.UserID, Key: in.IdempotencyKey}
}

// Users lists everybody. The field's directive admits operators alone.
func (p *Platform) Users(ctx context.Context, first *int32, after *Cursor, search *string) (*UserConnection, error) {
	page, err := NewPage(first, after)
	if err != nil {
		return nil, err
	}
	text := valueOf(search)
	if text != "" {
		if text, err = cleanLine("search", text, longestName); err != nil {
			return nil, err
		}
	}
	list, err := p.store.Users(ctx, text, page)
	if err != nil {
		return nil, err
	}
	return NewConnection(page, list, func(ctx context.Context) (int, error) { return p.store.CountUsers(ctx, text) }), nil
}

// UpdateUser changes what one of a partner's staff may do for it.
func (p *Platform) UpdateUser(ctx context.Context, in UpdateUserInput) (*User, error) {
	return p.changeUser(ctx, ActionUserUpdated, in.UserID, func(u *User) error {
		if u.PartnerID == "" {
			return Errorf(Conflict, "This person is no partner's staff.").On("userId")
		}
		u.PartnerRole = in.PartnerRole
		return nil
	})
}

// GrantPlatformAdmin makes a platform administrator, whatever groups say.
func (p *Platform) GrantPlatformAdmin(ctx context.Context, in GrantPlatformAdminInput) (*User, error) {
	return p.changeUser(ctx, ActionPlatformAdminGranted, in.UserID, func(u *User) error {
		u.PlatformAdmin, u.AdminBy = true, AdminSourceGranted
		return nil
	})
}

// RevokePlatformAdmin takes it away, and keeps it away whatever groups say,
// until it is granted again.
func (p *Platform) RevokePlatformAdmin(ctx context.Context, in RevokePlatformAdminInput) (*User, error) {
	return p.changeUser(ctx, ActionPlatformAdminRevoked, in.UserID, func(u *User) error {
		u.PlatformAdmin, u.AdminBy = false, AdminSourceRevoked
		return nil
	})
}

// changeUser changes a person who is not the caller (E-7).
func (p *Platform) changeUser(ctx context.Context, action Action, id ID, law func(*User) error) (*User, error) {
	if self(ctx, id) {
		return nil, Errorf(Conflict, "Nobody does this to themselves.").On("userId")
	}
	var u *User
	err := p.change(ctx, action, "", id, func(w Writer) (err error) {
		if u, err = w.User(ctx, id); err != nil {
			return err
		}
		if err := law(u); err != nil {
			return err
		}
		return w.PutUser(ctx, u)
	})
	return u, err
}

// self says whether the caller is this person.
func self(ctx context.Context, id ID) bool {
	a := ActorOf(ctx)
	return a != nil && a.User != nil && a.User.ID == id
}
