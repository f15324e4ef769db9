package authentik

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"

	"github.com/dezky/platform/platform"
)

// group is what we read of a group. Its name is unique at Authentik, upper and
// lower case apart.
type group struct {
	PK          string                     `json:"pk"`
	Name        string                     `json:"name"`
	IsSuperuser bool                       `json:"is_superuser"`
	Attributes  map[string]json.RawMessage `json:"attributes"`
}

// markKey is the attribute under which all that is ours stands.
const markKey = "dezky"

// mark says whose a group is.
type mark struct {
	TenantID platform.ID `json:"tenantId"`
	Slug     string      `json:"slug"`
	Name     string      `json:"name,omitempty"`
}

// Apply makes sure that the tenant has its group. The group's name is how
// tokens speak of it, so the name decides; a group that somebody renamed is
// found by its handle and gets its name back, because a new one would have no
// members.
func (c *Client) Apply(ctx context.Context, s platform.Step) (handle string, err error) {
	t := s.Want.Tenant
	if t == nil {
		return "", platform.ErrSkip
	}
	g, err := c.groupNamed(ctx, t.Group())
	if err != nil {
		return "", err
	}
	if g == nil {
		g, err = c.renamedGroup(ctx, s.Handle, t)
	}
	if g == nil && err == nil {
		g, err = c.createGroup(ctx, t)
	}
	if err != nil {
		return "", err
	}
	change, err := g.lacks(t)
	if err != nil {
		return "", err
	}
	if len(change) > 0 {
		err = c.patchGroup(ctx, g.PK, change)
	}
	return g.PK, err
}

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

// renamedGroup is the group that an earlier attempt recorded, if it is there
// and the tenant's, or nil.
func (c *Client) renamedGroup(ctx context.Context, handle string, t *platform.TenantWant) (*group, error) {
	if handle == "" {
		return nil, nil
	}
	a, err := c.send(ctx, http.MethodGet, groupPath(handle), url.Values{"include_users": {"false"}}, nil)
	if err != nil || a.Status == http.StatusNotFound {
		return nil, err
	}
	g, err := read[group](c, a, http.StatusOK)
	if err != nil {
		return nil, err
	}
	if owner, ok := g.owner(); !ok || owner != t.ID || g.PK != handle {
		return nil, nil
	}
	return &g, nil
}

// createGroup makes the tenant's group and looks again, so that of two that
// make it at once both go on with the same. Whoever comes second is told 400 or
// 500, by the moment at which the name was found taken.
func (c *Client) createGroup(ctx context.Context, t *platform.TenantWant) (*group, error) {
	a, err := c.send(ctx, http.MethodPost, "/core/groups/", nil, map[string]any{
		"name":       t.Group(),
		"attributes": map[string]any{markKey: mark{TenantID: t.ID, Slug: t.Slug, Name: t.Name}},
	})
	if err != nil {
		return nil, err
	}
	switch a.Status {
	case http.StatusCreated, http.StatusBadRequest, http.StatusInternalServerError:
	default:
		return nil, c.refused(a)
	}
	g, err := c.groupNamed(ctx, t.Group())
	if err != nil || g != nil {
		return g, err
	}
	if a.Status == http.StatusCreated {
		return nil, c.call.Garbled(fmt.Errorf("the group %s was created and is not there", t.Group()))
	}
	return nil, c.refused(a)
}

// patchGroup changes the fields in change and no others. A group that is gone
// meanwhile is made anew by the next attempt.
func (c *Client) patchGroup(ctx context.Context, pk string, change map[string]any) error {
	a, err := c.send(ctx, http.MethodPatch, groupPath(pk), nil, change)
	if err != nil {
		return err
	}
	if a.Status == http.StatusNotFound {
		return platform.Errorf(platform.Unavailable, "The tenant's group was removed while it was being changed.")
	}
	_, err = read[group](c, a, http.StatusOK)
	return err
}

func groupPath(pk string) string { return "/core/groups/" + url.PathEscape(pk) + "/" }

// owner is the tenant that the group is marked with, or "". A mark that cannot
// be read is somebody else's: then ok is false.
func (g *group) owner() (tenant platform.ID, ok bool) {
	own := g.Attributes[markKey]
	if len(own) == 0 {
		return "", true
	}
	var m struct {
		TenantID platform.ID `json:"tenantId"`
	}
	err := json.Unmarshal(own, &m)
	return m.TenantID, err == nil
}

// lacks is what has to be changed so that the group is the tenant's, with every
// attribute of others kept: a PATCH replaces all attributes at once. What
// belongs to another tenant is refused, and so is a group whose members
// administer Authentik.
func (g *group) lacks(t *platform.TenantWant) (map[string]any, error) {
	if owner, ok := g.owner(); !ok || (owner != "" && owner != t.ID) {
		return nil, platform.Errorf(platform.Conflict, "The group %s belongs to somebody else.", g.Name).
			Because(fmt.Errorf("group %s is marked %s", g.PK, g.Attributes[markKey])).Never()
	}
	if g.IsSuperuser {
		return nil, platform.Errorf(platform.Conflict, "The group %s makes its members administrators.", g.Name).
			Because(fmt.Errorf("group %s has is_superuser", g.PK)).Never()
	}
	change := map[string]any{}
	if g.Name != t.Group() {
		change["name"] = t.Group()
	}
	own := map[string]json.RawMessage{}
	if err := json.Unmarshal(g.Attributes[markKey], &own); err != nil || own == nil {
		own = map[string]json.RawMessage{} // no mark yet
	}
	wanted := maps.Clone(own)
	set(wanted, "tenantId", string(t.ID))
	set(wanted, "slug", t.Slug)
	if t.Name != "" {
		set(wanted, "name", t.Name)
	}
	if maps.EqualFunc(own, wanted, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
		return change, nil
	}
	all := maps.Clone(g.Attributes)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	merged, err := json.Marshal(wanted)
	if err != nil {
		return nil, fmt.Errorf("mark the group %s: %w", g.PK, err)
	}
	all[markKey] = merged
	change["attributes"] = all
	return change, nil
}

// set puts a text under name, unless it is there already, however it is
// written.
func set(fields map[string]json.RawMessage, name, text string) {
	var old string
	if json.Unmarshal(fields[name], &old) == nil && old == text {
		return
	}
	fields[name], _ = json.Marshal(text) //nolint:errcheck // every text can be written
}
