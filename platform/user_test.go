package platform

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTenantSlugs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		groups, want []string
		reason       string
	}{
		"none":        {nil, nil, "no groups"},
		"tenants":     {[]string{"tenant-acme", "tenant-globex"}, []string{"acme", "globex"}, "in their order"},
		"twice":       {[]string{"tenant-acme", "tenant-acme"}, []string{"acme"}, "duplicates are removed"},
		"others":      {[]string{"acme", "dezky-platform-admins", "authentik Admins", "dezky-partner-staff"}, nil, "no prefix, no tenant"},
		"only prefix": {[]string{"tenant-", "tenant"}, nil, "names nobody"},
		"capitals":    {[]string{"Tenant-acme", "TENANT-acme"}, nil, "another group"},
	} {
		if diff := cmp.Diff(test.want, tenantSlugs(test.groups)); diff != "" {
			t.Errorf("%s (%s) (- expected, + found):\n%s", name, test.reason, diff)
		}
	}
}

func TestUserSync(t *testing.T) {
	t.Parallel()
	base := User{Document: Document{ID: "usr_a", Version: 2}, Subject: "s", Email: "a@acme.test", Name: "Anna", PartnerID: "par_a", PartnerRole: PartnerRoleOwner}
	admin := base
	admin.PlatformAdmin, admin.AdminBy = true, AdminSourceToken
	granted, revoked := admin, base
	granted.AdminBy, revoked.AdminBy = AdminSourceGranted, AdminSourceRevoked
	same := Identity{Subject: "s", Email: "a@acme.test", Name: "Anna"}
	for name, test := range map[string]struct {
		user   User
		is     func(*Identity)
		want   func(*User)
		reason string
	}{
		"same":              {base, func(*Identity) {}, nil, "differences only"},
		"email":             {base, func(i *Identity) { i.Email = "b@acme.test" }, func(u *User) { u.Email = "b@acme.test" }, "on every call"},
		"name":              {base, func(i *Identity) { i.Name = "Ann" }, func(u *User) { u.Name = "Ann" }, "on every call"},
		"without claims":    {base, func(i *Identity) { i.Email, i.Name = "", "" }, nil, "a token without the claim says nothing"},
		"platform admins":   {base, func(i *Identity) { i.Groups = []string{"x", "dezky-platform-admins"} }, func(u *User) { u.PlatformAdmin, u.AdminBy = true, AdminSourceToken }, "either group"},
		"authentik admins":  {base, func(i *Identity) { i.Groups = []string{"authentik Admins"} }, func(u *User) { u.PlatformAdmin, u.AdminBy = true, AdminSourceToken }, "either group"},
		"a group like them": {base, func(i *Identity) { i.Groups = []string{"tenant-dezky-platform-admins", "Authentik admins"} }, nil, "to the letter"},
		"no longer":         {admin, func(i *Identity) { i.Groups = []string{"tenant-acme"} }, func(u *User) { u.PlatformAdmin, u.AdminBy = false, "" }, "the group is gone"},
		"granted":           {granted, func(*Identity) {}, nil, "a mutation gave it, and no token takes it"},
		"revoked":           {revoked, func(i *Identity) { i.Groups = []string{"dezky-platform-admins"} }, nil, "a mutation took it, and no token gives it"},
		"partner staff":     {base, func(i *Identity) { i.Groups = []string{"dezky-partner-staff"} }, nil, "which partner, the database says"},
	} {
		got, want, is := test.user, test.user, same
		test.is(&is)
		if test.want != nil {
			test.want(&want)
		}
		if changed := got.sync(is); changed != (test.want != nil) {
			t.Errorf("%s (%s): changed is %v", name, test.reason, changed)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (%s) (- expected, + found):\n%s", name, test.reason, diff)
		}
	}
}

func TestWhatMeWorksOut(t *testing.T) {
	t.Parallel()
	m := func(tenant ID, role MemberRole) *Member {
		return &Member{TenantID: tenant, Role: role, JoinedAt: noon.Add(-1e9 * 60)}
	}
	none := &Me{User: &User{PartnerRole: PartnerRoleOwner}}
	if none.IsTenantAdmin() || none.ActiveTenantID() != "" || none.PartnerRole() != nil {
		t.Error("who is nowhere administers nothing, and has no tenant or partner's role")
	}
	later, first := m("ten_b", MemberRoleAdmin), m("ten_a", MemberRoleMember)
	later.JoinedAt = noon
	both := &Me{User: &User{PartnerRole: PartnerRoleSupport}, Partner: &Partner{}, Memberships: []*Member{later, first}}
	if !both.IsTenantAdmin() || both.ActiveTenantID() != "ten_a" {
		t.Errorf("admin %v, active %s; want the one who administers any, and the tenant that was joined first",
			both.IsTenantAdmin(), both.ActiveTenantID())
	}
	if role := both.PartnerRole(); role == nil || *role != PartnerRoleSupport {
		t.Errorf("partner's role: got %v", role)
	}
}
