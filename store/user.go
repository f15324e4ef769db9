package store

import (
	"context"

	"github.com/dezky/platform/platform"
)

func (r reader) UserBySubject(ctx context.Context, subject string) (*platform.User, error) {
	missing := platform.Errorf(platform.NotFound, "This person has not signed in yet.")
	return first[platform.User](missing)(find[platform.User](ctx, r, users, Query{Where: []Condition{eq("subject", subject)}, Limit: 1}))
}

func (r reader) UsersByID(ctx context.Context, ids []platform.ID) ([]*platform.User, error) {
	return byID[platform.User](ctx, r, users, ids)
}

func (r reader) User(ctx context.Context, id platform.ID) (*platform.User, error) {
	return oneByID[platform.User](ctx, r, users, id, platform.NoUser(id))
}

func usersByEmail() order[platform.User] {
	return order[platform.User]{list: "users", sort: "email", value: func(u *platform.User) string { return u.Email }}
}

func (r reader) Users(ctx context.Context, search string, page platform.Page) (platform.List[*platform.User], error) {
	words, ok := searched(search)
	if !ok {
		return platform.List[*platform.User]{}, nil
	}
	return findPage(ctx, r, users, usersByEmail(), page, words...)
}

func (r reader) CountUsers(ctx context.Context, search string) (int, error) {
	words, ok := searched(search)
	if !ok {
		return 0, nil
	}
	return count(ctx, r, users, words...)
}

func (r reader) UnknownUsers(ctx context.Context, username string) ([]*platform.User, error) {
	return find[platform.User](ctx, r, users, Query{Where: []Condition{eq("username", username), eq("subject", nil)}})
}

// PutUser has the steps tried anew of a person of whom something is outside, and
// those of their memberships, which want the person's name and account too.
func (w *writer) PutUser(ctx context.Context, u *platform.User) error {
	old, err := put[platform.User](ctx, w, users, u)
	if err != nil || old == nil || !u.Raises(old) {
		return err
	}
	subjects := []platform.ID{u.ID}
	if u.RaisesMemberships(old) {
		held, err := w.MembershipsOf(ctx, u.ID)
		if err != nil {
			return err
		}
		for _, m := range held {
			subjects = append(subjects, m.ID)
		}
	}
	there, err := w.ProvisioningsByID(ctx, subjects)
	for _, doc := range there {
		if err == nil {
			doc.Raise(w.now)
			err = w.PutProvisioning(ctx, doc, true)
		}
	}
	return err
}

// KeepUser stores what a step told of a person.
func (w *writer) KeepUser(ctx context.Context, u *platform.User) error {
	return w.replace(ctx, users, u)
}
