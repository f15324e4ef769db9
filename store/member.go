package store

import (
	"context"
	"slices"

	"github.com/dezky/platform/platform"
)

func (r reader) MembershipsOf(ctx context.Context, user platform.ID) ([]*platform.Member, error) {
	return find[platform.Member](ctx, r, members, Query{Where: []Condition{eq("userId", string(user))}, Sort: "joinedAt"})
}

func (r reader) MembersByID(ctx context.Context, ids []platform.ID) ([]*platform.Member, error) {
	return byID[platform.Member](ctx, r, members, ids)
}

func membersOldest() order[platform.Member] {
	return order[platform.Member]{list: "members", sort: "joinedAt", value: func(m *platform.Member) string { return m.JoinedAt.String() }}
}

// listed are the states of the members whom a directory shows.
func listed() Condition {
	return in("state", platform.MemberStateActive, platform.MemberStateSuspended)
}

func (r reader) MembersOf(ctx context.Context, tenant platform.ID, page platform.Page) (platform.List[*platform.Member], error) {
	return findPage(ctx, r, members, membersOldest(), page, eq("tenantId", string(tenant)), listed())
}

func (s *Store) FirstMembersOf(ctx context.Context, ids []platform.ID, n int) (map[platform.ID]platform.List[*platform.Member], error) {
	return firstPages(ctx, s, members, membersOldest(), n, ids, func(m *platform.Member) platform.ID { return m.TenantID }, listed())
}

func (r reader) CountMembersOf(ctx context.Context, ids []platform.ID) (map[platform.ID]int, error) {
	return countBy(ctx, r, members, "tenantId", in("tenantId", ids...), eq("state", string(platform.MemberStateActive)))
}

func (r reader) Member(ctx context.Context, tenant, id platform.ID) (*platform.Member, error) {
	return ofTenant(ctx, r, members, id, platform.NoMember(id), func(m *platform.Member) bool { return m.TenantID == tenant })
}

func (r reader) CountAdminsOf(ctx context.Context, tenant platform.ID) (int, error) {
	return count(ctx, r, members, eq("tenantId", string(tenant)), eq("state", string(platform.MemberStateActive)),
		eq("role", string(platform.MemberRoleAdmin)))
}

func (r reader) MembersAfter(ctx context.Context, tenant, after platform.ID, n int) ([]*platform.Member, error) {
	q := Query{Where: []Condition{eq("tenantId", string(tenant)), listed()}, Limit: n}
	if after != "" {
		q.After = &Mark{ID: after}
	}
	return find[platform.Member](ctx, r, members, q)
}

// PutMember has the groups of the tenant that the member is in tried anew as
// well, since whom they want follows from the membership.
func (w *writer) PutMember(ctx context.Context, m *platform.Member) error {
	old, err := put[platform.Member](ctx, w, members, m)
	if err != nil || !m.Raises(old) {
		return err
	}
	if err := w.raise(ctx, m.ID, m.TenantID, w.now); err != nil || !m.RaisesOthers(old) {
		return err
	}
	if err := w.raise(ctx, m.UserID, m.TenantID, w.now); err != nil || old == nil {
		return err
	}
	groups, err := w.AllGroupsOf(ctx, m.TenantID)
	for _, g := range groups {
		if err == nil && slices.Contains(g.MemberIDs, m.ID) {
			err = w.raise(ctx, g.ID, g.TenantID, w.now)
		}
	}
	return err
}

// KeepMember stores what a step told of a member.
func (w *writer) KeepMember(ctx context.Context, m *platform.Member) error {
	return w.replace(ctx, members, m)
}
