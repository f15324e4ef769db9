package authentik

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/dezky/platform/integrations/httpcall"
	"github.com/dezky/platform/platform"
)

// group is what we read of a group. Its name is unique at Authentik, upper and
// lower case apart.
type group struct {
	PK          string     `json:"pk"`
	Name        string     `json:"name"`
	IsSuperuser bool       `json:"is_superuser"`
	Attributes  attributes `json:"attributes"`
}

func groupPath(pk string) string { return "/core/groups/" + url.PathEscape(pk) + "/" }

// groupNamed is the group of exactly that name, or nil.
func (c *Client) groupNamed(ctx context.Context, name string) (*group, error) {
	rows, err := list[group](ctx, c, "/core/groups/", url.Values{"name": {name}, "include_users": {"false"}})
	if err != nil {
		return nil, err
	}
	for _, g := range rows {
		if g.Name != name {
			continue
		}
		if g.PK == "" {
			return nil, c.call.Garbled(fmt.Errorf("the group %s has no pk", name))
		}
		return &g, nil
	}
	return nil, nil
}

// groupAt is the group with that pk, or nil; there is none with an empty one.
func (c *Client) groupAt(ctx context.Context, pk string) (*group, error) {
	if pk == "" {
		return nil, nil
	}
	a, err := c.send(ctx, http.MethodGet, groupPath(pk), url.Values{"include_users": {"false"}}, nil)
	if err != nil || a.Status == http.StatusNotFound {
		return nil, err
	}
	g, err := read[group](c, a, http.StatusOK)
	if err != nil || g.PK != pk {
		return nil, err
	}
	return &g, nil
}

// createGroup makes a group and looks again, so that of two that make it at once
// both go on with the same. Whoever comes second is told 400 or 500, by the
// moment at which the name was found taken.
func (c *Client) createGroup(ctx context.Context, name string, fields map[string]string) (*group, error) {
	a, err := c.send(ctx, http.MethodPost, "/core/groups/", nil, map[string]any{
		"name":       name,
		"attributes": map[string]any{markKey: fields},
	})
	if err != nil {
		return nil, err
	}
	if !madeOrTaken(a) {
		return nil, c.refused(a)
	}
	g, err := c.groupNamed(ctx, name)
	if err != nil || g != nil {
		return g, err
	}
	if a.Status == http.StatusCreated {
		return nil, c.call.Garbled(fmt.Errorf("the group %s was created and is not there", name))
	}
	return nil, c.refused(a)
}

// madeOrTaken says that there can be something under the name now, by our hand
// or another's.
func madeOrTaken(a *httpcall.Answer) bool {
	return slices.Contains([]int{http.StatusCreated, http.StatusBadRequest, http.StatusInternalServerError}, a.Status)
}

// mendGroup gives a group its name and its mark where they differ. A group whose
// members administer Authentik is refused. One that is gone meanwhile is made
// anew by the next attempt.
func (c *Client) mendGroup(ctx context.Context, g *group, name string, fields map[string]string) error {
	if g.IsSuperuser {
		return platform.Errorf(platform.Conflict, "The group %s makes its members administrators.", g.Name).
			Because(fmt.Errorf("group %s has is_superuser", g.PK)).Never()
	}
	change := map[string]any{}
	if g.Name != name {
		change["name"] = name
	}
	all, err := g.Attributes.marked(fields)
	if err != nil {
		return err
	}
	if all != nil {
		change["attributes"] = all
	}
	if len(change) == 0 {
		return nil
	}
	return c.patchGroup(ctx, g.PK, change)
}

// patchGroup changes the fields in change and no others.
func (c *Client) patchGroup(ctx context.Context, pk string, change map[string]any) error {
	a, err := c.send(ctx, http.MethodPatch, groupPath(pk), nil, change)
	if err != nil {
		return err
	}
	if a.Status == http.StatusNotFound {
		return groupRemoved()
	}
	_, err = read[group](c, a, http.StatusOK)
	return err
}

func groupRemoved() error {
	return platform.Errorf(platform.Unavailable, "The group was removed while it was being changed.")
}

// addUser puts a user into a group, and again is no error.
func (c *Client) addUser(ctx context.Context, g *group, u *user) error {
	a, err := c.changeMember(ctx, g, "add_user/", u)
	switch {
	case err != nil || a.Status == http.StatusNoContent:
		return err
	case a.Status == http.StatusNotFound: // of the two, whichever is gone is seen by the next attempt
		return platform.Errorf(platform.Unavailable, "The group or the account was removed while the group was being changed.")
	}
	return c.refused(a)
}

// removeUser takes a user out of a group, and again is no error. Whichever of
// the two is gone meanwhile, the user is in the group no more.
func (c *Client) removeUser(ctx context.Context, g *group, u *user) error {
	a, err := c.changeMember(ctx, g, "remove_user/", u)
	if err != nil || a.Status == http.StatusNoContent || a.Status == http.StatusNotFound {
		return err
	}
	return c.refused(a)
}

func (c *Client) changeMember(ctx context.Context, g *group, how string, u *user) (*httpcall.Answer, error) {
	return c.send(ctx, http.MethodPost, groupPath(g.PK)+how, nil, map[string]any{"pk": u.PK})
}

// applyGroup makes sure of a group of a tenant's members, and that those who are
// wanted are in it and nobody else. Somebody whose account is not there yet is
// left out, and the error about that can pass.
func (c *Client) applyGroup(ctx context.Context, w *platform.GroupWant, handle string) (string, error) {
	name := strings.TrimSpace(w.SignInGroup()) // as Authentik keeps it
	g, err := c.memberGroup(ctx, w, name, handle)
	if err != nil {
		return "", err
	}
	if w.Presence == platform.PresenceGone {
		return "", c.removeGroup(ctx, w, g)
	}
	fields := map[string]string{"tenantId": string(w.Tenant.ID), "groupId": string(w.ID)}
	if g == nil {
		if g, err = c.createGroup(ctx, name, fields); err != nil {
			return "", err
		}
	}
	if err := g.belongsTo(w); err != nil {
		return "", err
	}
	if err := c.mendGroup(ctx, g, name, fields); err != nil {
		return "", err
	}
	return g.PK, c.fillGroup(ctx, g, w.Members)
}

// memberGroup is the group that an earlier attempt recorded, if it is there and
// ours, however it is called now; else the one of that name, or nil.
func (c *Client) memberGroup(ctx context.Context, w *platform.GroupWant, name, handle string) (*group, error) {
	g, err := c.groupAt(ctx, handle)
	if err != nil {
		return nil, err
	}
	if g != nil {
		if m, ok := g.Attributes.mark(); ok && m.GroupID == w.ID {
			return g, nil
		}
	}
	return c.groupNamed(ctx, name)
}

// belongsTo refuses what is another's. Another group of the same tenant is about
// to leave the name: it was renamed or removed, and its own step is on its way.
func (g *group) belongsTo(w *platform.GroupWant) error {
	m, ok := g.Attributes.mark()
	switch {
	case !ok, m.TenantID != "" && m.TenantID != w.Tenant.ID:
		return g.foreign()
	case m.GroupID != "" && m.GroupID != w.ID:
		return platform.Errorf(platform.Conflict, "The group %s is still another of the tenant's.", g.Name).
			Because(fmt.Errorf("group %s is marked %s", g.PK, g.Attributes[markKey]))
	}
	return nil
}

// removeGroup removes a group that is marked as this one; any other is not
// ours, and stays.
func (c *Client) removeGroup(ctx context.Context, w *platform.GroupWant, g *group) error {
	if g == nil {
		return nil
	}
	if m, ok := g.Attributes.mark(); !ok || m.GroupID != w.ID {
		return nil
	}
	return c.remove(ctx, groupPath(g.PK))
}

// fillGroup puts the wanted people into a group and takes all others out, those
// first.
func (c *Client) fillGroup(ctx context.Context, g *group, wanted []platform.PersonWant) error {
	present, err := c.usersIn(ctx, g)
	if err != nil {
		return err
	}
	var strangers []*user
	in := make([]bool, len(wanted))
	for _, u := range present {
		i := slices.IndexFunc(wanted, func(w platform.PersonWant) bool {
			return w.Presence != platform.PresenceGone && u.belongsTo(&w)
		})
		if i < 0 {
			strangers = append(strangers, u)
		} else {
			in[i] = true
		}
	}
	if err := each(ctx, strangers, func(ctx context.Context, u *user) error { return c.removeUser(ctx, g, u) }); err != nil {
		return err
	}
	var missing []*platform.PersonWant
	for i := range wanted {
		if !in[i] && wanted[i].Presence != platform.PresenceGone {
			missing = append(missing, &wanted[i])
		}
	}
	return c.joinGroup(ctx, g, missing)
}

// usersIn are the users in a group, whatever the list that was asked for them
// answers.
func (c *Client) usersIn(ctx context.Context, g *group) ([]*user, error) {
	rows, err := c.listUsers(ctx, url.Values{"groups_by_pk": {g.PK}, "include_groups": {"false"}})
	if err != nil {
		// A filter by a group that is gone is refused for good.
		if now, lookErr := c.groupAt(ctx, g.PK); !platform.CanPass(err) && lookErr == nil && now == nil {
			return nil, groupRemoved()
		}
		return nil, err
	}
	return slices.DeleteFunc(rows, func(u *user) bool { return !slices.Contains(u.Groups, g.PK) }), nil
}

// joinGroup puts people into a group, as far as their accounts are there, and
// then says who is not.
func (c *Client) joinGroup(ctx context.Context, g *group, people []*platform.PersonWant) error {
	absent, foreign := make([]bool, len(people)), make([]bool, len(people))
	places := make([]int, len(people))
	for i := range places {
		places[i] = i
	}
	err := each(ctx, places, func(ctx context.Context, i int) error {
		u, err := c.account(ctx, people[i], "")
		switch {
		case err != nil:
			return err
		case u == nil:
			absent[i] = true
			return nil
		case !u.belongsTo(people[i]):
			foreign[i] = true
			return nil
		}
		return c.addUser(ctx, g, u)
	})
	switch {
	case err != nil:
		return err
	case slices.Contains(absent, true):
		return platform.Errorf(platform.Unavailable, "A member of the group has no account to sign in with yet.")
	case slices.Contains(foreign, true):
		return platform.Errorf(platform.Conflict, "The account of a member of the group belongs to somebody else.").Never()
	}
	return nil
}
