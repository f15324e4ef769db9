package platform

import (
	"context"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// PendingMember is a membership that waits for the first sign-in with an address.
// It gives nobody a right: only a token that vouches for the address takes it up.
type PendingMember struct {
	Document
	TenantID ID           `json:"tenantId"`
	Email    string       `json:"email"`
	Role     MemberRole   `json:"role"`
	State    PendingState `json:"state"`
	Expires  Time         `json:"expires"`
}

// PendingState says whether a pending membership can still be taken up.
type PendingState string

// The states.
const (
	PendingStateOpen  PendingState = "OPEN"
	PendingStateTaken PendingState = "TAKEN"
)

// pendingFor is how long a pending membership waits.
const pendingFor = 30 * 24 * time.Hour

// PendingReader reads pending memberships.
type PendingReader interface {
	// OpenPendings are those for an address that nobody has taken up, expired ones
	// among them.
	OpenPendings(ctx context.Context, email string) ([]*PendingMember, error)
}

// PendingWriter changes pending memberships.
type PendingWriter interface {
	PutPending(ctx context.Context, p *PendingMember) error
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

// pendingsOf are the memberships that wait for a bearer, if the token vouches
// for the address.
func (p *Platform) pendingsOf(ctx context.Context, r PendingReader, is Identity) ([]*PendingMember, error) {
	if !is.EmailVerified || is.Email == "" {
		return nil, nil
	}
	open, err := r.OpenPendings(ctx, strings.ToLower(is.Email))
	now := p.now()
	return slices.DeleteFunc(open, func(m *PendingMember) bool { return !m.Expires.After(now.Time) }), err
}

// takeUp makes the memberships that waited for a person. What somebody gave by
// a mutation counts more than what a token gave, and lifts a tombstone.
// It returns all that the person then holds.
func (p *Platform) takeUp(ctx context.Context, w Writer, u *User, held []*Member, waiting []*PendingMember) ([]*Member, error) {
	for _, pending := range waiting {
		m := &Member{Document: Document{ID: p.newID(KindMember)}, TenantID: pending.TenantID, UserID: u.ID, JoinedAt: p.now()}
		if i := slices.IndexFunc(held, func(m *Member) bool { return m.TenantID == pending.TenantID }); i >= 0 {
			m = held[i]
		} else {
			held = append(held, m)
		}
		m.Role, m.State, m.Source = pending.Role, MemberStateActive, MemberSourceMutation
		pending.State = PendingStateTaken
		if err := w.PutMember(ctx, m); err != nil {
			return nil, err
		}
		if err := w.PutPending(ctx, pending); err != nil {
			return nil, err
		}
	}
	return held, nil
}
