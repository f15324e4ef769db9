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

func (w *writer) PutUser(ctx context.Context, u *platform.User) error {
	_, err := put[platform.User](ctx, w, users, u)
	return err
}
