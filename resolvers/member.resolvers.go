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

func (r *memberResolver) Provisioning(ctx context.Context, obj *platform.Member) (*platform.ProvisioningStatus, error) {
	return graph.ProvisioningOf(ctx, obj, func(m *platform.Member) platform.ID { return m.ID })
}

func (r *memberResolver) PersonProvisioning(ctx context.Context, obj *platform.Member) (*platform.ProvisioningStatus, error) {
	return graph.PersonProvisioningOf(ctx, obj)
}

func (r *memberResolver) Authenticators(ctx context.Context, obj *platform.Member) (*int32, error) {
	return graph.AuthenticatorsOf(ctx, obj)
}

func (r *memberResolver) Storage(ctx context.Context, obj *platform.Member) (*platform.Storage, error) {
	return graph.MemberStorageOf(ctx, obj)
}

func (r *mutationResolver) CreateMember(ctx context.Context, input platform.CreateMemberInput) (*platform.SecretPayload[*platform.Member], error) {
	return platform.MutateSecret(ctx, r.platform, input, r.platform.CreateMember)
}

func (r *mutationResolver) UpdateMember(ctx context.Context, input platform.UpdateMemberInput) (*platform.Payload[*platform.Member], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.UpdateMember)
}

func (r *mutationResolver) SuspendMember(ctx context.Context, input platform.SuspendMemberInput) (*platform.Payload[*platform.Member], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.SuspendMember)
}

func (r *mutationResolver) ResumeMember(ctx context.Context, input platform.ResumeMemberInput) (*platform.Payload[*platform.Member], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.ResumeMember)
}

func (r *mutationResolver) ForceLogoutMember(ctx context.Context, input platform.ForceLogoutMemberInput) (*platform.Payload[*platform.Member], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.ForceLogoutMember)
}

func (r *mutationResolver) ResetMemberPassword(ctx context.Context, input platform.ResetMemberPasswordInput) (*platform.SecretPayload[*platform.Member], error) {
	return platform.MutateSecret(ctx, r.platform, input, r.platform.ResetMemberPassword)
}

func (r *mutationResolver) ReconcileMember(ctx context.Context, input platform.ReconcileMemberInput) (*platform.Payload[*platform.Member], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.ReconcileMember)
}

func (r *mutationResolver) RemoveMember(ctx context.Context, input platform.RemoveMemberInput) (*platform.Payload[*platform.Member], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.RemoveMember)
}

func (r *mutationResolver) RestoreMember(ctx context.Context, input platform.RestoreMemberInput) (*platform.Payload[*platform.Member], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.RestoreMember)
}

func (r *subscriptionResolver) MemberStatus(ctx context.Context, tenantID platform.ID, memberID platform.ID, after *int32, personAfter *int32) (<-chan *platform.ProvisioningStatus, error) {
	return r.platform.WatchMember(ctx, tenantID, memberID, after, personAfter)
}

func (r *Resolver) Member() generated.MemberResolver { return &memberResolver{r} }

type memberResolver struct{ *Resolver }
