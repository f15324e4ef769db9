package stripe

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/integrations/stripe/standin"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

const secret = "sk_test_aKeyThatNobodyMayRead"

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock stands still, but for deadlines, which are real.
type clock struct{ *clocktest.Clock }

func (clock) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

func (clock) Sleep(ctx context.Context, d time.Duration) error {
	return platform.NewSystemClock().Sleep(ctx, d)
}

// world is a Stripe and a client of it. Every request is held against what a
// request must have, and, as every answer, against Stripe's own description.
type world struct {
	*standin.Server
	*Client
	t     testing.TB
	clock *clocktest.Clock
	url   string
	price string // of one seat, 100 kroner a month
	year  string // of one seat, 1,000 kroner a year
	wire  *http.Transport

	mu     sync.Mutex
	broken []string
	keys   []string        // of the calls that make something, with their paths
	held   map[string]bool // the operations that Stripe's description and mock have taken
}

// newWorld makes a world. Deadlines are those of the held clock if it is held.
func newWorld(t testing.TB, held bool) *world {
	t.Helper()
	w := &world{t: t, clock: clocktest.New(start), held: map[string]bool{}}
	server, err := standin.New(standin.Options{Key: platform.NewSecret(secret), Restricted: platform.NewSecret("rk_test_mayDoNothing"), Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	host := httptest.NewServer(server)
	t.Cleanup(host.Close)
	t.Cleanup(server.Stage().Release)
	w.Server, w.url = server, host.URL
	var c platform.Clock = clock{w.clock}
	if held {
		c = w.clock
	}
	w.Client = New(host.URL+"/", platform.NewSecret(secret), w.transport(!held), c)
	w.price = w.raw("POST", "/v1/prices", "currency=dkk&unit_amount=10000&recurring[interval]=month&product_data[name]=Seat&currency_options[eur][unit_amount]=1300&lookup_key=seat_month").id
	w.year = w.raw("POST", "/v1/prices", "currency=dkk&unit_amount=100000&recurring[interval]=year&product_data[name]=Seat").id
	t.Cleanup(func() {
		for _, line := range w.broken {
			t.Error(line)
		}
	})
	return w
}

type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

// transport watches over the fences: a key for every change, a deadline and the
// pinned version for every call.
func (w *world) transport(deadlines bool) http.RoundTripper {
	inner := &http.Transport{}
	w.wire = inner
	w.t.Cleanup(inner.CloseIdleConnections)
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost && r.Header.Get("Idempotency-Key") == "" {
			w.wrong("%s %s has no idempotency key", r)
		}
		w.note(r)
		if until, ok := r.Context().Deadline(); deadlines && (!ok || time.Until(until) > 15*time.Second) {
			w.wrong("%s %s has no deadline of 15 seconds", r)
		}
		if r.Header.Get("Stripe-Version") != "2023-10-16" || r.Header.Get("X-Stripe-Client-Telemetry") != "" {
			w.wrong("%s %s has the wrong version, or telemetry", r)
		}
		res, err := inner.RoundTrip(r)
		if err == nil {
			w.hold(r, res)
		}
		return res, err
	})
}

func (w *world) note(r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		w.keys = append(w.keys, strings.TrimPrefix(r.URL.Path, "/v1")+" "+key)
	}
}

func (w *world) wrong(format string, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = append(w.broken, strings.NewReplacer("%s %s", r.Method+" "+r.URL.Path).Replace(format))
}

// hold holds a call against Stripe's description, where that is at hand.
func (w *world) hold(r *http.Request, res *http.Response) {
	if err := errors.Join(checkAnswer(r, res), checkRequest(r, res)); err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.broken = append(w.broken, err.Error())
	}
	if res.StatusCode != http.StatusOK {
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	for i := 1; i < len(parts); i += 2 {
		if parts[i] != "upcoming" {
			parts[i] = "*"
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held[r.Method+" "+strings.Join(parts, "/")] = true
}

// changing are the calls so far that could have changed something, without those
// that made the world.
func (w *world) changing() []string {
	calls := []string{}
	for _, call := range w.Stage().Calls()[2:] {
		if !strings.HasPrefix(call, "GET ") {
			calls = append(calls, call)
		}
	}
	return calls
}

func tenant(id platform.ID, name string) platform.Step {
	return platform.Step{Subject: id, Want: platform.Want{Tenant: &platform.TenantWant{ID: id, Slug: "acme", Name: name}}}
}

func acme() platform.Step { return tenant("ten_acme", "Acme A/S") }

// apply applies a step, which must be carried out.
func (w *world) apply(s platform.Step) string {
	w.t.Helper()
	handle, err := w.Apply(w.t.Context(), s)
	if err != nil || handle == "" {
		w.t.Fatalf("got %q, %v", handle, err)
	}
	return handle
}

// cutting makes every call one of its own connection. On one that was used before
// net/http sends a call with an idempotency key again by itself.
func (w *world) cutting() *world {
	w.wire.DisableKeepAlives = true
	return w
}

// faults are all ways in which a call can go wrong, each for one call.
func faults() map[string]stage.Fault {
	html := map[string]string{"Content-Type": "text/html"}
	js := map[string]string{"Content-Type": "application/json"}
	return map[string]stage.Fault{
		"500":           {Kind: stage.Answer, Status: 500, Header: js, Body: `{"error":{"type":"api_error"}}`, Times: 1},
		"502 HTML":      {Kind: stage.Answer, Status: 502, Header: html, Body: "<html>sk_live_x</html>", Times: 1},
		"429":           {Kind: stage.Answer, Status: 429, Header: map[string]string{"Retry-After": "7"}, Body: "{}", Times: 1},
		"reset":         {Kind: stage.Reset, Times: 1},
		"lost":          {Kind: stage.Lost, Times: 1},
		"half":          {Kind: stage.Half, Times: 1},
		"flood":         {Kind: stage.Flood, Times: 1},
		"HTML":          {Kind: stage.Answer, Status: 200, Header: html, Body: "<html>", Times: 1},
		"empty":         {Kind: stage.Answer, Status: 200, Header: js, Times: 1},
		"null":          {Kind: stage.Answer, Status: 200, Header: js, Body: "null", Times: 1},
		"an array":      {Kind: stage.Answer, Status: 200, Header: js, Body: "[]", Times: 1},
		"another kind":  {Kind: stage.Answer, Status: 200, Header: js, Body: `{"id":"po_1","object":"payout"}`, Times: 1},
		"no id":         {Kind: stage.Answer, Status: 200, Header: js, Body: `{"object":"customer"}`, Times: 1},
		"null rows":     {Kind: stage.Answer, Status: 200, Header: js, Body: `{"object":"list","data":[null],"has_more":true}`, Times: 1},
		"another shape": {Kind: stage.Answer, Status: 200, Header: js, Body: `{"id":"cus_1","object":"customer","metadata":[1],"client_secret":"seti_1_secret_2"}`, Times: 1},
	}
}

func TestProbe(t *testing.T) {
	w := newWorld(t, false)
	if err := w.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	for name, key := range map[string]string{"wrong": "sk_test_anotherKeyOfSomebody", "restricted": "rk_test_mayDoNothing"} {
		c := New(w.url, platform.NewSecret(key), w.transport(true), clock{w.clock})
		err := c.Probe(t.Context())
		if platform.CodeOf(err) != platform.Unavailable || platform.CanPass(err) || strings.Contains(err.Error(), key[:8]) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestErrors has Stripe refuse in all its ways.
func TestErrors(t *testing.T) {
	for name, test := range map[string]struct {
		reason  string
		status  int
		header  map[string]string
		body    string
		code    platform.Code
		canPass bool
		message string
	}{
		"400":  {"our request is wrong", 400, nil, `{"type":"invalid_request_error","code":"parameter_unknown","param":"x","message":"Received unknown parameter: x"}`, platform.Unavailable, false, "The payment service refused what we asked."},
		"401":  {"our key is wrong", 401, nil, `{"type":"invalid_request_error","message":"Invalid API Key provided: sk_test_*****Read"}`, platform.Unavailable, false, "The payment service does not accept our credentials."},
		"403":  {"our key may not do it", 403, nil, `{"type":"invalid_request_error","message":"no"}`, platform.Unavailable, false, "The payment service does not accept our credentials."},
		"402":  {"the person can take another card", 402, nil, `{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","message":"Your card has insufficient funds."}`, platform.Invalid, false, "Your card has insufficient funds."},
		"404":  {"it is not there", 404, nil, `{"type":"invalid_request_error","code":"resource_missing","param":"id","message":"No such customer: 'cus_x'"}`, platform.NotFound, false, "The payment service does not have it."},
		"404p": {"our address is wrong", 404, nil, `{"type":"invalid_request_error","message":"Unrecognized request URL"}`, platform.Unavailable, false, "The payment service refused what we asked."},
		"409":  {"another call is under way", 409, nil, `{"type":"invalid_request_error","code":"idempotency_key_in_use","message":"x"}`, platform.Unavailable, true, "The payment service cannot do it right now."},
		"lock": {"another call has the object", 429, map[string]string{"Retry-After": "3"}, `{"type":"invalid_request_error","code":"lock_timeout","message":"x"}`, platform.Unavailable, true, "The payment service cannot do it right now."},
		"429":  {"we are too many", 429, map[string]string{"Retry-After": "3"}, `{"type":"invalid_request_error","code":"rate_limit","message":"x"}`, platform.Unavailable, true, "The payment service cannot do it right now."},
		"key":  {"we said something else under the key", 400, nil, `{"type":"idempotency_error","message":"Keys for idempotent requests"}`, platform.Internal, false, "Something went wrong on our side."},
		"500":  {"it is mended", 500, nil, `{"type":"api_error","message":"x"}`, platform.Unavailable, true, "The payment service cannot do it right now."},
		"says": {"Stripe knows best", 400, map[string]string{"Stripe-Should-Retry": "true"}, `{"type":"invalid_request_error"}`, platform.Unavailable, true, "The payment service cannot do it right now."},
		"poor": {"customers will pay", 400, nil, `{"type":"invalid_request_error","code":"balance_insufficient"}`, platform.Conflict, true, "There is not enough money to move yet."},
		"mode": {"a test key in production must make nothing", 404, nil, `{"type":"invalid_request_error","code":"resource_missing","param":"id","message":"No such customer: 'cus_x'; a similar object exists in live mode, but a test mode key was used to make this request."}`, platform.Unavailable, false, "The payment service's key is of the other mode."},
		"bank": {"the person can confirm", 402, nil, `{"type":"card_error","code":"invoice_payment_intent_requires_action","message":"see https://stripe.com/docs"}`, platform.Invalid, false, "The bank wants you to confirm this payment."},
		"302":  {"our address is wrong", 302, map[string]string{"Location": "/v1/elsewhere"}, `{}`, platform.Unavailable, false, "The payment service sends us elsewhere, which we do not follow."},
		"odd":  {"nothing is known", 400, nil, `7`, platform.Unavailable, false, "The payment service refused what we asked."},
		"leak": {"no secret is logged", 400, nil, `{"type":"invalid_request_error","message":"` + secret + ` seti_1A_secret_2b 4242 4242 4242 4242 whsec_x"}`, platform.Unavailable, false, "The payment service refused what we asked."},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, false)
			header := map[string]string{"Content-Type": "application/json", "Request-Id": "req_seen"}
			for key, value := range test.header {
				header[key] = value
			}
			w.Stage().Fail(stage.Fault{Status: test.status, Header: header, Body: `{"error":` + test.body + `}`})
			_, err := w.SetUpCard(t.Context(), "cus_1", "key")
			if platform.CodeOf(err) != test.code || platform.CanPass(err) != test.canPass || platform.MessageOf(err) != test.message {
				t.Errorf("%s\ngot %v, can pass: %t", test.reason, err, platform.CanPass(err))
			}
			if test.header["Retry-After"] != "" && platform.RetryAfter(err) != 3*time.Second {
				t.Errorf("after %s", platform.RetryAfter(err))
			}
			if !strings.Contains(err.Error(), "req_seen") {
				t.Errorf("the request's id is for the log: %v", err)
			}
			for _, hidden := range []string{secret, "sk_test", "_secret_2b", "4242", "whsec_x"} {
				if strings.Contains(err.Error(), hidden) {
					t.Errorf("%s is in %v", hidden, err)
				}
			}
			if n := len(w.changing()); n != 1 {
				t.Errorf("%d calls, want 1", n)
			}
		})
	}
}

// TestFences has calls that must not be made.
func TestFences(t *testing.T) {
	w := newWorld(t, false)
	for name, call := range map[string]func() error{
		"no key":         func() error { _, err := w.SetUpCard(t.Context(), "cus_1", " "); return err },
		"a key too long": func() error { _, err := w.SetUpCard(t.Context(), "cus_1", strings.Repeat("k", 251)); return err },
		"no id":          func() error { _, err := w.RemoteInvoice(t.Context(), ""); return err },
		"no seats": func() error {
			_, err := w.Subscribe(t.Context(), platform.SubscriptionOrder{ID: "sub_1"}, "k")
			return err
		},
		"no parameters": func() error { _, err := w.customers.New(nil); return err },
		"no context":    func() error { _, err := w.customers.Get("cus_1", nil); return err },
		"no ledger id":  func() error { _, err := w.Transfer(t.Context(), platform.TransferOrder{Amount: dkk(1)}); return err },
		"no refund":     func() error { _, err := w.Refund(t.Context(), platform.RefundOrder{Amount: dkk(1)}); return err },
	} {
		if err := call(); platform.CodeOf(err) != platform.Internal || platform.CanPass(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if calls := w.Stage().Calls()[2:]; len(calls) > 0 {
		t.Errorf("calls %v", calls)
	}
}

// TestCallsEnd has answers that never come, or drip: they end by the clock.
func TestCallsEnd(t *testing.T) {
	for name, kind := range map[string]stage.Kind{"nothing": stage.Nothing, "drip": stage.Drip} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, true)
			w.Stage().Fail(stage.Fault{Kind: kind})
			failed := make(chan error, 1)
			go func() {
				_, err := w.Apply(t.Context(), acme())
				failed <- err
			}()
			if err := w.clock.Sleeping(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			w.clock.Advance(15 * time.Second)
			if err := <-failed; platform.CodeOf(err) != platform.Unavailable || !platform.CanPass(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCallsEndWithTheirContext(t *testing.T) {
	w := newWorld(t, false)
	w.Stage().Hold()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for len(w.Stage().Calls()) < 3 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := w.Apply(ctx, acme()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
