package standin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	stripe "github.com/dezky/platform/integrations/stripe"
	"github.com/dezky/platform/integrations/stripe/standin"
	"github.com/dezky/platform/platform"
)

// TestEvents delivers to an endpoint twice, backwards, and after a restart.
func TestEvents(t *testing.T) {
	w := newWorld(t)
	secret := platform.NewSecret("whsec_test")
	var mu sync.Mutex
	var got []string
	refuse := true
	endpoint := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		event, err := stripe.ParseWebhook(r.Header.Get("Stripe-Signature"), body, []platform.Secret{secret}, false, w.clock.Now())
		if err != nil || event.ObjectKind != "customer" {
			t.Errorf("got %+v, %v", event, err)
		}
		got = append(got, event.Type)
		if refuse {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer endpoint.Close()
	to := standin.Endpoint{URL: endpoint.URL, Secret: secret}
	id := w.ok("POST", "/customers", "name=A").id()
	w.ok("POST", "/customers/"+id, "name=B")
	if err := w.Deliver(t.Context(), to, nil); err == nil {
		t.Error("a refusal is an error")
	}
	w.restart()
	refuse = false
	twiceBackwards := func(ids []string) []string {
		slices.Reverse(ids)
		return append(ids, ids...)
	}
	if err := w.Deliver(t.Context(), to, twiceBackwards); err != nil {
		t.Error(err)
	}
	if err := w.Deliver(t.Context(), to, nil); err != nil {
		t.Error(err)
	}
	c, u := "customer.created", "customer.updated"
	if diff := cmp.Diff([]string{c, u, u, c, u, c}, got); diff != "" {
		t.Error(diff)
	}
	events := w.Events()
	if len(events) != 2 || events[0].Object != id || events[0].Type != c {
		t.Errorf("got %v", events)
	}
	if _, _, err := w.Signed("evt_x", secret); err == nil {
		t.Error("there is no such event")
	}
}

// TestRun sends events by itself.
func TestRun(t *testing.T) {
	w := newWorld(t)
	got := make(chan string, 10)
	endpoint := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Stripe-Signature") }))
	defer endpoint.Close()
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	running.Go(func() { w.Run(t.Context(), standin.Endpoint{URL: endpoint.URL, Secret: platform.NewSecret("s")}) })
	w.ok("POST", "/customers", "")
	if header := <-got; !strings.HasPrefix(header, "t=") {
		t.Errorf("got %q", header)
	}
}
