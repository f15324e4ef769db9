package platform

import "context"

// TenantSubscription is what a tenant has booked: a plan and seats, as they were
// agreed. Changing the catalogue changes no subscription (G-1).
type TenantSubscription struct {
	Document
	TenantID ID                 `json:"tenantId"`
	Plan     Plan               `json:"plan"`
	Cycle    Cycle              `json:"cycle"`
	Seats    int32              `json:"seats"`
	Status   SubscriptionStatus `json:"status"`
	Since    Time               `json:"since"`
}

// IsNode makes a subscription a Node of the graph.
func (*TenantSubscription) IsNode() {}

// Plan is what a tenant's workplace can do.
type Plan string

// The plans.
const (
	PlanStarter    Plan = "STARTER"
	PlanBusiness   Plan = "BUSINESS"
	PlanEnterprise Plan = "ENTERPRISE"
)

// Cycle is how often a subscription is billed.
type Cycle string

// The cycles.
const (
	CycleMonthly Cycle = "MONTHLY"
	CycleYearly  Cycle = "YEARLY"
)

// SubscriptionStatus says whether a subscription runs.
type SubscriptionStatus string

// The states.
const (
	SubscriptionStatusActive   SubscriptionStatus = "ACTIVE"
	SubscriptionStatusCanceled SubscriptionStatus = "CANCELED"
)

// SubscriptionReader reads subscriptions.
type SubscriptionReader interface {
	// SubscriptionsOf are the subscriptions of tenants, at most one each, in no order.
	SubscriptionsOf(ctx context.Context, tenants []ID) ([]*TenantSubscription, error)
	// SubscriptionsByID are those of the subscriptions that exist, in no order.
	SubscriptionsByID(ctx context.Context, ids []ID) ([]*TenantSubscription, error)
}

// SubscriptionWriter changes subscriptions.
type SubscriptionWriter interface {
	PutSubscription(ctx context.Context, s *TenantSubscription) error
}
