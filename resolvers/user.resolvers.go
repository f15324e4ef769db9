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

func (r *mutationResolver) UpdateUser(ctx context.Context, input platform.UpdateUserInput) (*platform.Payload[*platform.User], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.UpdateUser)
}

func (r *mutationResolver) GrantPlatformAdmin(ctx context.Context, input platform.GrantPlatformAdminInput) (*platform.Payload[*platform.User], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.GrantPlatformAdmin)
}

func (r *mutationResolver) RevokePlatformAdmin(ctx context.Context, input platform.RevokePlatformAdminInput) (*platform.Payload[*platform.User], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.RevokePlatformAdmin)
}

func (r *queryResolver) Me(ctx context.Context) (*platform.Me, error) {
	return graph.Caller(ctx)(r.platform.Me(ctx))
}

func (r *queryResolver) Whoami(ctx context.Context) (*platform.Whoami, error) {
	return r.platform.Whoami(ctx)
}

func (r *queryResolver) User(ctx context.Context, id platform.ID) (*platform.User, error) {
	return r.platform.Reader().User(ctx, id)
}

func (r *queryResolver) Users(ctx context.Context, first *int32, after *platform.Cursor, search *string) (*platform.Connection[*platform.User], error) {
	return graph.Page[platform.User](ctx)(r.platform.Users(ctx, first, after, search))
}

func (r *Resolver) Me() generated.MeResolver { return &meResolver{r} }

type meResolver struct{ *Resolver }
