package stripe

import (
	"context"
	"fmt"

	"github.com/stripe/stripe-go/v76"

	"github.com/dezky/platform/platform"
)

// ledgerKey is where the metadata of transfers and reversals name the ledger's
// transaction.
const ledgerKey = "ledger_id"

// Transfer looks in the group first: after a day the key is forgotten, and the
// money would move twice.
func (c *Client) Transfer(ctx context.Context, order platform.TransferOrder) (*platform.RemoteTransfer, error) {
	amount, currency, err := amountOf(order.Amount)
	if err != nil {
		return nil, err
	}
	if order.LedgerID == "" || order.Group == "" || amount < 1 {
		return nil, mistaken("the transfer %q in the group %q is of %d", order.LedgerID, order.Group, amount)
	}
	found, err := c.TransferOf(ctx, order.Group, order.LedgerID)
	if err == nil {
		if found.Amount != order.Amount || found.Account != order.Account {
			return nil, platform.Errorf(platform.Conflict, "Another transfer was made under this id.").
				Because(fmt.Errorf("transfer %s of %+v to %s", found.ID, found.Amount, found.Account)).Never()
		}
		return found, nil
	}
	if platform.CodeOf(err) != platform.NotFound {
		return nil, err
	}
	if err := c.affords(ctx, amount, currency); err != nil {
		return nil, err
	}
	in := &stripe.TransferParams{
		Params: writes(ctx, "ledger:"+string(order.LedgerID)+":transfer"),
		Amount: &amount, Currency: &currency, Destination: &order.Account, TransferGroup: &order.Group,
	}
	in.Metadata = map[string]string{ledgerKey: string(order.LedgerID)}
	made, err := c.transfers.New(in)
	if err != nil {
		return nil, err
	}
	return transferred(made), nil
}

// affords is nil if the money is there. It is asked first, because the answer that
// it is not would be kept under the transfer's key.
func (c *Client) affords(ctx context.Context, amount int64, currency string) error {
	b, err := c.balances.Get(&stripe.BalanceParams{Params: reads(ctx)})
	if err != nil {
		return err
	}
	available := int64(0)
	for _, a := range b.Available {
		if a != nil && string(a.Currency) == currency {
			available += a.Amount
		}
	}
	if available < amount {
		return platform.Errorf(platform.Conflict, "There is not enough money to move yet.").
			Because(fmt.Errorf("%d of %d %s", available, amount, currency))
	}
	return nil
}

// TransferOf reads the group's transfers and takes the one with the mark.
func (c *Client) TransferOf(ctx context.Context, group string, ledger platform.ID) (*platform.RemoteTransfer, error) {
	all, err := collect[*stripe.Transfer](c.transfers.List(&stripe.TransferListParams{ListParams: lists(ctx), TransferGroup: &group}))
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if t.TransferGroup == group && t.Metadata[ledgerKey] == string(ledger) {
			return transferred(t), nil
		}
	}
	return nil, missing("transfer for", string(ledger))
}

// ReverseTransfer takes money back that the partner's account still has.
func (c *Client) ReverseTransfer(ctx context.Context, id string, amount platform.Money, ledger platform.ID) (*platform.RemoteTransfer, error) {
	back, currency, err := amountOf(amount)
	if err != nil {
		return nil, err
	}
	if ledger == "" || back < 1 {
		return nil, mistaken("the reversal %q is of %d", ledger, back)
	}
	t, err := c.transfers.Get(id, &stripe.TransferParams{Params: reads(ctx)})
	if err != nil {
		return nil, err
	}
	if string(t.Currency) != currency {
		return nil, platform.Errorf(platform.Conflict, "The transfer is of another currency.").Never()
	}
	all, err := collect[*stripe.TransferReversal](c.reversals.List(&stripe.TransferReversalListParams{ListParams: lists(ctx), ID: &id}))
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.Metadata[ledgerKey] == string(ledger) {
			return sameReversal(t, r, back)
		}
	}
	if back > t.Amount-t.AmountReversed {
		return nil, platform.Errorf(platform.Conflict, "That is more than is left to take back.").
			Because(fmt.Errorf("%d of %d", back, t.Amount-t.AmountReversed)).Never()
	}
	in := &stripe.TransferReversalParams{Params: writes(ctx, "ledger:"+string(ledger)+":reversal"), ID: &id, Amount: &back}
	in.Metadata = map[string]string{ledgerKey: string(ledger)}
	if _, err := c.reversals.New(in); err != nil {
		return nil, err
	}
	if t, err = c.transfers.Get(id, &stripe.TransferParams{Params: reads(ctx)}); err != nil {
		return nil, err
	}
	return transferred(t), nil
}

// sameReversal is the transfer after the reversal that is there, if it is the one
// that is wanted.
func sameReversal(t *stripe.Transfer, r *stripe.TransferReversal, amount int64) (*platform.RemoteTransfer, error) {
	if r.Amount != amount {
		return nil, platform.Errorf(platform.Conflict, "Another amount was taken back under this id.").
			Because(fmt.Errorf("reversal %s is of %d, not %d", r.ID, r.Amount, amount)).Never()
	}
	return transferred(t), nil
}

func transferred(t *stripe.Transfer) *platform.RemoteTransfer {
	out := &platform.RemoteTransfer{
		ID: t.ID, LedgerID: platform.ID(t.Metadata[ledgerKey]), CreatedAt: at(t.Created),
		Amount: moneyOf(t.Amount, t.Currency), Reversed: moneyOf(t.AmountReversed, t.Currency),
	}
	if t.Destination != nil {
		out.Account = t.Destination.ID
	}
	return out
}
