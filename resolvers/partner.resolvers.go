package resolvers

import (
	"context"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/graph/generated"
	"github.com/dezky/platform/platform"
)

func (r *partnerResolver) CustomersCount(ctx context.Context, obj *platform.Partner) (int32, error) {
	return graph.CustomersCountOf(ctx, obj)
}

func (r *Resolver) Partner() generated.PartnerResolver { return &partnerResolver{r} }

type partnerResolver struct{ *Resolver }
