package playground_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/dezky/platform/graph/playground"
	"github.com/dezky/platform/graph/playground/browsertest"
)

const (
	whoAmI = `{ me }`
	rename = `mutation { rename(to: "Acme") }`
	feed   = `subscription { feed }`
	secret = `subscription { secret }`

	signedIn = `#session[data-state="signed-in"]`
)

// api is just enough of the server for the page: sign-in with tokens that can
// be revoked, a query, a mutation and a subscription.
type api struct {
	mu      sync.Mutex
	signIns int
	stale   int               // the sign-in whose token has expired when it arrives
	barred  bool              // whether new tokens are refused
	tokens  map[string]string // to person
	renamed []string          // by whom
	refused int
	sockets int // that were opened

	feed   chan string               // what the test sends to the one subscriber
	broken chan websocket.CloseError // how the test closes their connection
	ending chan string               // whose subscription has ended
}

func serve(t *testing.T, people ...playground.Person) (*api, string) {
	a := &api{
		tokens: map[string]string{},
		feed:   make(chan string), broken: make(chan websocket.CloseError), ending: make(chan string, 9),
	}
	page := playground.Handler(playground.Options{
		People: func() []playground.Person { return people },
		SignIn: a.signIn,
	})
	mux := http.NewServeMux()
	mux.Handle("/playground", page)
	mux.Handle("/playground/", page)
	mux.HandleFunc("POST /graphql", a.graphql)
	mux.HandleFunc("GET /graphql", a.socket)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return a, server.URL + "/playground"
}

func (a *api) signIn(_ context.Context, person string) (playground.Token, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.signIns++
	token := fmt.Sprintf("%s-%d", person, a.signIns)
	if a.signIns == a.stale {
		return playground.Token{Token: token, ExpiresAt: time.Now().Add(-time.Minute)}, nil
	}
	if !a.barred {
		a.tokens[token] = person
	}
	return playground.Token{Token: token, ExpiresAt: time.Now().Add(time.Hour)}, nil
}

func (a *api) revoke() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.tokens)
}

func (a *api) graphql(w http.ResponseWriter, r *http.Request) {
	var operation struct{ Query string }
	if err := json.NewDecoder(r.Body).Decode(&operation); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	who := a.tokens[token]
	answer := fmt.Sprintf(`{"data":{"me":%q}}`, who)
	switch {
	case strings.Contains(operation.Query, "__schema"):
		answer = introspection
	case who == "":
		a.refused++
		answer = `{"errors":[{"message":"Sign in first.","extensions":{"code":"UNAUTHENTICATED"}}],"data":null}`
	case operation.Query == rename:
		a.renamed = append(a.renamed, who)
		answer = `{"data":{"rename":true}}`
	}
	a.mu.Unlock()

	if accept := r.Header.Get("Accept"); accept != "application/graphql-response+json, application/json" {
		http.Error(w, "unexpected Accept "+accept, http.StatusNotAcceptable)
		return
	}
	w.Header().Set("Content-Type", "application/graphql-response+json")
	fmt.Fprint(w, answer)
}

// frame is what the page says in graphql-transport-ws.
type frame struct {
	ID, Type string
	Payload  struct{ Authorization, Query string }
}

// socket is one connection with one subscription.
func (a *api) socket(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		return // it is answered
	}
	defer ws.CloseNow()
	hear := func() (f frame) {
		wsjson.Read(r.Context(), ws, &f) // nothing once the page has gone
		return f
	}
	say := func(id, kind string, payload any) {
		wsjson.Write(r.Context(), ws, map[string]any{"id": id, "type": kind, "payload": payload})
	}

	who := a.greet(hear().Payload.Authorization)
	if who == "" {
		ws.Close(4403, "Forbidden")
		return
	}
	say("", "connection_ack", nil)
	subscribe := hear()
	if subscribe.Payload.Query != feed {
		say(subscribe.ID, "error", []any{map[string]any{"message": "Not for you.", "extensions": map[string]string{"code": "FORBIDDEN"}}})
		hear()
		return
	}
	next := func(news string) {
		say(subscribe.ID, "next", map[string]any{"data": map[string]string{"feed": news}})
	}
	last := make(chan frame, 1)
	go func() { last <- hear() }()
	next("hello " + who)
	for {
		select {
		case f := <-last:
			if f.Type != "complete" || f.ID != subscribe.ID {
				who += ", without a word"
			}
			a.ending <- who
			return
		case how := <-a.broken:
			if how.Code != 0 {
				ws.Close(how.Code, how.Reason)
			}
			return
		case news := <-a.feed:
			if news == "" {
				say(subscribe.ID, "complete", nil)
				<-last // the page closes
				a.ending <- who
				return
			}
			next(news)
		}
	}
}

func (a *api) greet(authorization string) (who string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sockets++
	token, _ := strings.CutPrefix(authorization, "Bearer ")
	who = a.tokens[token]
	if who == "" {
		a.refused++
	}
	return who
}

// introspection is the schema of api, as small as GraphiQL accepts it.
const introspection = `{"data":{"__schema":{
	"queryType":{"name":"Query"},"mutationType":{"name":"Mutation"},"subscriptionType":{"name":"Subscription"},"directives":[],
	"types":[
		{"kind":"SCALAR","name":"String"},{"kind":"SCALAR","name":"Boolean"},
		{"kind":"OBJECT","name":"Query","interfaces":[],"fields":[{"name":"me","args":[],"isDeprecated":false,"type":{"kind":"SCALAR","name":"String"}}]},
		{"kind":"OBJECT","name":"Mutation","interfaces":[],"fields":[{"name":"rename","isDeprecated":false,"type":{"kind":"SCALAR","name":"Boolean"},
			"args":[{"name":"to","type":{"kind":"SCALAR","name":"String"}}]}]},
		{"kind":"OBJECT","name":"Subscription","interfaces":[],"fields":[{"name":"feed","args":[],"isDeprecated":false,"type":{"kind":"SCALAR","name":"String"}}]}
	]}}}`

var (
	olga = playground.Person{ID: "operator", Name: "Olga", Role: "Operator"}
	adam = playground.Person{ID: "admin", Name: "Adam", Role: "Tenant administrator"}
)

func shows(words string) func(string) bool {
	return func(text string) bool { return strings.Contains(text, words) }
}

func (a *api) waitForEnd(t *testing.T, person string) {
	t.Helper()
	select {
	case who := <-a.ending:
		if who != person {
			t.Errorf("the subscription of %q ended, want %q", who, person)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("the subscription of %q goes on", person)
	}
}

func TestAPersonTriesTheAPI(t *testing.T) {
	api, address := serve(t, olga, adam)
	page := browsertest.Open(t, address)

	page.Run(whoAmI)
	page.WaitForResult(shows("UNAUTHENTICATED"))

	page.Click(`[data-person="operator"]`)
	if text := page.Text(signedIn); !strings.Contains(text, "Olga") {
		t.Errorf("the bar says %q", text)
	}
	page.Wait(`document.querySelector('[data-person="operator"]').ariaPressed === "true"`)
	page.Run(whoAmI)
	page.WaitForResult(shows(`"me": "operator"`))

	page.Run(feed)
	page.WaitForResult(shows("hello operator"))
	for _, news := range []string{"first", "second", "third"} {
		api.feed <- news
		page.WaitForResult(shows(news))
	}
	page.Stop()
	api.waitForEnd(t, "operator")

	page.Run(feed)
	page.WaitForResult(shows("hello operator"))
	api.feed <- "" // the server ends it
	page.Wait(`document.querySelector(".graphiql-execute-button[aria-label^=Execute]")`)
	api.waitForEnd(t, "operator")
	if text := page.Result(); !strings.Contains(text, "hello operator") {
		t.Errorf("after the end the result pane shows %s", text)
	}
}

func TestASubscriptionEndsWithItsPerson(t *testing.T) {
	api, address := serve(t, olga, adam)
	page := browsertest.Open(t, address)
	page.Click(`[data-person="operator"]`)
	page.Text(signedIn)
	page.Run(feed)
	page.WaitForResult(shows("hello operator"))

	page.Click(`[data-person="admin"]`)
	page.WaitForResult(shows("the sign-in has changed"))
	api.waitForEnd(t, "operator")
	page.Run(whoAmI)
	page.WaitForResult(shows(`"me": "admin"`))

	page.Reload() // the tab still knows who sits here
	page.Run(whoAmI)
	page.WaitForResult(shows(`"me": "admin"`))

	page.Click(`[data-action="sign-out"]`)
	page.Run(whoAmI)
	page.WaitForResult(shows("UNAUTHENTICATED"))
}

func TestAnExpiredTokenIsRenewedOnce(t *testing.T) {
	api, address := serve(t, olga)
	page := browsertest.Open(t, address)
	page.Click(`[data-person="operator"]`)
	page.Text(signedIn)

	// Refused by the server: a query, a mutation, a subscription.
	api.revoke()
	page.Run(whoAmI)
	page.WaitForResult(shows(`"me": "operator"`))
	api.revoke()
	page.Run(rename)
	page.WaitForResult(shows(`"rename": true`))
	api.revoke()
	page.Run(feed)
	page.WaitForResult(shows("hello operator"))
	page.Stop()
	api.waitForEnd(t, "operator")
	api.mu.Lock()
	if api.signIns != 4 || api.refused != 3 || !slices.Equal(api.renamed, []string{"operator"}) {
		t.Errorf("%d sign-ins, %d refusals, renamed by %v; want 4, 3, [operator]", api.signIns, api.refused, api.renamed)
	}
	api.stale = 5
	api.mu.Unlock()

	// Expired by the clock: renewed before anything is sent. The first to need
	// a token after the click is GraphiQL's introspection.
	page.Click(`[data-person="operator"]`)
	page.Wait(`JSON.parse(sessionStorage.getItem("dezky.playground.session")).token === "operator-6"`)
	page.Run(whoAmI)
	page.WaitForResult(shows(`"me": "operator"`))
	api.mu.Lock()
	defer api.mu.Unlock()
	if api.refused != 3 {
		t.Errorf("a token that had expired was sent")
	}
}

func TestASubscriptionOutlivesItsToken(t *testing.T) {
	api, address := serve(t, olga)
	page := browsertest.Open(t, address)
	page.Click(`[data-person="operator"]`)
	page.Text(signedIn)
	page.Run(feed)
	page.WaitForResult(shows("hello operator"))
	for range 2 {
		api.feed <- "news"
		page.WaitForResult(shows("news"))
		api.revoke()
		api.broken <- websocket.CloseError{Code: 4403, Reason: "Forbidden"}
		page.WaitForResult(shows("hello operator"))
	}

	api.mu.Lock()
	api.barred = true
	api.mu.Unlock()
	api.revoke()
	api.broken <- websocket.CloseError{Code: 4403, Reason: "Forbidden"}
	page.WaitForResult(shows("does not accept the sign-in (4403 Forbidden)"))
	page.Text(`#session[data-state="refused"]`)
	api.mu.Lock()
	defer api.mu.Unlock()
	if api.signIns != 4 || api.sockets != 4 || api.refused != 1 {
		t.Errorf("%d sign-ins, %d sockets, %d refusals; want 4, 4, 1", api.signIns, api.sockets, api.refused)
	}
}

func TestWhatEndsASubscriptionIsShown(t *testing.T) {
	api, address := serve(t, olga)
	page := browsertest.Open(t, address)
	page.Run(feed)
	page.WaitForResult(shows("does not accept the sign-in (4403 Forbidden)"))

	page.Click(`[data-person="operator"]`)
	page.Text(signedIn)
	page.Run(secret)
	page.WaitForResult(shows(`"code": "FORBIDDEN"`))

	const idle = `document.querySelector(".graphiql-execute-button[aria-label^=Execute]")`
	breaks := map[string]websocket.CloseError{
		"closed the connection (1000)":                  {Code: websocket.StatusNormalClosure},
		"closed the connection (1001 Going away)":       {Code: websocket.StatusGoingAway, Reason: "Going away"},
		"closed the connection (1013 Try again later)":  {Code: websocket.StatusTryAgainLater, Reason: "Try again later"},
		"closed the connection (4499 No pong received)": {Code: 4499, Reason: "No pong received"},
		"broke, or could not be made (1006)":            {}, // without a word
	}
	for words, how := range breaks {
		page.Run(feed)
		page.WaitForResult(shows("hello operator"))
		api.broken <- how
		page.WaitForResult(shows(words))
		page.Wait(idle)
	}
	page.Run(whoAmI)
	page.WaitForResult(shows(`"me": "operator"`))
	api.mu.Lock()
	defer api.mu.Unlock()
	if want := 2 + len(breaks); api.sockets != want || api.signIns != 1 {
		t.Errorf("%d sockets, %d sign-ins; want %d, 1", api.sockets, api.signIns, want)
	}
}

func TestATokenIsPasted(t *testing.T) {
	api, address := serve(t)
	page := browsertest.Open(t, address)
	page.Click(`[data-action="paste-token"]`)
	page.Type(`#paste input`, "two words")
	page.Click(`[data-action="use-token"]`)
	page.Wait(`document.querySelector("#paste p").innerText === "That is not a token."`)
	page.Click(`#session`) // elsewhere: closes it

	api.mu.Lock()
	api.tokens["from-elsewhere"] = "someone"
	api.mu.Unlock()
	page.Click(`[data-action="paste-token"]`)
	page.Type(`#paste input`, "Bearer from-elsewhere\r")
	page.Text(signedIn)
	page.Run(whoAmI)
	page.WaitForResult(shows(`"me": "someone"`))

	api.revoke()
	page.Run(whoAmI)
	page.WaitForResult(shows("UNAUTHENTICATED"))
	page.Text(`#session[data-state="refused"]`)
	if buttons := browsertest.Eval[int](page, `document.querySelectorAll("[data-person]").length`); buttons != 0 {
		t.Errorf("%d people to sign in as, want none", buttons)
	}
}
