package authentik

import (
	"context"

	"github.com/dezky/platform/platform"
)

var _ platform.Provisioner = (*Client)(nil)

// Apply makes true what is wanted of a tenant, a person, a membership or a
// group; the identity provider knows nothing of domains. The handle is the pk of
// a group, and the UUID of a person's account.
func (c *Client) Apply(ctx context.Context, s platform.Step) (handle string, err error) {
	switch w := s.Want; {
	case w.Tenant != nil:
		g, err := c.ensureTenant(ctx, w.Tenant, s.Handle)
		if err != nil {
			return "", err
		}
		return g.PK, nil
	case w.Person != nil:
		return c.applyPerson(ctx, w.Person, s.Handle)
	case w.Member != nil:
		return c.applyMember(ctx, w.Member, s.Handle)
	case w.Group != nil:
		return c.applyGroup(ctx, w.Group, s.Handle)
	}
	return "", platform.ErrSkip
}
