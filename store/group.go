package store

import (
	"context"
	"strings"

	"github.com/dezky/platform/platform"
)

func (r reader) Group(ctx context.Context, tenant, id platform.ID) (*platform.Group, error) {
	return ofTenant(ctx, r, groups, id, platform.NoGroup(id), func(g *platform.Group) bool {
		return g.TenantID == tenant && g.Status != platform.GroupStatusDeleted
	})
}

func (r reader) GroupsByID(ctx context.Context, ids []platform.ID) ([]*platform.Group, error) {
	return byID[platform.Group](ctx, r, groups, ids)
}

func groupsByName() order[platform.Group] {
	return order[platform.Group]{list: "groups", sort: "sortName", value: func(g *platform.Group) string { return g.SortName }}
}

func groupsOf(tenant platform.ID) []Condition {
	return []Condition{eq("tenantId", string(tenant)), eq("status", string(platform.GroupStatusActive))}
}

func (r reader) GroupsOf(ctx context.Context, tenant platform.ID, page platform.Page) (platform.List[*platform.Group], error) {
	return findPage(ctx, r, groups, groupsByName(), page, groupsOf(tenant)...)
}

func (r reader) CountGroupsOf(ctx context.Context, tenant platform.ID) (int, error) {
	return count(ctx, r, groups, groupsOf(tenant)...)
}

func (r reader) AllGroupsOf(ctx context.Context, tenant platform.ID) ([]*platform.Group, error) {
	return find[platform.Group](ctx, r, groups, Query{Where: groupsOf(tenant), Sort: "sortName"})
}

// PutGroup keeps the name free for others once a group is deleted.
func (w *writer) PutGroup(ctx context.Context, g *platform.Group) error {
	g.SortName = strings.ToLower(g.Name)
	g.Key = g.SortName
	if g.Status == platform.GroupStatusDeleted {
		g.Key = ""
	}
	old, err := put[platform.Group](ctx, w, groups, g)
	if err != nil || !g.Raises(old) {
		return err
	}
	return w.raise(ctx, g.ID, g.TenantID, w.now)
}
