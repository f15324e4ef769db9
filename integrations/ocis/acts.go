package ocis

import (
	"context"
	"slices"

	"github.com/dezky/platform/platform"
)

var (
	_ platform.Files = (*Client)(nil)
	_ platform.Probe = (*Client)(nil)
)

// SpaceUse is what each project space holds. A disabled one is not in the
// answer: nobody can use it, and the server does not say what it holds.
func (c *Client) SpaceUse(ctx context.Context, handles []string) (map[string]platform.Use, error) {
	return c.use(ctx, project, handles, func(d *drive) string { return d.ID })
}

// AccountUse is what each account's own space holds. One that is disabled is not
// in the answer.
func (c *Client) AccountUse(ctx context.Context, handles []string) (map[string]platform.Use, error) {
	return c.use(ctx, personal, handles, func(d *drive) string { return d.Owner.User.ID })
}

func (c *Client) use(ctx context.Context, kind string, handles []string, handleOf func(*drive) string) (map[string]platform.Use, error) {
	used := map[string]platform.Use{}
	if len(handles) == 0 {
		return used, nil
	}
	all, err := c.drives(ctx, kind)
	if err != nil {
		return nil, err
	}
	asked := make(map[string]bool, len(handles))
	for _, handle := range handles {
		asked[handle] = true
	}
	for _, d := range all {
		if handle := handleOf(&d); asked[handle] && d.Quota.Used != nil {
			used[handle] = platform.Use{UsedBytes: *d.Quota.Used, QuotaBytes: d.Quota.Total}
		}
	}
	return used, nil
}

// The roles of accounts, whose ids are the same on every server.
const (
	roleAdmin      = "71881883-1768-46bd-a24d-a356a2afdf7f"
	roleSpaceAdmin = "2aadd357-682c-406b-8874-293091995fdd"
)

// Probe asks who we are, and in which role. An administrator of spaces alone
// could keep tenants in step and no people, and counts as a failure.
func (c *Client) Probe(ctx context.Context) error {
	me, err := c.me(ctx)
	if err != nil {
		return err
	}
	var assigned struct {
		AppRoleAssignments []struct{ AppRoleID string }
	}
	if err := c.call(ctx, request{path: accountPath(me) + "?%24expand=appRoleAssignments"}, &assigned); err != nil {
		return err
	}
	has := func(id string) bool {
		return slices.ContainsFunc(assigned.AppRoleAssignments, func(a struct{ AppRoleID string }) bool { return a.AppRoleID == id })
	}
	switch {
	case has(roleAdmin):
		return nil
	case has(roleSpaceAdmin):
		return platform.Errorf(platform.Unavailable, "The platform's account on the file server may administer spaces, but no people.").Never()
	}
	return platform.Errorf(platform.Unavailable, "The platform's account on the file server is no administrator.").Never()
}
