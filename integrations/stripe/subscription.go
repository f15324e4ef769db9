package stripe

import (
	"context"
	"fmt"
	"strings"

	"github.com/stripe/stripe-go/v76"

	"github.com/dezky/platform/platform"
)

// orderKey is where a subscription's metadata name the order that it is of.
const orderKey = "subscription_id"

// Subscribe makes the subscription before its first payment, which the person
// confirms, or PayInvoice makes with the default card.
func (c *Client) Subscribe(ctx context.Context, order platform.SubscriptionOrder, key string) (*platform.RemoteSubscription, error) {
	if order.ID == "" || order.Seats < 1 {
		return nil, mistaken("the order %q has %d seats", order.ID, order.Seats)
	}
	found, err := c.ordered(ctx, order)
	if err != nil || found != nil {
		return found, err
	}
	in := &stripe.SubscriptionParams{
		Params: writes(ctx, key), Customer: &order.Customer, Currency: stripe.String(strings.ToLower(order.Currency)),
		Items:           []*stripe.SubscriptionItemsParams{{Price: &order.Price, Quantity: &order.Seats}},
		PaymentBehavior: stripe.String("default_incomplete"),
		PaymentSettings: &stripe.SubscriptionPaymentSettingsParams{SaveDefaultPaymentMethod: stripe.String("on_subscription")},
		Expand:          confirming(),
	}
	in.Metadata = map[string]string{orderKey: string(order.ID), tenantKey: string(order.TenantID)}
	if order.TrialDays > 0 {
		in.TrialPeriodDays = &order.TrialDays
	}
	sub, err := c.subscriptions.New(in)
	if err != nil {
		return nil, err
	}
	return subscribed(sub)
}

// confirming expands what the person's browser needs to finish.
func confirming() []*string {
	return stripe.StringSlice([]string{"latest_invoice.payment_intent", "pending_setup_intent"})
}

// ordered is the subscription that an earlier attempt has made of the order, or
// nil. Of several the oldest is the first that was answered with.
func (c *Client) ordered(ctx context.Context, order platform.SubscriptionOrder) (*platform.RemoteSubscription, error) {
	all, err := collect[*stripe.Subscription](c.subscriptions.List(&stripe.SubscriptionListParams{
		ListParams: lists(ctx), Customer: &order.Customer, Status: stripe.String("all"),
	}))
	if err != nil {
		return nil, err
	}
	var oldest *stripe.Subscription
	for _, sub := range all {
		if sub.Metadata[orderKey] == string(order.ID) && (oldest == nil || sub.Created < oldest.Created) {
			oldest = sub
		}
	}
	if oldest == nil {
		return nil, nil
	}
	sub, err := c.subscriptions.Get(oldest.ID, &stripe.SubscriptionParams{Params: reads(ctx), Expand: confirming()})
	if err != nil {
		return nil, err
	}
	return subscribed(sub)
}

// RemoteSubscription reads one subscription.
func (c *Client) RemoteSubscription(ctx context.Context, customer, id string) (*platform.RemoteSubscription, error) {
	sub, err := c.subscriptionOf(ctx, customer, id)
	if err != nil {
		return nil, err
	}
	return subscribed(sub)
}

// subscriptionOf is a subscription that is the customer's.
func (c *Client) subscriptionOf(ctx context.Context, customer, id string) (*stripe.Subscription, error) {
	sub, err := c.subscriptions.Get(id, &stripe.SubscriptionParams{Params: reads(ctx)})
	if err != nil {
		return nil, err
	}
	if sub.Customer == nil || sub.Customer.ID != customer {
		return nil, missing("subscription", id)
	}
	return sub, nil
}

// ChangeSubscription changes the one item by its id, since Stripe would take a
// price alone for a second item, and says the whole quantity.
func (c *Client) ChangeSubscription(ctx context.Context, customer, id string, want platform.SubscriptionChange, key string) (*platform.RemoteSubscription, error) {
	sub, err := c.subscriptionOf(ctx, customer, id)
	if err != nil {
		return nil, err
	}
	item, err := changed(sub, want)
	if err != nil {
		return nil, err
	}
	if item == nil {
		return subscribed(sub)
	}
	if hasEnded(sub) {
		return nil, platform.Errorf(platform.Conflict, "The subscription has ended.").Never()
	}
	sub, err = c.subscriptions.Update(id, &stripe.SubscriptionParams{
		Params: writes(ctx, key), Items: []*stripe.SubscriptionItemsParams{item}, ProrationBehavior: proration(want),
	})
	if err != nil {
		return nil, err
	}
	return subscribed(sub)
}

func proration(want platform.SubscriptionChange) *string {
	if want.BillNow {
		return stripe.String("always_invoice")
	}
	return stripe.String("create_prorations")
}

// changed is the one item as it should be, or nil if it is so.
func changed(sub *stripe.Subscription, want platform.SubscriptionChange) (*stripe.SubscriptionItemsParams, error) {
	item, err := itemOf(sub)
	if err != nil {
		return nil, err
	}
	samePrice := want.Price == "" || item.Price.ID == want.Price
	sameSeats := want.Seats == 0 || item.Quantity == want.Seats
	if samePrice && sameSeats {
		return nil, nil
	}
	in := &stripe.SubscriptionItemsParams{ID: &item.ID}
	if !samePrice {
		in.Price = &want.Price
	}
	// A new price without a quantity would be a price of one seat.
	seats := item.Quantity
	if want.Seats != 0 {
		seats = want.Seats
	}
	in.Quantity = &seats
	return in, nil
}

// itemOf is the one item of a subscription.
func itemOf(sub *stripe.Subscription) (*stripe.SubscriptionItem, error) {
	if sub.Items == nil || len(sub.Items.Data) != 1 || sub.Items.HasMore {
		return nil, platform.Errorf(platform.Conflict, "The subscription was changed by hand, and has not one item.").
			Because(fmt.Errorf("subscription %s", sub.ID)).Never()
	}
	item := sub.Items.Data[0]
	if item == nil || item.ID == "" || item.Price == nil {
		return nil, platform.Errorf(platform.Unavailable, "The payment service gave a subscription that makes no sense.")
	}
	return item, nil
}

// hasEnded says that a subscription is over. One whose first payment never came
// has no moment of its end.
func hasEnded(sub *stripe.Subscription) bool {
	return sub.EndedAt != 0 || sub.Status == stripe.SubscriptionStatusIncompleteExpired
}

// CancelSubscription looks first, since what has ended is not found to be ended
// again.
func (c *Client) CancelSubscription(ctx context.Context, customer, id string, when platform.CancelAt, key string) (*platform.RemoteSubscription, error) {
	sub, err := c.subscriptionOf(ctx, customer, id)
	if err != nil {
		return nil, err
	}
	wanted := when == platform.CancelAtPeriodEnd
	switch {
	case when != platform.CancelAtOnce && when != platform.CancelAtPeriodEnd && when != platform.CancelAtNever:
		return nil, mistaken("a subscription cannot end at %q", when)
	case hasEnded(sub) && when == platform.CancelAtNever:
		return nil, platform.Errorf(platform.Conflict, "The subscription has ended.").Never()
	case hasEnded(sub):
	case when == platform.CancelAtOnce:
		sub, err = c.subscriptions.Cancel(id, &stripe.SubscriptionCancelParams{
			Params: writes(ctx, key), InvoiceNow: stripe.Bool(true), Prorate: stripe.Bool(true),
		})
	case sub.CancelAtPeriodEnd != wanted:
		sub, err = c.subscriptions.Update(id, &stripe.SubscriptionParams{Params: writes(ctx, key), CancelAtPeriodEnd: &wanted})
	}
	if err != nil {
		return nil, err
	}
	return subscribed(sub)
}

// PreviewChange asks for the upcoming invoice.
func (c *Client) PreviewChange(ctx context.Context, customer, id string, want platform.SubscriptionChange) (*platform.RemoteInvoice, error) {
	sub, err := c.subscriptionOf(ctx, customer, id)
	if err != nil {
		return nil, err
	}
	item, err := changed(sub, want)
	if err != nil {
		return nil, err
	}
	in := &stripe.InvoiceUpcomingParams{Params: reads(ctx), Customer: &customer, Subscription: &id}
	if item != nil {
		in.SubscriptionItems, in.SubscriptionProrationBehavior = []*stripe.SubscriptionItemsParams{item}, proration(want)
	}
	next, err := c.invoices.Upcoming(in)
	if err != nil {
		return nil, err
	}
	lines := linesIn(next)
	if next.Lines != nil && next.Lines.HasMore {
		more := &stripe.InvoiceUpcomingLinesParams{ListParams: lists(ctx), Customer: &customer, Subscription: &id}
		if item != nil {
			more.SubscriptionItems = []*stripe.InvoiceUpcomingLinesSubscriptionItemParams{{ID: item.ID, Price: item.Price, Quantity: item.Quantity}}
			more.SubscriptionProrationBehavior = in.SubscriptionProrationBehavior
		}
		if lines, err = collect[*stripe.InvoiceLineItem](c.invoices.UpcomingLines(more)); err != nil {
			return nil, err
		}
	}
	return invoiced(next, lines), nil
}

// subscribed is a subscription in our words.
func subscribed(sub *stripe.Subscription) (*platform.RemoteSubscription, error) {
	item, err := itemOf(sub)
	if err != nil {
		return nil, err
	}
	out := &platform.RemoteSubscription{
		ID: sub.ID, OrderID: platform.ID(sub.Metadata[orderKey]), Status: string(sub.Status),
		Price: item.Price.ID, Seats: item.Quantity,
		PeriodStart: at(sub.CurrentPeriodStart), PeriodEnd: at(sub.CurrentPeriodEnd),
		CancelAtPeriodEnd: sub.CancelAtPeriodEnd, EndedAt: maybe(sub.EndedAt), Confirm: confirmation(sub),
	}
	if sub.Customer != nil {
		out.Customer = sub.Customer.ID
	}
	if sub.LatestInvoice != nil {
		out.LatestInvoice = sub.LatestInvoice.ID
	}
	return out, nil
}

// confirmation is the secret of what the person has still to confirm, where it
// was expanded.
func confirmation(sub *stripe.Subscription) platform.Secret {
	if in := sub.LatestInvoice; in != nil && in.PaymentIntent != nil && strings.HasPrefix(string(in.PaymentIntent.Status), "requires_") {
		return platform.NewSecret(in.PaymentIntent.ClientSecret)
	}
	if s := sub.PendingSetupIntent; s != nil && strings.HasPrefix(string(s.Status), "requires_") {
		return platform.NewSecret(s.ClientSecret)
	}
	return platform.Secret{}
}
