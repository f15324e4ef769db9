package authentik

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dezky/platform/platform"
)

// applyMember makes sure that a person is in their tenant's group, or in no
// group of the tenant. It makes the account if need be, and leaves to the
// person's own step what many memberships have a say in: whether the account is
// active, its password, and its end.
func (c *Client) applyMember(ctx context.Context, w *platform.MemberWant, handle string) (string, error) {
	person := &w.Person
	u, err := c.account(ctx, person, handle)
	if err != nil {
		return "", err
	}
	if w.Presence != platform.PresenceActive {
		if u == nil || !u.belongsTo(person) {
			return "", nil
		}
		return u.UUID, c.leaveTenant(ctx, w, u)
	}
	if u == nil && person.Presence == platform.PresenceGone {
		return "", nil
	}
	if u, err = c.ensurePerson(ctx, person, u, false); err != nil || u == nil {
		return "", err
	}
	g, err := c.ensureTenant(ctx, &w.Tenant, "")
	if err != nil {
		return "", err
	}
	if !slices.Contains(u.Groups, g.PK) {
		err = c.addUser(ctx, g, u)
	}
	return u.UUID, err
}

// leaveTenant takes a person out of every group of the tenant. Their sessions
// end before, so that whatever is cut off, they are in a group as long as a
// session may know of it; and the tenant's own group comes last.
func (c *Client) leaveTenant(ctx context.Context, w *platform.MemberWant, u *user) error {
	groups, err := c.groupsIn(u, &w.Tenant)
	if err != nil || len(groups) == 0 {
		return err
	}
	if err := c.endSessions(ctx, u); err != nil {
		return err
	}
	var foreign error
	for _, g := range groups {
		if m, ok := g.Attributes.mark(); !ok || (m.TenantID != "" && m.TenantID != w.Tenant.ID) {
			foreign = g.foreign()
		} else if err := c.removeUser(ctx, g, u); err != nil {
			return err
		}
	}
	return foreign
}

// groupsIn are the groups with a tenant's names that the user is in, the
// tenant's own last.
func (c *Client) groupsIn(u *user, t *platform.TenantWant) ([]*group, error) {
	if len(u.GroupObjects) != len(u.Groups) {
		return nil, c.call.Garbled(fmt.Errorf("user %d is in %d groups, and %d are shown", u.PK, len(u.Groups), len(u.GroupObjects)))
	}
	beginning := platform.GroupWant{Tenant: *t}.SignInGroup()
	var found []*group
	var own *group
	for _, g := range u.GroupObjects {
		switch {
		case g == nil || g.PK == "":
			return nil, c.call.Garbled(fmt.Errorf("user %d is in a group without a pk", u.PK))
		case g.Name == t.Group():
			own = g
		case strings.HasPrefix(g.Name, beginning):
			found = append(found, g)
		}
	}
	if own != nil {
		found = append(found, own)
	}
	return found, nil
}
