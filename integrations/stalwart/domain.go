package stalwart

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/dezky/platform/platform"
)

// wantedDomain is a tenant's platform mail domain, or one that it owns.
type wantedDomain struct {
	name   string
	tenant platform.TenantWant
	// domain is "" for the platform's.
	domain platform.ID
}

func platformDomain(w *platform.TenantWant) wantedDomain {
	return wantedDomain{name: strings.ToLower(w.MailDomain), tenant: *w} // as the server keeps it, and as its filter wants it
}

func ownDomain(w *platform.DomainWant) wantedDomain {
	return wantedDomain{name: strings.ToLower(w.Name), tenant: w.Tenant, domain: w.ID}
}

// description ends with the marks, whatever the tenant is called.
func (w wantedDomain) description() string {
	text := strings.TrimSpace(fmt.Sprintf("%s (%s)", w.tenant.Name, w.tenant.ID))
	if w.domain != "" {
		text += fmt.Sprintf(" (%s)", w.domain)
	}
	return text
}

var mark = regexp.MustCompile(`\(([a-z]{3})_[0-9A-Za-z_-]+\)`)

// markOf is the last mark of a kind in a description: a name may look like a
// mark, and a person may have added words. What is in brackets and is no mark
// claims nothing.
func markOf(description, kind string) platform.ID {
	found := ""
	for _, match := range mark.FindAllStringSubmatch(description, -1) {
		if match[1] == kind {
			found = match[0]
		}
	}
	return platform.ID(strings.Trim(found, "()"))
}

// kindDomain begins the ids of domains.
const kindDomain = "dom"

// foreign says whose a domain is, if it is not what is wanted, or "".
func (w wantedDomain) foreign(found *domain) string {
	tenant := markOf(found.Description, string(platform.KindTenant))
	own := markOf(found.Description, kindDomain)
	switch {
	case tenant != "" && tenant != w.tenant.ID:
		return "belongs to another tenant"
	case own != "" && own != w.domain:
		return "was added as another domain"
	case own == "" && tenant != "" && w.domain != "" && w.name == strings.ToLower(w.tenant.MailDomain):
		return "is the tenant's platform mail domain"
	}
	return ""
}

type domain struct {
	ID             string
	Name           string
	Description    string
	DKIMManagement struct {
		Type string `json:"@type"`
	} `json:"dkimManagement"`
}

func domainProperties() []string { return []string{"name", "description", "dkimManagement"} }

// makesNoKeys says that the domain's keys are somebody's own work. It is also
// the first step of a removal.
func (d *domain) makesNoKeys() bool { return d.DKIMManagement.Type == "Manual" }

// ensureDomain makes a domain, or adopts the one of its name: names are unique
// there, so what a crash left behind is found again.
func (c *Client) ensureDomain(ctx context.Context, want wantedDomain) (handle string, err error) {
	known, err := c.domain(ctx, want.name)
	if err == nil && known == nil {
		known, err = c.createDomain(ctx, want)
	}
	if err == nil {
		err = c.adopt(ctx, known, want)
	}
	if err != nil {
		return "", err
	}
	return known.ID, nil
}

// domain finds a domain by its name, or nil.
func (c *Client) domain(ctx context.Context, name string) (*domain, error) {
	var found domains
	if err := c.call(ctx, found.named(name)...); err != nil {
		return nil, err
	}
	return found.pick(name), nil
}

// createDomain makes a domain and reads back what is there afterwards. If
// somebody else was faster, that is their domain.
func (c *Client) createDomain(ctx context.Context, want wantedDomain) (*domain, error) {
	var result setResult
	var found domains
	create := call{"make", "x:Domain/set", map[string]any{"create": map[string]any{
		"domain": map[string]any{"name": want.name, "description": want.description()},
	}}, &result}
	err := c.call(ctx, append([]call{create}, found.named(want.name)...)...)
	if err != nil {
		return nil, err
	}
	id, refusal, err := result.made(c, "domain")
	if err != nil {
		return nil, err
	}
	if known := found.pick(want.name); known != nil && (refusal == nil || refusal.Type == "primaryKeyViolation") {
		return known, nil
	}
	switch {
	case refusal == nil:
		return nil, c.http.Garbled(fmt.Errorf("made the domain %q and does not show it", id))
	case refusal.Type == "primaryKeyViolation":
		return nil, platform.Errorf(platform.Conflict, "The mail domain %s is an alias of another one.", want.name).Because(refusal).Never()
	}
	return nil, platform.Errorf(platform.Unavailable, "The mail server refused the mail domain %s.", want.name).Because(refusal).Never()
}

// adopt puts the marks and the tenant's name on a domain, unless it is somebody
// else's, and lets it make keys again after a removal that was given up.
func (c *Client) adopt(ctx context.Context, known *domain, want wantedDomain) error {
	if whose := want.foreign(known); whose != "" {
		return platform.Errorf(platform.Conflict, "The mail domain %s %s.", known.Name, whose).
			Because(fmt.Errorf("domain %s is described %q", known.ID, known.Description)).Never()
	}
	patch := map[string]any{}
	if text := want.description(); known.Description != text {
		patch["description"] = text
	}
	if known.makesNoKeys() {
		keys, err := c.keyIDs(ctx, known.ID)
		if err != nil {
			return err
		}
		if len(keys) == 0 { // nobody made any by hand
			patch["dkimManagement"] = map[string]any{"@type": "Automatic"}
		}
	}
	if len(patch) == 0 {
		return nil
	}
	refusal, err := c.update(ctx, "x:Domain/set", known.ID, patch)
	switch {
	case err != nil:
		return err
	case refusal == nil:
		return nil
	case refusal.Type == "notFound":
		return platform.Errorf(platform.Unavailable, "The mail domain %s was just removed.", known.Name).Because(refusal)
	}
	return platform.Errorf(platform.Unavailable, "The mail server refused to change the mail domain %s.", known.Name).Because(refusal).Never()
}

// domains is what the two calls of named answer.
type domains struct {
	query queryResult
	get   getResult[domain]
}

// named are the calls that find a domain by its name and read it.
func (d *domains) named(name string) []call { return d.numbered(name, 0) }

// numbered are those of the nth of several domains in one request. Ids of calls
// are kept to letters and digits, which no server takes amiss.
func (d *domains) numbered(name string, n int) []call {
	find := "domain" + strconv.Itoa(n)
	return []call{
		{find, "x:Domain/query", map[string]any{"filter": map[string]any{"name": name}}, &d.query},
		{find + "read", "x:Domain/get", map[string]any{"#ids": resultOf(find, "x:Domain"), "properties": domainProperties()}, &d.get},
	}
}

func (d *domains) pick(name string) *domain {
	for i, found := range d.get.List {
		if found.Name == name {
			return &d.get.List[i]
		}
	}
	return nil
}

// domainIDs are the ids of those of the domains that are there, by name.
func (c *Client) domainIDs(ctx context.Context, names []string) (map[string]string, error) {
	ids := map[string]string{}
	for len(names) > 0 {
		n := min(len(names), maxCalls/2)
		found := make([]domains, n)
		var calls []call
		for i, name := range names[:n] {
			calls = append(calls, found[i].numbered(name, i)...)
		}
		if err := c.call(ctx, calls...); err != nil {
			return nil, err
		}
		for i, name := range names[:n] {
			if known := found[i].pick(name); known != nil {
				ids[name] = known.ID
			}
		}
		names = names[n:]
	}
	return ids, nil
}
