package platform

import (
	"context"
	"regexp"
	"slices"
	"strings"
)

// Group is some of a tenant's members under one name: for single sign-on, and,
// with an address, as a mailing list (E-8).
type Group struct {
	Document
	TenantID ID     `json:"tenantId"`
	Name     string `json:"name"`
	// SortName is the name as lists sort it, and Key the same as long as the name is
	// the group's alone. The store keeps both.
	SortName string `json:"sortName"`
	Key      string `json:"key,omitempty"`
	// Address is the list's, or "" for none.
	Address   string      `json:"address,omitempty"`
	MemberIDs []ID        `json:"memberIds"`
	Status    GroupStatus `json:"status"`
	CreatedAt Time        `json:"createdAt"`
}

// IsNode makes a group a Node of the graph.
func (*Group) IsNode() {}

// Mailbox is the list's address, or nil for a group without one.
func (g *Group) Mailbox() *string { return orNil(g.Address) }

// GroupStatus says whether there is a group.
type GroupStatus string

// The states. A deleted group stays until nothing of it is outside, and is not
// listed.
const (
	GroupStatusActive  GroupStatus = "ACTIVE"
	GroupStatusDeleted GroupStatus = "DELETED"
)

// What audit says of groups.
const (
	ActionGroupCreated Action = "GROUP_CREATED"
	ActionGroupUpdated Action = "GROUP_UPDATED"
	ActionGroupDeleted Action = "GROUP_DELETED"
)

// Bounds of groups.
const (
	mostGroups       = 200
	mostGroupMembers = 1000
	longestGroupName = 60
)

// groupNameForm is what may be part of a group's name at the identity provider,
// where tenants see it.
var groupNameForm = regexp.MustCompile(`^[\p{L}\p{N}]([\p{L}\p{N} ._-]*[\p{L}\p{N}])?$`)

// GroupConnection is a page of groups.
type GroupConnection = Connection[*Group]

// GroupEdge is a group in a list.
type GroupEdge = Edge[*Group]

// GroupPayload is the answer of mutations about a group.
type GroupPayload = Payload[*Group]

// GroupReader reads groups.
type GroupReader interface {
	// Group is the group of this tenant with this ID, or NotFound. A deleted one is
	// not there.
	Group(ctx context.Context, tenant, id ID) (*Group, error)
	// GroupsByID are those of the groups that exist, deleted ones among them.
	GroupsByID(ctx context.Context, ids []ID) ([]*Group, error)
	// GroupsOf lists the groups of a tenant by name, without the deleted ones.
	GroupsOf(ctx context.Context, tenant ID, page Page) (List[*Group], error)
	// CountGroupsOf counts them.
	CountGroupsOf(ctx context.Context, tenant ID) (int, error)
	// AllGroupsOf are all groups of a tenant that are not deleted.
	AllGroupsOf(ctx context.Context, tenant ID) ([]*Group, error)
}

// GroupWriter changes groups.
type GroupWriter interface {
	// PutGroup stores the group, and has its provisioning due when what it wants
	// outside differs. A name that is taken is Conflict.
	PutGroup(ctx context.Context, g *Group) error
}

// CreateGroupInput says what a new group is.
type CreateGroupInput struct {
	TenantID ID
	Name     string
	// MailName makes it a mailing list: the part of its address before the @.
	MailName       *string
	MemberIds      []ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in CreateGroupInput) Attempt() Attempt {
	return Attempt{Action: ActionGroupCreated, TenantID: in.TenantID, Key: in.IdempotencyKey}
}

// UpdateGroupInput says what changes of a group. What is absent stays.
type UpdateGroupInput struct {
	TenantID ID
	GroupID  ID
	Name     *string
	// AddMemberIds and RemoveMemberIds change who is in it.
	AddMemberIds    []ID
	RemoveMemberIds []ID
	IdempotencyKey  *string `json:"-"`
}

// Attempt says what the input tries.
func (in UpdateGroupInput) Attempt() Attempt {
	return Attempt{Action: ActionGroupUpdated, TenantID: in.TenantID, Target: in.GroupID, Key: in.IdempotencyKey}
}

// DeleteGroupInput names the group that goes.
type DeleteGroupInput struct {
	TenantID       ID
	GroupID        ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in DeleteGroupInput) Attempt() Attempt {
	return Attempt{Action: ActionGroupDeleted, TenantID: in.TenantID, Target: in.GroupID, Key: in.IdempotencyKey}
}

// CreateGroup makes a group and returns at once; its provisioning is due from
// then on.
func (p *Platform) CreateGroup(ctx context.Context, in CreateGroupInput) (*Group, error) {
	g := &Group{Document: Document{ID: p.newID(KindGroup)}, TenantID: in.TenantID, Status: GroupStatusActive, CreatedAt: p.now()}
	err := p.changeGroup(ctx, ActionGroupCreated, in.TenantID, g.ID, func(w Writer, t *Tenant) (*Group, error) {
		count, err := w.CountGroupsOf(ctx, t.ID)
		if err != nil {
			return nil, err
		}
		if count >= mostGroups {
			return nil, Errorf(Conflict, "A tenant has at most %d groups.", mostGroups)
		}
		g.MemberIDs = nil
		if err := g.set(ctx, w, &in.Name, in.MemberIds, nil); err != nil {
			return nil, err
		}
		if in.MailName == nil {
			return g, nil
		}
		name, err := cleanMailName("mailName", *in.MailName)
		if err != nil {
			return nil, err
		}
		domain, err := p.primaryDomain(t)
		if err != nil {
			return nil, err
		}
		g.Address = name + "@" + domain
		return g, claimAddresses(ctx, w, t.ID, g.ID, "mailName", g.Address)
	})
	return g, err
}

// UpdateGroup renames a group, and changes who is in it.
func (p *Platform) UpdateGroup(ctx context.Context, in UpdateGroupInput) (g *Group, err error) {
	err = p.changeGroup(ctx, ActionGroupUpdated, in.TenantID, in.GroupID, func(w Writer, _ *Tenant) (*Group, error) {
		if g, err = w.Group(ctx, in.TenantID, in.GroupID); err != nil {
			return nil, err
		}
		return g, g.set(ctx, w, in.Name, in.AddMemberIds, in.RemoveMemberIds)
	})
	return g, err
}

// DeleteGroup removes a group; its address is free when the mail server has let
// go of it.
func (p *Platform) DeleteGroup(ctx context.Context, in DeleteGroupInput) (g *Group, err error) {
	err = p.changeGroup(ctx, ActionGroupDeleted, in.TenantID, in.GroupID, func(w Writer, _ *Tenant) (*Group, error) {
		if g, err = w.Group(ctx, in.TenantID, in.GroupID); err != nil {
			return nil, err
		}
		g.Status = GroupStatusDeleted
		return g, nil
	})
	return g, err
}

func (p *Platform) changeGroup(
	ctx context.Context, action Action, tenant, id ID, law func(Writer, *Tenant) (*Group, error),
) error {
	return p.change(ctx, action, tenant, id, func(w Writer) error {
		t, err := w.Tenant(ctx, tenant)
		if err != nil {
			return err
		}
		if err := t.changeable(); err != nil {
			return err
		}
		g, err := law(w, t)
		if err != nil {
			return err
		}
		if err := w.PutGroup(ctx, g); err != nil {
			return err
		}
		return w.PutTenant(ctx, t) // where whoever suspends a member meets whoever puts them into a group
	})
}

// set renames a group and changes who is in it: members of its tenant who were
// not removed.
func (g *Group) set(ctx context.Context, r Reader, name *string, add, remove []ID) (err error) {
	if name != nil {
		if g.Name, err = cleanLine("name", *name, longestGroupName); err != nil {
			return err
		}
		if !groupNameForm.MatchString(g.Name) {
			return Errorf(Invalid, "A group's name has letters, digits, blanks, dots, hyphens and underscores.").On("name")
		}
	}
	members := slices.DeleteFunc(slices.Clone(g.MemberIDs), func(id ID) bool { return slices.Contains(remove, id) })
	members = append(members, add...)
	slices.Sort(members)
	if members = slices.Compact(members); len(members) > mostGroupMembers {
		return Errorf(Invalid, "A group has at most %d members.", mostGroupMembers).On("memberIds")
	}
	there, err := r.MembersByID(ctx, add)
	if err != nil {
		return err
	}
	for _, id := range add {
		if !slices.ContainsFunc(there, func(m *Member) bool {
			return m.ID == id && m.TenantID == g.TenantID && m.State != MemberStateRevoked
		}) {
			return NoMember(id)
		}
	}
	g.MemberIDs = members
	return nil
}

// Raises says whether the change from an old version, nil for none, is anything
// to the outside systems.
func (g *Group) Raises(old *Group) bool {
	return old == nil || g.Name != old.Name || g.Address != old.Address || g.Status != old.Status ||
		!slices.Equal(g.MemberIDs, old.MemberIDs)
}

// groupWant is what a group wants, of its members those who are active, and its
// tenant if that is shut.
func (p *Platform) groupWant(ctx context.Context, r Reader, tenant, id ID) (*GroupWant, []ID, error) {
	found, err := r.GroupsByID(ctx, []ID{id})
	if err != nil {
		return nil, nil, err
	}
	if len(found) == 0 || found[0].TenantID != tenant {
		return nil, nil, NoGroup(id)
	}
	g := found[0]
	t, err := r.Tenant(ctx, tenant)
	if err != nil {
		return nil, nil, err
	}
	want := &GroupWant{ID: g.ID, Presence: PresenceActive, Tenant: p.tenantWant(t), Name: g.Name, Address: g.Address}
	if g.Status == GroupStatusDeleted || t.Status == TenantStatusDeleted {
		want.Presence = PresenceGone
		return want, nil, nil
	}
	members, err := r.MembersByID(ctx, g.MemberIDs)
	if err != nil {
		return nil, nil, err
	}
	users := make([]ID, len(members))
	for i, m := range members {
		users[i] = m.UserID
	}
	people, err := r.UsersByID(ctx, users)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(members, func(a, b *Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
	for _, m := range members {
		if m.presence(t) != PresenceActive {
			continue
		}
		if m.Address != "" {
			want.Recipients = append(want.Recipients, m.Address)
		}
		for _, u := range people {
			if u.ID == m.UserID {
				want.Members = append(want.Members, u.want())
			}
		}
	}
	return want, t.ifShut(), nil
}

// NoGroup is the answer for a group that is not there, or not of this tenant.
func NoGroup(id ID) error { return Errorf(NotFound, "There is no group %s.", shorten(id)) }

// GroupsOf lists a tenant's groups.
func (p *Platform) GroupsOf(ctx context.Context, tenant ID, first *int32, after *Cursor) (*GroupConnection, error) {
	return tenantList(ctx, tenant, first, after, p.store.GroupsOf, p.store.CountGroupsOf)
}

// MembersOfGroups are the members in each group, in the order of their IDs.
func (p *Platform) MembersOfGroups(ctx context.Context, ids []ID) (map[ID][]*Member, error) {
	groups, err := p.store.GroupsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	var all []ID
	for _, g := range groups {
		all = append(all, g.MemberIDs...)
	}
	slices.Sort(all)
	members, err := p.store.MembersByID(ctx, slices.Compact(all))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(members, func(a, b *Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
	out := map[ID][]*Member{}
	for _, g := range groups {
		out[g.ID] = []*Member{}
		for _, m := range members {
			if slices.Contains(g.MemberIDs, m.ID) && m.State != MemberStateRevoked {
				out[g.ID] = append(out[g.ID], m)
			}
		}
	}
	return out, nil
}
