package platform

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMembershipsInStepWithGroups(t *testing.T) {
	t.Parallel()
	const token, mutation = MemberSourceToken, MemberSourceMutation
	earlier := noon.Add(-1e9)
	type held = []*Member
	m := func(tenant ID, state MemberState, source MemberSource) *Member {
		return &Member{
			Document: Document{ID: "mem_" + tenant, Version: 3}, TenantID: tenant, UserID: "usr_a", Role: MemberRoleAdmin,
			State: state, Source: source, JoinedAt: earlier,
		}
	}
	for name, test := range map[string]struct {
		held   held
		named  []ID
		want   map[ID]MemberState
		reason string
	}{
		"nothing":               {reason: "no groups, no memberships"},
		"new":                   {nil, []ID{"a", "b"}, map[ID]MemberState{"a": MemberStateActive, "b": MemberStateActive}, "each group gives one"},
		"in step":               {held{m("a", MemberStateActive, token)}, []ID{"a"}, nil, "differences only"},
		"group gone":            {held{m("a", MemberStateActive, token), m("b", MemberStateActive, token)}, []ID{"b"}, map[ID]MemberState{"a": MemberStateLapsed}, "what a token gave goes with it"},
		"lapsed stays":          {held{m("a", MemberStateLapsed, token)}, nil, nil, "it lapsed already"},
		"lapsed comes back":     {held{m("a", MemberStateLapsed, token)}, []ID{"a"}, map[ID]MemberState{"a": MemberStateActive}, "the same membership, not a new one"},
		"by mutation":           {held{m("a", MemberStateActive, mutation)}, nil, nil, "a token takes only what a token gave"},
		"by mutation and token": {held{m("a", MemberStateActive, mutation)}, []ID{"a"}, nil, "it is there"},
		"revoked":               {held{m("a", MemberStateRevoked, token)}, []ID{"a"}, nil, "a tombstone wins over every token"},
		"revoked mutation":      {held{m("a", MemberStateRevoked, mutation)}, []ID{"a"}, nil, "whoever gave it"},
		"suspended":             {held{m("a", MemberStateSuspended, token)}, []ID{"a"}, nil, "a group does not end a suspension"},
		"suspended, group gone": {held{m("a", MemberStateSuspended, token)}, nil, nil, "or a way around it: leave, and come back active"},
		"all at once": {
			held{m("a", MemberStateActive, token), m("b", MemberStateLapsed, token), m("c", MemberStateRevoked, token), m("d", MemberStateActive, mutation)},
			[]ID{"b", "c", "e"}, map[ID]MemberState{"a": MemberStateLapsed, "b": MemberStateActive, "e": MemberStateActive}, "each by itself",
		},
	} {
		var named []*Tenant
		for _, id := range test.named {
			named = append(named, &Tenant{Document: Document{ID: id}})
		}
		before := map[ID]Member{}
		for _, m := range test.held {
			before[m.TenantID] = *m
		}
		n := 0
		changed := syncMemberships(&User{Document: Document{ID: "usr_a"}}, test.held, named, func() ID { n++; return ID(fmt.Sprintf("mem_new%d", n)) }, noon)
		got := map[ID]MemberState{}
		for _, m := range changed {
			if _, twice := got[m.TenantID]; twice {
				t.Errorf("%s: two changes of %s", name, m.TenantID)
			}
			got[m.TenantID] = m.State
			want, known := before[m.TenantID]
			if !known {
				want = Member{Document: Document{ID: m.ID}, TenantID: m.TenantID, UserID: "usr_a", Role: MemberRoleMember, Source: token, JoinedAt: noon}
			}
			want.State = m.State
			if diff := cmp.Diff(want, *m); diff != "" {
				t.Errorf("%s: nothing but the state changes (- expected, + found):\n%s", name, diff)
			}
		}
		if test.want == nil {
			test.want = map[ID]MemberState{}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (%s) (- expected, + found):\n%s", name, test.reason, diff)
		}
		for _, m := range test.held {
			if diff := cmp.Diff(before[m.TenantID], *m); diff != "" {
				t.Errorf("%s: the membership that was read was changed itself:\n%s", name, diff)
			}
		}
	}
}
