package platform

import "context"

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
