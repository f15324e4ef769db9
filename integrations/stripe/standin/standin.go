// Package standin plays Stripe in its API of 2023-10-16, for development and
// tests: customers with their tax ids and cards, prices, subscriptions that are
// billed as its clock goes on, invoices, refunds, transfers, and signed events.
//
// It has the traps of the real one: the first answer to an idempotency key is
// kept for a day, a failure too; a deleted customer is still answered with 200; a
// price without an item's id adds an item; whoever names somebody else's card may
// detach it; an unknown parameter, or one that cannot be expanded, is refused.
//
// What it does not play it refuses aloud: an operation with 501, a parameter as
// an unknown one, and every other version of the API with 400.
package standin

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

// Version is the API that is played.
const Version = "2023-10-16"

// Options are what a Server needs.
type Options struct {
	// File keeps the state over a restart; "" keeps it in memory.
	File string
	// Key is the account's secret key in test mode, which begins with sk_test_.
	Key platform.Secret
	// Restricted is a key that may do nothing, or zero for none.
	Restricted platform.Secret
	Clock      platform.Clock
}

// Server is an http.Handler. It is safe for use by many at once. Its stage labels
// a call with its method and path without /v1, such as "POST /customers".
type Server struct {
	options Options
	handler http.Handler
	stage   stage.Stage
	changed chan struct{}

	flying sync.Mutex
	busy   map[string]bool // keys of calls that are under way

	mu      sync.Mutex
	state   state
	crashes []*crash
}

// state is all that outlives a request.
type state struct {
	Objects map[string]object `json:"objects"`
	// Lists are the ids of a kind, the oldest first.
	Lists map[string][]string `json:"lists"`
	Keys  map[string]*kept    `json:"keys"`
	// Balance is what can be transferred, by currency.
	Balance map[string]int64 `json:"balance"`
	// Waiting are the events that no endpoint has taken yet.
	Waiting []string `json:"waiting"`
}

// New starts a server with the state of its file.
func New(o Options) (*Server, error) {
	s := &Server{options: o, changed: make(chan struct{}, 1), busy: map[string]bool{}}
	if err := stage.Load(o.File, &s.state); err != nil {
		return nil, fmt.Errorf("read the state of the Stripe stand-in: %w", err)
	}
	if s.state.Objects == nil {
		s.state.Objects = map[string]object{}
	}
	if s.state.Lists == nil {
		s.state.Lists = map[string][]string{}
	}
	if s.state.Keys == nil {
		s.state.Keys = map[string]*kept{}
	}
	if s.state.Balance == nil {
		s.state.Balance = map[string]int64{}
	}
	s.stage.Label = func(r *http.Request, _ []byte) string { return r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1") }
	s.handler = s.stage.Wrap(http.HandlerFunc(s.serve))
	return s, nil
}

// Stage is where faults are set and calls are counted.
func (s *Server) Stage() *stage.Stage { return &s.stage }

// ServeHTTP answers one call. One whose key is under way already, held back or
// slow as that call may be, is told so.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Idempotency-Key")
	if key == "" || r.Method != http.MethodPost {
		s.handler.ServeHTTP(w, r)
		return
	}
	if !s.takeOff(key) {
		s.answer(w, inUse(key))
		return
	}
	defer s.land(key)
	s.handler.ServeHTTP(w, r)
}

// crash is a failure inside the server, which is kept under the call's key as
// the real one does, unlike a stage's, which is one of the way there.
type crash struct {
	on    string
	after bool
	times int
}

// Crash makes the calls whose label begins so end in a 500, before or after they
// have had their effect.
func (s *Server) Crash(on string, after bool, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crashes = append(s.crashes, &crash{on: on, after: after, times: times})
}

func (s *Server) crashing(label string) *crash {
	for _, c := range s.crashes {
		if c.times > 0 && strings.HasPrefix(label, c.on) {
			c.times--
			return c
		}
	}
	return nil
}

// call is one call to an operation.
type call struct {
	*Server
	*form
	request string
	ids     []string
	key     string
	now     int64
}

// operation carries out a call. It changes nothing when it fails, but for what a
// declined card leaves behind.
type operation func(*call) (any, *failure)

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := "req_" + rand.Text()[:14]
	w.Header().Set("Request-Id", id)
	w.Header().Set("Stripe-Version", Version)
	if f := s.mayCall(r); f != nil {
		s.answer(w, f)
		return
	}
	operate, ids := find(r)
	if operate == nil {
		s.answer(w, unplayed(r))
		return
	}
	f, failed := read(r)
	if failed != nil {
		s.answer(w, failed)
		return
	}
	c := &call{Server: s, form: f, request: id, ids: ids, now: s.options.Clock.Now().Unix()}
	happened := len(s.state.Lists["event"])
	s.advance(c.now)
	if r.Method == http.MethodPost {
		c.key = r.Header.Get("Idempotency-Key")
	}
	out := s.once(c, r, func() *reply { return s.run(c, r, operate) })
	if err := s.save(r.Method != http.MethodGet || len(s.state.Lists["event"]) > happened); err != nil {
		s.answer(w, &failure{status: http.StatusInternalServerError, Type: "api_error", Message: "the state cannot be saved"})
		return
	}
	out.write(w)
}

// save keeps the state, if it is another. Nothing changes without a call that may
// change something, or an event.
func (s *Server) save(changed bool) error {
	if !changed {
		return nil
	}
	return stage.Save(s.options.File, s.state)
}

// run carries out a call and writes its answer out.
func (s *Server) run(c *call, r *http.Request, operate operation) *reply {
	broken := s.crashing(s.stage.Label(r, nil))
	if broken != nil && !broken.after {
		return crashed().reply()
	}
	expand := c.expansions()
	out, f := operate(c)
	if f == nil {
		f = c.unknown()
	}
	var shown any
	if f == nil {
		shown, f = s.present(out, expand)
	}
	switch {
	case f != nil:
		return f.reply()
	case broken != nil:
		return crashed().reply()
	}
	return success(shown)
}

// mayCall says why a call is not even looked at.
func (s *Server) mayCall(r *http.Request) *failure {
	key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if name, _, ok := r.BasicAuth(); ok {
		key = name
	}
	restricted := s.options.Restricted.Reveal()
	switch {
	case key == "":
		return &failure{status: http.StatusUnauthorized, Type: "invalid_request_error", Message: "You did not provide an API key. " +
			"You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."}
	case restricted != "" && key == restricted:
		return &failure{status: http.StatusForbidden, Type: "invalid_request_error", Message: "The provided key '" + hint(key) +
			"' does not have the required permissions for this endpoint."}
	case key != s.options.Key.Reveal():
		return &failure{status: http.StatusUnauthorized, Type: "invalid_request_error", Message: "Invalid API Key provided: " + hint(key)}
	case r.Header.Get("Stripe-Version") != "" && r.Header.Get("Stripe-Version") != Version:
		return invalid("", "This stand-in plays the version "+Version+" alone.")
	case r.Header.Get("Stripe-Account") != "":
		return invalid("", "This stand-in plays no connected account's own calls.")
	}
	return nil
}

// hint is how Stripe quotes a key.
func hint(key string) string {
	if len(key) < 12 {
		return strings.Repeat("*", len(key))
	}
	return key[:8] + strings.Repeat("*", len(key)-12) + key[len(key)-4:]
}

// find is the operation for a method and path. Every second part of a path is an
// id, but for what has none.
func find(r *http.Request) (operation, []string) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		return nil, nil
	}
	parts := strings.Split(path, "/")
	var ids []string
	for i := 1; i < len(parts); i += 2 {
		if parts[i] != "upcoming" {
			ids = append(ids, parts[i])
			parts[i] = "*"
		}
	}
	return operationFor(r.Method + " " + strings.Join(parts, "/")), ids
}

func unplayed(r *http.Request) *failure {
	return &failure{status: http.StatusNotImplemented, Type: "invalid_request_error",
		Message: fmt.Sprintf("This stand-in does not play %s: %s.", r.Method, r.URL.Path)}
}

// failure is an answer that is none of success.
type failure struct {
	status int
	// early says that the call was refused before it was begun, so that its key
	// keeps nothing.
	early bool

	Type          string `json:"type"`
	Code          string `json:"code,omitempty"`
	DeclineCode   string `json:"decline_code,omitempty"`
	Message       string `json:"message"`
	Param         string `json:"param,omitempty"`
	PaymentIntent object `json:"payment_intent,omitempty"`
	DocURL        string `json:"doc_url,omitempty"`
}

// invalid is a wrong request, which is refused before it is begun.
func invalid(code, message string) *failure {
	return &failure{status: http.StatusBadRequest, early: true, Type: "invalid_request_error", Code: code, Message: message}
}

// refused is a request that the state of things does not allow.
func refused(code, format string, args ...any) *failure {
	return &failure{status: http.StatusBadRequest, Type: "invalid_request_error", Code: code, Message: fmt.Sprintf(format, args...)}
}

// noSuch is what is said of an id that is not there: 404 in a path, 400 in a
// parameter.
func noSuch(what, id, param string) *failure {
	f := refused("resource_missing", "No such %s: '%s'", what, id)
	f.Param = param
	if param == "id" || param == "intent" {
		f.status = http.StatusNotFound
	}
	return f
}

func crashed() *failure {
	return &failure{status: http.StatusInternalServerError, Type: "api_error", Message: "An unknown error occurred"}
}

func (f *failure) reply() *reply {
	if f.Code != "" {
		f.DocURL = "https://stripe.com/docs/error-codes/" + strings.ReplaceAll(f.Code, "_", "-")
	}
	out := written(f.status, map[string]any{"error": f})
	out.early = f.early
	return out
}

func success(body any) *reply { return written(http.StatusOK, body) }

func written(status int, body any) *reply {
	data, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		return &reply{Status: http.StatusInternalServerError, Body: err.Error()}
	}
	return &reply{Status: status, Body: string(data)}
}

// answer answers at once, with nothing kept.
func (s *Server) answer(w http.ResponseWriter, f *failure) { f.reply().write(w) }
