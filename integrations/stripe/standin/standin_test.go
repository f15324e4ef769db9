package standin_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/stripe/standin"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

const key = "sk_test_aKeyForTestsAlone"

var start = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

type world struct {
	*standin.Server
	t     *testing.T
	clock *clocktest.Clock
	file  string
	host  *httptest.Server
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: clocktest.New(start), file: filepath.Join(t.TempDir(), "stripe.json")}
	w.restart()
	t.Cleanup(func() { w.host.Close() })
	return w
}

// restart ends the server and starts one with its file.
func (w *world) restart() {
	w.t.Helper()
	if w.host != nil {
		w.host.Close()
	}
	server, err := standin.New(standin.Options{File: w.file, Key: platform.NewSecret(key), Clock: w.clock})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Server, w.host = server, httptest.NewServer(server)
}

type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (a answer) at(path string) any {
	var value any = a.body
	for _, name := range strings.Split(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			if name != "0" || len(v) == 0 {
				return nil
			}
			value = v[0]
		default:
			return nil
		}
	}
	return value
}

func (a answer) id() string {
	id, _ := a.body["id"].(string)
	return id
}

func (a answer) rows() []string {
	var out []string
	rows, _ := a.body["data"].([]any)
	for _, row := range rows {
		out = append(out, row.(map[string]any)["id"].(string))
	}
	return out
}

func (w *world) send(method, target, body string, header ...string) answer {
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.host.URL+"/v1"+target, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, text: string(text)}
	if err := json.Unmarshal(text, &a.body); err != nil {
		w.t.Fatalf("%s %s: %d %s", method, target, a.status, text)
	}
	return a
}

// ok is a call that must succeed.
func (w *world) ok(method, target, body string) answer {
	w.t.Helper()
	a := w.send(method, target, body)
	if a.status != 200 {
		w.t.Fatalf("%s %s: %d %s", method, target, a.status, a.text)
	}
	return a
}

func (w *world) seat() string {
	return w.ok("POST", "/prices", "currency=dkk&unit_amount=10000&recurring[interval]=month&product_data[name]=Seat&currency_options[eur][unit_amount]=1300").id()
}

func TestKeys(t *testing.T) {
	w := newWorld(t)
	first := w.send("POST", "/customers", "name=A&metadata[a]=1&metadata[b]=2", "Idempotency-Key", "k")
	again := w.send("POST", "/customers", "metadata[b]=2&metadata[a]=1&name=A", "Idempotency-Key", "k")
	if again.text != first.text || again.header.Get("Idempotent-Replayed") != "true" || first.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("got %s %v", again.text, again.header)
	}
	if again.header.Get("Original-Request") != first.header.Get("Request-Id") {
		t.Errorf("got %v", again.header)
	}
	other := w.send("POST", "/customers", "name=B", "Idempotency-Key", "k")
	if other.status != 400 || other.at("error.type") != "idempotency_error" {
		t.Errorf("got %s", other.text)
	}
	if path := w.send("POST", "/products", "name=A", "Idempotency-Key", "k"); path.at("error.type") != "idempotency_error" {
		t.Errorf("got %s", path.text)
	}
	w.restart()
	if again := w.send("POST", "/customers", "name=A&metadata[a]=1&metadata[b]=2", "Idempotency-Key", "k"); again.text != first.text {
		t.Errorf("a restart forgets no key: %s", again.text)
	}
	w.clock.Advance(24 * time.Hour)
	if later := w.send("POST", "/customers", "name=A&metadata[a]=1&metadata[b]=2", "Idempotency-Key", "k"); later.id() == first.id() {
		t.Error("a day later the key is another")
	}
}

func TestKeysKeepFailures(t *testing.T) {
	w := newWorld(t)
	w.Crash("POST /customers", true, 1)
	for range 2 {
		if a := w.send("POST", "/customers", "name=A", "Idempotency-Key", "a"); a.status != 500 || a.at("error.type") != "api_error" {
			t.Errorf("got %s", a.text)
		}
	}
	if n := len(w.ok("GET", "/customers", "").rows()); n != 1 {
		t.Errorf("%d customers, of a failure with an effect", n)
	}
	if a := w.send("POST", "/customers", "colour=red", "Idempotency-Key", "b"); a.status != 400 {
		t.Errorf("got %s", a.text)
	}
	if a := w.send("POST", "/customers", "name=A", "Idempotency-Key", "b"); a.status != 200 {
		t.Errorf("what was not begun is not kept: %s", a.text)
	}
	cus := w.ok("GET", "/customers", "").rows()[0]
	for range 2 {
		a := w.send("POST", "/payment_methods/pm_card_chargeDeclined/attach", "customer="+cus, "Idempotency-Key", "c")
		if a.status != 402 || a.at("error.code") != "card_declined" || a.at("error.type") != "card_error" {
			t.Errorf("got %s", a.text)
		}
	}
}

func TestKeysInUse(t *testing.T) {
	w := newWorld(t)
	w.Stage().Hold()
	var all sync.WaitGroup
	var mu sync.Mutex
	got := map[int]int{}
	for range 10 {
		all.Go(func() {
			a := w.send("POST", "/customers", "name=A", "Idempotency-Key", "k")
			mu.Lock()
			defer mu.Unlock()
			got[a.status]++
			if a.status == 409 && a.at("error.code") != "idempotency_key_in_use" {
				t.Errorf("got %s", a.text)
			}
			if len(got) == 1 && got[409] == 9 {
				w.Stage().Release()
			}
		})
	}
	all.Wait()
	if diff := cmp.Diff(map[int]int{200: 1, 409: 9}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	cus := w.ok("POST", "/customers", "name=A").id()
	card := w.ok("POST", "/payment_methods/pm_card_visa/attach", "customer="+cus).id()
	for name, test := range map[string]struct {
		method, target, body string
		status               int
		code                 any
		header               []string
	}{
		"no key":              {"GET", "/customers", "", 401, nil, []string{"Authorization", ""}},
		"wrong key":           {"GET", "/customers", "", 401, nil, []string{"Authorization", "Bearer sk_test_x"}},
		"another version":     {"GET", "/customers", "", 400, nil, []string{"Stripe-Version", "2025-09-30.clover"}},
		"an account":          {"GET", "/customers", "", 400, nil, []string{"Stripe-Account", "acct_1"}},
		"JSON":                {"POST", "/customers", "{}", 400, nil, []string{"Content-Type", "application/json"}},
		"not played":          {"GET", "/coupons", "", 501, nil, nil},
		"search":              {"GET", "/customers/search?query=x", "", 404, "resource_missing", nil},
		"unknown parameter":   {"POST", "/customers", "name=x&colour=red", 400, "parameter_unknown", nil},
		"unknown in a list":   {"GET", "/customers?name=x", "", 400, "parameter_unknown", nil},
		"no customer":         {"GET", "/customers/cus_x", "", 404, "resource_missing", nil},
		"no customer named":   {"POST", "/setup_intents", "customer=cus_x", 400, "resource_missing", nil},
		"limit":               {"GET", "/customers?limit=101", "", 400, nil, nil},
		"wrong expand":        {"GET", "/customers/" + cus + "?expand[]=colour", "", 400, nil, nil},
		"expand of a list":    {"GET", "/payment_methods?customer=" + cus + "&expand[]=customer", "", 400, nil, nil},
		"deep expand":         {"GET", "/payment_methods?expand[]=data.a.b.c.d", "", 400, nil, nil},
		"long metadata":       {"POST", "/customers", "metadata[x]=" + strings.Repeat("y", 501), 400, nil, nil},
		"another's card":      {"POST", "/customers/" + w.ok("POST", "/customers", "").id(), "invoice_settings[default_payment_method]=" + card, 400, "resource_missing", nil},
		"attached twice":      {"POST", "/payment_methods/" + card + "/attach", "customer=" + w.ok("POST", "/customers", "").id(), 400, nil, nil},
		"detached, never his": {"POST", "/payment_methods/pm_x/detach", "", 404, "resource_missing", nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.send(test.method, test.target, test.body, test.header...)
			if a.status != test.status || test.code != nil && a.at("error.code") != test.code {
				t.Errorf("got %d %s", a.status, a.text)
			}
		})
	}
}

func TestDeletedCustomer(t *testing.T) {
	w := newWorld(t)
	id := w.ok("POST", "/customers", "name=A").id()
	w.ok("DELETE", "/customers/"+id, "")
	if a := w.ok("GET", "/customers/"+id, ""); a.body["deleted"] != true || a.body["name"] != nil {
		t.Errorf("got %s", a.text)
	}
	if a := w.send("POST", "/customers/"+id, "name=B"); a.status != 404 {
		t.Errorf("got %s", a.text)
	}
	if rows := w.ok("GET", "/customers", "").rows(); len(rows) != 0 {
		t.Errorf("got %v", rows)
	}
}

func TestLists(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for range 25 {
		ids = append(ids, w.ok("POST", "/customers", "email=a@b.dk").id())
		w.clock.Advance(time.Minute)
	}
	slices.Reverse(ids)
	page := w.ok("GET", "/customers", "")
	if diff := cmp.Diff(ids[:10], page.rows()); diff != "" || page.body["has_more"] != true {
		t.Errorf("the newest come first, by ten\n%s", diff)
	}
	page = w.ok("GET", "/customers?limit=20&starting_after="+ids[9], "")
	if diff := cmp.Diff(ids[10:], page.rows()); diff != "" || page.body["has_more"] != false {
		t.Errorf("the rest\n%s", diff)
	}
	page = w.ok("GET", "/customers?limit=3&ending_before="+ids[9], "")
	if diff := cmp.Diff(ids[6:9], page.rows()); diff != "" || page.body["has_more"] != true {
		t.Errorf("those before\n%s", diff)
	}
	from := start.Add(20 * time.Minute).Unix()
	page = w.ok("GET", "/customers?email=a@b.dk&created[gte]="+itoa(from), "")
	if diff := cmp.Diff(ids[:5], page.rows()); diff != "" {
		t.Errorf("since\n%s", diff)
	}
	if page = w.ok("GET", "/customers?email=A@b.dk", ""); len(page.rows()) != 0 {
		t.Errorf("the filter knows upper case: %v", page.rows())
	}
	if a := w.send("GET", "/customers?starting_after=cus_x", ""); a.status != 400 {
		t.Errorf("got %s", a.text)
	}
}

func itoa(n int64) string {
	text, _ := json.Marshal(n)
	return string(text)
}

func TestExpand(t *testing.T) {
	w := newWorld(t)
	price := w.seat()
	cus := w.ok("POST", "/customers", "name=A").id()
	sub := w.ok("POST", "/subscriptions", "customer="+cus+"&items[0][price]="+price+"&payment_behavior=default_incomplete&expand[]=latest_invoice.payment_intent&expand[]=customer")
	if sub.at("customer.name") != "A" || sub.at("latest_invoice.payment_intent.status") != "requires_payment_method" {
		t.Errorf("got %s", sub.text)
	}
	list := w.ok("GET", "/subscriptions?customer="+cus+"&status=all&expand[0]=data.latest_invoice", "")
	if list.at("data.0.latest_invoice.object") != "invoice" || list.at("data.0.customer") != cus {
		t.Errorf("got %s", list.text)
	}
	if plain := w.ok("GET", "/prices/"+price, ""); plain.at("currency_options") != nil {
		t.Errorf("got %s", plain.text)
	}
	options := w.ok("GET", "/prices?expand[]=data.currency_options", "")
	if options.at("data.0.currency_options.eur.unit_amount") != 1300.0 {
		t.Errorf("got %s", options.text)
	}
}

// TestItems has the traps of a subscription's items.
func TestItems(t *testing.T) {
	w := newWorld(t)
	price, other := w.seat(), w.seat()
	cus := w.ok("POST", "/customers", "name=A").id()
	if a := w.send("POST", "/subscriptions", "customer="+cus+"&items[0][price]="+price); a.status != 400 {
		t.Errorf("without a card it cannot be paid: %s", a.text)
	}
	card := w.ok("POST", "/payment_methods/pm_card_visa/attach", "customer="+cus).id()
	w.ok("POST", "/customers/"+cus, "invoice_settings[default_payment_method]="+card)
	sub := w.ok("POST", "/subscriptions", "customer="+cus+"&items[0][price]="+price+"&items[0][quantity]=3")
	if sub.at("status") != "active" || sub.at("items.data.0.quantity") != 3.0 {
		t.Fatalf("got %s", sub.text)
	}
	if a := w.send("POST", "/subscriptions/"+sub.id(), "items[0][price]="+price+"&items[0][quantity]=5"); a.status != 400 {
		t.Errorf("the price is there: %s", a.text)
	}
	two := w.ok("POST", "/subscriptions/"+sub.id(), "items[0][price]="+other+"&items[0][quantity]=5")
	if two.at("items.total_count") != 2.0 {
		t.Errorf("a price without an item's id is an item more: %s", two.text)
	}
	if a := w.send("POST", "/subscriptions", "customer="+cus+"&currency=eur&items[0][price]="+price); a.status != 400 || !strings.Contains(a.text, "combine currencies") {
		t.Errorf("a customer has one currency: %s", a.text)
	}
	w.ok("DELETE", "/subscriptions/"+sub.id(), "invoice_now=true&prorate=true")
	if a := w.send("DELETE", "/subscriptions/"+sub.id(), ""); a.status != 404 {
		t.Errorf("what has ended is not found: %s", a.text)
	}
	if a := w.ok("GET", "/customers/"+cus, ""); a.at("balance").(float64) >= 0 {
		t.Errorf("what is given back is to the customer's credit: %s", a.text)
	}
	if rows := w.ok("GET", "/subscriptions?customer="+cus, "").rows(); len(rows) != 0 {
		t.Errorf("what was canceled is in no list but of all: %v", rows)
	}
}

// TestPeriods lets two months go by, with the server restarted between.
func TestPeriods(t *testing.T) {
	w := newWorld(t)
	price := w.seat()
	cus := w.ok("POST", "/customers", "name=A").id()
	card := w.ok("POST", "/payment_methods/pm_card_visa/attach", "customer="+cus).id()
	w.ok("POST", "/customers/"+cus, "invoice_settings[default_payment_method]="+card)
	sub := w.ok("POST", "/subscriptions", "customer="+cus+"&items[0][price]="+price+"&items[0][quantity]=2&trial_period_days=0").id()
	end := func() time.Time {
		return time.Unix(int64(w.ok("GET", "/subscriptions/"+sub, "").at("current_period_end").(float64)), 0).UTC()
	}
	if got := end(); !got.Equal(time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("a month from January 31 ends %s", got)
	}
	w.clock.Advance(28 * 24 * time.Hour)
	w.restart()
	if got := end(); !got.Equal(time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("the next ends %s", got)
	}
	in := w.ok("GET", "/invoices?limit=1&customer="+cus, "")
	if in.at("data.0.status") != "draft" || in.at("data.0.number") != nil {
		t.Errorf("it is a draft for an hour: %s", in.text)
	}
	w.clock.Advance(time.Hour)
	w.Tick()
	in = w.ok("GET", "/invoices?limit=1&customer="+cus, "")
	if in.at("data.0.status") != "paid" || in.at("data.0.total") != 20000.0 || in.at("data.0.number") == nil || in.at("data.0.billing_reason") != "subscription_cycle" {
		t.Errorf("got %s", in.text)
	}
	w.ok("POST", "/subscriptions/"+sub, "cancel_at_period_end=true")
	w.clock.Advance(31 * 24 * time.Hour)
	if a := w.ok("GET", "/subscriptions/"+sub, ""); a.at("status") != "canceled" {
		t.Errorf("got %s", a.text)
	}
	if rows := w.ok("GET", "/invoices?customer="+cus, "").rows(); len(rows) != 2 {
		t.Errorf("got %v", rows)
	}
}

func TestIncompleteExpires(t *testing.T) {
	w := newWorld(t)
	cus := w.ok("POST", "/customers", "name=A").id()
	sub := w.ok("POST", "/subscriptions", "customer="+cus+"&items[0][price]="+w.seat()+"&payment_behavior=default_incomplete")
	w.clock.Advance(23 * time.Hour)
	if a := w.ok("GET", "/subscriptions/"+sub.id()+"?expand[]=latest_invoice", ""); a.at("status") != "incomplete_expired" || a.at("latest_invoice.status") != "void" {
		t.Errorf("got %s", a.text)
	}
}

// TestBrowser pays the first invoice as the person's browser does.
func TestBrowser(t *testing.T) {
	w := newWorld(t)
	cus := w.ok("POST", "/customers", "name=A").id()
	sub := w.ok("POST", "/subscriptions", "customer="+cus+"&items[0][price]="+w.seat()+
		"&payment_behavior=default_incomplete&payment_settings[save_default_payment_method]=on_subscription&expand[]=latest_invoice.payment_intent")
	payment, _ := sub.at("latest_invoice.payment_intent.id").(string)
	if a := w.send("POST", "/payment_intents/"+payment+"/confirm", "payment_method=pm_card_chargeCustomerFail"); a.status != 402 || a.at("error.payment_intent.id") != payment {
		t.Errorf("got %s", a.text)
	}
	if a := w.send("POST", "/payment_intents/"+payment+"/confirm", "payment_method=pm_card_visa&client_secret=x"); a.status != 400 {
		t.Errorf("got %s", a.text)
	}
	w.ok("POST", "/payment_intents/"+payment+"/confirm", "payment_method=pm_card_visa")
	if a := w.ok("GET", "/subscriptions/"+sub.id(), ""); a.at("status") != "active" || a.at("default_payment_method") == nil {
		t.Errorf("got %s", a.text)
	}
	if a := w.ok("GET", "/balance", ""); a.at("available.0.amount") != 10000.0 {
		t.Errorf("got %s", a.text)
	}
}
