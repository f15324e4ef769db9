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

func (r *mutationResolver) UpdateMember(ctx context.Context, input platform.UpdateMemberInput) (*platform.Payload[*platform.Member], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.UpdateMember)
}

func (r *mutationResolver) RemoveMember(ctx context.Context, input platform.RemoveMemberInput) (*platform.Payload[*platform.Member], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.RemoveMember)
}

func (r *mutationResolver) RestoreMember(ctx context.Context, input platform.RestoreMemberInput) (*platform.Payload[*platform.Member], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.RestoreMember)
}

func (r *Resolver) Member() generated.MemberResolver { return &memberResolver{r} }

type memberResolver struct{ *Resolver }
