package store

import (
	"context"

	"github.com/dezky/platform/platform"
)

func (r reader) OpenInvitations(ctx context.Context, email string) ([]*platform.Invitation, error) {
	return find[platform.Invitation](ctx, r, invitations, Query{Where: []Condition{eq("email", email), open()}})
}

func open() Condition { return eq("state", string(platform.InvitationStateOpen)) }

func (r reader) InvitationByCode(ctx context.Context, hash string) (*platform.Invitation, error) {
	q := Query{Where: []Condition{eq("code", hash)}, Limit: 1}
	return first[platform.Invitation](platform.NoInvitation(""))(find[platform.Invitation](ctx, r, invitations, q))
}

func (r reader) Invitation(ctx context.Context, tenant, id platform.ID) (*platform.Invitation, error) {
	return ofTenant(ctx, r, invitations, id, platform.NoInvitation(id), func(i *platform.Invitation) bool { return i.TenantID == tenant })
}

func (r reader) InvitationsByID(ctx context.Context, ids []platform.ID) ([]*platform.Invitation, error) {
	return byID[platform.Invitation](ctx, r, invitations, ids)
}

func invitationsNewest() order[platform.Invitation] {
	return order[platform.Invitation]{
		list: "invitations", sort: "createdAt", desc: true, value: func(i *platform.Invitation) string { return i.CreatedAt.String() },
	}
}

func (r reader) OpenInvitationsOf(
	ctx context.Context, tenant platform.ID, page platform.Page,
) (platform.List[*platform.Invitation], error) {
	return findPage(ctx, r, invitations, invitationsNewest(), page, eq("tenantId", string(tenant)), open())
}

func (r reader) CountOpenInvitationsOf(ctx context.Context, tenant platform.ID) (int, error) {
	return count(ctx, r, invitations, eq("tenantId", string(tenant)), open())
}

func (w *writer) PutInvitation(ctx context.Context, i *platform.Invitation) error {
	_, err := put[platform.Invitation](ctx, w, invitations, i)
	return err
}
