package store

import (
	"context"

	"github.com/dezky/platform/platform"
)

func (r reader) OpenPendings(ctx context.Context, email string) ([]*platform.PendingMember, error) {
	return find[platform.PendingMember](ctx, r, pendings, Query{
		Where: []Condition{eq("email", email), eq("state", string(platform.PendingStateOpen))},
	})
}

func (w *writer) PutPending(ctx context.Context, p *platform.PendingMember) error {
	_, err := put[platform.PendingMember](ctx, w, pendings, p)
	return err
}
