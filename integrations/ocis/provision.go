package ocis

import (
	"context"

	"github.com/dezky/platform/platform"
)

var _ platform.Provisioner = (*Client)(nil)

// Apply brings a tenant's space, a person's account or a membership's grant in
// step. Groups and domains have nothing here.
func (c *Client) Apply(ctx context.Context, s platform.Step) (handle string, err error) {
	switch want := s.Want; {
	case want.Tenant != nil:
		return c.applySpace(ctx, want.Tenant, s.Handle)
	case want.Person != nil:
		return c.applyPerson(ctx, want.Person, s.Handle)
	case want.Member != nil:
		return c.applyMember(ctx, want.Member, s.Handle)
	}
	return "", platform.ErrSkip
}
