package stalwart

import (
	"context"

	"github.com/dezky/platform/platform"
)

// How much of what holds a domain is looked for, and shown. Aliases have no
// filter, so every account and list of the server is looked through.
const (
	mostUses  = 200
	mostPages = 40
)

// holder is an account or a list as far as its addresses go.
type holder struct {
	ID           string
	Type         string `json:"@type"`
	Name         string
	DomainID     string           `json:"domainId"`
	EmailAddress string           `json:"emailAddress"`
	Aliases      map[string]alias `json:"aliases"`
}

// UsesOf looks through the accounts of the domain first, and then through all
// accounts and lists for aliases in it.
func (c *Client) UsesOf(ctx context.Context, handle, name string) (platform.MailDomainUses, error) {
	uses := &uses{domain: handle, name: name}
	if handle == "" {
		return uses.MailDomainUses, nil
	}
	own := map[string]any{"domainId": handle}
	for _, look := range []struct {
		kind   string
		filter map[string]any
		add    func(holder)
	}{
		{"x:Account", own, uses.own},
		{"x:MailingList", nil, func(h holder) { h.Type = "List"; uses.own(h); uses.aliases(h) }},
		{"x:Account", nil, uses.aliases},
	} {
		pages := 0
		properties := []string{"@type", "name", "domainId", "emailAddress", "aliases"}
		if look.kind == "x:MailingList" { // which have no type
			properties = properties[1:]
		}
		var page getResult[holder]
		err := c.all(ctx, look.kind, look.filter, properties, &page, func(n int) bool {
			for _, h := range page.List {
				look.add(h)
			}
			page, pages = getResult[holder]{}, pages+1
			if pages == mostPages && n == maxObjects {
				uses.More = true
			}
			return !uses.More
		})
		if err != nil {
			return platform.MailDomainUses{}, err
		}
	}
	return uses.MailDomainUses, nil
}

// uses are what was found so far.
type uses struct {
	platform.MailDomainUses
	domain, name string
}

func (u *uses) add(use platform.MailDomainUse) {
	if len(u.Uses) == mostUses {
		u.More = true
		return
	}
	u.Uses = append(u.Uses, use)
}

// own adds what has its own address in the domain.
func (u *uses) own(h holder) {
	if h.DomainID != u.domain {
		return
	}
	kind := platform.MailDomainUseMailbox
	switch h.Type {
	case "Group":
		kind = platform.MailDomainUseGroup
	case "List":
		kind = platform.MailDomainUseList
	}
	u.add(platform.MailDomainUse{Kind: kind, Address: h.Name + "@" + u.name, Handle: h.ID})
}

// aliases adds what has aliases in the domain, whatever its own is.
func (u *uses) aliases(h holder) {
	for _, a := range sortedAliases(h.Aliases) {
		if a.DomainID == u.domain {
			u.add(platform.MailDomainUse{Kind: platform.MailDomainUseAlias, Address: a.Name + "@" + u.name, Of: h.EmailAddress, Handle: h.ID})
		}
	}
}
