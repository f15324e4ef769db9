package stripe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/dezky/platform/platform"
)

// What stands in a customer's metadata is ours: whose it is, and whose name it
// has if not the tenant's.
const (
	tenantKey  = "tenant_id"
	companyKey = "company"
)

const (
	// keysLast is how long Stripe keeps an idempotency key, and an hour to be sure.
	keysLast = 25 * time.Hour
	// young is how long after its making a customer may turn out to have a double.
	young = 48 * time.Hour
)

// Apply makes sure that the tenant has one customer. The handle decides; without
// it, or when that customer was deleted, the one with the tenant's mark does.
func (c *Client) Apply(ctx context.Context, s platform.Step) (handle string, err error) {
	t := s.Want.Tenant
	if t == nil {
		return "", platform.ErrSkip
	}
	cus, err := c.recorded(ctx, t.ID, s.Handle)
	if err != nil {
		return "", err
	}
	if cus == nil {
		cus, err = c.findOrMake(ctx, t)
	} else if c.clock.Now().Sub(time.Unix(cus.Created, 0)) < young {
		err = c.settle(ctx, t.ID, cus)
	}
	if err != nil {
		return "", err
	}
	return cus.ID, c.mend(ctx, t, cus)
}

// recorded is the customer that an earlier attempt recorded, or nil if it is not
// there any more.
func (c *Client) recorded(ctx context.Context, tenant platform.ID, handle string) (*stripe.Customer, error) {
	if handle == "" {
		return nil, nil
	}
	cus, err := c.customers.Get(handle, &stripe.CustomerParams{Params: reads(ctx)})
	if platform.CodeOf(err) == platform.NotFound || err == nil && cus.Deleted {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if owner := cus.Metadata[tenantKey]; owner != "" && owner != string(tenant) {
		return nil, platform.Errorf(platform.Conflict, "The customer %s belongs to somebody else.", handle).
			Because(fmt.Errorf("customer %s is marked %q", handle, owner)).Never()
	}
	return cus, nil
}

// findOrMake is the tenant's customer, which is made if there is none. Nobody is
// looked for from long before the tenant: the list of all would be read.
func (c *Client) findOrMake(ctx context.Context, t *platform.TenantWant) (*stripe.Customer, error) {
	tenant, since := t.ID, time.Time{}
	if !t.CreatedAt.IsZero() {
		since = t.CreatedAt.Add(-clockSkew).Time
	}
	found, err := c.marked(ctx, tenant, since)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		made, err := c.create(ctx, tenant)
		if err != nil {
			return nil, err
		}
		if found, err = c.marked(ctx, tenant, beside(made)); err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, platform.Errorf(platform.Unavailable, "The payment service does not show the customer that it made.").
				Because(fmt.Errorf("customer %s of %s", made.ID, tenant))
		}
	}
	return found[0], c.clear(ctx, found[1:])
}

// clockSkew is how far Stripe's clock may be behind ours.
const clockSkew = time.Hour

// beside is since when a customer's doubles can have been made: as long as a key
// lasts, all that make one get the same.
func beside(cus *stripe.Customer) time.Time { return time.Unix(cus.Created, 0).Add(-keysLast) }

// marked are the customers with the tenant's mark that were made since a moment,
// or ever, the smallest id first. The list is read through, since the mark is no
// filter of it.
func (c *Client) marked(ctx context.Context, tenant platform.ID, since time.Time) ([]*stripe.Customer, error) {
	in := &stripe.CustomerListParams{ListParams: lists(ctx)}
	if !since.IsZero() {
		in.CreatedRange = &stripe.RangeQueryParams{GreaterThanOrEqual: since.Unix()}
	}
	all, err := collect[*stripe.Customer](c.customers.List(in))
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(cus *stripe.Customer) bool {
		return cus.Deleted || cus.Metadata[tenantKey] != string(tenant)
	})
	slices.SortFunc(all, func(a, b *stripe.Customer) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// mostVersions is how many customers that were deleted again the keys of one
// attempt go past.
const mostVersions = 5

// create makes the tenant's customer with its mark alone, so that every attempt
// says the same under the same key, whatever the tenant is called by then. What
// the key gives back may have been deleted meanwhile; then the next key is for
// the next customer.
func (c *Client) create(ctx context.Context, tenant platform.ID) (*stripe.Customer, error) {
	for version := 1; version <= mostVersions; version++ {
		in := &stripe.CustomerParams{Params: writes(ctx, fmt.Sprintf("tenant:%s:customer:v%d", tenant, version))}
		in.Metadata = map[string]string{tenantKey: string(tenant)}
		made, err := c.customers.New(in)
		if err != nil {
			return nil, err
		}
		made, err = c.recorded(ctx, tenant, made.ID)
		if made != nil || err != nil {
			return made, err
		}
	}
	return nil, platform.Errorf(platform.Unavailable, "The customer was deleted again and again.")
}

// settle removes the doubles of the customer that is recorded.
func (c *Client) settle(ctx context.Context, tenant platform.ID, kept *stripe.Customer) error {
	all, err := c.marked(ctx, tenant, beside(kept))
	if err != nil {
		return err
	}
	return c.clear(ctx, slices.DeleteFunc(all, func(cus *stripe.Customer) bool { return cus.ID == kept.ID }))
}

// clear deletes those of the doubles that nobody has used.
func (c *Client) clear(ctx context.Context, doubles []*stripe.Customer) error {
	for _, cus := range doubles {
		used, err := c.used(ctx, cus.ID)
		if err != nil {
			return err
		}
		if used {
			continue
		}
		_, err = c.customers.Del(cus.ID, &stripe.CustomerParams{Params: reads(ctx)})
		if err != nil && platform.CodeOf(err) != platform.NotFound {
			return err
		}
	}
	return nil
}

// used says whether a customer has ever had a subscription or an invoice, or has
// a card.
func (c *Client) used(ctx context.Context, id string) (bool, error) {
	subscriptions := &stripe.SubscriptionListParams{ListParams: one(ctx), Customer: &id, Status: stripe.String("all")}
	invoices := &stripe.InvoiceListParams{ListParams: one(ctx), Customer: &id}
	cards := &stripe.CustomerListPaymentMethodsParams{ListParams: one(ctx), Customer: &id}
	for _, list := range []func() iter{
		func() iter { return c.subscriptions.List(subscriptions) },
		func() iter { return c.invoices.List(invoices) },
		func() iter { return c.customers.ListPaymentMethods(cards) },
	} {
		rows := list()
		if rows.Next() || rows.Err() != nil {
			return true, rows.Err()
		}
	}
	return false, nil
}

// one are the common parameters of a list of which one row is enough.
func one(ctx context.Context) stripe.ListParams {
	return stripe.ListParams{Context: ctx, Limit: stripe.Int64(1), Single: true}
}

// mend gives the customer its mark, if somebody took it away, and the tenant's
// name, unless its invoices are made out to a company of another.
func (c *Client) mend(ctx context.Context, t *platform.TenantWant, cus *stripe.Customer) error {
	named := cus.Name == t.Name || cus.Metadata[companyKey] != ""
	if named && cus.Metadata[tenantKey] == string(t.ID) {
		return nil
	}
	in := &stripe.CustomerParams{Params: writes(ctx, fresh("tenant:"+string(t.ID)+":customer:mend"))}
	in.Metadata = map[string]string{tenantKey: string(t.ID)}
	if !named {
		in.Name = &t.Name
	}
	_, err := c.customers.Update(cus.ID, in)
	return gone(err, "customer")
}

// gone is err, but for what was removed while it was being changed: the next
// attempt makes it anew.
func gone(err error, what string) error {
	if platform.CodeOf(err) == platform.NotFound {
		return platform.Errorf(platform.Unavailable, "The %s was removed while it was being changed.", what).Because(err)
	}
	return err
}
