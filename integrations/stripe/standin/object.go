package standin

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// object is one of Stripe's, as it is written out. Names that begin with "_" are
// the stand-in's own and are never shown.
type object map[string]any

// UnmarshalJSON keeps whole numbers whole.
func (o *object) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	plain := map[string]any{}
	if err := decoder.Decode(&plain); err != nil {
		return err
	}
	*o = plain
	return nil
}

func (o object) text(name string) string {
	text, _ := o[name].(string)
	return text
}

func (o object) yes(name string) bool { return o[name] == true }

func (o object) number(name string) int64 {
	switch n := o[name].(type) {
	case int64:
		return n
	case int:
		return int64(n)
	case json.Number:
		whole, err := n.Int64()
		if err == nil {
			return whole
		}
	}
	return 0
}

func (o object) inner(name string) object {
	switch inner := o[name].(type) {
	case object:
		return inner
	case map[string]any:
		return inner
	}
	return nil
}

func (o object) rows(name string) []object {
	var out []object
	all, _ := o[name].([]any)
	for _, row := range all {
		switch row := row.(type) {
		case object:
			out = append(out, row)
		case map[string]any:
			out = append(out, row)
		}
	}
	return out
}

func (o object) id() string { return o.text("id") }

// orNull is null for an empty text, as Stripe writes what was unset.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// array makes rows of objects.
func array(rows []object) []any {
	out := []any{}
	for _, row := range rows {
		out = append(out, row)
	}
	return out
}

// newID is an id as long as the real ones of its kind.
func newID(prefix string, length int) string { return prefix + "_" + rand.Text()[:min(length, 26)] }

// add keeps a new object.
func (s *Server) add(o object) object {
	s.state.Objects[o.id()] = o
	kind := o.text("object")
	s.state.Lists[kind] = append(s.state.Lists[kind], o.id())
	return o
}

// get is the object of a kind with an id, or nil.
func (s *Server) get(kind, id string) object {
	o := s.state.Objects[id]
	if o == nil || o.text("object") != kind {
		return nil
	}
	return o
}

// of are all objects of a kind, the oldest first.
func (s *Server) of(kind string) []object {
	var out []object
	for _, id := range s.state.Lists[kind] {
		if o := s.state.Objects[id]; o != nil {
			out = append(out, o)
		}
	}
	return out
}

// show is a copy of an object as it is written out, with the lists in it.
func (s *Server) show(o object) object {
	out := copied(o)
	switch o.text("object") {
	case "subscription":
		var items []object
		for _, item := range s.of("subscription_item") {
			if item.text("subscription") == o.id() {
				items = append(items, s.show(item))
			}
		}
		out["items"] = sublist(items, "/v1/subscription_items?subscription="+o.id(), 20)
	case "invoice":
		out["lines"] = sublist(o.rows("_lines"), "/v1/invoices/"+cmp.Or(o.id(), "upcoming")+"/lines", 10)
	case "transfer":
		out["reversals"] = sublist(s.reversalsOf(o.id()), "/v1/transfers/"+o.id()+"/reversals", 10)
	}
	for name := range out {
		if strings.HasPrefix(name, "_") {
			delete(out, name)
		}
	}
	return out
}

func copied(o object) object {
	data, err := json.Marshal(o)
	if err != nil {
		return object{}
	}
	var out object
	if err := json.Unmarshal(data, &out); err != nil {
		return object{}
	}
	return out
}

// sublist is a list inside an object, cut short as Stripe does.
func sublist(rows []object, url string, most int) object {
	return object{
		"object": "list", "url": url, "total_count": len(rows), "has_more": len(rows) > most, "data": array(rows[:min(most, len(rows))]),
	}
}

// present writes an answer out, with what is to be expanded.
func (s *Server) present(out any, expand []string) (any, *failure) {
	var shown object
	switch out := out.(type) {
	case *page:
		shown = out.object(s)
	case object:
		shown = s.show(out)
	}
	for _, path := range expand {
		parts := strings.Split(path, ".")
		if len(parts) > 4 {
			return nil, invalid("", "You cannot expand more than 4 levels of a property. Property: "+path)
		}
		if !s.expand(shown, parts) {
			return nil, invalid("", "This property cannot be expanded ("+path+").")
		}
	}
	return shown, nil
}

// expandable are the names, of each kind, behind which there is an id.
var expandable = map[string][]string{
	"setup_intent":      {"customer", "payment_method"},
	"payment_method":    {"customer"},
	"subscription":      {"customer", "latest_invoice", "pending_setup_intent", "default_payment_method"},
	"invoice":           {"customer", "subscription", "payment_intent", "charge", "default_payment_method"},
	"payment_intent":    {"customer", "invoice", "payment_method", "latest_charge"},
	"charge":            {"customer", "invoice", "payment_intent"},
	"refund":            {"charge", "payment_intent"},
	"price":             {"product"},
	"transfer_reversal": {"transfer"},
	"tax_id":            {"customer"},
	"":                  {"default_payment_method"}, // in a customer's invoice_settings
}

// expand puts objects in the place of their ids. It is false for a path that
// leads nowhere.
func (s *Server) expand(o object, path []string) bool {
	name := path[0]
	if name == "currency_options" && o.text("object") == "price" {
		o[name] = s.amountsOf(o)
		return len(path) == 1
	}
	value, there := o[name]
	if !there {
		return false
	}
	if slices.Contains(expandable[o.text("object")], name) {
		if id, isID := value.(string); isID {
			value = s.show(s.state.Objects[id])
			o[name] = value
		}
		if value == nil || len(path) == 1 {
			return true
		}
	}
	if len(path) == 1 {
		return false
	}
	switch value := value.(type) {
	case object:
		return s.expand(value, path[1:])
	case map[string]any:
		return s.expand(value, path[1:])
	case []any:
		for i := range value {
			if row, ok := value[i].(map[string]any); ok && !s.expand(row, path[1:]) {
				return false
			}
			if row, ok := value[i].(object); ok && !s.expand(row, path[1:]) {
				return false
			}
		}
		return true
	}
	return false
}

// amountsOf are a price's amounts in all its currencies.
func (s *Server) amountsOf(price object) object {
	out := object{}
	stored := s.state.Objects[price.id()]
	for _, currency := range slices.Sorted(maps.Keys(stored.inner("_options"))) {
		amount := stored.inner("_options").number(currency)
		out[currency] = object{
			"custom_unit_amount": nil, "tax_behavior": price["tax_behavior"], "unit_amount": amount, "unit_amount_decimal": decimal(amount),
		}
	}
	return out
}
