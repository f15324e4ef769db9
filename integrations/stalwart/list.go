package stalwart

import (
	"context"
	"fmt"
	"strings"

	"github.com/dezky/platform/platform"
)

// mailingList is a list with or without its recipients.
type mailingList struct {
	ID          string
	Name        string
	DomainID    string `json:"domainId"`
	Description *string
	Recipients  map[string]bool
}

type lists = getResult[mailingList]

func listProperties() []string { return []string{"name", "domainId", "description", "recipients"} }

// owner is the group whose mark a list bears, or "".
func (l *mailingList) owner() string {
	if l.Description == nil {
		return ""
	}
	found := ""
	for _, match := range mark.FindAllString(*l.Description, -1) {
		found = strings.Trim(match, "()")
	}
	return found
}

// wantedList is a group's mailing list with its domain looked up.
type wantedList struct {
	*platform.GroupWant
	address address
	// domainID is "" for a domain that is not there.
	domainID string
}

// description ends with the mark, whatever the group is called.
func (w wantedList) description() string {
	return strings.TrimSpace(fmt.Sprintf("%s (%s)", w.Name, w.ID))
}

func (w wantedList) isAt(l *mailingList) bool {
	return l.Name == w.address.local && l.DomainID == w.domainID
}

// applyList keeps a group's mailing list. A handle that is known is the list,
// wherever its address has been before.
func (c *Client) applyList(ctx context.Context, group *platform.GroupWant, handle string) (string, error) {
	want := wantedList{GroupWant: group}
	if group.Address == "" && handle == "" {
		return "", platform.ErrSkip
	}
	if group.Address == "" {
		return "", c.removeKnownList(ctx, want, handle)
	}
	var err error
	if want.address, err = parseAddress(group.Address); err != nil {
		return "", err
	}
	known, err := c.list(ctx, &want, handle)
	if err != nil {
		return "", err
	}
	if group.Presence == platform.PresenceGone {
		return c.removeList(ctx, want, known, handle)
	}
	switch {
	case want.domainID == "":
		return "", noDomain(want.address.domain)
	case known == nil:
		return c.createList(ctx, want)
	}
	return c.mendList(ctx, known, want)
}

// list finds the list of the handle, or else the one at the address, and looks
// up the domain.
func (c *Client) list(ctx context.Context, want *wantedList, handle string) (*mailingList, error) {
	var known lists
	var found domains
	calls := found.named(want.address.domain)
	if handle != "" {
		calls = append(calls, call{"known", "x:MailingList/get", map[string]any{"ids": []string{handle}, "properties": listProperties()}, &known})
	}
	if err := c.call(ctx, calls...); err != nil {
		return nil, err
	}
	if d := found.pick(want.address.domain); d != nil {
		want.domainID = d.ID
	}
	if len(known.List) > 0 {
		return &known.List[0], nil
	}
	if want.domainID == "" || want.Presence == platform.PresenceGone && handle != "" {
		return nil, nil
	}
	return c.listAt(ctx, *want)
}

// listAt finds the list at an address. No filter knows addresses, so all lists
// are looked through.
func (c *Client) listAt(ctx context.Context, want wantedList) (*mailingList, error) {
	id := ""
	var page lists
	err := c.all(ctx, "x:MailingList", nil, []string{"name", "domainId"}, &page, func(int) bool {
		for _, l := range page.List {
			if want.isAt(&l) {
				id = l.ID
			}
		}
		page = lists{}
		return id == ""
	})
	if err != nil || id == "" {
		return nil, err
	}
	return c.listByID(ctx, id)
}

// listByID reads a list with its recipients, or nil.
func (c *Client) listByID(ctx context.Context, id string) (*mailingList, error) {
	var found lists
	err := c.call(ctx, call{"read", "x:MailingList/get", map[string]any{"ids": []string{id}, "properties": listProperties()}, &found})
	if err != nil || len(found.List) == 0 {
		return nil, err
	}
	return &found.List[0], nil
}

// createList makes a list. Where somebody was faster, or the list hid between
// two pages, the refusal names it.
func (c *Client) createList(ctx context.Context, want wantedList) (string, error) {
	recipients := map[string]bool{}
	for _, recipient := range want.Recipients {
		recipients[recipient] = true
	}
	var result setResult
	err := c.call(ctx, call{"make", "x:MailingList/set", map[string]any{"create": map[string]any{"list": map[string]any{
		"name": want.address.local, "domainId": want.domainID, "description": want.description(), "recipients": recipients,
	}}}, &result})
	if err != nil {
		return "", err
	}
	id, refusal, err := result.made(c, "list")
	switch {
	case err != nil:
		return "", err
	case refusal == nil:
		return id, nil
	case refusal.Type == "primaryKeyViolation" && refusal.ObjectID != nil && refusal.ObjectID.Object == "MailingList":
		known, err := c.listByID(ctx, refusal.ObjectID.ID)
		if err != nil {
			return "", err
		}
		if known != nil && want.isAt(known) {
			return c.mendList(ctx, known, want)
		}
		return "", takenBy(want.Address, "another mailing list", refusal)
	}
	return "", refusedList(want, refusal)
}

func refusedList(want wantedList, refusal *setError) error {
	if refusal.Type == "primaryKeyViolation" {
		return takenBy(want.Address, "somebody", refusal)
	}
	return refusal.notDone("the mailing list " + want.Address)
}

// mendList changes what differs, recipient by recipient, so that a long list is
// not sent for one of them.
func (c *Client) mendList(ctx context.Context, known *mailingList, want wantedList) (string, error) {
	if owner := known.owner(); owner != "" && owner != string(want.ID) {
		return "", takenBy(want.Address, "another group's mailing list", fmt.Errorf("list %s is marked %s", known.ID, owner))
	}
	patch := known.differences(want)
	if len(patch) == 0 {
		return known.ID, nil
	}
	refusal, err := c.update(ctx, "x:MailingList/set", known.ID, patch)
	if err != nil {
		return "", err
	}
	if refusal != nil {
		return "", refusedList(want, refusal)
	}
	return known.ID, nil
}

func (l *mailingList) differences(want wantedList) map[string]any {
	patch := map[string]any{}
	if l.Name != want.address.local {
		patch["name"] = want.address.local
	}
	if l.DomainID != want.domainID {
		patch["domainId"] = want.domainID
	}
	if text := want.description(); l.Description == nil || *l.Description != text {
		patch["description"] = text
	}
	wanted := map[string]bool{}
	for _, recipient := range want.Recipients {
		wanted[recipient] = true
		if !l.Recipients[recipient] {
			patch["recipients/"+escape(recipient)] = true
		}
	}
	for recipient := range l.Recipients {
		if !wanted[recipient] {
			patch["recipients/"+escape(recipient)] = nil
		}
	}
	return patch
}

// escape makes a text one step of a path (RFC 6901).
func escape(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "~", "~0"), "/", "~1")
}

// removeList destroys the group's list. One at the address that bears no mark of
// the group's and that we do not know is not ours.
func (c *Client) removeList(ctx context.Context, want wantedList, known *mailingList, handle string) (string, error) {
	if known == nil {
		return handle, nil
	}
	isOurs := known.owner() == string(want.ID) || known.owner() == "" && known.ID == handle
	if !isOurs {
		return handle, nil
	}
	refusals, err := c.destroy(ctx, "x:MailingList", []string{known.ID})
	if err != nil {
		return "", err
	}
	if refusal := refusals[known.ID]; refusal != nil {
		return "", refusal.notDone("to remove the mailing list of " + want.Name)
	}
	return known.ID, nil
}

// removeKnownList is for a group that has no address any more.
func (c *Client) removeKnownList(ctx context.Context, want wantedList, handle string) error {
	known, err := c.listByID(ctx, handle)
	if err == nil {
		_, err = c.removeList(ctx, want, known, handle)
	}
	return err
}
