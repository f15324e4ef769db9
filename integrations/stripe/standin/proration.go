package standin

import (
	"fmt"
	"math/big"
	"time"
)

// change is what a change of items comes to.
type change struct {
	// lines are the prorations.
	lines []object
	// restarts says that the period begins anew, because another interval was chosen.
	restarts bool
	// apply makes the change.
	apply func()
}

// changeItems makes a change and bills what is to be billed at once.
func (c *call) changeItems(sub object, rows []wanted, how string) *failure {
	ch, f := c.plan(sub, rows)
	if f != nil {
		return f
	}
	ch.apply()
	if how != "none" {
		sub["_pending"] = array(append(sub.rows("_pending"), ch.lines...))
	}
	switch {
	case ch.restarts:
		sub["billing_cycle_anchor"], sub["current_period_start"] = c.now, c.now
		sub["current_period_end"] = next(c.now, c.now, c.itemsOf(sub)[0].inner("price"))
		sub["_pending"] = array(append(sub.rows("_pending"), c.cycleLines(sub, false)...))
		c.bill(sub, "subscription_update", c.now)
	case how == "always_invoice" && len(ch.lines) > 0:
		c.bill(sub, "subscription_update", c.now)
	}
	return nil
}

// plan works a change out without making it. A row without an item's id is an
// item more, as careless callers find out.
func (c *call) plan(sub object, rows []wanted) (*change, *failure) {
	out := &change{}
	var applies []func()
	for _, row := range rows {
		price, f := c.newPrice(sub, row)
		if f != nil {
			return nil, f
		}
		item := c.itemIn(sub, row.id)
		switch {
		case row.id == "":
			for _, other := range c.itemsOf(sub) {
				if other.inner("price").id() == row.price {
					return nil, refused("", "Price `%s` is already in use by subscription item `%s`.", row.price, other.id())
				}
			}
			added := c.newItem(price, max(row.quantity, 0))
			if row.quantity == -1 {
				added["quantity"] = int64(1)
			}
			added["subscription"] = sub.id()
			out.lines = append(out.lines, c.proration(sub, added, 1, c.now))
			applies = append(applies, func() { c.add(added) })
		case item == nil:
			return nil, noSuch("subscription_item", row.id, "items[0][id]")
		default:
			changed := c.withRow(item, row, price)
			if !row.deleted && changed.number("quantity") == item.number("quantity") && changed.inner("price").id() == item.inner("price").id() {
				continue
			}
			out.restarts = out.restarts || interval(changed) != interval(item)
			out.lines = append(out.lines, c.proration(sub, item, -1, c.now))
			if row.deleted {
				applies = append(applies, func() { c.remove(item) })
				continue
			}
			if !out.restarts {
				out.lines = append(out.lines, c.proration(sub, changed, 1, c.now))
			}
			applies = append(applies, func() { c.state.Objects[item.id()] = changed })
		}
	}
	if sub.text("status") == "trialing" {
		out.lines, out.restarts = nil, false // nothing was paid for yet
	}
	out.apply = func() {
		for _, apply := range applies {
			apply()
		}
	}
	return out, nil
}

// withRow is an item as a row wants it. A new price without a quantity is of one.
func (c *call) withRow(item object, row wanted, price object) object {
	changed := copied(item)
	if price != nil {
		changed["price"] = c.show(price)
		changed["quantity"] = int64(1)
	}
	if row.quantity >= 0 {
		changed["quantity"] = row.quantity
	}
	return changed
}

// newPrice is the price that a row names, or nil if it names none.
func (c *call) newPrice(sub object, row wanted) (object, *failure) {
	if row.price == "" {
		if row.id == "" {
			f := invalid("parameter_missing", "Missing required param: items[0][price].")
			f.Param = "items[0][price]"
			return nil, f
		}
		return nil, nil
	}
	price := c.get("price", row.price)
	if price == nil {
		return nil, noSuch("price", row.price, "items[0][price]")
	}
	if _, ok := unitAmount(price, sub.text("currency")); !ok {
		return nil, refused("", "The price specified only supports `%s`. This doesn't match the expected currency: `%s`.",
			price.text("currency"), sub.text("currency"))
	}
	return price, nil
}

func (c *call) itemIn(sub object, id string) object {
	item := c.get("subscription_item", id)
	if item == nil || item.text("subscription") != sub.id() {
		return nil
	}
	return item
}

func interval(item object) string {
	recurring := item.inner("price").inner("recurring")
	return fmt.Sprint(recurring.text("interval"), recurring.number("interval_count"))
}

// proration is the line of an item for the rest of the period: sign -1 gives back
// what was paid for it.
func (c *call) proration(sub, item object, sign, now int64) object {
	from, to := sub.number("current_period_start"), sub.number("current_period_end")
	unit, _ := unitAmount(c.get("price", item.inner("price").id()), sub.text("currency"))
	line := c.line(sub, item, now, to)
	amount := sign * share(unit*item.number("quantity"), to-now, to-from)
	word := "Remaining time"
	if sign < 0 {
		word = "Unused time"
	}
	line["amount"], line["amount_excluding_tax"], line["proration"], line["type"] = amount, amount, true, "invoiceitem"
	line["invoice_item"], line["discountable"] = newID("ii", 24), false
	line["description"] = fmt.Sprintf("%s on %d × %s after %s", word, item.number("quantity"), c.productOf(item),
		time.Unix(now, 0).UTC().Format("02 Jan 2006"))
	return line
}

// share is amount × part ÷ whole, rounded half up.
func share(amount, part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	n := new(big.Int).Mul(big.NewInt(amount), big.NewInt(2*part))
	n.Add(n, big.NewInt(whole))
	return n.Div(n, big.NewInt(2*whole)).Int64()
}

func upcoming(c *call) (any, *failure) {
	in, f := c.preview()
	if f != nil {
		return nil, f
	}
	return in, nil
}

func upcomingLines(c *call) (any, *failure) {
	c.form.number("limit", 10)
	c.text("starting_after")
	c.text("ending_before")
	in, f := c.preview()
	if f != nil {
		return nil, f
	}
	return c.cut("/v1/invoices/upcoming/lines", in.rows("_lines"))
}

// preview is the next invoice, with a change that is not made. Every preview has
// lines with other ids.
func (c *call) preview() (object, *failure) {
	c.need("customer")
	id, rows := c.text("subscription"), c.rowsOf("subscription_items")
	how := c.one("subscription_proration_behavior", "create_prorations", "always_invoice", "none")
	if f := c.unknown(); f != nil {
		return nil, f
	}
	cus, f := c.named("customer")
	if f != nil {
		return nil, f
	}
	sub := c.toPreview(cus, id)
	if sub == nil && id != "" {
		return nil, noSuch("subscription", id, "subscription")
	}
	if sub == nil || ended(sub) || sub.yes("cancel_at_period_end") && len(rows) == 0 {
		f := refused("invoice_upcoming_none", "No upcoming invoices for customer: %s", cus.id())
		f.status = 404
		return nil, f
	}
	return c.previewOf(cus, sub, rows, how)
}

func (c *call) toPreview(cus object, id string) object {
	for _, sub := range c.of("subscription") {
		if sub.text("customer") == cus.id() && (id == sub.id() || id == "" && !ended(sub)) {
			return sub
		}
	}
	return nil
}

// previewOf makes the change, writes the invoice, and takes the change back.
func (c *call) previewOf(cus, sub object, rows []wanted, how string) (object, *failure) {
	ch, f := c.plan(sub, rows)
	if f != nil {
		return nil, f
	}
	before := map[string]object{}
	for _, item := range c.itemsOf(sub) {
		before[item.id()] = item
	}
	list := append([]string(nil), c.state.Lists["subscription_item"]...)
	ch.apply()
	later := copied(sub)
	reason := "upcoming"
	lines := sub.rows("_pending")
	if how != "none" {
		lines = append(lines, ch.lines...)
	}
	switch {
	case ch.restarts:
		later["current_period_start"] = c.now
		later["current_period_end"] = next(c.now, c.now, c.itemsOf(sub)[0].inner("price"))
		lines = append(lines, c.cycleLines(later, false)...)
	case how != "always_invoice" || len(rows) == 0:
		end := sub.number("current_period_end")
		later["current_period_start"] = end
		later["current_period_end"] = next(sub.number("billing_cycle_anchor"), end, c.itemsOf(sub)[0].inner("price"))
		lines = append(lines, c.cycleLines(later, false)...)
	}
	for _, item := range c.itemsOf(sub) {
		if before[item.id()] == nil {
			c.remove(item)
		}
	}
	for id, item := range before {
		c.state.Objects[id] = item
	}
	c.state.Lists["subscription_item"] = list
	in := c.draft(cus, later, reason, later.number("current_period_start"))
	in["_lines"] = array(lines)
	c.total(in)
	delete(in, "id")
	in["next_payment_attempt"] = later.number("current_period_start") + 60*60
	return in, nil
}
