package resolvers

import (
	"context"

	"github.com/dezky/platform/graph"
	"github.com/dezky/platform/graph/generated"
	"github.com/dezky/platform/platform"
)

func (r *invitationResolver) InvitedBy(ctx context.Context, obj *platform.Invitation) (*platform.User, error) {
	return graph.UserOf(ctx, obj, func(i *platform.Invitation) platform.ID { return i.InvitedBy })
}

func (r *mutationResolver) InviteMember(ctx context.Context, input platform.InviteMemberInput) (*platform.SecretPayload[*platform.Invitation], error) {
	return platform.MutateSecret(ctx, r.platform, input, r.platform.InviteMember)
}

func (r *mutationResolver) ResendInvitation(ctx context.Context, input platform.ResendInvitationInput) (*platform.SecretPayload[*platform.Invitation], error) {
	return platform.MutateSecret(ctx, r.platform, input, r.platform.ResendInvitation)
}

func (r *mutationResolver) RevokeInvitation(ctx context.Context, input platform.RevokeInvitationInput) (*platform.Payload[*platform.Invitation], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.RevokeInvitation)
}

func (r *mutationResolver) AcceptInvitation(ctx context.Context, input platform.AcceptInvitationInput) (*platform.Payload[*platform.Member], error) {
	return platform.Mutate(ctx, r.platform, input, r.platform.AcceptInvitation)
}

func (r *queryResolver) Invitations(ctx context.Context, tenantID platform.ID, first *int32, after *platform.Cursor) (*platform.Connection[*platform.Invitation], error) {
	return graph.Page[platform.Invitation](ctx)(r.platform.InvitationsOf(ctx, tenantID, first, after))
}

func (r *Resolver) Invitation() generated.InvitationResolver { return &invitationResolver{r} }

type invitationResolver struct{ *Resolver }
