package stalwart

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/dezky/platform/platform"
)

// Apply makes sure that the mail server knows the tenant's platform mail
// domain. Its name is unique there, so what a crash left behind is found again
// by name. The tenant's mark ends the domain's description.
func (c *Client) Apply(ctx context.Context, s platform.Step) (handle string, err error) {
	tenant := s.Want.Tenant
	if tenant == nil || tenant.MailDomain == "" {
		return "", platform.ErrSkip
	}
	name := strings.ToLower(tenant.MailDomain) // as the server keeps it, and as its filter wants it
	known, err := c.domain(ctx, name)
	if err == nil && known == nil {
		known, err = c.createDomain(ctx, name, description(tenant))
	}
	if err == nil {
		err = c.adopt(ctx, known, tenant)
	}
	if err != nil {
		return "", err
	}
	return known.ID, nil
}

type domain struct {
	ID          string
	Name        string
	Description string
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
func (c *Client) createDomain(ctx context.Context, name, description string) (*domain, error) {
	var result setResult
	var found domains
	create := call{"make", "x:Domain/set", map[string]any{"create": map[string]any{
		"domain": map[string]any{"name": name, "description": description},
	}}, &result}
	err := c.call(ctx, append([]call{create}, found.named(name)...)...)
	if err != nil {
		return nil, err
	}
	refusal := result.NotCreated["domain"]
	if known := found.pick(name); known != nil && (refusal == nil || refusal.Type == "primaryKeyViolation") {
		return known, nil
	}
	switch {
	case refusal == nil:
		return nil, c.http.Garbled(fmt.Errorf("made the domain %q and does not show it", result.Created["domain"].ID))
	case refusal.Type == "primaryKeyViolation":
		return nil, platform.Errorf(platform.Conflict, "The mail domain %s is an alias of another one.", name).Because(refusal).Never()
	}
	return nil, platform.Errorf(platform.Unavailable, "The mail server refused the mail domain %s.", name).Because(refusal).Never()
}

// adopt puts the tenant's mark and name on a domain, unless it bears another
// tenant's mark.
func (c *Client) adopt(ctx context.Context, known *domain, tenant *platform.TenantWant) error {
	if mark := markOf(known.Description); mark != "" && mark != string(tenant.ID) {
		return platform.Errorf(platform.Conflict, "The mail domain %s belongs to another tenant.", known.Name).
			Because(fmt.Errorf("domain %s is marked %s", known.ID, mark)).Never()
	}
	want := description(tenant)
	if known.Description == want {
		return nil
	}
	var result setResult
	err := c.call(ctx, call{"mend", "x:Domain/set", map[string]any{"update": map[string]any{
		known.ID: map[string]any{"description": want},
	}}, &result})
	if err != nil {
		return err
	}
	if _, ok := result.Updated[known.ID]; ok {
		return nil
	}
	refusal := result.NotUpdated[known.ID]
	switch {
	case refusal == nil: // as if it had not been asked
		return c.http.Garbled(fmt.Errorf("left out the domain %q", known.ID))
	case refusal.Type == "notFound":
		return platform.Errorf(platform.Unavailable, "The mail domain %s was just removed.", known.Name).Because(refusal)
	}
	return platform.Errorf(platform.Unavailable, "The mail server refused to change the mail domain %s.", known.Name).Because(refusal).Never()
}

// description ends with the mark, whatever the tenant is called.
func description(tenant *platform.TenantWant) string {
	return strings.TrimSpace(fmt.Sprintf("%s (%s)", tenant.Name, tenant.ID))
}

var mark = regexp.MustCompile(`\((` + string(platform.KindTenant) + `_[0-9A-Za-z_-]+)\)`)

// markOf is the tenant whose mark is the last in a description: a tenant's name
// may look like a mark, and a person may have added words.
func markOf(description string) string {
	marks := mark.FindAllStringSubmatch(description, -1)
	if len(marks) == 0 {
		return ""
	}
	return marks[len(marks)-1][1]
}

// domains is what the two calls of named answer.
type domains struct {
	query struct{ IDs []string }
	get   struct{ List []domain }
}

// named are the calls that find a domain by its name and read it.
func (d *domains) named(name string) []call {
	return []call{
		{"find", "x:Domain/query", map[string]any{"filter": map[string]any{"name": name}}, &d.query},
		{"read", "x:Domain/get", map[string]any{
			"#ids":       map[string]any{"resultOf": "find", "name": "x:Domain/query", "path": "/ids"},
			"properties": []string{"name", "description"},
		}, &d.get},
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
