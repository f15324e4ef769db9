package authentik

import (
	"context"
	"fmt"

	"github.com/dezky/platform/platform"
)

// ensureTenant makes sure that the tenant has its group. The group's name is how
// tokens speak of it, so the name decides; a group that somebody renamed is
// found by its handle and gets its name back, because a new one would have no
// members.
func (c *Client) ensureTenant(ctx context.Context, t *platform.TenantWant, handle string) (*group, error) {
	g, err := c.groupNamed(ctx, t.Group())
	if g == nil && err == nil {
		g, err = c.renamedTenant(ctx, t, handle)
	}
	if g == nil && err == nil {
		g, err = c.createGroup(ctx, t.Group(), tenantMark(t))
	}
	if err != nil {
		return nil, err
	}
	if m, ok := g.Attributes.mark(); !ok || (m.TenantID != "" && m.TenantID != t.ID) {
		return nil, g.foreign()
	}
	return g, c.mendGroup(ctx, g, t.Group(), tenantMark(t))
}

// renamedTenant is the group that an earlier attempt recorded, if it is there
// and the tenant's, or nil.
func (c *Client) renamedTenant(ctx context.Context, t *platform.TenantWant, handle string) (*group, error) {
	g, err := c.groupAt(ctx, handle)
	if err != nil || g == nil {
		return nil, err
	}
	if m, ok := g.Attributes.mark(); !ok || m.TenantID != t.ID {
		return nil, nil
	}
	return g, nil
}

func tenantMark(t *platform.TenantWant) map[string]string {
	fields := map[string]string{"tenantId": string(t.ID), "slug": t.Slug}
	if t.Name != "" {
		fields["name"] = t.Name
	}
	return fields
}

// foreign is the error about a group that is another's.
func (g *group) foreign() *platform.Error {
	return platform.Errorf(platform.Conflict, "The group %s belongs to somebody else.", g.Name).
		Because(fmt.Errorf("group %s is marked %s", g.PK, g.Attributes[markKey])).Never()
}
