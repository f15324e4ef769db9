package stripe

import (
	"context"

	"github.com/stripe/stripe-go/v76"

	"github.com/dezky/platform/platform"
)

// SetUpCard makes a setup intent for cards alone, to be used while the person is
// away.
func (c *Client) SetUpCard(ctx context.Context, customer, key string) (platform.CardSetup, error) {
	intent, err := c.setupIntents.New(&stripe.SetupIntentParams{
		Params: writes(ctx, key), Customer: &customer, Usage: stripe.String("off_session"),
		PaymentMethodTypes: stripe.StringSlice([]string{"card"}),
	})
	if err != nil {
		return platform.CardSetup{}, err
	}
	return platform.CardSetup{ID: intent.ID, ClientSecret: platform.NewSecret(intent.ClientSecret)}, nil
}

// Cards are the customer's cards, with the one that invoices are paid with.
func (c *Client) Cards(ctx context.Context, customer string) ([]platform.Card, error) {
	cus, err := c.existing(ctx, customer)
	if err != nil {
		return nil, err
	}
	methods, err := collect[*stripe.PaymentMethod](c.customers.ListPaymentMethods(&stripe.CustomerListPaymentMethodsParams{
		ListParams: lists(ctx), Customer: &customer, Type: stripe.String("card"),
	}))
	if err != nil {
		return nil, err
	}
	cards := []platform.Card{}
	for _, m := range methods {
		if m.Card == nil {
			continue
		}
		cards = append(cards, platform.Card{
			ID: m.ID, Brand: string(m.Card.Brand), Last4: m.Card.Last4,
			ExpMonth: int(m.Card.ExpMonth), ExpYear: int(m.Card.ExpYear), Default: m.ID == defaultOf(cus),
		})
	}
	return cards, nil
}

// defaultOf is the id of the card that a customer's invoices are paid with.
func defaultOf(cus *stripe.Customer) string {
	if cus.InvoiceSettings == nil || cus.InvoiceSettings.DefaultPaymentMethod == nil {
		return ""
	}
	return cus.InvoiceSettings.DefaultPaymentMethod.ID
}

// SetDefaultCard sets the customer's default, and that of the subscriptions that
// have one of their own, since theirs would win.
func (c *Client) SetDefaultCard(ctx context.Context, customer, card, key string) error {
	if err := c.owns(ctx, customer, card); err != nil {
		return err
	}
	cus, err := c.existing(ctx, customer)
	if err != nil {
		return err
	}
	if defaultOf(cus) != card {
		if _, err := c.customers.Update(customer, &stripe.CustomerParams{
			Params: writes(ctx, key), InvoiceSettings: &stripe.CustomerInvoiceSettingsParams{DefaultPaymentMethod: &card},
		}); err != nil {
			return err
		}
	}
	all, err := collect[*stripe.Subscription](c.subscriptions.List(&stripe.SubscriptionListParams{ListParams: lists(ctx), Customer: &customer}))
	if err != nil {
		return err
	}
	for _, sub := range all {
		if own := sub.DefaultPaymentMethod; own == nil || own.ID == card || hasEnded(sub) {
			continue
		}
		in := &stripe.SubscriptionParams{Params: writes(ctx, key+":"+sub.ID), DefaultPaymentMethod: &card}
		if _, err := c.subscriptions.Update(sub.ID, in); err != nil {
			return err
		}
	}
	return nil
}

// RemoveCard detaches a card, after which nobody can use it again.
func (c *Client) RemoveCard(ctx context.Context, customer, card, key string) error {
	if err := c.owns(ctx, customer, card); err != nil {
		return err
	}
	_, err := c.paymentMethods.Detach(card, &stripe.PaymentMethodDetachParams{Params: writes(ctx, key)})
	return err
}

// owns is nil if the card is the customer's. A card's id comes from a person's
// browser, and Stripe would take anybody's.
func (c *Client) owns(ctx context.Context, customer, card string) error {
	m, err := c.paymentMethods.Get(card, &stripe.PaymentMethodParams{Params: reads(ctx)})
	if err != nil {
		return err
	}
	if m.Customer == nil || m.Customer.ID != customer || m.Card == nil {
		return missing("card", card)
	}
	return nil
}
