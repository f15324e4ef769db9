package platform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// What audit says of what the platform makes at its start.
const ActionSeeded Action = "SEEDED"

// Seed is what is to be there from the start, each thing with its ID.
type Seed struct {
	Partners      []*Partner
	Tenants       []*Tenant
	Subscriptions []*TenantSubscription
	Users         []*User
	Members       []*Member
}

// DefaultTenant is the tenant that every installation has.
const DefaultTenant = "dezky"

// Bootstrap makes the default tenant and its subscription. It may be called
// again, and by several processes at once.
func (p *Platform) Bootstrap(ctx context.Context) error {
	const tenant, subscription ID = "ten_dezky", "sub_dezky"
	now := p.now()
	return p.Plant(ctx, Seed{
		Tenants: []*Tenant{{
			Document: Document{ID: tenant}, Slug: DefaultTenant, Name: "Dezky", Status: TenantStatusPending,
			Plan: PlanEnterprise, Seats: 25, CreatedAt: now,
		}},
		Subscriptions: []*TenantSubscription{{
			Document: Document{ID: subscription}, TenantID: tenant, Plan: PlanEnterprise, Cycle: CycleYearly,
			Seats: 25, Status: SubscriptionStatusActive, Since: now,
		}},
	})
}

// Plant stores what a seed has and the store has not. What is there stays as it
// is, so it may be called again, and by several processes at once.
func (p *Platform) Plant(ctx context.Context, s Seed) error {
	err := p.change(ctx, ActionSeeded, "", "", func(w Writer) error {
		planted := 0
		err := cmp.Or(
			plant(ctx, &planted, s.Partners, w.PartnersByID, w.PutPartner),
			plant(ctx, &planted, s.Tenants, w.TenantsByID, w.PutTenant),
			plant(ctx, &planted, s.Subscriptions, w.SubscriptionsByID, w.PutSubscription),
			plant(ctx, &planted, s.Users, w.UsersByID, w.PutUser),
			plant(ctx, &planted, s.Members, w.MembersByID, w.PutMember),
		)
		if err == nil && planted == 0 {
			return errUnchanged
		}
		return err
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// plant stores those of some things that are not there, and counts them.
func plant[T interface{ Doc() *Document }](
	ctx context.Context, planted *int, all []T,
	there func(context.Context, []ID) ([]T, error), put func(context.Context, T) error,
) error {
	known := map[ID]bool{}
	ids := make([]ID, len(all))
	for i, v := range all {
		ids[i] = v.Doc().ID
	}
	rows, err := there(ctx, ids)
	if err != nil {
		return err
	}
	for _, v := range rows {
		known[v.Doc().ID] = true
	}
	for _, v := range all {
		if known[v.Doc().ID] {
			continue
		}
		if err := put(ctx, v); err != nil {
			return fmt.Errorf("plant %s: %w", v.Doc().ID, err)
		}
		*planted++
	}
	return nil
}
