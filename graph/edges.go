package graph

import (
	"context"

	"github.com/dezky/platform/platform"
)

// TenantOf is the tenant that an object belongs to, if the caller may see it.
func TenantOf[P any](ctx context.Context, object *P, id func(*P) platform.ID) (*platform.Tenant, error) {
	ls, err := loadersOf(ctx)
	if err != nil {
		return nil, err
	}
	t, err := along(ctx, ls, ls.tenants, object, id)
	if err != nil || t == nil {
		return nil, err
	}
	return t, ls.p.Admit(ctx, platform.RuleTenantMember, platform.Target{Tenant: t}, false)
}

// Caller hands the caller on to the client, the memberships as read together.
func Caller(ctx context.Context) func(*platform.Me, error) (*platform.Me, error) {
	return func(me *platform.Me, err error) (*platform.Me, error) {
		if err == nil {
			Together(ctx, me.Memberships)
		}
		return me, err
	}
}

// PartnerOf is a tenant's partner.
func PartnerOf(ctx context.Context, t *platform.Tenant) (*platform.Partner, error) {
	ls, err := loadersOf(ctx)
	if err != nil {
		return nil, err
	}
	return along(ctx, ls, ls.partners, t, func(t *platform.Tenant) platform.ID { return t.PartnerID })
}

// UserOf is the person that an object names.
func UserOf[P any](ctx context.Context, object *P, id func(*P) platform.ID) (*platform.User, error) {
	ls, err := loadersOf(ctx)
	if err != nil {
		return nil, err
	}
	return along(ctx, ls, ls.users, object, id)
}

// SubscriptionOf is what a tenant has booked, or nil.
func SubscriptionOf(ctx context.Context, t *platform.Tenant) (*platform.TenantSubscription, error) {
	ls, err := loadersOf(ctx)
	if err != nil {
		return nil, err
	}
	return along(ctx, ls, ls.subscriptions, t, tenantID)
}

// ProvisioningOf is what the outside systems have of a subject that an object
// names.
func ProvisioningOf[P any](ctx context.Context, object *P, subject func(*P) platform.ID) (*platform.ProvisioningStatus, error) {
	ls, err := loadersOf(ctx)
	if err != nil {
		return nil, err
	}
	return along(ctx, ls, ls.provisionings, object, subject)
}

// PersonProvisioningOf is what the outside systems have of the person behind a
// membership. They may be other tenants' too, which is nobody's business here.
func PersonProvisioningOf(ctx context.Context, m *platform.Member) (*platform.ProvisioningStatus, error) {
	ls, err := loadersOf(ctx)
	if err != nil {
		return nil, err
	}
	s, err := along(ctx, ls, ls.people, m, func(m *platform.Member) platform.ID { return m.UserID })
	if err != nil || s == nil {
		return nil, err
	}
	shown := *s
	shown.TenantID = m.TenantID
	return &shown, nil
}

// AuthenticatorsOf is how many authenticators a member has; nil is not known.
func AuthenticatorsOf(ctx context.Context, m *platform.Member) (*int32, error) {
	ls, err := loadersOf(ctx)
	if err != nil {
		return nil, err
	}
	return along(ctx, ls, ls.authenticators, m, func(m *platform.Member) platform.ID { return m.UserID })
}

// MemberStorageOf is what a member's own files and mails take. Members see their
// own, administrators everybody's.
func MemberStorageOf(ctx context.Context, m *platform.Member) (*platform.Storage, error) {
	ls, err := loadersOf(ctx)
	if err != nil {
		return nil, err
	}
	if a := platform.ActorOf(ctx); a == nil || a.User == nil || a.User.ID != m.UserID {
		t, err := along(ctx, ls, ls.tenants, m, func(m *platform.Member) platform.ID { return m.TenantID })
		if err != nil {
			return nil, err
		}
		if err := ls.p.Admit(ctx, platform.RuleTenantAdmin, platform.Target{Tenant: t}, false); err != nil {
			return nil, err
		}
	}
	return along(ctx, ls, ls.memberStorage, m, func(m *platform.Member) platform.ID { return m.ID })
}

// TenantStorageOf is what a tenant's own space holds.
func TenantStorageOf(ctx context.Context, t *platform.Tenant) (*platform.Storage, error) {
	ls, err := loadersOf(ctx)
	if err != nil {
		return nil, err
	}
	return along(ctx, ls, ls.tenantStorage, t, tenantID)
}

// GroupMembersOf are the members in a group.
func GroupMembersOf(ctx context.Context, g *platform.Group) ([]*platform.Member, error) {
	ls, err := loadersOf(ctx)
	if err != nil {
		return nil, err
	}
	members, err := along(ctx, ls, ls.groupMembers, g, func(g *platform.Group) platform.ID { return g.ID })
	Together(ctx, members)
	return members, err
}

// ImportRowsOf are an import's rows, or those alone that failed.
func ImportRowsOf(ctx context.Context, i *platform.Import, failed *bool) ([]*platform.ImportRow, error) {
	ls, err := loadersOf(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := along(ctx, ls, ls.importRows, i, func(i *platform.Import) platform.ID { return i.ID })
	if failed == nil || !*failed {
		return rows, err
	}
	some := []*platform.ImportRow{}
	for _, row := range rows {
		if row.State == platform.ImportRowStateFailed {
			some = append(some, row)
		}
	}
	return some, err
}

// MembersCountOf is how many active members a tenant has.
func MembersCountOf(ctx context.Context, t *platform.Tenant) (*int32, error) {
	ls, err := loadersOf(ctx)
	if err != nil {
		return nil, err
	}
	n, err := along(ctx, ls, ls.membersCounts, t, tenantID)
	count := int32(n) //nolint:gosec // no tenant has two thousand million members
	return &count, err
}

// CustomersCountOf is how many tenants a partner has.
func CustomersCountOf(ctx context.Context, partner *platform.Partner) (int32, error) {
	ls, err := loadersOf(ctx)
	if err != nil {
		return 0, err
	}
	n, err := along(ctx, ls, ls.customers, partner, func(x *platform.Partner) platform.ID { return x.ID })
	return int32(n), err //nolint:gosec // no partner has two thousand million customers
}

// MembersOf is a page of a tenant's members.
func MembersOf(ctx context.Context, t *platform.Tenant, first *int32, after *platform.Cursor) (*platform.MemberConnection, error) {
	return pageOf(ctx, t, first, after, func(ls *loaders) pages[platform.Member] {
		return pages[platform.Member]{ls.members, ls.p.MembersOf, ls.p.FirstMembersOf}
	})
}

// AuditEventsOf is a page of a tenant's log.
func AuditEventsOf(ctx context.Context, t *platform.Tenant, first *int32, after *platform.Cursor) (*platform.AuditEventConnection, error) {
	return pageOf(ctx, t, first, after, func(ls *loaders) pages[platform.AuditEvent] {
		return pages[platform.AuditEvent]{ls.auditEvents, ls.p.AuditEventsOf, ls.p.FirstAuditEventsOf}
	})
}

// pages are a list that hangs on each tenant.
type pages[T any] struct {
	// loaded are its first pages, by their length.
	loaded map[int]*loader[*platform.Connection[*T]]
	one    func(context.Context, platform.ID, platform.Page) (*platform.Connection[*T], error)
	firsts func(context.Context, []platform.ID, int) (map[platform.ID]*platform.Connection[*T], error)
}

// pageOf is a page of such a list. First pages are read for all siblings at
// once; the pages behind them one by one.
func pageOf[T any](
	ctx context.Context, t *platform.Tenant, first *int32, after *platform.Cursor, of func(*loaders) pages[T],
) (*platform.Connection[*T], error) {
	ls, err := loadersOf(ctx)
	if err != nil {
		return nil, err
	}
	page, err := platform.NewPage(first, after)
	if err != nil {
		return nil, err
	}
	list := of(ls)
	if page.After != "" {
		return Page[T](ctx)(list.one(ctx, t.ID, page))
	}
	ls.mu.Lock()
	if list.loaded[page.First] == nil {
		list.loaded[page.First] = newLoader(func(ctx context.Context, tenants []platform.ID) (map[platform.ID]*platform.Connection[*T], error) {
			return list.firsts(ctx, tenants, page.First)
		})
	}
	l := list.loaded[page.First]
	ls.mu.Unlock()
	return along(ctx, ls, l, t, tenantID)
}
