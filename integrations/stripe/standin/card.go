package standin

// testCard is one of Stripe's cards for tests.
type testCard struct {
	brand, last4 string
	// decline is why it cannot be charged, and early that it cannot even be attached.
	decline, code string
	early         bool
}

// testCardOf is the card behind a token, or nil.
func testCardOf(token string) *testCard {
	switch token {
	case "pm_card_visa":
		return &testCard{brand: "visa", last4: "4242"}
	case "pm_card_mastercard":
		return &testCard{brand: "mastercard", last4: "4444"}
	case "pm_card_chargeDeclined":
		return &testCard{brand: "visa", last4: "0002", code: "card_declined", decline: "generic_decline", early: true}
	case "pm_card_chargeDeclinedInsufficientFunds":
		return &testCard{brand: "visa", last4: "9995", code: "card_declined", decline: "insufficient_funds", early: true}
	case "pm_card_chargeDeclinedExpiredCard":
		return &testCard{brand: "visa", last4: "0069", code: "expired_card", decline: "expired_card", early: true}
	case "pm_card_chargeCustomerFail":
		return &testCard{brand: "visa", last4: "0341", code: "card_declined", decline: "generic_decline"}
	}
	return nil
}

// declined is what is said of a card that cannot be charged.
func declined(code, decline string) *failure {
	message := "Your card was declined."
	switch decline {
	case "insufficient_funds":
		message = "Your card has insufficient funds."
	case "expired_card":
		message = "Your card has expired."
	}
	return &failure{status: 402, Type: "card_error", Code: code, DeclineCode: decline, Message: message}
}

// newCard makes a payment method of a test card.
func (c *call) newCard(token string, card *testCard) object {
	return c.add(object{
		"id": newID("pm", 24), "object": "payment_method", "billing_details": object{
			"address": object{"city": nil, "country": nil, "line1": nil, "line2": nil, "postal_code": nil, "state": nil},
			"email":   nil, "name": nil, "phone": nil,
		},
		"card": object{
			"brand": card.brand, "checks": object{"address_line1_check": nil, "address_postal_code_check": nil, "cvc_check": "pass"},
			"country": "US", "display_brand": card.brand, "exp_month": int64(8), "exp_year": int64(2034), "fingerprint": "fp" + card.last4,
			"funding": "credit", "generated_from": nil, "last4": card.last4,
			"networks":             object{"available": []any{card.brand}, "preferred": nil},
			"three_d_secure_usage": object{"supported": true}, "wallet": nil,
		},
		"created": c.now, "customer": nil, "livemode": false, "metadata": object{}, "type": "card", "_token": token,
	})
}

// attach makes a card the customer's.
func (c *call) attach(id string, cus object, param string) (object, *failure) {
	if card := testCardOf(id); card != nil {
		if card.early {
			return nil, declined(card.code, card.decline)
		}
		m := c.newCard(id, card)
		m["customer"] = cus.id()
		c.emit("payment_method.attached", m)
		return m, nil
	}
	m := c.get("payment_method", id)
	switch {
	case m == nil:
		return nil, noSuch("PaymentMethod", id, param)
	case m.text("customer") == cus.id():
		return m, nil
	case m.text("customer") != "":
		return nil, refused("", "The payment method you provided has already been attached to a customer.")
	case m.yes("_used"):
		return nil, refused("", "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, "+
			"and may not be used again.")
	}
	m["customer"] = cus.id()
	c.emit("payment_method.attached", m)
	return m, nil
}

func attachCard(c *call) (any, *failure) {
	c.need("customer")
	if f := c.unknown(); f != nil {
		return nil, f
	}
	cus, f := c.named("customer")
	if f != nil {
		return nil, f
	}
	m, f := c.attach(c.ids[0], cus, "id")
	if f != nil {
		return nil, f
	}
	return m, nil
}

// detachCard asks nobody whose card it is.
func detachCard(c *call) (any, *failure) {
	if f := c.unknown(); f != nil {
		return nil, f
	}
	m := c.get("payment_method", c.ids[0])
	if m == nil {
		return nil, noSuch("PaymentMethod", c.ids[0], "id")
	}
	cus := c.get("customer", m.text("customer"))
	if cus == nil {
		return nil, refused("", "The payment method you provided is not attached to a customer so detachment is impossible.")
	}
	c.emit("payment_method.detached", m)
	m["customer"], m["_used"] = nil, true
	if settings := cus.inner("invoice_settings"); settings.text("default_payment_method") == m.id() {
		settings["default_payment_method"] = nil
	}
	for _, sub := range c.of("subscription") {
		if sub.text("default_payment_method") == m.id() {
			sub["default_payment_method"] = nil
		}
	}
	return m, nil
}

func listCustomersCards(c *call) (any, *failure) {
	cus, f := c.theCustomer()
	if f != nil {
		return nil, f
	}
	theirs := func(o object) bool { return o.text("customer") == cus.id() }
	return c.listing("/v1/customers/"+cus.id()+"/payment_methods", where(c.of("payment_method"), theirs, c.same("type")))
}

func listCards(c *call) (any, *failure) {
	if c.has("customer") {
		if _, f := c.named("customer"); f != nil {
			return nil, f
		}
	}
	attached := func(o object) bool { return o.text("customer") != "" }
	return c.listing("/v1/payment_methods", where(c.of("payment_method"), attached, c.same("customer"), c.same("type")))
}

func createSetup(c *call) (any, *failure) {
	customer, usage := c.text("customer"), c.one("usage", "off_session", "on_session")
	kinds := c.list("payment_method_types")
	automatic := c.yes("automatic_payment_methods[enabled]", false)
	redirects := c.one("automatic_payment_methods[allow_redirects]", "always", "never")
	metadata := c.metadata(nil)
	for _, kind := range kinds {
		if kind != "card" {
			c.fail("", "payment_method_types", "The payment method type \""+kind+"\" is invalid.")
		}
	}
	if automatic && len(kinds) > 0 {
		c.fail("", "", "You may only specify one of these parameters: automatic_payment_methods, payment_method_types.")
	}
	if f := c.unknown(); f != nil {
		return nil, f
	}
	if customer != "" {
		if _, f := c.named("customer"); f != nil {
			return nil, f
		}
	}
	o := c.newSetup(customer, usage, metadata)
	if automatic {
		o["automatic_payment_methods"] = object{"allow_redirects": redirects, "enabled": true}
	}
	return o, nil
}

func (c *call) newSetup(customer, usage string, metadata object) object {
	id := newID("seti", 24)
	o := c.add(object{
		"id": id, "object": "setup_intent", "application": nil, "automatic_payment_methods": nil, "cancellation_reason": nil,
		"client_secret": newID(id+"_secret", 14), "created": c.now, "customer": orNull(customer), "description": nil,
		"flow_directions": nil, "last_setup_error": nil, "latest_attempt": nil, "livemode": false, "mandate": nil, "metadata": metadata,
		"next_action": nil, "on_behalf_of": nil, "payment_method": nil, "payment_method_configuration_details": nil,
		"payment_method_options": object{"card": object{"mandate_options": nil, "network": nil, "request_three_d_secure": "automatic"}},
		"payment_method_types":   []any{"card"}, "single_use_mandate": nil, "status": "requires_payment_method", "usage": usage,
	})
	c.emit("setup_intent.created", o)
	return o
}

func confirmSetup(c *call) (any, *failure) {
	card := c.need("payment_method")
	if secret := c.text("client_secret"); c.has("client_secret") {
		if o := c.get("setup_intent", c.ids[0]); o != nil && o.text("client_secret") != secret {
			c.fail("resource_missing", "client_secret", "The client_secret provided does not match the client_secret associated with this SetupIntent.")
		}
	}
	if f := c.unknown(); f != nil {
		return nil, f
	}
	o := c.get("setup_intent", c.ids[0])
	if o == nil {
		return nil, noSuch("setupintent", c.ids[0], "intent")
	}
	if status := o.text("status"); status == "succeeded" || status == "canceled" {
		return nil, refused("setup_intent_unexpected_state", "You cannot confirm this SetupIntent because it has a status of %s.", status)
	}
	cus := c.get("customer", o.text("customer"))
	if cus == nil || cus.yes("deleted") {
		return nil, noSuch("customer", o.text("customer"), "customer")
	}
	m, f := c.attach(card, cus, "payment_method")
	if f != nil {
		if f.status == 402 {
			o["last_setup_error"] = object{"type": f.Type, "code": f.Code, "decline_code": f.DeclineCode, "message": f.Message}
			c.emit("setup_intent.setup_failed", o)
		}
		return nil, f
	}
	o["status"], o["payment_method"], o["last_setup_error"] = "succeeded", m.id(), nil
	for _, sub := range c.of("subscription") {
		if sub.text("pending_setup_intent") == o.id() {
			sub["pending_setup_intent"], sub["default_payment_method"] = nil, m.id()
		}
	}
	c.emit("setup_intent.succeeded", o)
	return o, nil
}

func cancelSetup(c *call) (any, *failure) {
	if f := c.unknown(); f != nil {
		return nil, f
	}
	o := c.get("setup_intent", c.ids[0])
	if o == nil {
		return nil, noSuch("setupintent", c.ids[0], "intent")
	}
	if status := o.text("status"); status == "succeeded" || status == "canceled" {
		return nil, refused("setup_intent_unexpected_state", "You cannot cancel this SetupIntent because it has a status of %s.", status)
	}
	o["status"] = "canceled"
	c.emit("setup_intent.canceled", o)
	return o, nil
}
