package resolvers

import (
	"context"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/graph/generated"
	"github.com/dezky/platform/platform"
)

func (r *memberResolver) Tenant(ctx context.Context, obj *platform.Member) (*platform.Tenant, error) {
	return graph.TenantOf(ctx, obj, func(m *platform.Member) platform.ID { return m.TenantID })
}

func (r *memberResolver) User(ctx context.Context, obj *platform.Member) (*platform.User, error) {
	return graph.UserOf(ctx, obj, func(m *platform.Member) platform.ID { return m.UserID })
}

func (r *Resolver) Member() generated.MemberResolver { return &memberResolver{r} }

type memberResolver struct{ *Resolver }
