package resolvers

import (
	"context"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/graph/generated"
	"github.com/dezky/platform/platform"
)

func (r *meResolver) ActiveTenant(ctx context.Context, obj *platform.Me) (*platform.Tenant, error) {
	return graph.TenantOf(ctx, obj, (*platform.Me).ActiveTenantID)
}

func (r *queryResolver) Me(ctx context.Context) (*platform.Me, error) {
	return graph.Caller(ctx)(r.platform.Me(ctx))
}

func (r *queryResolver) Whoami(ctx context.Context) (*platform.Whoami, error) {
	return r.platform.Whoami(ctx)
}

func (r *Resolver) Me() generated.MeResolver { return &meResolver{r} }

type meResolver struct{ *Resolver }
