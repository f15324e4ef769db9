package resolvers

import (
	"context"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/graph/generated"
	"github.com/dezky/platform/platform"
)

func (r *mutationResolver) CreateTenant(ctx context.Context, input platform.CreateTenantInput) (*platform.Payload[*platform.Tenant], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.CreateTenant)
}

func (r *mutationResolver) UpdateTenant(ctx context.Context, input platform.UpdateTenantInput) (*platform.Payload[*platform.Tenant], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.UpdateTenant)
}

func (r *mutationResolver) ReconcileTenant(ctx context.Context, input platform.ReconcileTenantInput) (*platform.Payload[*platform.Tenant], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.ReconcileTenant)
}

func (r *mutationResolver) SuspendTenant(ctx context.Context, input platform.SuspendTenantInput) (*platform.Payload[*platform.Tenant], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.SuspendTenant)
}

func (r *mutationResolver) ResumeTenant(ctx context.Context, input platform.ResumeTenantInput) (*platform.Payload[*platform.Tenant], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.ResumeTenant)
}

func (r *queryResolver) Tenant(ctx context.Context, id *platform.ID, slug *string) (*platform.Tenant, error) {
	return r.platform.TenantByName(ctx, id, slug)
}

func (r *queryResolver) Tenants(ctx context.Context, first *int32, after *platform.Cursor, filter *platform.TenantFilter, search *string, orderBy *platform.TenantOrder) (*platform.Connection[*platform.Tenant], error) {
	return graph.Page[platform.Tenant](ctx)(r.platform.Tenants(ctx, platform.TenantsInput{
		First: first, After: after, Filter: filter, Search: search, OrderBy: orderBy,
	}))
}

func (r *tenantResolver) Partner(ctx context.Context, obj *platform.Tenant) (*platform.Partner, error) {
	return graph.PartnerOf(ctx, obj)
}

func (r *tenantResolver) Subscription(ctx context.Context, obj *platform.Tenant) (*platform.TenantSubscription, error) {
	return graph.SubscriptionOf(ctx, obj)
}

func (r *tenantResolver) MembersCount(ctx context.Context, obj *platform.Tenant) (*int32, error) {
	return graph.MembersCountOf(ctx, obj)
}

func (r *tenantResolver) Members(ctx context.Context, obj *platform.Tenant, first *int32, after *platform.Cursor) (*platform.Connection[*platform.Member], error) {
	return graph.MembersOf(ctx, obj, first, after)
}

func (r *tenantResolver) Storage(ctx context.Context, obj *platform.Tenant) (*platform.Storage, error) {
	return graph.TenantStorageOf(ctx, obj)
}

func (r *tenantResolver) Provisioning(ctx context.Context, obj *platform.Tenant) (*platform.ProvisioningStatus, error) {
	return graph.ProvisioningOf(ctx, obj, func(t *platform.Tenant) platform.ID { return t.ID })
}

func (r *tenantResolver) AuditEvents(ctx context.Context, obj *platform.Tenant, first *int32, after *platform.Cursor) (*platform.Connection[*platform.AuditEvent], error) {
	return graph.AuditEventsOf(ctx, obj, first, after)
}

func (r *Resolver) Tenant() generated.TenantResolver { return &tenantResolver{r} }

type tenantResolver struct{ *Resolver }
