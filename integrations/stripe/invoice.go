package stripe

import (
	"context"
	"errors"
	"net/http"

	"github.com/stripe/stripe-go/v76"

	"github.com/dezky/platform/platform"
)

// InvoicesSince reads one page of a hundred.
func (c *Client) InvoicesSince(ctx context.Context, customer string, since platform.Time, after string) (platform.RemoteInvoicePage, error) {
	in := &stripe.InvoiceListParams{ListParams: lists(ctx)}
	in.Single = true
	if customer != "" {
		in.Customer = &customer
	}
	if after != "" {
		in.StartingAfter = &after
	}
	if !since.IsZero() {
		in.CreatedRange = &stripe.RangeQueryParams{GreaterThanOrEqual: since.Unix()}
	}
	rows := c.invoices.List(in)
	all, err := collect[*stripe.Invoice](rows)
	if err != nil {
		return platform.RemoteInvoicePage{}, err
	}
	page := platform.RemoteInvoicePage{}
	for _, in := range all {
		page.Invoices = append(page.Invoices, invoiced(in, nil))
	}
	if n := len(all); n > 0 && rows.Meta().HasMore {
		page.Next = all[n-1].ID
	}
	return page, nil
}

// RemoteInvoice reads an invoice, of whose lines Stripe puts the first ten in.
func (c *Client) RemoteInvoice(ctx context.Context, id string) (*platform.RemoteInvoice, error) {
	in, err := c.invoice(ctx, id)
	if err != nil {
		return nil, err
	}
	lines := linesIn(in)
	if in.Lines == nil || in.Lines.HasMore {
		rows := c.invoices.ListLines(&stripe.InvoiceListLinesParams{ListParams: lists(ctx), Invoice: &id})
		if lines, err = collect[*stripe.InvoiceLineItem](rows); err != nil {
			return nil, err
		}
	}
	return invoiced(in, lines), nil
}

func (c *Client) invoice(ctx context.Context, id string) (*stripe.Invoice, error) {
	in, err := c.invoices.Get(id, &stripe.InvoiceParams{Params: reads(ctx)})
	if err == nil && in.ID != id {
		return nil, platform.Errorf(platform.Unavailable, "The payment service gave an invoice that makes no sense.")
	}
	return in, err
}

// PayInvoice charges the card that the subscription or the customer has.
func (c *Client) PayInvoice(ctx context.Context, id, key string) (*platform.RemoteInvoice, error) {
	return c.move(ctx, id, stripe.InvoiceStatusPaid, func() error {
		_, err := c.invoices.Pay(id, &stripe.InvoicePayParams{Params: writes(ctx, key)})
		return err
	})
}

// VoidInvoice takes an invoice back.
func (c *Client) VoidInvoice(ctx context.Context, id, key string) (*platform.RemoteInvoice, error) {
	return c.move(ctx, id, stripe.InvoiceStatusVoid, func() error {
		_, err := c.invoices.VoidInvoice(id, &stripe.InvoiceVoidInvoiceParams{Params: writes(ctx, key)})
		return err
	})
}

// move brings an open invoice into a state, unless it is there. It looks before,
// and where Stripe refuses also after, since the same may have been done by a
// cut-off attempt, by hand or by Stripe itself.
func (c *Client) move(ctx context.Context, id string, to stripe.InvoiceStatus, do func() error) (*platform.RemoteInvoice, error) {
	in, err := c.invoice(ctx, id)
	if err != nil {
		return nil, err
	}
	if in.Status != to {
		if in.Status != stripe.InvoiceStatusOpen && in.Status != stripe.InvoiceStatusUncollectible {
			return nil, platform.Errorf(platform.Conflict, "The invoice is not open.").Never()
		}
		failed := do()
		if r, refused := errors.AsType[*refusal](failed); failed != nil && (!refused || r.status != http.StatusBadRequest) {
			return nil, failed
		}
		if in, err = c.invoice(ctx, id); err != nil {
			return nil, err
		}
		if failed != nil && in.Status != to {
			return nil, failed
		}
	}
	return invoiced(in, linesIn(in)), nil
}

// linesIn are the lines that came with an invoice.
func linesIn(in *stripe.Invoice) []*stripe.InvoiceLineItem {
	if in.Lines == nil {
		return nil
	}
	return in.Lines.Data
}

// invoiced is an invoice in our words.
func invoiced(in *stripe.Invoice, lines []*stripe.InvoiceLineItem) *platform.RemoteInvoice {
	out := &platform.RemoteInvoice{
		ID: in.ID, Number: in.Number, Status: string(in.Status), Reason: string(in.BillingReason),
		Subtotal: moneyOf(in.Subtotal, in.Currency), Tax: moneyOf(in.Tax, in.Currency), Total: moneyOf(in.Total, in.Currency),
		AmountDue: moneyOf(in.AmountDue, in.Currency), AmountPaid: moneyOf(in.AmountPaid, in.Currency),
		CreatedAt: at(in.Created), PeriodStart: at(in.PeriodStart), PeriodEnd: at(in.PeriodEnd), DueAt: maybe(in.DueDate),
		HostedURL: in.HostedInvoiceURL, PDF: in.InvoicePDF,
	}
	if in.Customer != nil {
		out.Customer = in.Customer.ID
	}
	if in.Subscription != nil {
		out.Subscription = in.Subscription.ID
	}
	if in.Charge != nil {
		out.Charge = in.Charge.ID
	}
	if t := in.StatusTransitions; t != nil {
		out.FinalizedAt, out.PaidAt, out.VoidedAt = maybe(t.FinalizedAt), maybe(t.PaidAt), maybe(t.VoidedAt)
	}
	for _, l := range lines {
		if l != nil {
			out.Lines = append(out.Lines, lineOf(l))
		}
	}
	return out
}

func lineOf(l *stripe.InvoiceLineItem) platform.RemoteInvoiceLine {
	out := platform.RemoteInvoiceLine{
		ID: l.ID, Description: l.Description, Amount: moneyOf(l.Amount, l.Currency), Quantity: l.Quantity, Proration: l.Proration,
	}
	if l.Price != nil {
		out.Price = l.Price.ID
	}
	if l.Period != nil {
		out.PeriodStart, out.PeriodEnd = at(l.Period.Start), at(l.Period.End)
	}
	return out
}
