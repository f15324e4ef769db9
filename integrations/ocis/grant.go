package ocis

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/dezky/platform/platform"
)

// role is what a grant on a space allows. Lists of spaces say the word, and
// everything about one grant the id, which is the same on every server.
type role struct{ word, id string }

func roleOf(r platform.MemberRole) role {
	if r == platform.MemberRoleAdmin {
		return role{"manager", "312c0871-5ef7-4b3a-85b6-0e4074c64049"}
	}
	return role{"editor", "58c63c02-1d89-4572-916a-870abc5a1b7d"}
}

// applyMember makes sure that the person is a member of the tenant's space for
// as long as the membership is active. The person's account is made if it is not
// there, and otherwise left to the person's own step.
func (c *Client) applyMember(ctx context.Context, m *platform.MemberWant, recorded string) (handle string, err error) {
	if m.Person.Username == "" {
		return "", platform.ErrSkip
	}
	if m.Presence != platform.PresenceActive || m.Person.Presence == platform.PresenceGone {
		return c.endMember(ctx, m, recorded)
	}
	a, err := c.accountOf(ctx, m.Person.Username, recorded)
	if err == nil && a == nil {
		a, err = c.createAccount(ctx, &m.Person)
	}
	if err != nil {
		return "", err
	}
	keep, surplus, err := c.spacesOf(ctx, m.Tenant.ID, "")
	if err != nil {
		return "", err
	}
	if keep == nil {
		return "", platform.Errorf(platform.Unavailable, "The tenant's space on the file server is not there yet.")
	}
	if err := c.grant(ctx, keep, a.ID, roleOf(m.Role)); err != nil {
		return "", err
	}
	// As long as there are two, the tenant's step alone knows which one stays.
	for _, d := range surplus {
		if d.Description != mark(m.Tenant.ID) || d.disabled() {
			continue
		}
		if err := c.grant(ctx, &d, a.ID, roleOf(m.Role)); err != nil {
			return "", err
		}
	}
	return a.ID, nil
}

// endMember takes the person's grant away, on every space of the tenant. Without
// an account there is none.
func (c *Client) endMember(ctx context.Context, m *platform.MemberWant, recorded string) (handle string, err error) {
	if recorded == "" {
		a, err := c.accountOf(ctx, m.Person.Username, "")
		if err != nil || a == nil {
			return "", err
		}
		recorded = a.ID
	}
	keep, surplus, err := c.spacesOf(ctx, m.Tenant.ID, "")
	if err != nil {
		return "", err
	}
	if keep != nil {
		surplus = append(surplus, *keep)
	}
	for _, d := range surplus {
		if _, granted := d.grants(recorded); !granted {
			continue
		}
		if err := c.isNotOurs(ctx, recorded); err != nil {
			return "", err
		}
		if err := managed(c.removeGrant(ctx, d.ID, recorded)); err != nil {
			return "", err
		}
	}
	return recorded, nil
}

// grant makes the account a member of the space in exactly that role.
func (c *Client) grant(ctx context.Context, d *drive, account string, wanted role) error {
	roles, granted := d.grants(account)
	if !granted {
		err := c.invite(ctx, d.ID, account, wanted.id)
		if !hasStatus(err, http.StatusConflict) {
			return managed(err)
		}
		// Somebody was faster, in whatever role.
		if roles, err = c.grantedRoles(ctx, d.ID, account); err != nil {
			return managed(err)
		}
	}
	if len(roles) == 1 && (roles[0] == wanted.word || roles[0] == wanted.id) {
		return nil
	}
	if err := c.isNotOurs(ctx, account); err != nil {
		return err
	}
	return managed(c.changeGrant(ctx, d.ID, account, wanted.id))
}

// removeGrants takes all grants of an account on project spaces away, but for
// those on spaces that we do not manage and on disabled ones: these let nobody
// in, since an account's id never comes back.
func (c *Client) removeGrants(ctx context.Context, account string) error {
	all, err := c.drives(ctx, project)
	if err != nil {
		return err
	}
	for _, d := range all {
		if _, granted := d.grants(account); !granted || d.disabled() {
			continue
		}
		if err := c.removeGrant(ctx, d.ID, account); err != nil && !isMissing(err) {
			return managed(err)
		}
	}
	return nil
}

// permission is one grant on a space.
type permission struct {
	ID    string
	Roles []string
}

func (c *Client) invite(ctx context.Context, space, account, roleID string) error {
	type recipient struct {
		ID   string `json:"objectId"`
		Kind string `json:"@libre.graph.recipient.type"`
	}
	var answer struct{ Value []permission }
	err := c.call(ctx, request{method: http.MethodPost, path: rootPath(space) + "/invite", body: struct {
		Recipients []recipient `json:"recipients"`
		Roles      []string    `json:"roles"`
	}{[]recipient{{account, "user"}}, []string{roleID}}}, &answer)
	if err == nil && (len(answer.Value) != 1 || answer.Value[0].ID != permissionOf(account)) {
		return c.http.Garbled(fmt.Errorf("invited %v instead of %s", answer.Value, account))
	}
	return err
}

// grantedRoles are the ids of the roles that the account has on a space.
func (c *Client) grantedRoles(ctx context.Context, space, account string) ([]string, error) {
	all, err := list[permission](ctx, c, rootPath(space)+"/permissions")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(p permission) bool { return p.ID == permissionOf(account) })
	if i < 0 {
		return nil, platform.Errorf(platform.Unavailable, "The person's access to the tenant's files was just there and is not.")
	}
	return all[i].Roles, nil
}

func (c *Client) changeGrant(ctx context.Context, space, account, roleID string) error {
	var changed permission
	err := c.call(ctx, request{method: http.MethodPatch, path: grantPath(space, account),
		body: map[string][]string{"roles": {roleID}}}, &changed)
	if err == nil && changed.ID != permissionOf(account) {
		return c.http.Garbled(fmt.Errorf("changed %q instead of %q", changed.ID, permissionOf(account)))
	}
	return err
}

// removeGrant takes a grant away that was just listed. One that is not there is
// answered with 500, as if the server had failed, so nobody removes blindly.
func (c *Client) removeGrant(ctx context.Context, space, account string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: grantPath(space, account)}, nil)
}

// managed explains what the server says about grants on a space. Who is not its
// manager is told that it is not there, administrators too.
func managed(err error) error {
	theirs := said(err)
	switch {
	case theirs == nil:
		return err
	case theirs.status == http.StatusNotFound:
		return platform.Errorf(platform.Unavailable, "The tenant's space on the file server was just changed, or the platform is no manager of it any more.").Because(theirs)
	case theirs.status == http.StatusBadRequest && strings.Contains(theirs.message, "itemNotFound"):
		return platform.Errorf(platform.Unavailable, "The person's account on the file server was just removed.").Because(theirs)
	case theirs.status == http.StatusForbidden && strings.Contains(theirs.message, "last manager"):
		return platform.Errorf(platform.Conflict, "The person is the only manager of a space on the file server.").Because(theirs).Never()
	}
	return err
}

func rootPath(space string) string { return "/v1beta1/drives/" + escaped(space) + "/root" }

func grantPath(space, account string) string {
	return rootPath(space) + "/permissions/" + escaped(permissionOf(account))
}

// permissionOf is the id of an account's grant on any space.
func permissionOf(account string) string { return "u:" + account }
