package standin

// cardFor is the card that a subscription is paid with: its own, or else the
// customer's default. It may be nil.
func (s *Server) cardFor(sub object) object {
	if sub == nil {
		return nil
	}
	if m := s.get("payment_method", sub.text("default_payment_method")); m != nil {
		return m
	}
	cus := s.get("customer", sub.text("customer"))
	return s.get("payment_method", cus.inner("invoice_settings").text("default_payment_method"))
}

// newPayment makes what an open invoice is paid through.
func (c *call) newPayment(in object, at int64) object {
	id, status := newID("pi", 24), "requires_payment_method"
	card := c.cardFor(c.get("subscription", in.text("subscription")))
	if card != nil {
		status = "requires_confirmation"
	}
	method := any(nil)
	if card != nil {
		method = card.id()
	}
	return c.add(object{
		"id": id, "object": "payment_intent", "amount": in["amount_due"], "amount_capturable": int64(0),
		"amount_details": object{"tip": object{}}, "amount_received": int64(0), "application": nil, "application_fee_amount": nil,
		"automatic_payment_methods": nil, "canceled_at": nil, "cancellation_reason": nil, "capture_method": "automatic",
		"client_secret": newID(id+"_secret", 24), "confirmation_method": "automatic", "created": at, "currency": in["currency"],
		"customer": in["customer"], "description": "Subscription creation", "invoice": in.id(), "last_payment_error": nil,
		"latest_charge": nil, "livemode": false, "metadata": object{}, "next_action": nil, "on_behalf_of": nil, "payment_method": method,
		"payment_method_configuration_details": nil, "payment_method_options": object{}, "payment_method_types": []any{"card"},
		"processing": nil, "receipt_email": nil, "review": nil, "setup_future_usage": "off_session", "shipping": nil,
		"statement_descriptor": nil, "statement_descriptor_suffix": nil, "status": status, "transfer_data": nil, "transfer_group": nil,
	})
}

// charge tries to pay an open invoice with a card. A declined one leaves its
// traces.
func (c *call) charge(in, card object, at int64) *failure {
	payment := c.get("payment_intent", in.text("payment_intent"))
	in["attempt_count"], in["attempted"] = in.number("attempt_count")+1, true
	why := (*failure)(nil)
	if card == nil {
		why = refused("", "There is no `default_payment_method` set on this Customer or Invoice.")
	} else if test := testCardOf(card.text("_token")); test.code != "" {
		why = declined(test.code, test.decline)
	}
	if why != nil {
		c.decline(in, payment, card, why, at)
		return why
	}
	done := c.newCharge(payment, card, at)
	payment["status"], payment["amount_received"], payment["latest_charge"] = "succeeded", payment["amount"], done.id()
	payment["payment_method"], payment["last_payment_error"] = card.id(), nil
	in["charge"] = done.id()
	c.state.Balance[in.text("currency")] += payment.number("amount")
	sub := c.get("subscription", in.text("subscription"))
	if sub.inner("payment_settings").text("save_default_payment_method") == "on_subscription" {
		sub["default_payment_method"] = card.id()
	}
	c.emit("charge.succeeded", done)
	c.settleInvoice(in, at)
	return nil
}

func (c *call) decline(in, payment, card object, why *failure, at int64) {
	payment["status"], payment["payment_method"] = "requires_payment_method", nil
	payment["last_payment_error"] = object{"type": why.Type, "code": why.Code, "decline_code": why.DeclineCode, "message": why.Message}
	if card != nil {
		failed := c.newCharge(payment, card, at)
		failed["status"], failed["paid"], failed["captured"], failed["amount_captured"] = "failed", false, false, int64(0)
		failed["failure_code"], failed["failure_message"] = why.Code, why.Message
		payment["latest_charge"] = failed.id()
		in["charge"] = failed.id()
		why.PaymentIntent = c.show(payment)
		c.emit("charge.failed", failed)
	}
	if sub := c.get("subscription", in.text("subscription")); sub.text("status") == "active" {
		sub["status"] = "past_due"
		c.emit("customer.subscription.updated", sub)
	}
	c.emit("invoice.payment_failed", in)
}

func (c *call) newCharge(payment, card object, at int64) object {
	return c.add(object{
		"id": newID("ch", 24), "object": "charge", "amount": payment["amount"], "amount_captured": payment["amount"],
		"amount_refunded": int64(0), "application": nil, "application_fee": nil, "application_fee_amount": nil,
		"balance_transaction": newID("txn", 24), "billing_details": card.inner("billing_details"), "calculated_statement_descriptor": "DEZKY",
		"captured": true, "created": at, "currency": payment["currency"], "customer": payment["customer"], "description": nil,
		"disputed": false, "failure_balance_transaction": nil, "failure_code": nil, "failure_message": nil, "fraud_details": object{},
		"invoice": payment["invoice"], "livemode": false, "metadata": object{}, "on_behalf_of": nil, "outcome": nil, "paid": true,
		"payment_intent": payment.id(), "payment_method": card.id(), "payment_method_details": nil, "receipt_email": nil,
		"receipt_number": nil, "receipt_url": nil, "refunded": false, "review": nil, "shipping": nil, "source_transfer": nil,
		"statement_descriptor": nil, "statement_descriptor_suffix": nil, "status": "succeeded", "transfer_data": nil, "transfer_group": nil,
	})
}

// confirmPayment is what the person's browser does with the client secret.
func confirmPayment(c *call) (any, *failure) {
	card, secret := c.need("payment_method"), c.text("client_secret")
	payment := c.get("payment_intent", c.ids[0])
	if c.has("client_secret") && payment != nil && payment.text("client_secret") != secret {
		c.fail("", "client_secret", "The client_secret provided does not match the client_secret associated with this PaymentIntent.")
	}
	if f := c.unknown(); f != nil {
		return nil, f
	}
	if payment == nil {
		return nil, noSuch("payment_intent", c.ids[0], "intent")
	}
	if status := payment.text("status"); status == "succeeded" || status == "canceled" {
		return nil, refused("payment_intent_unexpected_state", "You cannot confirm this PaymentIntent because it has a status of %s.", status)
	}
	m, f := c.attach(card, c.get("customer", payment.text("customer")), "payment_method")
	if f == nil {
		f = c.charge(c.get("invoice", payment.text("invoice")), m, c.now)
	}
	if f != nil {
		return nil, f
	}
	return payment, nil
}

func createRefund(c *call) (any, *failure) {
	charge, payment := c.text("charge"), c.text("payment_intent")
	amount, metadata := c.form.number("amount", 0), c.metadata(nil)
	whole, reason := !c.has("amount"), c.text("reason")
	if charge == "" && payment == "" {
		c.fail("parameter_missing", "charge", "One of the following params should be provided for this request: payment_intent or charge.")
	}
	if !whole && amount < 1 {
		c.fail("parameter_invalid_integer", "amount", "This value must be greater than or equal to 1.")
	}
	if f := c.unknown(); f != nil {
		return nil, f
	}
	if charge == "" {
		charge = c.get("payment_intent", payment).text("latest_charge")
	}
	ch := c.get("charge", charge)
	if ch == nil {
		return nil, noSuch("charge", charge, "charge")
	}
	left := ch.number("amount_captured") - ch.number("amount_refunded")
	if whole {
		amount = left
	}
	switch {
	case ch.text("status") != "succeeded":
		return nil, refused("", "This charge has not succeeded and cannot be refunded.")
	case left == 0:
		return nil, refused("charge_already_refunded", "Charge %s has already been refunded.", ch.id())
	case amount > left:
		f := refused("", "Refund amount (%d) is greater than unrefunded amount on charge (%d)", amount, left)
		f.Param = "amount"
		return nil, f
	}
	ch["amount_refunded"], ch["refunded"] = ch.number("amount_refunded")+amount, amount == left
	c.state.Balance[ch.text("currency")] -= amount
	o := c.add(object{
		"id": newID("re", 24), "object": "refund", "amount": amount, "balance_transaction": newID("txn", 24), "charge": ch.id(),
		"created": c.now, "currency": ch["currency"], "metadata": metadata, "payment_intent": ch["payment_intent"], "reason": orNull(reason),
		"receipt_number": nil, "source_transfer_reversal": nil, "status": "succeeded", "transfer_reversal": nil,
	})
	c.emit("charge.refunded", ch)
	return o, nil
}

func listRefunds(c *call) (any, *failure) {
	return c.listing("/v1/refunds", where(c.of("refund"), c.same("charge"), c.same("payment_intent"), c.created()))
}
