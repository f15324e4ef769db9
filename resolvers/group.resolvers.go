package resolvers

import (
	"context"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/graph/generated"
	"github.com/dezky/platform/platform"
)

func (r *groupResolver) Tenant(ctx context.Context, obj *platform.Group) (*platform.Tenant, error) {
	return graph.TenantOf(ctx, obj, func(g *platform.Group) platform.ID { return g.TenantID })
}

func (r *groupResolver) Members(ctx context.Context, obj *platform.Group) ([]*platform.Member, error) {
	return graph.GroupMembersOf(ctx, obj)
}

func (r *groupResolver) Provisioning(ctx context.Context, obj *platform.Group) (*platform.ProvisioningStatus, error) {
	return graph.ProvisioningOf(ctx, obj, func(g *platform.Group) platform.ID { return g.ID })
}

func (r *mutationResolver) CreateGroup(ctx context.Context, input platform.CreateGroupInput) (*platform.Payload[*platform.Group], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.CreateGroup)
}

func (r *mutationResolver) UpdateGroup(ctx context.Context, input platform.UpdateGroupInput) (*platform.Payload[*platform.Group], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.UpdateGroup)
}

func (r *mutationResolver) DeleteGroup(ctx context.Context, input platform.DeleteGroupInput) (*platform.Payload[*platform.Group], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.DeleteGroup)
}

func (r *queryResolver) Groups(ctx context.Context, tenantID platform.ID, first *int32, after *platform.Cursor) (*platform.Connection[*platform.Group], error) {
	return graph.Page[platform.Group](ctx)(r.platform.GroupsOf(ctx, tenantID, first, after))
}

func (r *Resolver) Group() generated.GroupResolver { return &groupResolver{r} }

type groupResolver struct{ *Resolver }
