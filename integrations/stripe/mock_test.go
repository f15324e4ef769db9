package stripe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-mock/embedded"

	"github.com/dezky/platform/platform"
)

// TestMain ends Stripe's mock, if a test has started it.
func TestMain(m *testing.M) {
	code := m.Run()
	endMock()
	os.Exit(code)
}

// endMock is replaced when the mock is started.
var endMock = func() {}

// mock starts Stripe's own mock, once, and answers with its address. It has no
// state: it knows whether a request is one of the API of 2023-10-16, and that
// alone. It opens HTTPS on all interfaces unless it is told where.
var mock = sync.OnceValues(func() (string, error) {
	path, err := exec.Command("go", "tool", "-n", "stripe-mock").Output()
	if err != nil {
		return "", fmt.Errorf("build stripe-mock: %w", err)
	}
	plain, secure := freeAddress(), freeAddress()
	// The shell ends the mock when its input ends, however this process does.
	command := exec.Command("sh", "-c", `"$0" "$@" & read end; kill $!`,
		strings.TrimSpace(string(path)), "-http-addr", plain, "-https-addr", secure)
	input, err := command.StdinPipe()
	if err != nil {
		return "", err
	}
	if err := command.Start(); err != nil {
		return "", fmt.Errorf("start stripe-mock: %w", err)
	}
	endMock = func() {
		input.Close()
		command.Wait()
	}
	for range 500 {
		if conn, err := net.Dial("tcp", plain); err == nil {
			conn.Close()
			return "http://" + plain, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return "", errors.New("stripe-mock does not start")
})

func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// checkRequest asks Stripe's mock whether a request that the stand-in took is one
// that Stripe would understand.
func checkRequest(r *http.Request, res *http.Response) error {
	url, err := mock()
	if err != nil || res.StatusCode != http.StatusOK || r.Context().Err() != nil {
		return nil
	}
	var body io.Reader
	if r.GetBody != nil {
		if body, err = r.GetBody(); err != nil {
			return err
		}
	}
	status, answer := ask(r.Context(), url, r.Method, r.URL.RequestURI(), body)
	if status != http.StatusOK && status != 0 {
		return fmt.Errorf("Stripe's mock says %d to %s %s: %s", status, r.Method, r.URL, answer)
	}
	return nil
}

// ask sends a request, and answers 0 if that could not be done.
func ask(ctx context.Context, url, method, target string, body io.Reader) (int, string) {
	r, err := http.NewRequestWithContext(ctx, method, url+target, body)
	if err != nil {
		return 0, ""
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if method == http.MethodPost {
		r.Header.Set("Idempotency-Key", fresh("test"))
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, ""
	}
	return res.StatusCode, string(answer)
}

// rawAnswer is an answer to a request that the client does not make.
type rawAnswer struct {
	status int
	id     string
	body   map[string]any
}

// raw asks the stand-in.
func (w *world) raw(method, target, body string) rawAnswer {
	w.t.Helper()
	status, text := ask(w.t.Context(), w.url, method, target, strings.NewReader(body))
	out := rawAnswer{status: status}
	if err := json.Unmarshal([]byte(text), &out.body); err != nil {
		w.t.Fatalf("%s %s: %d %s", method, target, status, text)
	}
	out.id, _ = out.body["id"].(string)
	return out
}

// TestMock says whether the mock is there, and has it and the stand-in refuse the
// same.
func TestMock(t *testing.T) {
	url, err := mock()
	if err != nil {
		t.Skip("Stripe's mock cannot be built here, so requests were not held against it:", err)
	}
	w := newWorld(t, false)
	for name, test := range map[string]struct{ method, target, body string }{
		"unknown parameter":           {"POST", "/v1/customers", "colour=red"},
		"subscription of nobody":      {"POST", "/v1/subscriptions", "items[0][price]=" + w.price},
		"transfer to nobody":          {"POST", "/v1/transfers", "currency=dkk&amount=5"},
		"amount that is no number":    {"POST", "/v1/transfers", "currency=dkk&destination=acct_1&amount=ten"},
		"usage that there is not":     {"POST", "/v1/setup_intents", "usage=sometimes"},
		"tax id without a value":      {"POST", "/v1/customers/cus_1/tax_ids", "type=eu_vat"},
		"tax id of no kind":           {"POST", "/v1/customers/cus_1/tax_ids", "type=vat&value=1"},
		"unknown parameter of a list": {"GET", "/v1/customers?metadata[tenant_id]=x", ""},
		"proration that there is not": {"POST", "/v1/subscriptions/sub_1", "proration_behavior=perhaps"},
	} {
		t.Run(name, func(t *testing.T) {
			theirs, text := ask(t.Context(), url, test.method, test.target, strings.NewReader(test.body))
			ours := w.raw(test.method, test.target, test.body)
			if theirs != 400 || ours.status != 400 && ours.status != 404 {
				t.Errorf("the mock says %d, the stand-in %d\n%s\n%v", theirs, ours.status, text, ours.body)
			}
		})
	}
}

// TestEveryOperation makes every call that the client can make, each of which the
// mock has to understand, and each of whose answers is as Stripe describes it.
func TestEveryOperation(t *testing.T) {
	if _, err := mock(); err != nil {
		t.Skip("Stripe's mock cannot be built here:", err)
	}
	w := newWorld(t, false)
	ctx := t.Context()
	customer, sub := w.subscribed()
	if err := w.AddAccount("acct_1", "DK"); err != nil {
		t.Fatal(err)
	}
	other := w.card(customer, "pm_card_mastercard")
	transfer := platform.TransferOrder{LedgerID: "led_1", Group: "g", Account: "acct_1", Amount: dkk(500)}
	refund := platform.RefundOrder{ID: "ref_1", Invoice: sub.LatestInvoice, Amount: dkk(5)}
	double := w.raw("POST", "/v1/customers", "metadata[tenant_id]=ten_acme").id
	for name, do := range map[string]func() error{
		"probe":      func() error { return w.Probe(ctx) },
		"customer":   func() error { s := acme(); s.Handle = customer; _, err := w.Apply(ctx, s); return err },
		"billing":    func() error { return w.UpdateBilling(ctx, customer, billing(), "b") },
		"no billing": func() error { return w.UpdateBilling(ctx, customer, platform.Billing{}, "n") },
		"cards":      func() error { _, err := w.Cards(ctx, customer); return err },
	} {
		if err := do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.UpdateBilling(ctx, customer, platform.Billing{}, "n2"); err != nil {
		t.Error(err)
	}
	if a := w.raw("GET", "/v1/customers/"+double, ""); a.body["deleted"] != true {
		t.Errorf("the double is there: %v", a.body)
	}
	w.clock.Advance(24 * time.Hour)
	for _, do := range []func() error{
		func() error { return w.SetDefaultCard(ctx, customer, other, "d") },
		func() error { return w.RemoveCard(ctx, customer, other, "r") },
		func() error {
			_, err := w.PreviewChange(ctx, customer, sub.ID, platform.SubscriptionChange{Seats: 9, Price: w.year, BillNow: true})
			return err
		},
		func() (err error) {
			for seats := int64(8); seats < 16 && err == nil; seats++ {
				_, err = w.ChangeSubscription(ctx, customer, sub.ID, platform.SubscriptionChange{Seats: seats}, fresh("seats"))
			}
			return err
		},
		func() error {
			_, err := w.PreviewChange(ctx, customer, sub.ID, platform.SubscriptionChange{Seats: 20})
			return err
		},
		func() error {
			_, err := w.CancelSubscription(ctx, customer, sub.ID, platform.CancelAtPeriodEnd, "end")
			return err
		},
		func() error {
			_, err := w.CancelSubscription(ctx, customer, sub.ID, platform.CancelAtNever, "never")
			return err
		},
		func() error {
			_, err := w.CancelSubscription(ctx, customer, sub.ID, platform.CancelAtOnce, "once")
			return err
		},
		func() error {
			_, err := w.InvoicesSince(ctx, customer, platform.At(start), sub.LatestInvoice)
			return err
		},
		func() error { _, err := w.Refund(ctx, refund); return err },
		func() (err error) {
			made, err := w.Transfer(ctx, transfer)
			if err == nil {
				_, err = w.ReverseTransfer(ctx, made.ID, dkk(5), "led_2")
			}
			return err
		},
		func() error {
			order := w.order(customer)
			order.ID, order.TrialDays = "sub_two", 0
			two, err := w.Subscribe(ctx, order, "two")
			if err == nil {
				_, err = w.Subscribe(ctx, order, "two")
			}
			if err == nil {
				_, err = w.VoidInvoice(ctx, two.LatestInvoice, "void")
			}
			return err
		},
		func() error {
			for _, in := range w.raw("GET", "/v1/invoices?limit=100", "").body["data"].([]any) {
				if _, err := w.RemoteInvoice(ctx, in.(map[string]any)["id"].(string)); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		if err := do(); err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"DELETE customers/*", "DELETE customers/*/tax_ids/*", "DELETE subscriptions/*",
		"GET balance", "GET customers", "GET customers/*", "GET customers/*/payment_methods", "GET customers/*/tax_ids",
		"GET invoices", "GET invoices/*", "GET invoices/*/lines", "GET invoices/upcoming", "GET invoices/upcoming/lines",
		"GET payment_methods/*", "GET refunds", "GET subscriptions", "GET subscriptions/*", "GET transfers", "GET transfers/*", "GET transfers/*/reversals",
		"POST customers", "POST customers/*", "POST customers/*/tax_ids", "POST invoices/*/pay", "POST invoices/*/void",
		"POST payment_methods/*/detach", "POST refunds", "POST setup_intents", "POST subscriptions", "POST subscriptions/*", "POST transfers", "POST transfers/*/reversals",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(w.held))); diff != "" {
		t.Errorf("operations (-want +got)\n%s", diff)
	}
}

// TestClientReadsTheMock has the client read what Stripe's own examples look
// like, as far as the mock's examples fit together.
func TestClientReadsTheMock(t *testing.T) {
	url, err := mock()
	if err != nil {
		t.Skip("Stripe's mock cannot be built here:", err)
	}
	c := New(url, platform.NewSecret(secret), http.DefaultTransport, platform.NewSystemClock())
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"probe":   func() error { return c.Probe(ctx) },
		"set up":  func() error { _, err := c.SetUpCard(ctx, "cus_1", "k"); return err },
		"cards":   func() error { _, err := c.Cards(ctx, "cus_1"); return err },
		"billing": func() error { return c.UpdateBilling(ctx, "cus_1", billing(), "k") },
		"subscribe": func() error {
			_, err := c.Subscribe(ctx, platform.SubscriptionOrder{ID: "sub_1", Customer: "cus_1", Price: "price_1", Seats: 2, Currency: "DKK", TrialDays: 3}, "k")
			return err
		},
		"invoices": func() error { _, err := c.InvoicesSince(ctx, "cus_1", platform.At(start), "in_0"); return err },
		"invoice":  func() error { _, err := c.RemoteInvoice(ctx, "in_1"); return err },
		"transfer": func() error {
			if _, err := c.TransferOf(ctx, "g", "led_1"); platform.CodeOf(err) != platform.NotFound {
				return fmt.Errorf("the example is not ours: %w", err)
			}
			return nil
		},
		"reversal": func() error {
			_, err := c.ReverseTransfer(ctx, "tr_1", platform.Money{Minor: 5, Currency: "USD"}, "led_1")
			return err
		},
		"balance": func() error {
			if err := c.affords(ctx, 1<<40, "usd"); platform.CodeOf(err) != platform.Conflict {
				return fmt.Errorf("it is not that rich: %w", err)
			}
			return nil
		},
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// specification is Stripe's own description of its API, which its mock brings
// along.
var specification = sync.OnceValues(func() (*openapi3.T, error) {
	return openapi3.NewLoader().LoadFromData(embedded.OpenAPISpec)
})

// checkAnswer holds an answer of the stand-in against the description. Answers
// that are wrong on purpose are none of 200 or no JSON.
func checkAnswer(r *http.Request, res *http.Response) error {
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Request-Id"), "req_") {
		return nil
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), broken{err}))
		return nil
	}
	doc, err := specification()
	if err != nil {
		return err
	}
	var answer any
	if json.Unmarshal(body, &answer) != nil {
		return nil
	}
	schema := schemaOf(doc, r.Method, r.URL.Path)
	if schema == nil {
		return fmt.Errorf("%s %s is not in Stripe's description", r.Method, r.URL.Path)
	}
	if err := schema.VisitJSON(answer); err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	return nil
}

// broken is the end of a body that was cut off.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// schemaOf is what a call is answered with.
func schemaOf(doc *openapi3.T, method, path string) *openapi3.Schema {
	var found *openapi3.Operation
	for pattern, item := range doc.Paths.Map() {
		if matchesPath(pattern, path) && item.GetOperation(method) != nil && (found == nil || !strings.Contains(pattern, "{")) {
			found = item.GetOperation(method)
			if !strings.Contains(pattern, "{") {
				break
			}
		}
	}
	if found == nil {
		return nil
	}
	return found.Responses.Value("200").Value.Content.Get("application/json").Schema.Value
}

func matchesPath(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if !strings.HasPrefix(want[i], "{") && want[i] != got[i] {
			return false
		}
	}
	return true
}

// TestSpecificationCatches makes sure that the check itself is one.
func TestSpecificationCatches(t *testing.T) {
	doc, err := specification()
	if err != nil {
		t.Fatal(err)
	}
	schema := schemaOf(doc, "GET", "/v1/transfers/tr_1")
	whole := `{"id":"tr_1","object":"transfer","amount":1,"amount_reversed":0,"created":1,"currency":"dkk","livemode":false,"metadata":{},"reversed":false,"reversals":{"object":"list","data":[],"has_more":false,"url":"/v1"}}`
	for name, test := range map[string]struct {
		body   string
		caught bool
	}{
		"right":          {whole, false},
		"amount is text": {strings.Replace(whole, `"amount":1`, `"amount":"1"`, 1), true},
		"no currency":    {strings.Replace(whole, `"currency":"dkk",`, "", 1), true},
	} {
		var body any
		if err := json.Unmarshal([]byte(test.body), &body); err != nil {
			t.Fatal(err)
		}
		if err := schema.VisitJSON(body); (err != nil) != test.caught {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
