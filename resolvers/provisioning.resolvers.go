package resolvers

import (
	"context"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/graph/generated"
	"github.com/dezky/platform/platform"
)

func (r *failedOperationResolver) Tenant(ctx context.Context, obj *platform.FailedOperation) (*platform.Tenant, error) {
	return graph.TenantOf(ctx, obj, func(o *platform.FailedOperation) platform.ID { return o.TenantID })
}

func (r *mutationResolver) RetryOperation(ctx context.Context, input platform.RetryOperationInput) (*platform.Payload[*platform.ProvisioningStatus], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.RetryOperation)
}

func (r *provisioningStatusResolver) Tenant(ctx context.Context, obj *platform.ProvisioningStatus) (*platform.Tenant, error) {
	return graph.TenantOf(ctx, obj, func(s *platform.ProvisioningStatus) platform.ID { return s.TenantID })
}

func (r *queryResolver) FailedOperations(ctx context.Context, first *int32, after *platform.Cursor) (*platform.Connection[*platform.FailedOperation], error) {
	return graph.Page[platform.FailedOperation](ctx)(r.platform.FailedOperations(ctx, first, after))
}

func (r *subscriptionResolver) ProvisioningStatus(ctx context.Context, tenantID platform.ID, after *int32) (<-chan *platform.ProvisioningStatus, error) {
	return r.platform.WatchProvisioning(ctx, tenantID, after)
}

func (r *subscriptionResolver) ProvisioningFeed(ctx context.Context, after *platform.Cursor) (<-chan *platform.ProvisioningStatus, error) {
	return r.platform.WatchProvisioningFeed(ctx, after)
}

func (r *Resolver) FailedOperation() generated.FailedOperationResolver {
	return &failedOperationResolver{r}
}

func (r *Resolver) ProvisioningStatus() generated.ProvisioningStatusResolver {
	return &provisioningStatusResolver{r}
}

type (
	failedOperationResolver    struct{ *Resolver }
	provisioningStatusResolver struct{ *Resolver }
)
