package stripe

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

// customersOf are the customers that are there, as ids and names.
func (w *world) customersNow() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for _, row := range w.raw("GET", "/v1/customers?limit=100", "").body["data"].([]any) {
		cus := row.(map[string]any)
		name, _ := cus["name"].(string)
		out[cus["id"].(string)] = name
	}
	return out
}

func TestApplyTwice(t *testing.T) {
	w := newWorld(t, false)
	s := acme()
	handle := w.apply(s)
	if diff := cmp.Diff(map[string]string{handle: "Acme A/S"}, w.customersNow()); diff != "" {
		t.Errorf("customers (-want +got)\n%s", diff)
	}
	calls := len(w.changing())
	for _, s.Handle = range []string{"", handle} {
		if again := w.apply(s); again != handle {
			t.Errorf("another handle: %s, then %s", handle, again)
		}
	}
	w.clock.Advance(100 * time.Hour) // the key is forgotten
	for _, s.Handle = range []string{"", handle} {
		if again := w.apply(s); again != handle {
			t.Errorf("another handle: %s, then %s", handle, again)
		}
	}
	if diff := cmp.Diff([]string{"POST /customers", "POST /customers/" + handle}, w.changing()); diff != "" || calls != 2 {
		t.Errorf("changing calls (-want +got)\n%s", diff)
	}
}

// TestApplySettled has a customer that is there for long: one call looks.
func TestApplySettled(t *testing.T) {
	w := newWorld(t, false)
	s := acme()
	s.Handle = w.apply(s)
	w.clock.Advance(100 * time.Hour)
	before := len(w.Stage().Calls())
	w.apply(s)
	if diff := cmp.Diff([]string{"GET /customers/" + s.Handle}, w.Stage().Calls()[before:]); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
}

func TestApplySkipsWhatIsNoTenant(t *testing.T) {
	w := newWorld(t, false)
	if _, err := w.Apply(t.Context(), platform.Step{}); !errors.Is(err, platform.ErrSkip) || len(w.Stage().Calls()) > 2 {
		t.Errorf("got %v and the calls %v", err, w.Stage().Calls())
	}
}

func TestApplyMends(t *testing.T) {
	for name, test := range map[string]struct {
		reason, change, name, tenant string
	}{
		"the name":    {"the tenant is called so", "name=Else", "Acme A/S", "ten_acme"},
		"the mark":    {"the handle is ours, whoever took the mark away", "metadata[tenant_id]=", "Acme A/S", "ten_acme"},
		"no company":  {"the company's name is on the invoices", "name=Acme Holding&metadata[company]=Acme Holding", "Acme Holding", "ten_acme"},
		"others' own": {"what is not ours stays", "metadata[vip]=yes", "Acme A/S", "ten_acme"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, false)
			s := acme()
			s.Handle = w.apply(s)
			w.raw("POST", "/v1/customers/"+s.Handle, test.change)
			if handle := w.apply(s); handle != s.Handle {
				t.Errorf("another handle: %s", handle)
			}
			got := w.raw("GET", "/v1/customers/"+s.Handle, "").body
			metadata := got["metadata"].(map[string]any)
			if got["name"] != test.name || metadata["tenant_id"] != test.tenant || strings.Contains(test.change, "vip") && metadata["vip"] != "yes" {
				t.Errorf("%s: got %v %v", test.reason, got["name"], metadata)
			}
		})
	}
}

func TestApplyRenamesBackAndForth(t *testing.T) {
	w := newWorld(t, false)
	handle := w.apply(acme())
	for _, name := range []string{"Beta", "Acme A/S", "Beta", "Acme A/S"} {
		s := tenant("ten_acme", name)
		s.Handle = handle
		w.apply(s)
		if got := w.customersNow()[handle]; got != name {
			t.Errorf("the name is %q, want %q: an old answer was given again", got, name)
		}
	}
}

func TestApplyAdoptsByTheMark(t *testing.T) {
	w := newWorld(t, false)
	w.raw("POST", "/v1/customers", "name=Other&metadata[tenant_id]=ten_other")
	ours := w.raw("POST", "/v1/customers", "name=Acme A/S&metadata[tenant_id]=ten_acme").id
	for range 250 {
		w.raw("POST", "/v1/customers", "name=x")
	}
	if handle := w.apply(acme()); handle != ours || len(w.customersNow()) != 100 {
		t.Errorf("the handle is %s, want %s on the third page", handle, ours)
	}
	if calls := w.changing(); slices.Contains(calls[252:], "POST /customers") {
		t.Errorf("one more was made: %v", calls[252:])
	}
}

func TestApplyMakesADeletedOneAnew(t *testing.T) {
	w := newWorld(t, false)
	s := acme()
	s.Handle = w.apply(s)
	for range 2 {
		w.raw("DELETE", "/v1/customers/"+s.Handle, "")
		handle := w.apply(s)
		if handle == s.Handle || len(w.customersNow()) != 1 {
			t.Errorf("the handle is %s: the key gives a deleted one back; %v", handle, w.customersNow())
		}
		s.Handle = handle
	}
	s.Handle = "cus_gone"
	w.apply(s)
	if len(w.customersNow()) != 1 {
		t.Errorf("customers %v", w.customersNow())
	}
}

func TestApplyRefusesOthers(t *testing.T) {
	w := newWorld(t, false)
	s := acme()
	s.Handle = w.raw("POST", "/v1/customers", "metadata[tenant_id]=ten_globex").id
	before := w.changing()
	_, err := w.Apply(t.Context(), s)
	if platform.CodeOf(err) != platform.Conflict || platform.CanPass(err) || len(w.changing()) != len(before) {
		t.Errorf("got %v", err)
	}
}

func TestApplyRemovesDoubles(t *testing.T) {
	for name, test := range map[string]struct {
		reason   string
		recorded int // which of the three is the handle, by its id; -1 is none
		used     int // which has a card
		left     int
	}{
		"none recorded": {"the smallest id stays", -1, -1, 1},
		"one recorded":  {"the recorded one stays", 2, -1, 1},
		"one is used":   {"what somebody uses stays too", 0, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, false)
			var ids []string
			for range 3 {
				ids = append(ids, w.raw("POST", "/v1/customers", "name=Acme A/S&metadata[tenant_id]=ten_acme").id)
			}
			slices.Sort(ids)
			s, want := acme(), ids[0]
			if test.recorded >= 0 {
				s.Handle, want = ids[test.recorded], ids[test.recorded]
			}
			if test.used >= 0 {
				w.raw("POST", "/v1/payment_methods/pm_card_visa/attach", "customer="+ids[test.used])
			}
			if handle := w.apply(s); handle != want || len(w.customersNow()) != test.left {
				t.Errorf("%s: the handle is %s, want %s; left %v", test.reason, handle, want, w.customersNow())
			}
		})
	}
}

// TestApplyCutOff cuts every call of an ensure off, one after the other, in every
// way: the next attempt ends with one customer (R7, R8).
func TestApplyCutOff(t *testing.T) {
	for name, fault := range faults() {
		for _, on := range []string{"GET /customers", "POST /customers", "GET /customers/", "POST /customers/"} {
			t.Run(name+" "+on, func(t *testing.T) {
				w := newWorld(t, false).cutting()
				fault.On = on
				w.Stage().Fail(fault)
				first, err := w.Apply(t.Context(), acme())
				if err == nil || !platform.CanPass(err) || platform.CodeOf(err) != platform.Unavailable {
					t.Fatalf("it is an error that can pass: %v", err)
				}
				if strings.Contains(err.Error(), "_secret_") || strings.Contains(err.Error(), "sk_live") {
					t.Errorf("a secret is in %v", err)
				}
				w.Stage().Heal()
				s := acme()
				s.Handle = first
				w.clock.Advance(30 * time.Hour) // no key helps any more
				handle := w.apply(s)
				if diff := cmp.Diff(map[string]string{handle: "Acme A/S"}, w.customersNow()); diff != "" {
					t.Errorf("customers (-want +got)\n%s", diff)
				}
			})
		}
	}
}

// TestApplyAfterAFailureThatIsKept has Stripe fail inside, which it remembers
// under the key for a day.
func TestApplyAfterAFailureThatIsKept(t *testing.T) {
	for name, after := range map[string]bool{"without the effect": false, "with the effect": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, false)
			w.Crash("POST /customers", after, 1)
			if _, err := w.Apply(t.Context(), acme()); !platform.CanPass(err) || platform.CodeOf(err) != platform.Unavailable {
				t.Errorf("got %v", err)
			}
			handle := w.apply(acme())
			if diff := cmp.Diff(map[string]string{handle: "Acme A/S"}, w.customersNow()); diff != "" {
				t.Errorf("customers (-want +got)\n%s", diff)
			}
		})
	}
}

// TestEnsureInParallel is the customer race (G-4).
func TestEnsureInParallel(t *testing.T) {
	w := newWorld(t, false)
	w.Stage().Hold()
	var all sync.WaitGroup
	handles := make([]string, 50)
	for i := range handles {
		all.Go(func() {
			var err error
			if handles[i], err = w.EnsureCustomer(t.Context(), *acme().Want.Tenant, ""); err != nil {
				t.Error(err)
			}
		})
	}
	for len(w.Stage().Calls()) < 10 {
		time.Sleep(time.Millisecond)
	}
	w.Stage().Release()
	all.Wait()
	for _, handle := range handles {
		if handle != handles[0] {
			t.Errorf("two handles: %s and %s", handle, handles[0])
		}
	}
	if now := w.customersNow(); len(now) != 1 {
		t.Errorf("customers %v", now)
	}
}

// TestEnsureWaitsForAnother has the key in use at first.
func TestEnsureWaitsForAnother(t *testing.T) {
	w := newWorld(t, false)
	w.Stage().Fail(stage.Fault{On: "POST /customers", Status: 409, Times: 2, Header: map[string]string{"Content-Type": "application/json"},
		Body: `{"error":{"type":"invalid_request_error","code":"idempotency_key_in_use"}}`})
	if _, err := w.EnsureCustomer(t.Context(), *acme().Want.Tenant, ""); err != nil {
		t.Error(err)
	}
}
