package store

import (
	"context"

	"github.com/dezky/platform/platform"
)

func (r reader) AddressesByID(ctx context.Context, ids []platform.ID) ([]*platform.Address, error) {
	return byID[platform.Address](ctx, r, addresses, ids)
}

func (r reader) AddressesOf(ctx context.Context, holder platform.ID) ([]*platform.Address, error) {
	return find[platform.Address](ctx, r, addresses, Query{Where: []Condition{eq("holder", string(holder))}})
}

func (w *writer) ClaimAddress(ctx context.Context, a *platform.Address) error {
	return w.insert(ctx, addresses, a)
}

func (w *writer) FreeAddress(ctx context.Context, a *platform.Address) error {
	return w.tx.Delete(ctx, addresses, a.ID, a.Version)
}
