package stripe

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

func TestInvoices(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	customer, sub := w.subscribed()
	_, err := w.VoidInvoice(ctx, sub.LatestInvoice, "v")
	want(t, "a paid invoice stays", err, platform.Conflict)
	for range 120 {
		w.clock.Advance(31 * 24 * time.Hour)
		w.Tick()
	}
	var all []*platform.RemoteInvoice
	after, pages := "", 0
	for {
		page, err := w.InvoicesSince(ctx, customer, platform.At(start), after)
		if err != nil {
			t.Fatal(err)
		}
		all, pages = append(all, page.Invoices...), pages+1
		if after = page.Next; after == "" {
			break
		}
	}
	if len(all) < 115 || pages != 2 || !all[0].CreatedAt.After(all[1].CreatedAt.Time) {
		t.Errorf("%d invoices on %d pages", len(all), pages)
	}
	page, err := w.InvoicesSince(ctx, "", platform.At(w.clock.Now().AddDate(0, -2, 0)), "")
	if err != nil || len(page.Invoices) > 3 || page.Next != "" {
		t.Errorf("got %d, %v", len(page.Invoices), err)
	}
	_, err = w.RemoteInvoice(ctx, "in_gone")
	want(t, "none", err, platform.NotFound)
}

// TestInvoiceLines has an invoice with more lines than come with it.
func TestInvoiceLines(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	customer, sub := w.subscribed()
	for seats := int64(8); seats < 30; seats++ {
		w.clock.Advance(time.Hour)
		if _, err := w.ChangeSubscription(ctx, customer, sub.ID, platform.SubscriptionChange{Seats: seats}, fresh("seats")); err != nil {
			t.Fatal(err)
		}
	}
	preview, err := w.PreviewChange(ctx, customer, sub.ID, platform.SubscriptionChange{})
	if err != nil || len(preview.Lines) != 45 {
		t.Errorf("got %d lines, %v", len(preview.Lines), err)
	}
	w.clock.Advance(32 * 24 * time.Hour)
	sub, err = w.RemoteSubscription(ctx, customer, sub.ID)
	if err != nil {
		t.Fatal(err)
	}
	in, err := w.RemoteInvoice(ctx, sub.LatestInvoice)
	if err != nil || len(in.Lines) != 45 {
		t.Fatalf("got %+v, %v", in, err)
	}
	sum := int64(0)
	for _, line := range in.Lines {
		sum += line.Amount.Minor
	}
	if sum != in.Total.Minor {
		t.Errorf("the lines are %d, the total %d", sum, in.Total.Minor)
	}
}

func TestVoid(t *testing.T) {
	w := newWorld(t, false)
	customer := w.apply(acme())
	sub, err := w.Subscribe(t.Context(), w.order(customer), "k")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		in, err := w.VoidInvoice(t.Context(), sub.LatestInvoice, "v")
		if err != nil || in.Status != "void" || in.VoidedAt == nil {
			t.Errorf("got %+v, %v", in, err)
		}
	}
	_, err = w.PayInvoice(t.Context(), sub.LatestInvoice, "p")
	want(t, "a void invoice is not paid", err, platform.Conflict)
	_, err = w.ChangeSubscription(t.Context(), customer, sub.ID, platform.SubscriptionChange{Seats: 1}, "c")
	want(t, "its subscription never began", err, platform.Conflict)
	got, err := w.CancelSubscription(t.Context(), customer, sub.ID, platform.CancelAtOnce, "x")
	if err != nil || got.Status != "incomplete_expired" {
		t.Errorf("it has ended already: got %+v, %v", got, err)
	}
}

func TestRefund(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	_, sub := w.subscribed()
	refund := func(id platform.ID, amount platform.Money) (*platform.RemoteRefund, error) {
		return w.Refund(ctx, platform.RefundOrder{ID: id, Invoice: sub.LatestInvoice, Amount: amount})
	}
	first, err := refund("ref_1", dkk(50000))
	if err != nil || first.Amount != dkk(50000) || first.Status != "succeeded" || first.Charge == "" {
		t.Fatalf("got %+v, %v", first, err)
	}
	w.clock.Advance(48 * time.Hour) // the key is forgotten
	calls := len(w.changing())
	if again, err := refund("ref_1", dkk(50000)); err != nil || *again != *first || len(w.changing()) != calls {
		t.Errorf("got %+v, %v", again, err)
	}
	_, err = refund("ref_1", dkk(1))
	want(t, "another amount", err, platform.Conflict)
	_, err = refund("ref_2", dkk(20001))
	want(t, "more than is left", err, platform.Conflict)
	_, err = refund("ref_2", platform.Money{Minor: 1, Currency: "EUR"})
	want(t, "another currency", err, platform.Conflict)
	if _, err = refund("ref_2", dkk(20000)); err != nil {
		t.Error(err)
	}
}

func TestTransfer(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	if err := w.AddAccount("acct_1", "DK"); err != nil {
		t.Fatal(err)
	}
	order := platform.TransferOrder{LedgerID: "led_1", Group: "payout_1", Account: "acct_1", Amount: dkk(1000)}
	_, err := w.TransferOf(ctx, "payout_1", "led_1")
	want(t, "not yet", err, platform.NotFound)
	_, err = w.Transfer(ctx, order)
	if platform.CodeOf(err) != platform.Conflict || !platform.CanPass(err) {
		t.Errorf("customers have not paid yet: %v", err)
	}
	if err := w.AddBalance("dkk", 5000); err != nil {
		t.Fatal(err)
	}
	made, err := w.Transfer(ctx, order)
	if err != nil || made.Amount != dkk(1000) || made.Account != "acct_1" || made.LedgerID != "led_1" {
		t.Fatalf("got %+v, %v", made, err)
	}
	w.clock.Advance(48 * time.Hour) // the key is forgotten
	calls := len(w.changing())
	if again, err := w.Transfer(ctx, order); err != nil || *again != *made || len(w.changing()) != calls {
		t.Errorf("got %+v, %v", again, err)
	}
	other := order
	other.Amount = dkk(2000)
	_, err = w.Transfer(ctx, other)
	if platform.CodeOf(err) != platform.Conflict || platform.CanPass(err) {
		t.Errorf("another amount: %v", err)
	}
	nobody := order
	nobody.LedgerID, nobody.Account = "led_2", "acct_gone"
	_, err = w.Transfer(ctx, nobody)
	want(t, "nobody", err, platform.NotFound)
	back, err := w.ReverseTransfer(ctx, made.ID, dkk(400), "led_3")
	if err != nil || back.Reversed != dkk(400) {
		t.Fatalf("got %+v, %v", back, err)
	}
	w.clock.Advance(48 * time.Hour)
	if again, err := w.ReverseTransfer(ctx, made.ID, dkk(400), "led_3"); err != nil || again.Reversed != dkk(400) {
		t.Errorf("got %+v, %v", again, err)
	}
	_, err = w.ReverseTransfer(ctx, made.ID, dkk(601), "led_4")
	want(t, "more than is left", err, platform.Conflict)
}

// TestMakingIsNeverDoneTwice cuts the calls off that make something, loses their
// answers, has Stripe fail after them, and forgets their keys (R7).
func TestMakingIsNeverDoneTwice(t *testing.T) {
	for name, breaks := range map[string]func(w *world, on string){
		"reset":  func(w *world, on string) { w.Stage().Fail(stage.Fault{Kind: stage.Reset, On: on, Times: 1}) },
		"lost":   func(w *world, on string) { w.Stage().Fail(stage.Fault{Kind: stage.Lost, On: on, Times: 1}) },
		"half":   func(w *world, on string) { w.Stage().Fail(stage.Fault{Kind: stage.Half, On: on, Times: 1}) },
		"before": func(w *world, on string) { w.Crash(on, false, 1) },
		"after":  func(w *world, on string) { w.Crash(on, true, 1) },
	} {
		for _, wait := range []time.Duration{time.Second, 30 * time.Hour} {
			t.Run(name+" "+wait.String(), func(t *testing.T) {
				w := newWorld(t, false).cutting()
				ctx := t.Context()
				customer := w.apply(acme())
				if err := w.AddAccount("acct_1", "DK"); err != nil {
					t.Fatal(err)
				}
				if err := w.AddBalance("dkk", 100000); err != nil {
					t.Fatal(err)
				}
				want(t, "the card", w.SetDefaultCard(ctx, customer, w.card(customer, "pm_card_visa"), "d"), "")
				transfer := platform.TransferOrder{LedgerID: "led_1", Group: "g", Account: "acct_1", Amount: dkk(1000)}
				var sub *platform.RemoteSubscription
				var made *platform.RemoteTransfer
				order := w.order(customer)
				for on, do := range map[string]func() error{
					"POST /transfers":     func() (err error) { made, err = w.Transfer(ctx, transfer); return err },
					"POST /subscriptions": func() (err error) { order.TrialDays = 10; sub, err = w.Subscribe(ctx, order, "order"); return err },
				} {
					breaks(w, on)
					if err := do(); err == nil || !platform.CanPass(err) {
						t.Errorf("%s: got %v", on, err)
					}
					w.clock.Advance(wait)
					for range 2 {
						if err := do(); err != nil {
							t.Errorf("%s: got %v", on, err)
						}
					}
				}
				if n := len(w.raw("GET", "/v1/transfers", "").body["data"].([]any)); n != 1 || made == nil {
					t.Errorf("%d transfers", n)
				}
				if n := len(w.raw("GET", "/v1/subscriptions?status=all", "").body["data"].([]any)); n != 1 || sub == nil {
					t.Errorf("%d subscriptions", n)
				}
			})
		}
	}
}

// TestKeys has the keys of what moves money be those of the business: two that
// make the same at once make it once.
func TestKeys(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	_, sub := w.subscribed()
	if err := w.AddAccount("acct_1", "DK"); err != nil {
		t.Fatal(err)
	}
	order := platform.TransferOrder{LedgerID: "led_1", Group: "payout_1", Account: "acct_1", Amount: dkk(1000)}
	made, err := w.Transfer(ctx, order)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ReverseTransfer(ctx, made.ID, dkk(5), "led_2"); err != nil {
		t.Error(err)
	}
	if _, err := w.Refund(ctx, platform.RefundOrder{ID: "ref_1", Invoice: sub.LatestInvoice, Amount: dkk(5)}); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		"/customers tenant:ten_acme:customer:v1", "/subscriptions order", "/invoices/" + sub.LatestInvoice + "/pay pay",
		"/transfers ledger:led_1:transfer", "/transfers/" + made.ID + "/reversals ledger:led_2:reversal", "/refunds refund:ref_1",
	} {
		if !slices.Contains(w.keys, want) {
			t.Errorf("%s is not among %q", want, w.keys)
		}
	}
}

func TestMoney(t *testing.T) {
	for name, test := range map[string]struct {
		reason string
		money  platform.Money
		amount int64
	}{
		"DKK": {"two digits", platform.Money{Minor: 1234, Currency: "DKK"}, 1234},
		"JPY": {"none", platform.Money{Minor: 500, Currency: "JPY"}, 500},
		"KWD": {"three, the last of which is 0", platform.Money{Minor: 12340, Currency: "KWD"}, 12340},
		"ISK": {"none, written as two", platform.Money{Minor: 500, Currency: "ISK"}, 50000},
		"UGX": {"none, written as two", platform.Money{Minor: 500, Currency: "UGX"}, 50000},
		"MGA": {"two, written as none", platform.Money{Minor: 500, Currency: "MGA"}, 5},
	} {
		amount, currency, err := amountOf(test.money)
		if err != nil || amount != test.amount || currency != strings.ToLower(name) || moneyOf(amount, currency) != test.money {
			t.Errorf("%s, %s: got %d %s, %v", name, test.reason, amount, currency, err)
		}
	}
	for _, m := range []platform.Money{{Minor: 1, Currency: "dkk"}, {Minor: 1, Currency: ""}, {Minor: 1, Currency: "MGA"}, {Minor: 12345, Currency: "KWD"}} {
		if _, _, err := amountOf(m); platform.CodeOf(err) != platform.Invalid {
			t.Errorf("%+v: got %v", m, err)
		}
	}
}
