package stripe

import (
	"context"
	"fmt"

	"github.com/stripe/stripe-go/v76"

	"github.com/dezky/platform/platform"
)

// refundKey is where a refund's metadata name the order that it is of.
const refundKey = "refund_id"

// Refund pays back what the invoice was charged. Stripe does not reverse a
// partner's transfer with it: that is the ledger's to ask for.
func (c *Client) Refund(ctx context.Context, order platform.RefundOrder) (*platform.RemoteRefund, error) {
	amount, currency, err := amountOf(order.Amount)
	if err != nil {
		return nil, err
	}
	if order.ID == "" || amount < 1 {
		return nil, mistaken("the refund %q is of %d", order.ID, amount)
	}
	in, err := c.invoice(ctx, order.Invoice)
	if err != nil {
		return nil, err
	}
	if in.Charge == nil || in.Charge.ID == "" || string(in.Currency) != currency {
		return nil, platform.Errorf(platform.Conflict, "The invoice was not paid here in that currency.").Never()
	}
	charge := in.Charge.ID
	all, err := collect[*stripe.Refund](c.refunds.List(&stripe.RefundListParams{ListParams: lists(ctx), Charge: &charge}))
	if err != nil {
		return nil, err
	}
	left := in.AmountPaid
	for _, r := range all {
		if r.Metadata[refundKey] == string(order.ID) {
			return adopted(r, amount)
		}
		if r.Status != stripe.RefundStatusFailed && r.Status != stripe.RefundStatusCanceled {
			left -= r.Amount
		}
	}
	if amount > left {
		return nil, platform.Errorf(platform.Conflict, "That is more than is left to pay back.").
			Because(fmt.Errorf("%d of %d", amount, left)).Never()
	}
	refund := &stripe.RefundParams{Params: writes(ctx, "refund:"+string(order.ID)), Charge: &charge, Amount: &amount}
	refund.Metadata = map[string]string{refundKey: string(order.ID)}
	made, err := c.refunds.New(refund)
	if err != nil {
		return nil, err
	}
	return refunded(made), nil
}

// adopted is the refund that is there, if it is the one that is wanted.
func adopted(r *stripe.Refund, amount int64) (*platform.RemoteRefund, error) {
	if r.Amount != amount {
		return nil, platform.Errorf(platform.Conflict, "Another amount was paid back under this id.").
			Because(fmt.Errorf("refund %s is of %d, not %d", r.ID, r.Amount, amount)).Never()
	}
	return refunded(r), nil
}

func refunded(r *stripe.Refund) *platform.RemoteRefund {
	out := &platform.RemoteRefund{ID: r.ID, Amount: moneyOf(r.Amount, r.Currency), Status: string(r.Status)}
	if r.Charge != nil {
		out.Charge = r.Charge.ID
	}
	return out
}
