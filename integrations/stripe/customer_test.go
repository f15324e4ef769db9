package stripe

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
)

func dkk(minor int64) platform.Money { return platform.Money{Minor: minor, Currency: "DKK"} }

func billing() platform.Billing {
	return platform.Billing{Company: "Acme Holding", VAT: "dk 12 34 56 78", Country: "DK", Email: "billing@acme.dk"}
}

// want is that a call has ended with a code, "" for success.
func want(t *testing.T, reason string, err error, code platform.Code) {
	t.Helper()
	if code == "" && err != nil || code != "" && (err == nil || platform.CodeOf(err) != code) {
		t.Errorf("%s: got %v, want %q", reason, err, code)
	}
}

// card gives the customer a card, as a person in their browser does.
func (w *world) card(customer, token string) string {
	w.t.Helper()
	setup, err := w.SetUpCard(w.t.Context(), customer, fresh("setup"))
	if err != nil || !strings.HasPrefix(setup.ClientSecret.Reveal(), setup.ID+"_secret_") {
		w.t.Fatalf("got %+v, %v", setup, err)
	}
	done := w.raw("POST", "/v1/setup_intents/"+setup.ID+"/confirm", "payment_method="+token+"&client_secret="+setup.ClientSecret.Reveal())
	card, ok := done.body["payment_method"].(string)
	if !ok {
		w.t.Fatalf("got %v", done.body)
	}
	return card
}

func TestBilling(t *testing.T) {
	w := newWorld(t, false)
	s := acme()
	s.Handle = w.apply(s)
	state := func() map[string]any {
		cus := w.raw("GET", "/v1/customers/"+s.Handle, "").body
		out := map[string]any{"name": cus["name"], "email": cus["email"], "vat": []string{}}
		if address, ok := cus["address"].(map[string]any); ok {
			out["country"] = address["country"]
		}
		for _, row := range w.raw("GET", "/v1/customers/"+s.Handle+"/tax_ids", "").body["data"].([]any) {
			out["vat"] = append(out["vat"].([]string), row.(map[string]any)["value"].(string))
		}
		return out
	}
	greek := platform.Billing{Company: "Acme Hellas", VAT: "123456789", Country: "GR", Email: "gr@acme.dk"}
	for i, test := range []struct {
		reason  string
		billing platform.Billing
		code    platform.Code
		field   string
		state   map[string]any
	}{
		{"all of it is set", billing(), "", "", map[string]any{"name": "Acme Holding", "email": "billing@acme.dk", "country": "DK", "vat": []string{"DK12345678"}}},
		{"the old number goes, and Greece is EL", greek, "", "", map[string]any{"name": "Acme Hellas", "email": "gr@acme.dk", "country": "GR", "vat": []string{"EL123456789"}}},
		{"a number is refused before anything is changed", platform.Billing{Company: "Z", VAT: "12", Country: "DK"}, platform.Invalid, "vat", map[string]any{"name": "Acme Hellas", "email": "gr@acme.dk", "country": "GR", "vat": []string{"EL123456789"}}},
		{"a country has two letters", platform.Billing{Country: "Denmark"}, platform.Invalid, "country", map[string]any{"name": "Acme Hellas", "email": "gr@acme.dk", "country": "GR", "vat": []string{"EL123456789"}}},
		{"a number needs a country", platform.Billing{VAT: "12345678"}, platform.Invalid, "vat", map[string]any{"name": "Acme Hellas", "email": "gr@acme.dk", "country": "GR", "vat": []string{"EL123456789"}}},
		{"an address is checked by Stripe", platform.Billing{Email: "nobody"}, platform.Invalid, "email", map[string]any{"name": "Acme Hellas", "email": "gr@acme.dk", "country": "GR", "vat": []string{"EL123456789"}}},
		{"what is empty is cleared, and the name is the tenant's again", platform.Billing{}, "", "", map[string]any{"name": "Acme A/S", "email": nil, "country": nil, "vat": []string{}}},
	} {
		key := string(rune('a' + i))
		err := w.UpdateBilling(t.Context(), s.Handle, test.billing, key)
		want(t, test.reason, err, test.code)
		if e, ok := errors.AsType[*platform.Error](err); ok && e.Field != test.field {
			t.Errorf("%s: the field is %q", test.reason, e.Field)
		}
		w.apply(s)
		if diff := cmp.Diff(test.state, state()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.reason, diff)
		}
		calls := len(w.changing())
		if test.code == "" {
			want(t, "it may be repeated", w.UpdateBilling(t.Context(), s.Handle, test.billing, key+"2"), "")
		}
		if len(w.changing()) != calls {
			t.Errorf("%s: the repeat changed something: %v", test.reason, w.changing()[calls:])
		}
	}
	want(t, "a deleted customer is none", func() error {
		w.raw("DELETE", "/v1/customers/"+s.Handle, "")
		return w.UpdateBilling(t.Context(), s.Handle, greek, "z")
	}(), platform.NotFound)
}

func TestCards(t *testing.T) {
	w := newWorld(t, false)
	ctx, ours, other := t.Context(), w.apply(acme()), w.apply(tenant("ten_globex", "Globex"))
	first, second, foreign := w.card(ours, "pm_card_visa"), w.card(ours, "pm_card_mastercard"), w.card(other, "pm_card_visa")
	want(t, "the first", w.SetDefaultCard(ctx, ours, first, "1"), "")
	calls := len(w.changing())
	want(t, "it is so already", w.SetDefaultCard(ctx, ours, first, "2"), "")
	for reason, card := range map[string]string{"another tenant's": foreign, "nobody's": "pm_gone", "no card": ours, "none": ""} {
		if err := w.SetDefaultCard(ctx, ours, card, "3"); err == nil || platform.CanPass(err) || card != "" && platform.CodeOf(err) != platform.NotFound {
			t.Errorf("%s: got %v", reason, err)
		}
		if err := w.RemoveCard(ctx, ours, card, "4"); err == nil || platform.CanPass(err) || card != "" && platform.CodeOf(err) != platform.NotFound {
			t.Errorf("%s: got %v", reason, err)
		}
	}
	if len(w.changing()) != calls {
		t.Errorf("something was changed: %v", w.changing()[calls:])
	}
	got, err := w.Cards(ctx, ours)
	all := []platform.Card{
		{ID: second, Brand: "mastercard", Last4: "4444", ExpMonth: 8, ExpYear: 2034},
		{ID: first, Brand: "visa", Last4: "4242", ExpMonth: 8, ExpYear: 2034, Default: true},
	}
	sortCards(got)
	sortCards(all)
	if diff := cmp.Diff(all, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	want(t, "the first goes", w.RemoveCard(ctx, ours, first, "5"), "")
	want(t, "it has gone", w.RemoveCard(ctx, ours, first, "6"), platform.NotFound)
	if got, err = w.Cards(ctx, ours); err != nil || len(got) != 1 || got[0].Default {
		t.Errorf("got %v, %v", got, err)
	}
	if theirs, err := w.Cards(ctx, other); err != nil || len(theirs) != 1 {
		t.Errorf("got %v, %v", theirs, err)
	}
}

func sortCards(cards []platform.Card) {
	if len(cards) == 2 && cards[0].ID > cards[1].ID {
		cards[0], cards[1] = cards[1], cards[0]
	}
}
