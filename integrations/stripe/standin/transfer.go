package standin

import (
	"maps"
	"slices"
	"strings"

	"github.com/dezky/platform/integrations/stage"
)

// AddAccount connects a partner's account that can be paid.
func (s *Server) AddAccount(id, country string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(object{
		"id": id, "object": "account", "type": "express", "country": country, "created": s.options.Clock.Now().Unix(),
		"capabilities": object{"transfers": "active"}, "charges_enabled": false, "payouts_enabled": true, "details_submitted": true,
		"email": nil, "metadata": object{}, "business_type": nil, "business_profile": nil, "default_currency": nil, "settings": nil,
	})
	return stage.Save(s.options.File, s.state)
}

// AddBalance makes money available for transfers, in minor units of a currency
// such as "dkk".
func (s *Server) AddBalance(currency string, amount int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Balance[currency] += amount
	return stage.Save(s.options.File, s.state)
}

func balance(c *call) (any, *failure) {
	available := []any{}
	for _, currency := range slices.Sorted(maps.Keys(c.state.Balance)) {
		amount := c.state.Balance[currency]
		available = append(available, object{"amount": amount, "currency": currency, "source_types": object{"card": amount}})
	}
	return object{"object": "balance", "available": available, "pending": []any{}, "livemode": false}, nil
}

func createTransfer(c *call) (any, *failure) {
	c.need("amount")
	amount, currency, destination := c.form.number("amount", 0), strings.ToLower(c.need("currency")), c.need("destination")
	group, description, metadata := c.text("transfer_group"), c.text("description"), c.metadata(nil)
	if amount < 1 {
		c.fail("parameter_invalid_integer", "amount", "This value must be greater than or equal to 1.")
	}
	if f := c.unknown(); f != nil {
		return nil, f
	}
	if c.get("account", destination) == nil {
		return nil, noSuch("destination", destination, "destination")
	}
	if c.state.Balance[currency] < amount {
		return nil, refused("balance_insufficient", "You have insufficient available funds in your Stripe account. "+
			"Try adding funds directly to your available balance by creating Charges using the 4000000000000077 test card.")
	}
	c.state.Balance[currency] -= amount
	o := c.add(object{
		"id": newID("tr", 24), "object": "transfer", "amount": amount, "amount_reversed": int64(0), "balance_transaction": newID("txn", 24),
		"created": c.now, "currency": currency, "description": orNull(description), "destination": destination,
		"destination_payment": newID("py", 24), "livemode": false, "metadata": metadata, "reversed": false, "source_transaction": nil,
		"source_type": "card", "transfer_group": orNull(group),
	})
	c.emit("transfer.created", o)
	return o, nil
}

func listTransfers(c *call) (any, *failure) {
	return c.listing("/v1/transfers", where(c.of("transfer"), c.same("destination"), c.same("transfer_group"), c.created()))
}

func reverseTransfer(c *call) (any, *failure) {
	o := c.get("transfer", c.ids[0])
	if o == nil {
		return nil, noSuch("transfer", c.ids[0], "id")
	}
	left := o.number("amount") - o.number("amount_reversed")
	amount, metadata := c.form.number("amount", left), c.metadata(nil)
	if amount < 1 {
		c.fail("parameter_invalid_integer", "amount", "This value must be greater than or equal to 1.")
	}
	if f := c.unknown(); f != nil {
		return nil, f
	}
	if amount > left {
		return nil, refused("", "Transfer reversal amount is greater than the unreversed amount of the transfer.")
	}
	o["amount_reversed"] = o.number("amount_reversed") + amount
	o["reversed"] = amount == left
	c.state.Balance[o.text("currency")] += amount
	reversal := c.add(object{
		"id": newID("trr", 24), "object": "transfer_reversal", "amount": amount, "balance_transaction": newID("txn", 24), "created": c.now,
		"currency": o.text("currency"), "destination_payment_refund": newID("pyr", 24), "metadata": metadata, "source_refund": nil,
		"transfer": o.id(),
	})
	c.emit("transfer.reversed", o)
	return reversal, nil
}

// reversalsOf are a transfer's reversals, the newest first.
func (s *Server) reversalsOf(id string) []object {
	out := where(s.of("transfer_reversal"), func(o object) bool { return o.text("transfer") == id })
	slices.Reverse(out)
	return out
}

func listReversals(c *call) (any, *failure) {
	if c.get("transfer", c.ids[0]) == nil {
		return nil, noSuch("transfer", c.ids[0], "id")
	}
	return c.cut("/v1/transfers/"+c.ids[0]+"/reversals", c.reversalsOf(c.ids[0]))
}
