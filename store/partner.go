package store

import (
	"context"

	"github.com/dezky/platform/platform"
)

func (r reader) Partner(ctx context.Context, id platform.ID) (*platform.Partner, error) {
	return oneByID[platform.Partner](ctx, r, partners, id, platform.NoPartner(id))
}

func (r reader) PartnersByID(ctx context.Context, ids []platform.ID) ([]*platform.Partner, error) {
	return byID[platform.Partner](ctx, r, partners, ids)
}

func (r reader) PartnerBySlug(ctx context.Context, slug string) (*platform.Partner, error) {
	missing := platform.NoPartner(slug)
	return first[platform.Partner](missing)(find[platform.Partner](ctx, r, partners, Query{Where: []Condition{eq("slug", slug)}, Limit: 1}))
}

func (r reader) CountCustomersOf(ctx context.Context, ids []platform.ID) (map[platform.ID]int, error) {
	return countBy(ctx, r, tenants, "partnerId", in("partnerId", ids...))
}

func (w *writer) PutPartner(ctx context.Context, p *platform.Partner) error {
	_, err := put[platform.Partner](ctx, w, partners, p)
	return err
}
