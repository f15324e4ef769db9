package standin

import (
	"slices"
	"strconv"
	"strings"
)

func decimal(amount int64) string { return strconv.FormatInt(amount, 10) }

func createProduct(c *call) (any, *failure) {
	name, metadata := c.need("name"), c.metadata(nil)
	if f := c.unknown(); f != nil {
		return nil, f
	}
	return c.newProduct(name, metadata), nil
}

func (c *call) newProduct(name string, metadata object) object {
	return c.add(object{
		"id": newID("prod", 14), "object": "product", "active": true, "created": c.now, "default_price": nil, "description": nil,
		"features": []any{}, "images": []any{}, "livemode": false, "metadata": metadata, "name": name, "package_dimensions": nil,
		"shippable": nil, "statement_descriptor": nil, "tax_code": nil, "type": "service", "unit_label": nil, "updated": c.now, "url": nil,
	})
}

func createPrice(c *call) (any, *failure) {
	currency, amount := c.need("currency"), c.form.number("unit_amount", -1)
	product, name := c.text("product"), c.text("product_data[name]")
	interval := c.one("recurring[interval]", "month", "day", "week", "year")
	count := c.form.number("recurring[interval_count]", 1)
	recurring := c.has("recurring[interval]")
	behavior := c.one("tax_behavior", "unspecified", "exclusive", "inclusive")
	key, moves := c.text("lookup_key"), c.yes("transfer_lookup_key", false)
	metadata, options := c.metadata(nil), c.currencyOptions()
	if amount < 0 {
		c.fail("parameter_missing", "unit_amount", "Missing required param: unit_amount.")
	}
	if (product == "") == (name == "") {
		c.fail("parameter_missing", "product", "You must specify either `product` or `product_data` when creating a price.")
	}
	if f := c.unknown(); f != nil {
		return nil, f
	}
	if product != "" && c.get("product", product) == nil {
		return nil, noSuch("product", product, "product")
	}
	if old := c.keyed(key); old != nil {
		if !moves {
			return nil, refused("", "A price (`%s`) already uses that lookup key.", old.id())
		}
		old["lookup_key"] = nil
	}
	if product == "" {
		product = c.newProduct(name, object{}).id()
	}
	currency = strings.ToLower(currency)
	options[currency] = amount
	o := object{
		"id": newID("price", 24), "object": "price", "active": true, "billing_scheme": "per_unit", "created": c.now, "currency": currency,
		"custom_unit_amount": nil, "livemode": false, "lookup_key": orNull(key), "metadata": metadata, "nickname": nil, "product": product,
		"recurring": nil, "tax_behavior": behavior, "tiers_mode": nil, "transform_quantity": nil, "type": "one_time",
		"unit_amount": amount, "unit_amount_decimal": decimal(amount), "_options": options,
	}
	if recurring {
		o["type"] = "recurring"
		o["recurring"] = object{"aggregate_usage": nil, "interval": interval, "interval_count": count, "trial_period_days": nil, "usage_type": "licensed"}
	}
	return c.add(o), nil
}

func (c *call) currencyOptions() object {
	out := object{}
	for name := range c.all {
		if rest, ok := strings.CutPrefix(name, "currency_options["); ok && strings.HasSuffix(rest, "][unit_amount]") {
			out[strings.TrimSuffix(rest, "][unit_amount]")] = c.form.number(name, 0)
		}
	}
	return out
}

// keyed is the price with a lookup key, or nil.
func (s *Server) keyed(key string) object {
	for _, o := range s.of("price") {
		if key != "" && o.text("lookup_key") == key {
			return o
		}
	}
	return nil
}

func listPrices(c *call) (any, *failure) {
	keys := c.list("lookup_keys")
	sent, active := c.has("active"), c.yes("active", true)
	return c.listing("/v1/prices", where(c.of("price"), c.same("product"), c.same("currency"), c.created(), func(o object) bool {
		return (len(keys) == 0 || slices.Contains(keys, o.text("lookup_key"))) && (!sent || o.yes("active") == active)
	}))
}

// unitAmount is what one seat costs in a currency; false is that there is no such
// amount.
func unitAmount(price object, currency string) (int64, bool) {
	options := price.inner("_options")
	_, ok := options[currency]
	return options.number(currency), ok
}
