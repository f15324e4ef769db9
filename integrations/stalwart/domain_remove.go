package stalwart

import (
	"context"
	"fmt"
	"strings"

	"github.com/dezky/platform/platform"
)

// removalRounds bounds how often a removal begins anew because the server made
// another key in the meantime. It makes two at the most.
const removalRounds = 5

// removeDomain destroys a domain that is ours, with its keys, and afterwards
// what the server still made for it. Nothing goes along with a domain there: the
// keys have to be destroyed before it, and one that is being made while the
// domain goes stays behind. So a removal of what is gone already looks for such
// keys, by the handle; they come within a second, and the next look finds them.
func (c *Client) removeDomain(ctx context.Context, want wantedDomain, handle string) (string, error) {
	known, handleLives, err := c.domainToRemove(ctx, want, handle)
	if err != nil {
		return "", err
	}
	if known == nil {
		if handle == "" || handleLives {
			return handle, nil
		}
		return handle, c.removeOrphans(ctx, handle)
	}
	if !known.makesNoKeys() {
		refusal, err := c.update(ctx, "x:Domain/set", known.ID, map[string]any{"dkimManagement": map[string]any{"@type": "Manual"}})
		if err != nil {
			return "", err
		}
		if refusal != nil && refusal.Type != "notFound" {
			return "", refusal.notDone("to let go of the mail domain " + known.Name)
		}
	}
	if err := c.destroyDomain(ctx, known); err != nil {
		return "", err
	}
	if err := c.removeOrphans(ctx, known.ID); err != nil {
		return "", err
	}
	return known.ID, nil
}

// domainToRemove finds a domain by its name or, where somebody renamed it, by
// its handle. It is ours if it bears our mark, or if it is the one that we know
// and bears nobody else's; what is not ours stays as it is.
func (c *Client) domainToRemove(ctx context.Context, want wantedDomain, handle string) (known *domain, handleLives bool, err error) {
	var found domains
	var byHandle getResult[domain]
	calls := found.named(want.name)
	if handle != "" {
		calls = append(calls, call{"known", "x:Domain/get", map[string]any{"ids": []string{handle}, "properties": domainProperties()}, &byHandle})
	}
	if err := c.call(ctx, calls...); err != nil {
		return nil, false, err
	}
	candidates := byHandle.List
	if named := found.pick(want.name); named != nil {
		candidates = append(candidates, *named)
	}
	for i, d := range candidates {
		isMarked := markOf(d.Description, kindDomain) == want.domain && want.domain != ""
		if want.foreign(&d) == "" && (isMarked || d.ID == handle) {
			return &candidates[i], len(byHandle.List) > 0, nil
		}
	}
	return nil, len(byHandle.List) > 0, nil
}

// destroyDomain destroys a domain and the keys that hold it. Whatever else
// holds it is not ours to destroy, and there is a refusal that lists it.
func (c *Client) destroyDomain(ctx context.Context, known *domain) error {
	// The first try shows what holds the domain. One that has to stay keeps its
	// keys.
	for range removalRounds {
		refusals, err := c.destroy(ctx, "x:Domain", []string{known.ID})
		if err != nil {
			return err
		}
		refusal := refusals[known.ID]
		switch {
		case refusal == nil:
			return nil
		case refusal.Type != "objectIsLinked":
			return refusal.notDone("to remove the mail domain " + known.Name)
		}
		if err := c.heldBy(ctx, known, refusal); err != nil {
			return err
		}
		keys := make([]string, 0, len(refusal.LinkedObjects))
		for _, linked := range refusal.LinkedObjects {
			keys = append(keys, linked.ID)
		}
		if err := c.destroyKeys(ctx, keys); err != nil {
			return err
		}
	}
	return platform.Errorf(platform.Unavailable, "The mail server makes keys for the mail domain %s as fast as they are removed.", known.Name)
}

// heldBy is the error for a domain that something other than keys holds.
func (c *Client) heldBy(ctx context.Context, known *domain, refusal *setError) error {
	accounts, lists, others := []string{}, []string{}, 0
	for _, linked := range refusal.LinkedObjects {
		switch linked.Object {
		case "DkimSignature":
		case "Account":
			accounts = append(accounts, linked.ID)
		case "MailingList":
			lists = append(lists, linked.ID)
		case "SystemSettings":
			return platform.Errorf(platform.Conflict, "The mail domain %s is the mail server's default domain.", known.Name).Because(refusal).Never()
		default:
			others++
		}
	}
	if len(accounts)+len(lists)+others == 0 {
		return nil
	}
	names, err := c.addressesOf(ctx, accounts, lists)
	if err != nil {
		return err
	}
	var parts []string
	for _, part := range []struct {
		n         int
		one, many string
	}{
		{len(accounts), "one mailbox or group", "mailboxes or groups"},
		{len(lists), "one mailing list", "mailing lists"},
		{others, "one other thing", "other things"},
	} {
		switch part.n {
		case 0:
		case 1:
			parts = append(parts, part.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.many))
		}
	}
	return platform.Errorf(platform.Conflict, "The mail domain %s is still used by %s.", known.Name, strings.Join(parts, " and ")).
		Because(fmt.Errorf("%s: %w", names, refusal)).Never()
}

// addressesOf names the first accounts and lists for the log.
func (c *Client) addressesOf(ctx context.Context, accounts, lists []string) (string, error) {
	var holders, mailing getResult[struct{ ID, EmailAddress string }]
	var calls []call
	read := func(kind string, ids []string, out any) {
		if len(ids) > 0 {
			args := map[string]any{"ids": ids[:min(len(ids), mostNamed)], "properties": []string{"emailAddress"}}
			calls = append(calls, call{kind, kind + "/get", args, out})
		}
	}
	read("x:Account", accounts, &holders)
	read("x:MailingList", lists, &mailing)
	if len(calls) == 0 {
		return "", nil
	}
	if err := c.call(ctx, calls...); err != nil {
		return "", err
	}
	var names []string
	for _, holder := range holders.List {
		names = append(names, fmt.Sprintf("account %s %s", holder.ID, holder.EmailAddress))
	}
	for _, list := range mailing.List {
		names = append(names, fmt.Sprintf("list %s %s", list.ID, list.EmailAddress))
	}
	if len(accounts) > mostNamed || len(lists) > mostNamed {
		names = append(names, "…")
	}
	return strings.Join(names, ", "), nil
}
