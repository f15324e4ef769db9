package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/dezky/platform/platform"
)

func (r reader) Tenant(ctx context.Context, id platform.ID) (*platform.Tenant, error) {
	return oneByID[platform.Tenant](ctx, r, tenants, id, platform.NoTenant(id))
}

func (r reader) TenantBySlug(ctx context.Context, slug string) (*platform.Tenant, error) {
	return first[platform.Tenant](platform.NoTenant(slug))(r.TenantsBySlug(ctx, []string{slug}))
}

func (r reader) TenantsByID(ctx context.Context, ids []platform.ID) ([]*platform.Tenant, error) {
	return byID[platform.Tenant](ctx, r, tenants, ids)
}

func (r reader) TenantsBySlug(ctx context.Context, slugs []string) ([]*platform.Tenant, error) {
	if len(slugs) == 0 {
		return nil, nil
	}
	return find[platform.Tenant](ctx, r, tenants, Query{Where: []Condition{in("slug", slugs...)}})
}

func tenantOrder(by platform.TenantOrder) order[platform.Tenant] {
	if by == platform.TenantOrderNewest {
		return order[platform.Tenant]{
			list: "tenants/newest", sort: "createdAt", desc: true, value: func(t *platform.Tenant) string { return t.CreatedAt.String() },
		}
	}
	return order[platform.Tenant]{list: "tenants/name", sort: "sortName", value: func(t *platform.Tenant) string { return t.SortName }}
}

// scoped are the conditions of each part of a scope: a partner's customers, and
// the named tenants that are not among them.
func scoped(scope platform.TenantScope, q platform.TenantQuery) [][]Condition {
	var asked []Condition
	if q.Status != "" {
		asked = append(asked, eq("status", string(q.Status)))
	}
	words, ok := searched(q.Search)
	if !ok {
		return nil
	}
	asked = append(asked, words...)
	if scope.All {
		return [][]Condition{asked}
	}
	var parts [][]Condition
	if scope.PartnerID != "" {
		parts = append(parts, append([]Condition{eq("partnerId", string(scope.PartnerID))}, asked...))
	}
	if len(scope.IDs) > 0 {
		parts = append(parts, append([]Condition{in("id", scope.IDs...)}, asked...))
	}
	return parts
}

// Tenants reads each part of the scope by an index of its own and merges them:
// an "or" would be served by none.
func (r reader) Tenants(
	ctx context.Context, scope platform.TenantScope, q platform.TenantQuery,
) (platform.List[*platform.Tenant], error) {
	by := tenantOrder(q.Order)
	var rows []*platform.Tenant
	for _, where := range scoped(scope, q) {
		query, err := by.query(q.Page, where...)
		if err != nil {
			return platform.List[*platform.Tenant]{}, err
		}
		part, err := find[platform.Tenant](ctx, r, tenants, query)
		if err != nil {
			return platform.List[*platform.Tenant]{}, err
		}
		rows = append(rows, part...)
	}
	slices.SortFunc(rows, func(a, b *platform.Tenant) int {
		n := cmp.Or(cmp.Compare(by.value(a), by.value(b)), cmp.Compare(a.ID, b.ID))
		if by.desc {
			return -n
		}
		return n
	})
	rows = slices.CompactFunc(rows, func(a, b *platform.Tenant) bool { return a.ID == b.ID })
	return pageOf(by, q.Page.First, rows), nil
}

func (r reader) CountTenants(ctx context.Context, scope platform.TenantScope, q platform.TenantQuery) (int, error) {
	total := 0
	parts := scoped(scope, q)
	for _, where := range parts {
		n, err := count(ctx, r, tenants, where...)
		if err != nil {
			return 0, err
		}
		total += n
	}
	if len(parts) < 2 {
		return total, nil
	}
	// A person's own tenants that are also the partner's were counted twice.
	n, err := count(ctx, r, tenants, append(parts[0], in("id", scope.IDs...))...)
	return total - n, err
}

func (w *writer) PutTenant(ctx context.Context, t *platform.Tenant) error {
	t.SortName = strings.ToLower(t.Name)
	old, err := put[platform.Tenant](ctx, w, tenants, t)
	if err != nil || old != nil && old.Desired() == t.Desired() {
		return err
	}
	return w.raise(ctx, t.ID, t.ID, w.now)
}

// Activate stores a tenant that turned active, with its audit event.
func (w *writer) Activate(ctx context.Context, t *platform.Tenant, event platform.AuditEvent) error {
	w.changes = nil
	if _, err := put[platform.Tenant](ctx, w, tenants, t); err != nil {
		return err
	}
	event.Changes = w.changes
	return w.insert(ctx, audit, &event)
}
