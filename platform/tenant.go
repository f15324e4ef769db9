package platform

import (
	"context"
	"regexp"
	"slices"
	"strings"
)

// Tenant is a customer: a workplace with a name, members and a plan.
type Tenant struct {
	Document
	Slug string `json:"slug"`
	Name string `json:"name"`
	// SortName is the name as lists sort it, whatever its capitals. The store keeps
	// it in step with the name.
	SortName string       `json:"sortName"`
	Status   TenantStatus `json:"status"`
	// PartnerID is the partner whose customer this is; "" for none.
	PartnerID  ID     `json:"partnerId,omitempty"`
	Plan       Plan   `json:"plan"`
	Seats      int32  `json:"seats"`
	Industry   string `json:"industry,omitempty"`
	BrandColor string `json:"brandColor,omitempty"`
	// Policy is nil for a tenant that asks nothing.
	Policy    *SecurityPolicy `json:"policy,omitempty"`
	CreatedAt Time            `json:"createdAt"`
}

// IsNode makes a tenant a Node of the graph.
func (*Tenant) IsNode() {}

// TenantStatus is where a tenant stands in its life.
type TenantStatus string

// The states (B-1). A tenant turns active when all its steps are done (C-4).
const (
	TenantStatusPending   TenantStatus = "PENDING"
	TenantStatusActive    TenantStatus = "ACTIVE"
	TenantStatusSuspended TenantStatus = "SUSPENDED"
	TenantStatusDeleting  TenantStatus = "DELETING"
	TenantStatusDeleted   TenantStatus = "DELETED"
)

// What audit says of tenants.
const (
	ActionTenantCreated    Action = "TENANT_CREATED"
	ActionTenantUpdated    Action = "TENANT_UPDATED"
	ActionTenantActivated  Action = "TENANT_ACTIVATED"
	ActionTenantReconciled Action = "TENANT_RECONCILED"
)

// Bounds of what people can say of a tenant.
const (
	longestName     = 100
	longestIndustry = 60
	mostSeats       = 100_000
	defaultSeats    = 5
)

// TenantScope is which tenants a list may show: all, or a partner's customers
// and some named ones.
type TenantScope struct {
	All       bool
	PartnerID ID
	IDs       []ID
}

// TenantQuery is what a list of tenants is asked for.
type TenantQuery struct {
	Status TenantStatus
	// Search finds tenants by the beginnings of words in name and slug.
	Search string
	Order  TenantOrder
	Page   Page
}

// TenantOrder is how a list of tenants is sorted.
type TenantOrder string

// The orders.
const (
	TenantOrderName   TenantOrder = "NAME"
	TenantOrderNewest TenantOrder = "NEWEST"
)

// TenantReader reads tenants.
type TenantReader interface {
	// Tenant is the tenant with this ID, or NotFound.
	Tenant(ctx context.Context, id ID) (*Tenant, error)
	// TenantBySlug is the tenant with this slug, or NotFound.
	TenantBySlug(ctx context.Context, slug string) (*Tenant, error)
	// TenantsByID are those of the tenants that exist, in no order.
	TenantsByID(ctx context.Context, ids []ID) ([]*Tenant, error)
	// TenantsBySlug are those of the tenants that exist, in no order.
	TenantsBySlug(ctx context.Context, slugs []string) ([]*Tenant, error)
	// Tenants is a page of what the scope shows.
	Tenants(ctx context.Context, scope TenantScope, q TenantQuery) (List[*Tenant], error)
	// CountTenants counts what the scope shows of the query, pages aside.
	CountTenants(ctx context.Context, scope TenantScope, q TenantQuery) (int, error)
}

// TenantWriter changes tenants.
type TenantWriter interface {
	// PutTenant stores the tenant, and has its provisioning due when what it
	// wants of the outside systems differs. A slug that is taken is Conflict.
	PutTenant(ctx context.Context, t *Tenant) error
}

// TenantConnection is a page of tenants.
type TenantConnection = Connection[*Tenant]

// TenantEdge is a tenant in a list.
type TenantEdge = Edge[*Tenant]

// TenantPayload is the answer of mutations about a tenant.
type TenantPayload = Payload[*Tenant]

// CreateTenantInput says what a new tenant is.
type CreateTenantInput struct {
	Slug       string
	Name       string
	PartnerID  *ID
	Plan       *Plan
	Seats      *int32
	Industry   *string
	BrandColor *string
	// AdminEmail names the first administrator: whoever first signs in with it.
	AdminEmail     *string
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in CreateTenantInput) Attempt() Attempt {
	return Attempt{Action: ActionTenantCreated, PartnerID: valueOf(in.PartnerID), Key: in.IdempotencyKey}
}

// UpdateTenantInput says what changes of a tenant. What is absent stays, an
// empty text clears.
type UpdateTenantInput struct {
	TenantID       ID
	Name           *string
	Plan           *Plan
	Seats          *int32
	Industry       *string
	BrandColor     *string
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in UpdateTenantInput) Attempt() Attempt {
	return Attempt{Action: ActionTenantUpdated, TenantID: in.TenantID, Target: in.TenantID, Key: in.IdempotencyKey}
}

// ReconcileTenantInput names the tenant whose steps are all to be tried at once.
type ReconcileTenantInput struct {
	TenantID       ID
	IdempotencyKey *string `json:"-"`
}

// Attempt says what the input tries.
func (in ReconcileTenantInput) Attempt() Attempt {
	return Attempt{Action: ActionTenantReconciled, TenantID: in.TenantID, Target: in.TenantID, Key: in.IdempotencyKey}
}

// CreateTenant writes a new tenant and returns at once; its provisioning is due
// from then on. Without a partner it is that of the staff who call, or nobody's.
func (p *Platform) CreateTenant(ctx context.Context, in CreateTenantInput) (*Tenant, error) {
	t := &Tenant{
		Document: Document{ID: p.newID(KindTenant)}, Status: TenantStatusPending, PartnerID: valueOf(in.PartnerID),
		Plan: PlanStarter, Seats: defaultSeats, CreatedAt: p.now(),
	}
	if a := ActorOf(ctx); t.PartnerID == "" && a != nil && a.Partner != nil && !a.operator(p.operatorAudience) {
		t.PartnerID = a.Partner.ID
	}
	if err := t.setSlug(in.Slug); err != nil {
		return nil, err
	}
	if err := t.set(&in.Name, in.Plan, in.Seats, in.Industry, in.BrandColor); err != nil {
		return nil, err
	}
	var admin *Invitation
	if in.AdminEmail != nil {
		email, err := cleanEmail("adminEmail", *in.AdminEmail)
		if err != nil {
			return nil, err
		}
		admin = &Invitation{
			Document: Document{ID: p.newID(KindInvitation)}, TenantID: t.ID, Email: email, Role: MemberRoleAdmin,
			State: InvitationStateOpen, CreatedAt: p.now(), Expires: p.now().Add(invitedFor),
		}
	}
	err := p.change(ctx, ActionTenantCreated, t.ID, t.ID, func(w Writer) error {
		if t.PartnerID != "" {
			partner, err := w.Partner(ctx, t.PartnerID)
			if err != nil {
				return err
			}
			if partner.Status == PartnerStatusTerminated {
				return Errorf(Conflict, "A terminated partner takes no new customers.").On("partnerId")
			}
		}
		if err := w.PutTenant(ctx, t); err != nil || admin == nil {
			return err
		}
		return w.PutInvitation(ctx, admin)
	})
	return t, err
}

// UpdateTenant changes what people can say of a tenant.
func (p *Platform) UpdateTenant(ctx context.Context, in UpdateTenantInput) (*Tenant, error) {
	var t *Tenant
	err := p.change(ctx, ActionTenantUpdated, in.TenantID, in.TenantID, func(w Writer) (err error) {
		if t, err = w.Tenant(ctx, in.TenantID); err != nil {
			return err
		}
		if err := t.changeable(); err != nil {
			return err
		}
		if err := t.set(in.Name, in.Plan, in.Seats, in.Industry, in.BrandColor); err != nil {
			return err
		}
		return w.PutTenant(ctx, t)
	})
	return t, err
}

// ReconcileTenant has every step of a tenant tried at once.
func (p *Platform) ReconcileTenant(ctx context.Context, in ReconcileTenantInput) (*Tenant, error) {
	var t *Tenant
	err := p.change(ctx, ActionTenantReconciled, in.TenantID, in.TenantID, func(w Writer) (err error) {
		if t, err = w.Tenant(ctx, in.TenantID); err != nil {
			return err
		}
		if err := t.changeable(); err != nil {
			return err
		}
		doc, err := w.Provisioning(ctx, t.ID)
		if err != nil {
			return err
		}
		doc.Raise(p.now())
		return w.PutProvisioning(ctx, doc, true)
	})
	return t, err
}

// TenantByName is the tenant that is asked for by ID or by slug. The field's
// directive has seen to it that the caller may see it.
func (p *Platform) TenantByName(ctx context.Context, id *ID, slug *string) (*Tenant, error) {
	switch {
	case id != nil && slug == nil:
		return p.store.Tenant(ctx, *id)
	case slug != nil && id == nil:
		return p.store.TenantBySlug(ctx, *slug)
	}
	return nil, Errorf(Invalid, "Ask for a tenant by its ID or by its slug.")
}

// TenantsInput is what a client can say about a list of tenants.
type TenantsInput struct {
	First   *int32
	After   *Cursor
	Filter  *TenantFilter
	Search  *string
	OrderBy *TenantOrder
}

// query checks what the client says.
func (in TenantsInput) query() (q TenantQuery, err error) {
	if q.Page, err = NewPage(in.First, in.After); err != nil {
		return q, err
	}
	q.Order = valueOf(in.OrderBy)
	q.Status = valueOf(valueOf(in.Filter).Status)
	if strings.TrimSpace(valueOf(in.Search)) != "" {
		q.Search, err = cleanLine("search", *in.Search, longestName)
	}
	return q, err
}

// Tenants lists what the caller can see (B-2).
func (p *Platform) Tenants(ctx context.Context, in TenantsInput) (*TenantConnection, error) {
	a, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	scope := TenantScope{All: a.operator(p.operatorAudience)}
	if a.Partner != nil {
		scope.PartnerID = a.Partner.ID
	}
	for _, m := range a.Memberships {
		scope.IDs = append(scope.IDs, m.TenantID)
	}
	list, err := p.store.Tenants(ctx, scope, q)
	if err != nil {
		return nil, err
	}
	return NewConnection(q.Page, list, func(ctx context.Context) (int, error) {
		return p.store.CountTenants(ctx, scope, q)
	}), nil
}

// SecurityPolicy is what the tenant asks of its members.
func (t *Tenant) SecurityPolicy() *SecurityPolicy {
	if t.Policy == nil {
		return &SecurityPolicy{MfaMode: MfaModeOptional}
	}
	return t.Policy
}

// changeable refuses to change a tenant that is on its way out.
func (t *Tenant) changeable() error {
	if t.Status == TenantStatusDeleting || t.Status == TenantStatusDeleted {
		return Errorf(Conflict, "A tenant that is being deleted cannot be changed.")
	}
	return nil
}

// set takes over what is not nil. On an error the tenant is good for nothing.
func (t *Tenant) set(name *string, plan *Plan, seats *int32, industry, color *string) (err error) {
	if name != nil {
		if t.Name, err = cleanLine("name", *name, longestName); err != nil {
			return err
		}
	}
	if plan != nil {
		t.Plan = *plan
	}
	if seats != nil {
		if *seats < 1 || *seats > mostSeats {
			return Errorf(Invalid, "A tenant has 1 to %d seats.", mostSeats).On("seats")
		}
		t.Seats = *seats
	}
	if industry != nil {
		if t.Industry = *industry; t.Industry != "" {
			if t.Industry, err = cleanLine("industry", *industry, longestIndustry); err != nil {
				return err
			}
		}
	}
	if color != nil {
		if t.BrandColor = strings.ToLower(*color); t.BrandColor != "" && !colorForm.MatchString(t.BrandColor) {
			return Errorf(Invalid, "A color is written like #1a2b3c.").On("brandColor")
		}
	}
	return nil
}

var (
	colorForm = regexp.MustCompile(`^#[0-9a-f]{6}$`)
	// slugForm lets a slug be a label of a domain name and the end of a group's.
	slugForm = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
)

const (
	shortestSlug = 2
	longestSlug  = 40
)

// reservedSlugs would be mistaken for the platform itself, or are names that a
// mail domain must leave to its keeper (RFC 2142).
func reservedSlugs() []string {
	return []string{
		"abuse", "account", "accounts", "admin", "administrator", "api", "app", "auth", "autoconfig", "autodiscover",
		"billing", "cdn", "dezky", "files", "ftp", "help", "hostmaster", "imap", "info", "internal", "localhost", "login",
		"mail", "marketing", "mta-sts", "mx", "news", "noc", "ns1", "ns2", "operator", "partner", "platform", "pop",
		"portal", "postmaster", "root", "sales", "security", "signin", "smtp", "staff", "static", "status", "support",
		"system", "tenant", "usenet", "uucp", "webmail", "webmaster", "www",
	}
}

func (t *Tenant) setSlug(slug string) error {
	switch {
	case len(slug) < shortestSlug || len(slug) > longestSlug || !slugForm.MatchString(slug):
		return Errorf(Invalid, "A slug has %d to %d small letters, digits and single hyphens, and begins with a letter.",
			shortestSlug, longestSlug).On("slug")
	case slices.Contains(reservedSlugs(), slug), strings.HasPrefix(slug, TenantGroupPrefix):
		return Errorf(Invalid, "The slug %s is reserved.", slug).On("slug")
	}
	t.Slug = slug
	return nil
}

// Desired is what the tenant wants of the outside systems. It depends on the
// tenant alone, so that comparing two versions tells if anything is to be done.
func (t *Tenant) Desired() TenantWant {
	return TenantWant{ID: t.ID, Slug: t.Slug, Name: t.Name}
}

func valueOf[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

// TenantFilter says which tenants a list shows.
type TenantFilter struct{ Status *TenantStatus }
