package platform

import (
	"context"
	"crypto/rand"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// Invitation is a membership that waits for somebody: for the first sign-in
// with an address that the identity provider vouches for, or for whoever holds
// its code. It gives nobody a right by itself.
type Invitation struct {
	Document
	TenantID ID              `json:"tenantId"`
	Email    string          `json:"email"`
	Role     MemberRole      `json:"role"`
	State    InvitationState `json:"state"`
	// Code is a keyed hash of the code, "" for an invitation without one.
	Code      string `json:"code,omitempty"`
	InvitedBy ID     `json:"invitedBy,omitempty"`
	// MemberID is who it made a member; "" as long as nobody.
	MemberID  ID   `json:"memberId,omitempty"`
	CreatedAt Time `json:"createdAt"`
	Expires   Time `json:"expires"`
}

// IsNode makes an invitation a Node of the graph.
func (*Invitation) IsNode() {}

// InvitationState says whether an invitation can still be accepted.
type InvitationState string

// The states. One that is open may have expired.
const (
	InvitationStateOpen     InvitationState = "OPEN"
	InvitationStateAccepted InvitationState = "ACCEPTED"
	InvitationStateRevoked  InvitationState = "REVOKED"
)

// What audit says of invitations.
const (
	ActionMemberInvited      Action = "MEMBER_INVITED"
	ActionInvitationResent   Action = "INVITATION_RESENT"
	ActionInvitationRevoked  Action = "INVITATION_REVOKED"
	ActionInvitationAccepted Action = "INVITATION_ACCEPTED"
)

// invitedFor is how long an invitation waits, and mostInvitations how many of a
// tenant may wait at once.
const (
	invitedFor      = 30 * 24 * time.Hour
	mostInvitations = 1000
	longestCode     = 64
)

// InvitationConnection is a page of invitations.
type InvitationConnection = Connection[*Invitation]

// InvitationEdge is an invitation in a list.
type InvitationEdge = Edge[*Invitation]

// InvitationPayload is the answer of mutations about an invitation.
type InvitationPayload = Payload[*Invitation]

// InvitationCodePayload is the answer of those that make a code: the invitation
// and, this once, the code.
type InvitationCodePayload = SecretPayload[*Invitation]

// InvitationReader reads invitations.
type InvitationReader interface {
	// OpenInvitations are those for an address that nobody has accepted or revoked,
	// expired ones among them.
	OpenInvitations(ctx context.Context, email string) ([]*Invitation, error)
	// InvitationByCode is the one with this hash of a code, or NotFound.
	InvitationByCode(ctx context.Context, hash string) (*Invitation, error)
	// Invitation is the invitation of this tenant with this ID, or NotFound.
	Invitation(ctx context.Context, tenant, id ID) (*Invitation, error)
	// InvitationsByID are those of the invitations that exist, in no order.
	InvitationsByID(ctx context.Context, ids []ID) ([]*Invitation, error)
	// OpenInvitationsOf lists a tenant's open invitations, newest first.
	OpenInvitationsOf(ctx context.Context, tenant ID, page Page) (List[*Invitation], error)
	// CountOpenInvitationsOf counts them.
	CountOpenInvitationsOf(ctx context.Context, tenant ID) (int, error)
}

// InvitationWriter changes invitations.
type InvitationWriter interface {
	PutInvitation(ctx context.Context, i *Invitation) error
}

// cleanEmail is an address as it is compared: in small letters, without a name
// around it.
func cleanEmail(field, text string) (string, error) {
	text, err := cleanLine(field, text, 254)
	if err != nil {
		return "", err
	}
	parsed, err := mail.ParseAddress(text)
	if err != nil || parsed.Address != text || strings.ContainsAny(text, `"\ `) {
		return "", Errorf(Invalid, "This is no e-mail address.").On(field).Because(err)
	}
	return strings.ToLower(text), nil
}

// InviteMemberInput says who is to become a member.
type InviteMemberInput struct {
	TenantID       ID
	Email          string
	Role           *MemberRole
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in InviteMemberInput) Attempt() Attempt {
	return Attempt{Action: ActionMemberInvited, TenantID: in.TenantID, Key: in.IdempotencyKey}
}

// ResendInvitationInput names the invitation that gets a new code.
type ResendInvitationInput struct {
	TenantID       ID
	InvitationID   ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in ResendInvitationInput) Attempt() Attempt {
	return Attempt{Action: ActionInvitationResent, TenantID: in.TenantID, Target: in.InvitationID, Key: in.IdempotencyKey}
}

// RevokeInvitationInput names the invitation that is good no more.
type RevokeInvitationInput struct {
	TenantID       ID
	InvitationID   ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in RevokeInvitationInput) Attempt() Attempt {
	return Attempt{Action: ActionInvitationRevoked, TenantID: in.TenantID, Target: in.InvitationID, Key: in.IdempotencyKey}
}

// AcceptInvitationInput is what an invited person holds.
type AcceptInvitationInput struct {
	Code           string
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in AcceptInvitationInput) Attempt() Attempt {
	return Attempt{Action: ActionInvitationAccepted, Key: in.IdempotencyKey}
}

// InviteMember asks somebody who has an account elsewhere, or will have one. The
// code is shown this once; whoever signs in may accept with it, and so does the
// first sign-in with the address, if the token vouches for it. Whether anybody
// has the address it does not tell.
func (p *Platform) InviteMember(ctx context.Context, in InviteMemberInput) (*Invitation, Secret, error) {
	email, err := cleanEmail("email", in.Email)
	if err != nil {
		return nil, Secret{}, err
	}
	i := &Invitation{
		Document: Document{ID: p.newID(KindInvitation)}, TenantID: in.TenantID, Email: email, Role: MemberRoleMember,
		State: InvitationStateOpen, CreatedAt: p.now(),
	}
	if in.Role != nil {
		i.Role = *in.Role
	}
	code := p.renew(ctx, i)
	err = p.change(ctx, ActionMemberInvited, in.TenantID, i.ID, func(w Writer) error {
		t, err := p.growing(ctx, w, in.TenantID, 0)
		if err != nil {
			return err
		}
		// One that has expired makes room for a new one.
		expired := func(other *Invitation) bool { return !other.Expires.After(i.CreatedAt.Time) }
		if err := revokeInvitations(ctx, w, t.ID, email, expired); err != nil {
			return err
		}
		open, err := w.CountOpenInvitationsOf(ctx, in.TenantID)
		if err != nil {
			return err
		}
		if open >= mostInvitations {
			return Errorf(Conflict, "At most %d invitations wait at once.", mostInvitations)
		}
		waiting, err := w.OpenInvitations(ctx, email)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(waiting, func(other *Invitation) bool { return other.TenantID == in.TenantID }) {
			return Errorf(Conflict, "This address is invited already.").On("email")
		}
		if err := w.PutInvitation(ctx, i); err != nil {
			return err
		}
		return w.PutTenant(ctx, t) // where two who invite the same address meet
	})
	return i, code, err
}

// revokeInvitations makes those of a tenant's open invitations to an address good
// for nothing of which that holds.
func revokeInvitations(ctx context.Context, w Writer, tenant ID, email string, which func(*Invitation) bool) error {
	open, err := w.OpenInvitations(ctx, email)
	if err != nil {
		return err
	}
	for _, i := range open {
		if i.TenantID != tenant || !which(i) {
			continue
		}
		i.revoke()
		if err := w.PutInvitation(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (i *Invitation) revoke() { i.State, i.Code = InvitationStateRevoked, "" }

// renew gives an invitation a new code, which the caller answers for, and all its
// time.
func (p *Platform) renew(ctx context.Context, i *Invitation) Secret {
	code := rand.Text()
	if a := ActorOf(ctx); a != nil && a.User != nil {
		i.InvitedBy = a.User.ID
	}
	i.Code, i.Expires = p.hash("invitation", code), p.now().Add(invitedFor)
	return NewSecret(code)
}

// ResendInvitation makes a new code, shown this once; the old one is good no
// more, and the invitation waits anew.
func (p *Platform) ResendInvitation(ctx context.Context, in ResendInvitationInput) (*Invitation, Secret, error) {
	var code Secret
	i, err := p.changeInvitation(ctx, ActionInvitationResent, in.TenantID, in.InvitationID, func(i *Invitation) { code = p.renew(ctx, i) })
	return i, code, err
}

// RevokeInvitation makes an invitation good for nothing.
func (p *Platform) RevokeInvitation(ctx context.Context, in RevokeInvitationInput) (*Invitation, error) {
	return p.changeInvitation(ctx, ActionInvitationRevoked, in.TenantID, in.InvitationID, (*Invitation).revoke)
}

func (p *Platform) changeInvitation(ctx context.Context, action Action, tenant, id ID, law func(*Invitation)) (*Invitation, error) {
	var i *Invitation
	err := p.change(ctx, action, tenant, id, func(w Writer) (err error) {
		if i, err = w.Invitation(ctx, tenant, id); err != nil {
			return err
		}
		if i.State != InvitationStateOpen {
			return Errorf(Conflict, "This invitation is not open any more.").On("invitationId")
		}
		law(i)
		return w.PutInvitation(ctx, i)
	})
	return i, err
}

// AcceptInvitation makes the caller a member, if the code is good and there is a
// seat. A code that is wrong, used, revoked or expired is one answer.
func (p *Platform) AcceptInvitation(ctx context.Context, in AcceptInvitationInput) (*Member, error) {
	a, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if a.User == nil {
		return nil, Errorf(Conflict, "Ask for me first: it stores who you are.")
	}
	bad := Errorf(Invalid, "This code is not good, or not any more.").On("code")
	if len(in.Code) > longestCode {
		return nil, bad
	}
	found, err := p.store.InvitationByCode(ctx, p.hash("invitation", strings.TrimSpace(in.Code)))
	if err != nil {
		if CodeOf(err) == NotFound {
			return nil, bad
		}
		return nil, err
	}
	var m *Member
	err = p.change(ctx, ActionInvitationAccepted, found.TenantID, found.ID, func(w Writer) error {
		i, err := w.Invitation(ctx, found.TenantID, found.ID)
		if err != nil {
			return err
		}
		good, err := p.isGood(ctx, w, i)
		if err != nil {
			return err
		}
		if !good {
			return bad
		}
		held, err := w.MembershipsOf(ctx, a.User.ID)
		if err != nil {
			return err
		}
		m, err = p.accept(ctx, w, i, a.User, held)
		return err
	})
	return m, err
}

// isGood says whether an invitation can be accepted: also who answers for it must
// still be one who may invite, or an administrator could keep a code, and come
// back with it after they were demoted or removed.
func (p *Platform) isGood(ctx context.Context, r Reader, i *Invitation) (bool, error) {
	if i.State != InvitationStateOpen || !i.Expires.After(p.now().Time) {
		return false, nil
	}
	if i.InvitedBy == "" { // with the tenant itself (B-3)
		return true, nil
	}
	by, err := r.User(ctx, i.InvitedBy)
	if err != nil || by.PlatformAdmin {
		return err == nil, err
	}
	held, err := r.MembershipsOf(ctx, by.ID)
	return slices.ContainsFunc(held, func(m *Member) bool { return m.TenantID == i.TenantID && m.administers() }), err
}

// takesUp says whether the sign-in with its address alone accepts an invitation.
// Who is somebody's already says so with the code: no tenant makes another's
// people its members, and ends their sessions (E-3), without a word of theirs.
func (i *Invitation) takesUp(u *User, held []*Member) bool {
	if i.Code == "" { // with the tenant itself (B-3)
		return true
	}
	return !u.PlatformAdmin && u.PartnerID == "" &&
		!slices.ContainsFunc(held, func(m *Member) bool { return m.TenantID != i.TenantID && !m.over() })
}

// accept makes a person the member that an invitation promised. What somebody
// gave by a mutation counts more than what a token gave, and lifts a tombstone. A
// suspension it does not lift, nor a tombstone that is newer, and an administrator it
// does not demote (E-7).
func (p *Platform) accept(ctx context.Context, w Writer, i *Invitation, u *User, held []*Member) (*Member, error) {
	m := &Member{Document: Document{ID: p.newID(KindMember)}, TenantID: i.TenantID, UserID: u.ID, JoinedAt: p.now()}
	more := 1
	if at := slices.IndexFunc(held, func(m *Member) bool { return m.TenantID == i.TenantID }); at >= 0 {
		switch m = held[at]; m.State {
		case MemberStateActive:
			more = 0
		case MemberStateSuspended:
			return nil, Errorf(Conflict, "This membership is suspended.")
		case MemberStateRevoked:
			if m.RemovedAt != nil && i.Expires.Add(-invitedFor).Before(m.RemovedAt.Time) {
				return nil, Errorf(Conflict, "This membership was taken away.")
			}
		}
	}
	t, err := p.growing(ctx, w, i.TenantID, more)
	if err != nil {
		return nil, err
	}
	if !m.administers() {
		m.Role = i.Role
	}
	m.State, m.Source, m.MailUntil, m.RemovedAt = MemberStateActive, MemberSourceMutation, nil, nil
	i.State, i.Code, i.MemberID = InvitationStateAccepted, "", m.ID
	if err := w.PutMember(ctx, m); err != nil {
		return nil, err
	}
	if err := w.PutInvitation(ctx, i); err != nil {
		return nil, err
	}
	return m, w.PutTenant(ctx, t)
}

// invitationsOf are those that wait for a bearer, if the token vouches for the
// address.
func (p *Platform) invitationsOf(ctx context.Context, r InvitationReader, is Identity) ([]*Invitation, error) {
	if !is.EmailVerified || is.Email == "" {
		return nil, nil
	}
	open, err := r.OpenInvitations(ctx, strings.ToLower(is.Email))
	now := p.now()
	return slices.DeleteFunc(open, func(i *Invitation) bool { return !i.Expires.After(now.Time) }), err
}

// takeUp accepts what waited for a person at their sign-in, where there is a
// seat: where there is none it waits on. It returns all that the person then
// holds, and if anything was taken up.
func (p *Platform) takeUp(ctx context.Context, w Writer, u *User, held []*Member, waiting []*Invitation) ([]*Member, bool, error) {
	taken, before := false, held
	for _, i := range waiting {
		good, err := p.isGood(ctx, w, i)
		if err != nil {
			return nil, false, err
		}
		if !good || !i.takesUp(u, before) {
			continue
		}
		m, err := p.accept(ctx, w, i, u, held)
		if CodeOf(err) == Conflict && err != nil {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		taken = true
		if !slices.Contains(held, m) {
			held = append(held, m)
		}
	}
	return held, taken, nil
}

// NoInvitation is the answer for an invitation that is not there, or not of this
// tenant.
func NoInvitation(id ID) error { return Errorf(NotFound, "There is no invitation %s.", shorten(id)) }

// InvitationsOf lists a tenant's open invitations.
func (p *Platform) InvitationsOf(ctx context.Context, tenant ID, first *int32, after *Cursor) (*InvitationConnection, error) {
	return tenantList(ctx, tenant, first, after, p.store.OpenInvitationsOf, p.store.CountOpenInvitationsOf)
}
