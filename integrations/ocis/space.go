package ocis

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dezky/platform/platform"
)

// applySpace makes sure that the tenant has one project space. It is known by
// our mark in its description, or by the recorded handle, since names are not
// unique. Two owners of a step may both make one, so it looks again after
// making it, and all who look agree which one stays.
func (c *Client) applySpace(ctx context.Context, tenant *platform.TenantWant, recorded string) (handle string, err error) {
	keep, surplus, err := c.spacesOf(ctx, tenant.ID, recorded)
	if err == nil && keep == nil {
		if err = c.create(ctx, spaceName(tenant), mark(tenant.ID)); err == nil {
			keep, surplus, err = c.spacesOf(ctx, tenant.ID, recorded)
		}
	}
	if err != nil {
		return "", err
	}
	if keep == nil {
		return "", platform.Errorf(platform.Unavailable, "The file server does not show the space that it made.")
	}
	for _, d := range surplus {
		if err := c.removeEmpty(ctx, d, tenant.ID); err != nil {
			return "", err
		}
	}
	if err := c.mendSpace(ctx, keep, tenant); err != nil {
		return "", err
	}
	return keep.ID, nil
}

// spacesOf are the tenant's spaces: the one that stays, or nil, and the others.
// The recorded one stays, else the one with the smallest id.
func (c *Client) spacesOf(ctx context.Context, tenant platform.ID, handle string) (keep *drive, surplus []drive, err error) {
	all, err := c.drives(ctx, project)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(all, func(a, b drive) int { return strings.Compare(a.ID, b.ID) })
	stays := -1
	for i, d := range all {
		switch {
		case d.ID == handle && d.isOfAnother(tenant):
			return nil, nil, platform.Errorf(platform.Conflict, "The tenant's space on the file server belongs to another tenant.").
				Because(fmt.Errorf("drive %s is marked %s", d.ID, d.Description)).Never()
		case d.ID == handle: // even if somebody edited our mark away
			stays = i
		case stays < 0 && d.Description == mark(tenant):
			stays = i
		}
	}
	for i, d := range all {
		switch {
		case i == stays:
			keep = &all[i]
		case d.Description == mark(tenant), d.Description == surplusMark(tenant):
			surplus = append(surplus, d)
		}
	}
	return keep, surplus, nil
}

// mendSpace brings a space back if it is disabled, and gives it the tenant's name
// and mark.
func (c *Client) mendSpace(ctx context.Context, d *drive, tenant *platform.TenantWant) error {
	if d.disabled() {
		if err := c.restore(ctx, d.ID); err != nil {
			return vanished(err)
		}
	}
	values := map[string]string{}
	if name := spaceName(tenant); d.Name != name {
		values["name"] = name
	}
	if d.Description != mark(tenant.ID) {
		values["description"] = mark(tenant.ID)
	}
	if len(values) == 0 {
		return nil
	}
	return vanished(c.change(ctx, d.ID, values))
}

// vanished lets a 404 pass: the space was there a moment ago, and the next
// attempt looks for it anew.
func vanished(err error) error {
	if hasStatus(err, http.StatusNotFound) {
		return platform.Errorf(platform.Unavailable, "The space on the file server was just removed.").Because(said(err))
	}
	return err
}

// removeEmpty removes a space that holds nothing. What has files is left for a
// person to look at, and so is what a person disabled, since it does not show
// whether it has any. A space that we disabled bears the mark of that, so that
// a removal that was cut off is finished.
func (c *Client) removeEmpty(ctx context.Context, d drive, tenant platform.ID) error {
	givenUp := d.Description == surplusMark(tenant)
	switch {
	case d.disabled() && !givenUp, !d.disabled() && !d.empty():
		return nil
	case !givenUp:
		if err := gone(c.change(ctx, d.ID, map[string]string{"description": surplusMark(tenant)})); err != nil {
			return err
		}
	}
	if err := c.disable(ctx, d.ID); err != nil {
		return err
	}
	err := c.purge(ctx, d.ID)
	if hasStatus(err, http.StatusBadRequest) {
		return platform.Errorf(platform.Unavailable, "Somebody has just brought back a space that was being removed.").Because(said(err))
	}
	return err
}

// markPrefix begins the description of every space of ours.
const markPrefix = "dezky:"

func mark(tenant platform.ID) string { return markPrefix + string(tenant) }

// surplusMark is on a space that is one too many and is being removed.
func surplusMark(tenant platform.ID) string { return mark(tenant) + " (surplus)" }

func (d *drive) isOfAnother(tenant platform.ID) bool {
	return strings.HasPrefix(d.Description, markPrefix) && d.Description != mark(tenant) && d.Description != surplusMark(tenant)
}

// spaceName is the tenant's name without what the server refuses in the name of
// a space: some characters, and more than 255 bytes.
func spaceName(tenant *platform.TenantWant) string {
	const longest = 255
	name := strings.Join(strings.FieldsFunc(tenant.Name, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`/\.:?*"><|`, r)
	}), " ")
	if name == "" {
		return tenant.Slug
	}
	if len(name) <= longest {
		return name
	}
	end := longest
	for !utf8.RuneStart(name[end]) {
		end--
	}
	return strings.TrimSpace(name[:end])
}
