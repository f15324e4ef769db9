package ocis

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// drive is a space, as far as it matters here.
type drive struct {
	ID          string
	Name        string
	Description string
	DriveType   string
	Owner       struct{ User struct{ ID string } }
	Quota       struct {
		Used  *int64 // not shown of a disabled space
		Total int64  // 0 is without limit
	}
	Root struct {
		Deleted     *struct{ State string }
		Permissions []struct {
			GrantedToV2 struct{ User struct{ ID string } }
			Roles       []string // as words: manager, editor or viewer
		}
	}
}

func (d *drive) disabled() bool { return d.Root.Deleted != nil && d.Root.Deleted.State == "trashed" }

// empty says that nothing is stored in it, as far as is shown.
func (d *drive) empty() bool { return d.Quota.Used != nil && *d.Quota.Used == 0 }

// grants says in which roles the account is a member of the space. There may be
// a grant without a role that has a name here.
func (d *drive) grants(account string) (roles []string, granted bool) {
	for _, p := range d.Root.Permissions {
		if account != "" && p.GrantedToV2.User.ID == account {
			return p.Roles, true
		}
	}
	return nil, false
}

// The types of drives.
const (
	project  = "project"
	personal = "personal"
)

// drives are all drives of a type, disabled ones too. The server has no pages,
// and may not heed the filter.
func (c *Client) drives(ctx context.Context, kind string) ([]drive, error) {
	all, err := list[drive](ctx, c, "/v1.0/drives?%24filter=driveType%20eq%20%27"+kind+"%27")
	return slices.DeleteFunc(all, func(d drive) bool { return d.DriveType != kind }), err
}

// create makes a project space, however many of that name there are. Its maker
// becomes its manager. Whoever calls it looks for the space afterwards.
func (c *Client) create(ctx context.Context, name, description string) error {
	return c.call(ctx, request{method: http.MethodPost, path: "/v1.0/drives",
		body: map[string]string{"name": name, "description": description}}, &drive{})
}

func (c *Client) change(ctx context.Context, id string, values map[string]string) error {
	return c.patch(ctx, id, request{body: values})
}

// restore brings a disabled space back. On one that is not disabled it does
// nothing.
func (c *Client) restore(ctx context.Context, id string) error {
	return c.patch(ctx, id, request{header: map[string]string{"Restore": "true"}, body: struct{}{}})
}

func (c *Client) patch(ctx context.Context, id string, r request) error {
	var changed drive
	r.method, r.path = http.MethodPatch, drivePath(id)
	err := c.call(ctx, r, &changed)
	if err == nil && changed.ID != id {
		return c.http.Garbled(fmt.Errorf("changed %q instead of %q", changed.ID, id))
	}
	return err
}

// disable is the first half of removing a space, purge the second. Both are
// done as well when there is nothing to be done.
func (c *Client) disable(ctx context.Context, id string) error {
	return gone(c.call(ctx, request{method: http.MethodDelete, path: drivePath(id)}, nil))
}

func (c *Client) purge(ctx context.Context, id string) error {
	return gone(c.call(ctx, request{method: http.MethodDelete, path: drivePath(id), header: map[string]string{"Purge": "T"}}, nil))
}

func gone(err error) error {
	if hasStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

func drivePath(id string) string { return "/v1.0/drives/" + escaped(id) }

// escaped is an id in a path, its $ and : too, as the server was seen to take it
// everywhere. There is no space in an id.
func escaped(id string) string { return url.QueryEscape(id) }
