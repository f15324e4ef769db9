package standin

import (
	"slices"
	"strings"
	"time"
)

// ended says that a subscription does nothing any more.
func ended(sub object) bool {
	status := sub.text("status")
	return status == "canceled" || status == "incomplete_expired"
}

// itemsOf are a subscription's items, the oldest first.
func (s *Server) itemsOf(sub object) []object {
	return where(s.of("subscription_item"), func(o object) bool { return o.text("subscription") == sub.id() })
}

// wanted is a row of a subscription's items as it was sent.
type wanted struct {
	id, price string
	quantity  int64 // -1 is not said
	deleted   bool
}

// rowsOf reads items, for whichever parameter they come in.
func (c *call) rowsOf(name string) []wanted {
	var out []wanted
	for _, row := range c.rows(name) {
		w := wanted{
			id: c.text(row + "[id]"), price: c.text(row + "[price]"), quantity: c.form.number(row+"[quantity]", -1), deleted: c.yes(row+"[deleted]", false),
		}
		if w.quantity < -1 {
			c.fail("parameter_invalid_integer", row+"[quantity]", "This value must be greater than or equal to 0.")
		}
		out = append(out, w)
	}
	return out
}

func createSubscription(c *call) (any, *failure) {
	c.need("customer")
	currency, rows := strings.ToLower(c.text("currency")), c.rowsOf("items")
	behavior := c.one("payment_behavior", "allow_incomplete", "default_incomplete", "error_if_incomplete")
	saves := c.one("payment_settings[save_default_payment_method]", "off", "on_subscription")
	trial := c.form.number("trial_period_days", 0)
	card, atEnd, metadata := c.text("default_payment_method"), c.yes("cancel_at_period_end", false), c.metadata(nil)
	if len(rows) == 0 {
		c.fail("parameter_missing", "items", "Missing required param: items.")
	}
	if f := c.unknown(); f != nil {
		return nil, f
	}
	cus, f := c.named("customer")
	if f != nil {
		return nil, f
	}
	if m := c.get("payment_method", card); card != "" && (m == nil || m.text("customer") != cus.id()) {
		return nil, noSuch("PaymentMethod", card, "default_payment_method")
	}
	items, currency, f := c.price(cus, rows, currency)
	if f != nil {
		return nil, f
	}
	sub := c.newSubscription(cus, currency, items[0].inner("price"), trial)
	sub["metadata"], sub["cancel_at_period_end"], sub["default_payment_method"] = metadata, atEnd, orNull(card)
	sub["payment_settings"] = object{"payment_method_options": nil, "payment_method_types": nil, "save_default_payment_method": saves}
	if behavior == "allow_incomplete" && trial == 0 && c.cardFor(sub) == nil {
		return nil, refused("resource_missing", "This customer has no attached payment source or default payment method. "+
			"Please consider adding a default payment method. For more information, visit "+
			"https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority.")
	}
	if m := c.cardFor(sub); behavior == "error_if_incomplete" && trial == 0 && (m == nil || testCardOf(m.text("_token")).code != "") {
		return nil, declined("card_declined", "generic_decline")
	}
	c.add(sub)
	for _, item := range items {
		item["subscription"] = sub.id()
		c.add(item)
	}
	cus["currency"] = currency
	c.emit("customer.subscription.created", sub)
	c.begin(sub, cus, behavior)
	return sub, nil
}

// price makes items of what was sent, in one currency.
func (c *call) price(cus object, rows []wanted, currency string) (items []object, in string, f *failure) {
	for _, row := range rows {
		price := c.get("price", row.price)
		switch {
		case price == nil:
			return nil, "", noSuch("price", row.price, "items[0][price]")
		case !price.yes("active"):
			return nil, "", refused("", "The price specified is inactive. This field only accepts active prices.")
		case price.text("type") != "recurring":
			return nil, "", refused("", "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.")
		}
		if currency == "" {
			currency = price.text("currency")
		}
		if _, ok := unitAmount(price, currency); !ok {
			return nil, "", refused("", "The price specified only supports `%s`. This doesn't match the expected currency: `%s`.",
				price.text("currency"), currency)
		}
		items = append(items, c.newItem(price, max(row.quantity, 0)))
		if row.quantity == -1 {
			items[len(items)-1]["quantity"] = int64(1)
		}
	}
	if theirs := cus.text("currency"); theirs != "" && theirs != currency {
		return nil, "", refused("", "You cannot combine currencies on a single customer. This customer has had a subscription, coupon, "+
			"or invoice item with currency %s.", theirs)
	}
	return items, currency, nil
}

func (c *call) newItem(price object, quantity int64) object {
	return object{
		"id": newID("si", 14), "object": "subscription_item", "billing_thresholds": nil, "created": c.now, "metadata": object{},
		"price": c.show(price), "quantity": quantity, "subscription": "", "tax_rates": []any{},
	}
}

func (c *call) newSubscription(cus object, currency string, price object, trial int64) object {
	sub := object{
		"id": newID("sub", 24), "object": "subscription", "application": nil, "application_fee_percent": nil,
		"automatic_tax": object{"enabled": false, "liability": nil}, "billing_cycle_anchor": c.now, "billing_cycle_anchor_config": nil,
		"billing_thresholds": nil, "cancel_at": nil, "cancel_at_period_end": false, "canceled_at": nil,
		"cancellation_details": object{"comment": nil, "feedback": nil, "reason": nil}, "collection_method": "charge_automatically",
		"created": c.now, "currency": currency, "current_period_end": next(c.now, c.now, price), "current_period_start": c.now,
		"customer": cus.id(), "days_until_due": nil, "default_payment_method": nil, "default_source": nil, "default_tax_rates": []any{},
		"description": nil, "discount": nil, "ended_at": nil, "latest_invoice": nil, "livemode": false, "metadata": object{},
		"next_pending_invoice_item_invoice": nil, "on_behalf_of": nil, "pause_collection": nil, "pending_invoice_item_interval": nil,
		"pending_setup_intent": nil, "pending_update": nil, "schedule": nil, "start_date": c.now, "status": "incomplete",
		"test_clock": nil, "transfer_data": nil, "trial_end": nil,
		"trial_settings": object{"end_behavior": object{"missing_payment_method": "create_invoice"}}, "trial_start": nil, "_pending": []any{},
	}
	if trial > 0 {
		end := c.now + trial*24*60*60
		sub["status"], sub["trial_start"], sub["trial_end"] = "trialing", c.now, end
		sub["current_period_end"], sub["billing_cycle_anchor"] = end, end
	}
	return sub
}

// begin makes the first invoice.
func (c *call) begin(sub, cus object, behavior string) {
	in := c.newInvoice(cus, sub, "subscription_create", c.now)
	trialing := sub.text("status") == "trialing"
	in["_lines"] = array(c.cycleLines(sub, trialing))
	c.finalize(in, c.now)
	if trialing {
		if behavior == "default_incomplete" && c.cardFor(sub) == nil {
			sub["pending_setup_intent"] = c.newSetup(cus.id(), "off_session", object{}).id()
		}
		return
	}
	if behavior != "default_incomplete" && in.text("status") == "open" {
		c.charge(in, c.cardFor(sub), c.now)
	}
}

func listSubscriptions(c *call) (any, *failure) {
	sent, status := c.has("status"), c.text("status")
	return c.listing("/v1/subscriptions", where(c.of("subscription"), c.same("customer"), c.created(), func(o object) bool {
		switch {
		case !sent:
			return o.text("status") != "canceled"
		case status == "all":
			return true
		case status == "ended":
			return ended(o)
		}
		return o.text("status") == status
	}))
}

func updateSubscription(c *call) (any, *failure) {
	sub := c.get("subscription", c.ids[0])
	if sub == nil {
		return nil, noSuch("subscription", c.ids[0], "id")
	}
	rows := c.rowsOf("items")
	how := c.one("proration_behavior", "create_prorations", "always_invoice", "none")
	c.one("payment_behavior", "allow_incomplete")
	atEnd, card := c.yes("cancel_at_period_end", sub.yes("cancel_at_period_end")), c.text("default_payment_method")
	setsEnd, setsCard, metadata := c.has("cancel_at_period_end"), c.has("default_payment_method"), c.metadata(sub.inner("metadata"))
	if f := c.unknown(); f != nil {
		return nil, f
	}
	switch status := sub.text("status"); {
	case ended(sub) && (len(rows) > 0 || setsEnd || setsCard):
		return nil, refused("", "A canceled subscription can only update its cancellation_details and metadata.")
	case status == "incomplete" && len(rows) > 0:
		return nil, refused("", "This subscription cannot be updated while it is incomplete: only its metadata and its default payment method can.")
	}
	if m := c.get("payment_method", card); card != "" && (m == nil || m.text("customer") != sub.text("customer")) {
		return nil, noSuch("PaymentMethod", card, "default_payment_method")
	}
	if f := c.changeItems(sub, rows, how); f != nil {
		return nil, f
	}
	sub["metadata"] = metadata
	if setsCard {
		sub["default_payment_method"] = orNull(card)
	}
	if setsEnd {
		sub["cancel_at_period_end"], sub["cancel_at"], sub["canceled_at"] = atEnd, nil, nil
		if atEnd {
			sub["cancel_at"], sub["canceled_at"] = sub["current_period_end"], c.now
			sub.inner("cancellation_details")["reason"] = "cancellation_requested"
		}
	}
	c.emit("customer.subscription.updated", sub)
	return sub, nil
}

func cancelSubscription(c *call) (any, *failure) {
	sub := c.get("subscription", c.ids[0])
	if sub == nil || ended(sub) {
		return nil, noSuch("subscription", c.ids[0], "id")
	}
	now, prorate := c.yes("invoice_now", false), c.yes("prorate", false)
	if f := c.unknown(); f != nil {
		return nil, f
	}
	pending := sub.rows("_pending")
	if prorate && sub.text("status") == "active" {
		for _, item := range c.itemsOf(sub) {
			pending = append(pending, c.proration(sub, item, -1, c.now))
		}
	}
	sub["_pending"] = array(pending)
	c.end(sub, c.now)
	if now && len(pending) > 0 {
		c.bill(sub, "subscription_update", c.now)
	}
	return sub, nil
}

// end ends a subscription.
func (c *call) end(sub object, at int64) {
	sub["status"], sub["ended_at"] = "canceled", at
	if sub["canceled_at"] == nil {
		sub["canceled_at"] = at
		sub.inner("cancellation_details")["reason"] = "cancellation_requested"
	}
	c.emit("customer.subscription.deleted", sub)
}

// next is the end of the period that begins at a moment. Months are counted from
// the anchor, and end on their last day if they are too short.
func next(anchor, start int64, price object) int64 {
	recurring := price.inner("recurring")
	count := int(max(1, recurring.number("interval_count")))
	first := time.Unix(anchor, 0).UTC()
	for n := 1; ; n++ {
		var end time.Time
		switch recurring.text("interval") {
		case "day":
			end = first.AddDate(0, 0, n*count)
		case "week":
			end = first.AddDate(0, 0, 7*n*count)
		case "year":
			end = months(first, 12*n*count)
		default:
			end = months(first, n*count)
		}
		if end.Unix() > start {
			return end.Unix()
		}
	}
}

// months is n months later, on the same day or the last that there is.
func months(t time.Time, n int) time.Time {
	y, m, d := t.Date()
	first := time.Date(y, m+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(d, last)-1)
}

// advance lets everything happen whose time has come.
func (s *Server) advance(now int64) {
	for _, sub := range slices.Clone(s.of("subscription")) {
		for s.step(sub, now) {
		}
	}
	for _, in := range slices.Clone(s.of("invoice")) {
		s.mature(in, now)
	}
}

// Tick lets happen whose time has come by the server's clock, as every call does.
func (s *Server) Tick() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	happened := len(s.state.Lists["event"])
	s.advance(s.options.Clock.Now().Unix())
	return s.save(len(s.state.Lists["event"]) > happened)
}

// step is the next thing that happens to a subscription by itself.
func (s *Server) step(sub object, now int64) bool {
	c := &call{Server: s, now: now}
	end := sub.number("current_period_end")
	switch status := sub.text("status"); {
	case ended(sub):
		return false
	case status == "incomplete":
		const patience = 23 * 60 * 60
		if now < sub.number("created")+patience {
			return false
		}
		sub["status"] = "incomplete_expired"
		if in := s.get("invoice", sub.text("latest_invoice")); in != nil && in.text("status") == "open" {
			c.void(in, sub.number("created")+patience)
		}
		c.emit("customer.subscription.updated", sub)
		return false
	case now < end:
		return false
	}
	for _, in := range s.of("invoice") {
		if in.text("subscription") == sub.id() {
			s.mature(in, end)
		}
	}
	c.now = end
	if sub.yes("cancel_at_period_end") {
		c.end(sub, end)
		return false
	}
	c.renew(sub, end)
	return true
}

// renew begins the next period.
func (c *call) renew(sub object, from int64) {
	items := c.itemsOf(sub)
	if len(items) == 0 {
		c.end(sub, from)
		return
	}
	sub["current_period_start"] = from
	sub["current_period_end"] = next(sub.number("billing_cycle_anchor"), from, items[0].inner("price"))
	if sub.text("status") == "trialing" {
		sub["status"] = "active"
	}
	cus := c.get("customer", sub.text("customer"))
	in := c.newInvoice(cus, sub, "subscription_cycle", from)
	in["_lines"] = array(append(sub.rows("_pending"), c.cycleLines(sub, false)...))
	in["_matures"] = from + 60*60
	sub["_pending"] = []any{}
	c.total(in)
	c.emit("customer.subscription.updated", sub)
}
