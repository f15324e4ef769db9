package standin

import (
	"fmt"
)

// newInvoice makes a draft, and makes it the subscription's latest.
func (c *call) newInvoice(cus, sub object, reason string, at int64) object {
	in := c.draft(cus, sub, reason, at)
	c.add(in)
	sub["latest_invoice"] = in.id()
	c.emit("invoice.created", in)
	return in
}

// draft is an invoice that is not kept.
func (c *call) draft(cus, sub object, reason string, at int64) object {
	in := object{
		"id": newID("in", 24), "object": "invoice", "account_country": "DK", "account_name": "Dezky", "account_tax_ids": nil,
		"amount_shipping": int64(0), "application": nil, "application_fee_amount": nil, "attempt_count": int64(0), "attempted": false,
		"auto_advance": true, "automatic_tax": object{"enabled": false, "liability": nil, "status": nil}, "billing_reason": reason,
		"charge": nil, "collection_method": "charge_automatically", "created": at, "currency": sub.text("currency"), "custom_fields": nil,
		"customer": cus.id(), "customer_address": cus["address"], "customer_email": cus["email"], "customer_name": cus["name"],
		"customer_phone": cus["phone"], "customer_shipping": nil, "customer_tax_exempt": "none", "customer_tax_ids": []any{},
		"default_payment_method": nil, "default_source": nil, "default_tax_rates": []any{}, "description": nil, "discount": nil,
		"discounts": []any{}, "due_date": nil, "effective_at": nil, "ending_balance": nil, "footer": nil, "from_invoice": nil,
		"hosted_invoice_url": nil, "invoice_pdf": nil, "issuer": object{"type": "self"}, "last_finalization_error": nil,
		"latest_revision": nil, "livemode": false, "metadata": object{}, "next_payment_attempt": nil, "number": nil, "on_behalf_of": nil,
		"paid": false, "paid_out_of_band": false, "payment_intent": nil,
		"payment_settings": object{"default_mandate": nil, "payment_method_options": nil, "payment_method_types": nil},
		"period_end":       sub.number("current_period_start"), "period_start": sub.number("current_period_start"),
		"post_payment_credit_notes_amount": int64(0), "pre_payment_credit_notes_amount": int64(0), "quote": nil, "receipt_number": nil,
		"rendering": nil, "shipping_cost": nil, "shipping_details": nil, "starting_balance": int64(0), "statement_descriptor": nil,
		"status": "draft", "status_transitions": object{"finalized_at": nil, "marked_uncollectible_at": nil, "paid_at": nil, "voided_at": nil},
		"subscription": sub.id(), "subscription_details": object{"metadata": sub.inner("metadata")}, "test_clock": nil,
		"total_discount_amounts": []any{}, "total_tax_amounts": []any{}, "transfer_data": nil, "webhooks_delivered_at": nil,
		"_lines": []any{},
	}
	c.total(in)
	return in
}

// total adds the lines up. There are no taxes here.
func (c *call) total(in object) {
	sum := int64(0)
	for _, line := range in.rows("_lines") {
		sum += line.number("amount")
	}
	in["subtotal"], in["subtotal_excluding_tax"], in["total"], in["total_excluding_tax"], in["tax"] = sum, sum, sum, sum, nil
	due := max(sum, 0)
	if cus := c.get("customer", in.text("customer")); cus != nil && in.text("status") == "draft" {
		balance := cus.number("balance")
		in["starting_balance"] = balance
		if balance < 0 {
			due = max(0, due+balance)
		}
	}
	in["amount_due"], in["amount_paid"], in["amount_remaining"] = due, int64(0), due
}

// cycleLines are the lines of a subscription's present period.
func (c *call) cycleLines(sub object, trial bool) []object {
	var out []object
	for _, item := range c.itemsOf(sub) {
		line := c.line(sub, item, sub.number("current_period_start"), sub.number("current_period_end"))
		unit, _ := unitAmount(c.get("price", item.inner("price").id()), sub.text("currency"))
		line["amount"] = unit * item.number("quantity")
		line["description"] = fmt.Sprintf("%d × %s", item.number("quantity"), c.productOf(item))
		if trial {
			line["amount"], line["description"] = int64(0), "Trial period for "+c.productOf(item)
		}
		line["amount_excluding_tax"] = line["amount"]
		out = append(out, line)
	}
	return out
}

func (c *call) productOf(item object) string {
	return c.get("product", item.inner("price").text("product")).text("name")
}

// line is a line of an invoice about an item, without an amount.
func (c *call) line(sub, item object, from, to int64) object {
	return object{
		"id": newID("il", 24), "object": "line_item", "currency": sub.text("currency"), "discount_amounts": []any{}, "discountable": true,
		"discounts": []any{}, "livemode": false, "metadata": sub.inner("metadata"), "period": object{"start": from, "end": to},
		"price": item.inner("price"), "proration": false, "proration_details": object{"credited_items": nil},
		"quantity": item.number("quantity"), "subscription": sub.id(), "subscription_item": item.id(), "tax_amounts": []any{},
		"tax_rates": []any{}, "type": "subscription", "unit_amount_excluding_tax": nil,
	}
}

// finalize opens a draft: from now on it has a number and does not change. What
// the customer has to their credit is used up first.
func (c *call) finalize(in object, at int64) {
	cus := c.get("customer", in.text("customer"))
	c.total(in)
	total, before := in.number("total"), cus.number("balance")
	credit := int64(0)
	if total < 0 {
		credit = total
	} else if before < 0 {
		credit = min(total, -before)
	}
	cus["balance"] = before + credit
	in["ending_balance"] = before + credit
	number := cus.number("next_invoice_sequence")
	cus["next_invoice_sequence"] = number + 1
	in["number"] = fmt.Sprintf("%s-%04d", cus.text("invoice_prefix"), number)
	in["hosted_invoice_url"] = "https://invoice.stripe.com/i/acct_standin/" + in.id()
	in["invoice_pdf"] = "https://pay.stripe.com/invoice/acct_standin/" + in.id() + "/pdf"
	in["status"], in["effective_at"] = "open", at
	in.inner("status_transitions")["finalized_at"] = at
	delete(in, "_matures")
	c.emit("invoice.finalized", in)
	if in.number("amount_due") == 0 {
		c.settleInvoice(in, at)
		return
	}
	in["payment_intent"] = c.newPayment(in, at).id()
}

// settleInvoice marks an invoice as paid, and lets its subscription go on.
func (c *call) settleInvoice(in object, at int64) {
	in["status"], in["paid"], in["attempted"] = "paid", true, true
	in["amount_paid"], in["amount_remaining"] = in["amount_due"], int64(0)
	in.inner("status_transitions")["paid_at"] = at
	if sub := c.get("subscription", in.text("subscription")); sub != nil {
		if status := sub.text("status"); status == "incomplete" || status == "past_due" {
			sub["status"] = "active"
			c.emit("customer.subscription.updated", sub)
		}
	}
	c.emit("invoice.paid", in)
}

// mature finalizes a draft whose hour is over, and charges it.
func (s *Server) mature(in object, now int64) {
	at := in.number("_matures")
	if in.text("status") != "draft" || at == 0 || at > now {
		return
	}
	c := &call{Server: s, now: at}
	c.finalize(in, at)
	if in.text("status") == "open" {
		c.charge(in, c.cardFor(s.get("subscription", in.text("subscription"))), at)
	}
}

// bill makes an invoice of what is pending, now.
func (c *call) bill(sub object, reason string, at int64) object {
	in := c.newInvoice(c.get("customer", sub.text("customer")), sub, reason, at)
	in["_lines"] = array(sub.rows("_pending"))
	sub["_pending"] = []any{}
	c.finalize(in, at)
	if in.text("status") == "open" {
		c.charge(in, c.cardFor(sub), at)
	}
	return in
}

func listInvoices(c *call) (any, *failure) {
	return c.listing("/v1/invoices", where(c.of("invoice"), c.same("customer"), c.same("subscription"), c.same("status"), c.created()))
}

func listLines(c *call) (any, *failure) {
	in := c.get("invoice", c.ids[0])
	if in == nil {
		return nil, noSuch("invoice", c.ids[0], "id")
	}
	return c.cut("/v1/invoices/"+in.id()+"/lines", in.rows("_lines"))
}

// theInvoice is the invoice of the path, for an operation without parameters.
func (c *call) theInvoice() (object, *failure) {
	if f := c.unknown(); f != nil {
		return nil, f
	}
	in := c.get("invoice", c.ids[0])
	if in == nil {
		return nil, noSuch("invoice", c.ids[0], "id")
	}
	return in, nil
}

func finalizeInvoice(c *call) (any, *failure) {
	in, f := c.theInvoice()
	if f != nil {
		return nil, f
	}
	if in.text("status") != "draft" {
		return nil, refused("invoice_not_editable", "This invoice is already finalized, you can't re-finalize a non-draft invoice.")
	}
	c.finalize(in, c.now)
	return in, nil
}

func payInvoice(c *call) (any, *failure) {
	card := c.text("payment_method")
	in, f := c.theInvoice()
	if f != nil {
		return nil, f
	}
	m := c.cardFor(c.get("subscription", in.text("subscription")))
	if card != "" {
		if m = c.get("payment_method", card); m == nil || m.text("customer") != in.text("customer") {
			return nil, noSuch("PaymentMethod", card, "payment_method")
		}
	}
	switch status := in.text("status"); status {
	case "paid":
		return nil, refused("", "Invoice is already paid")
	case "void":
		return nil, refused("", "Invoice is void and cannot be paid.")
	case "draft":
		c.finalize(in, c.now)
	}
	if in.text("status") == "paid" {
		return in, nil
	}
	if m == nil {
		return nil, refused("", "There is no `default_payment_method` set on this Customer or Invoice. "+
			"Please set a default payment method to pay this invoice.")
	}
	if f := c.charge(in, m, c.now); f != nil {
		return nil, f
	}
	return in, nil
}

func voidInvoice(c *call) (any, *failure) {
	in, f := c.theInvoice()
	if f != nil {
		return nil, f
	}
	if status := in.text("status"); status != "open" && status != "uncollectible" {
		return nil, refused("", "You can only pass in open invoices. This invoice isn't open.")
	}
	c.void(in, c.now)
	return in, nil
}

func (c *call) void(in object, at int64) {
	in["status"], in["auto_advance"] = "void", false
	in.inner("status_transitions")["voided_at"] = at
	if payment := c.get("payment_intent", in.text("payment_intent")); payment != nil {
		payment["status"], payment["cancellation_reason"], payment["canceled_at"] = "canceled", "void_invoice", at
	}
	if sub := c.get("subscription", in.text("subscription")); sub != nil && sub.text("status") == "incomplete" {
		sub["status"] = "incomplete_expired"
		c.emit("customer.subscription.updated", sub)
	}
	c.emit("invoice.voided", in)
}

func markUncollectible(c *call) (any, *failure) {
	in, f := c.theInvoice()
	if f != nil {
		return nil, f
	}
	if in.text("status") != "open" {
		return nil, refused("", "You can only pass in open invoices. This invoice isn't open.")
	}
	in["status"] = "uncollectible"
	in.inner("status_transitions")["marked_uncollectible_at"] = c.now
	c.emit("invoice.marked_uncollectible", in)
	return in, nil
}
