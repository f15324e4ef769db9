package stripe

import (
	"strings"
	"testing"
	"time"

	"github.com/dezky/platform/platform"
)

func (w *world) order(customer string) platform.SubscriptionOrder {
	return platform.SubscriptionOrder{ID: "sub_order", TenantID: "ten_acme", Customer: customer, Price: w.price, Seats: 7, Currency: "DKK"}
}

// subscribed is a customer with a card and a subscription that is paid for.
func (w *world) subscribed() (customer string, sub *platform.RemoteSubscription) {
	w.t.Helper()
	ctx := w.t.Context()
	customer = w.apply(acme())
	card := w.card(customer, "pm_card_visa")
	want(w.t.(*testing.T), "the card", w.SetDefaultCard(ctx, customer, card, "default"), "")
	sub, err := w.Subscribe(ctx, w.order(customer), "order")
	if err != nil || sub.Status != "incomplete" || sub.Confirm.IsZero() {
		w.t.Fatalf("got %+v, %v", sub, err)
	}
	in, err := w.PayInvoice(ctx, sub.LatestInvoice, "pay")
	if err != nil || in.Status != "paid" || in.AmountPaid != dkk(70000) || in.Charge == "" {
		w.t.Fatalf("got %+v, %v", in, err)
	}
	if sub, err = w.RemoteSubscription(ctx, customer, sub.ID); err != nil || sub.Status != "active" {
		w.t.Fatalf("got %+v, %v", sub, err)
	}
	return customer, sub
}

func TestSubscription(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	customer, sub := w.subscribed()
	if sub.Seats != 7 || sub.Price != w.price || sub.OrderID != "sub_order" || sub.Customer != customer || !sub.PeriodEnd.Equal(start.AddDate(0, 1, 0)) {
		t.Errorf("got %+v", sub)
	}
	calls := len(w.changing())
	if again, err := w.Subscribe(ctx, w.order(customer), "another key"); err != nil || again.ID != sub.ID || len(w.changing()) != calls {
		t.Errorf("the order is there: got %+v, %v", again, err)
	}
	w.clock.Advance(14 * 24 * time.Hour)
	nine := platform.SubscriptionChange{Seats: 9}
	preview, err := w.PreviewChange(ctx, customer, sub.ID, nine)
	if err != nil || preview.ID != "" || len(preview.Lines) != 3 || preview.Total.Minor <= 90000 || preview.Total.Minor >= 110000 {
		t.Errorf("got %+v, %v", preview, err)
	}
	if len(w.changing()) != calls {
		t.Errorf("a preview changes nothing: %v", w.changing()[calls:])
	}
	changed, err := w.ChangeSubscription(ctx, customer, sub.ID, nine, "seats:1")
	if err != nil || changed.Seats != 9 || changed.Price != w.price {
		t.Errorf("got %+v, %v", changed, err)
	}
	calls = len(w.changing())
	if _, err := w.ChangeSubscription(ctx, customer, sub.ID, nine, "seats:2"); err != nil || len(w.changing()) != calls {
		t.Errorf("it is so already: %v", err)
	}
	_, err = w.ChangeSubscription(ctx, "cus_other", sub.ID, platform.SubscriptionChange{Seats: 1}, "seats:3")
	want(t, "another's", err, platform.NotFound)
	w.clock.Advance(20 * 24 * time.Hour)
	next, err := w.RemoteSubscription(ctx, customer, sub.ID)
	if err != nil || !next.PeriodStart.Equal(sub.PeriodEnd.Time) || next.Status != "active" {
		t.Errorf("got %+v, %v", next, err)
	}
	in, err := w.RemoteInvoice(ctx, next.LatestInvoice)
	if err != nil || in.Status != "paid" || in.Total != preview.Total || len(in.Lines) != 3 || !in.Lines[0].Proration || in.Lines[0].Amount.Minor >= 0 {
		t.Errorf("got %+v, %v", in, err)
	}
}

func TestSubscriptionPlanChange(t *testing.T) {
	w := newWorld(t, false)
	customer, sub := w.subscribed()
	w.clock.Advance(10 * 24 * time.Hour)
	sub, err := w.ChangeSubscription(t.Context(), customer, sub.ID, platform.SubscriptionChange{Price: w.year, BillNow: true}, "plan")
	if err != nil || sub.Seats != 7 || sub.Price != w.year || !sub.PeriodStart.Equal(start.Add(10*24*time.Hour)) {
		t.Errorf("the seats stay, and the year begins now: got %+v, %v", sub, err)
	}
	in, err := w.RemoteInvoice(t.Context(), sub.LatestInvoice)
	if err != nil || in.Status != "paid" || in.Total.Minor <= 600000 || in.Total.Minor >= 700000 {
		t.Errorf("got %+v, %v", in, err)
	}
}

func TestSubscriptionTrial(t *testing.T) {
	w := newWorld(t, false)
	customer := w.apply(acme())
	order := w.order(customer)
	order.TrialDays = 14
	sub, err := w.Subscribe(t.Context(), order, "k")
	if err != nil || sub.Status != "trialing" || sub.Confirm.IsZero() || !strings.HasPrefix(sub.Confirm.Reveal(), "seti_") {
		t.Fatalf("got %+v, %v", sub, err)
	}
	again, err := w.Subscribe(t.Context(), order, "k")
	if err != nil || again.Confirm != sub.Confirm || again.ID != sub.ID {
		t.Errorf("the person can still finish: got %+v, %v", again, err)
	}
}

func TestSubscriptionCancel(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	customer, sub := w.subscribed()
	for i, test := range []struct {
		reason string
		at     platform.CancelAt
		atEnd  bool
		status string
		calls  int
	}{
		{"it ends when it is used up", platform.CancelAtPeriodEnd, true, "active", 1},
		{"it is so already", platform.CancelAtPeriodEnd, true, "active", 0},
		{"it goes on", platform.CancelAtNever, false, "active", 1},
		{"it ends now", platform.CancelAtOnce, false, "canceled", 1},
		{"it has ended", platform.CancelAtOnce, false, "canceled", 0},
		{"it has ended", platform.CancelAtPeriodEnd, false, "canceled", 0},
	} {
		calls := len(w.changing())
		got, err := w.CancelSubscription(ctx, customer, sub.ID, test.at, string(rune('a'+i)))
		if err != nil || got.Status != test.status || got.CancelAtPeriodEnd != test.atEnd || len(w.changing())-calls != test.calls {
			t.Errorf("%s: got %+v, %v; %v", test.reason, got, err, w.changing()[calls:])
		}
	}
	_, err := w.CancelSubscription(ctx, customer, sub.ID, platform.CancelAtNever, "z")
	want(t, "what has ended does not go on", err, platform.Conflict)
	_, err = w.ChangeSubscription(ctx, customer, sub.ID, platform.SubscriptionChange{Seats: 2}, "y")
	want(t, "what has ended is not changed", err, platform.Conflict)
	_, err = w.CancelSubscription(ctx, "cus_other", sub.ID, platform.CancelAtOnce, "x")
	want(t, "another's", err, platform.NotFound)
}

func TestDefaultCardReachesSubscriptions(t *testing.T) {
	w := newWorld(t, false)
	customer, sub := w.subscribed()
	card := w.card(customer, "pm_card_chargeCustomerFail")
	want(t, "another card", w.SetDefaultCard(t.Context(), customer, card, "k"), "")
	w.clock.Advance(32 * 24 * time.Hour)
	w.Tick()
	got, err := w.RemoteSubscription(t.Context(), customer, sub.ID)
	if err != nil || got.Status != "past_due" {
		t.Errorf("the new card is the one that is charged: got %+v, %v", got, err)
	}
	_, err = w.PayInvoice(t.Context(), got.LatestInvoice, "pay again")
	if platform.CodeOf(err) != platform.Invalid || platform.MessageOf(err) != "Your card was declined." {
		t.Errorf("got %v", err)
	}
	_, err = w.PayInvoice(t.Context(), got.LatestInvoice, "pay again")
	want(t, "the answer is kept", err, platform.Invalid)
	want(t, "a good card", w.SetDefaultCard(t.Context(), customer, w.card(customer, "pm_card_visa"), "k2"), "")
	in, err := w.PayInvoice(t.Context(), got.LatestInvoice, "pay once more")
	if err != nil || in.Status != "paid" {
		t.Errorf("got %+v, %v", in, err)
	}
	calls := len(w.changing())
	if _, err = w.PayInvoice(t.Context(), got.LatestInvoice, "and again"); err != nil || len(w.changing()) != calls {
		t.Errorf("it is paid: %v", err)
	}
}
