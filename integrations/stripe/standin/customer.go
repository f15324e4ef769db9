package standin

import (
	"regexp"
	"slices"
	"strings"
)

func createCustomer(c *call) (any, *failure) {
	o := object{
		"id": newID("cus", 14), "object": "customer", "address": nil, "balance": int64(0), "created": c.now, "currency": nil,
		"default_source": nil, "delinquent": false, "description": nil, "discount": nil, "email": nil,
		"invoice_prefix": strings.ToUpper(newID("x", 8))[2:], "invoice_settings": object{
			"custom_fields": nil, "default_payment_method": nil, "footer": nil, "rendering_options": nil,
		},
		"livemode": false, "metadata": object{}, "name": nil, "next_invoice_sequence": int64(1), "phone": nil,
		"preferred_locales": []any{}, "shipping": nil, "tax_exempt": "none", "test_clock": nil,
	}
	if f := c.fillCustomer(o); f != nil {
		return nil, f
	}
	c.add(o)
	c.emit("customer.created", o)
	return o, nil
}

var email = regexp.MustCompile(`^[^@\s]+@[^@\s]+$`)

// fillCustomer sets what was sent of a customer, all of it or nothing.
func (c *call) fillCustomer(o object) *failure {
	set := object{"metadata": c.metadata(o.inner("metadata"))}
	for _, name := range []string{"name", "email", "description", "phone", "tax_exempt"} {
		if c.has(name) {
			set[name] = orNull(c.text(name))
		}
	}
	if address := c.text("email"); address != "" && !email.MatchString(address) {
		c.fail("email_invalid", "email", "Invalid email address: "+address)
	}
	if locales := c.list("preferred_locales"); len(locales) > 0 {
		all := []any{}
		for _, l := range locales {
			all = append(all, l)
		}
		set["preferred_locales"] = all
	}
	c.fillAddress(o, set)
	card := c.text("invoice_settings[default_payment_method]")
	changesCard := c.has("invoice_settings[default_payment_method]")
	if f := c.unknown(); f != nil {
		return f
	}
	if m := c.get("payment_method", card); changesCard && card != "" && (m == nil || m.text("customer") != o.id()) {
		f := refused("resource_missing", "The customer does not have a payment method with the ID %s. "+
			"The payment method must be attached to the customer.", card)
		f.Param = "invoice_settings[default_payment_method]"
		return f
	}
	for name, value := range set {
		o[name] = value
	}
	if changesCard {
		o.inner("invoice_settings")["default_payment_method"] = orNull(card)
	}
	return nil
}

func (c *call) fillAddress(o, set object) {
	address, sent := object{}, false
	for _, part := range []string{"city", "country", "line1", "line2", "postal_code", "state"} {
		address[part] = nil
		if old := o.inner("address"); old != nil {
			address[part] = old[part]
		}
		if c.has("address[" + part + "]") {
			sent = true
			address[part] = orNull(c.text("address[" + part + "]"))
		}
	}
	if sent {
		set["address"] = address
	}
	if c.has("address") && c.text("address") == "" {
		set["address"] = nil
	}
}

// theCustomer is the customer of the path, if it was not deleted.
func (c *call) theCustomer() (object, *failure) {
	o := c.get("customer", c.ids[0])
	if o == nil || o.yes("deleted") {
		return nil, noSuch("customer", c.ids[0], "id")
	}
	return o, nil
}

// named is the customer that a parameter names.
func (c *call) named(param string) (object, *failure) {
	o := c.get("customer", c.text(param))
	if o == nil || o.yes("deleted") {
		return nil, noSuch("customer", c.text(param), param)
	}
	return o, nil
}

// getCustomer answers for a deleted one too.
func getCustomer(c *call) (any, *failure) {
	o := c.get("customer", c.ids[0])
	if o == nil {
		return nil, noSuch("customer", c.ids[0], "id")
	}
	return o, nil
}

func updateCustomer(c *call) (any, *failure) {
	o, f := c.theCustomer()
	if f != nil {
		return nil, f
	}
	if f := c.fillCustomer(o); f != nil {
		return nil, f
	}
	c.emit("customer.updated", o)
	return o, nil
}

// deleteCustomer leaves a stone with the id, ends the subscriptions at once, and
// sets the cards free.
func deleteCustomer(c *call) (any, *failure) {
	o, f := c.theCustomer()
	if f != nil {
		return nil, f
	}
	if f := c.unknown(); f != nil {
		return nil, f
	}
	for _, sub := range c.of("subscription") {
		if sub.text("customer") == o.id() && !ended(sub) {
			c.end(sub, c.now)
		}
	}
	for _, m := range c.of("payment_method") {
		if m.text("customer") == o.id() {
			m["customer"] = nil
			m["_used"] = true
		}
	}
	c.emit("customer.deleted", o)
	stone := object{"id": o.id(), "object": "customer", "deleted": true}
	c.state.Objects[o.id()] = stone
	return stone, nil
}

func listCustomers(c *call) (any, *failure) {
	alive := func(o object) bool { return !o.yes("deleted") }
	return c.listing("/v1/customers", where(c.of("customer"), alive, c.same("email"), c.created()))
}

// taxKinds are the kinds of tax ids that are played, and what they look like.
var taxKinds = map[string]*regexp.Regexp{
	"eu_vat": regexp.MustCompile(`^(AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK|XI)[0-9A-Z+*]{8,12}$`),
	"gb_vat": regexp.MustCompile(`^GB[0-9]{9}$|^GB[0-9]{12}$|^GB(GD|HA)[0-9]{3}$`),
	"no_vat": regexp.MustCompile(`^[0-9]{9}MVA$`),
	"ch_vat": regexp.MustCompile(`^CHE-?[0-9]{3}\.?[0-9]{3}\.?[0-9]{3} (MWST|TVA|IVA)$`),
}

func createTaxID(c *call) (any, *failure) {
	kind, value := c.need("type"), c.need("value")
	shape := taxKinds[kind]
	if shape == nil {
		c.fail("", "type", "Invalid type: "+kind+" is none that this stand-in plays.")
	}
	if f := c.unknown(); f != nil {
		return nil, f
	}
	cus, f := c.theCustomer()
	if f != nil {
		return nil, f
	}
	if !shape.MatchString(value) {
		f := refused("tax_id_invalid", "Invalid value for %s.", kind)
		f.Param = "value"
		return nil, f
	}
	country := value[:2]
	if kind == "no_vat" {
		country = "NO"
	}
	if country == "EL" {
		country = "GR"
	}
	o := c.add(object{
		"id": newID("txi", 24), "object": "tax_id", "country": country, "created": c.now, "customer": cus.id(), "livemode": false,
		"owner": object{"type": "customer", "customer": cus.id()}, "type": kind, "value": value,
		"verification": object{"status": "pending", "verified_address": nil, "verified_name": nil},
	})
	c.emit("customer.tax_id.created", o)
	return o, nil
}

func listTaxIDs(c *call) (any, *failure) {
	cus, f := c.theCustomer()
	if f != nil {
		return nil, f
	}
	theirs := func(o object) bool { return o.text("customer") == cus.id() }
	return c.listing("/v1/customers/"+cus.id()+"/tax_ids", where(c.of("tax_id"), theirs))
}

func deleteTaxID(c *call) (any, *failure) {
	cus, f := c.theCustomer()
	if f != nil {
		return nil, f
	}
	o := c.get("tax_id", c.ids[1])
	if o == nil || o.text("customer") != cus.id() {
		return nil, noSuch("tax_id", c.ids[1], "id")
	}
	if f := c.unknown(); f != nil {
		return nil, f
	}
	c.emit("customer.tax_id.deleted", o)
	c.remove(o)
	return object{"id": o.id(), "object": "tax_id", "deleted": true}, nil
}

// remove forgets an object.
func (s *Server) remove(o object) {
	kind := o.text("object")
	delete(s.state.Objects, o.id())
	s.state.Lists[kind] = slices.DeleteFunc(s.state.Lists[kind], func(id string) bool { return id == o.id() })
}
