package platform

import "context"

// Partner is a reseller: its tenants are its customers.
type Partner struct {
	Document
	Slug      string        `json:"slug"`
	Name      string        `json:"name"`
	Status    PartnerStatus `json:"status"`
	CreatedAt Time          `json:"createdAt"`
}

// IsNode makes a partner a Node of the graph.
func (*Partner) IsNode() {}

// PartnerStatus says whether the partner's staff may still act.
type PartnerStatus string

// The states. The staff of a terminated partner lose access at once; its
// customers and the history of money stay (D-2).
const (
	PartnerStatusActive     PartnerStatus = "ACTIVE"
	PartnerStatusTerminated PartnerStatus = "TERMINATED"
)

// PartnerRole is what one of the staff may do for the partner.
type PartnerRole string

// The roles. Support reads and changes nothing.
const (
	PartnerRoleOwner   PartnerRole = "OWNER"
	PartnerRoleAdmin   PartnerRole = "ADMIN"
	PartnerRoleSupport PartnerRole = "SUPPORT"
)

// PartnerReader reads partners.
type PartnerReader interface {
	// Partner is the partner with this ID, or NotFound.
	Partner(ctx context.Context, id ID) (*Partner, error)
	// PartnersByID are those of the partners that exist, in no order.
	PartnersByID(ctx context.Context, ids []ID) ([]*Partner, error)
	// PartnerBySlug is the partner with this slug, or NotFound.
	PartnerBySlug(ctx context.Context, slug string) (*Partner, error)
	// CountCustomersOf counts the tenants of partners, as one read.
	CountCustomersOf(ctx context.Context, partners []ID) (map[ID]int, error)
}

// PartnerWriter changes partners.
type PartnerWriter interface {
	PutPartner(ctx context.Context, partner *Partner) error
}
