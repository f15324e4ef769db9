package stalwart

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/integrations/stalwart/standin"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

const (
	adminSecret = "admin:correct-horse"
	tokenSecret = "API_AAAABQAAAAFexample"
)

// stand is a client with its stand-in.
type stand struct {
	*Client
	server *standin.Server
	clock  *clocktest.Clock
}

func newStand(t *testing.T) *stand {
	t.Helper()
	return newStandWith(t, standin.Options{})
}

func newStandWith(t *testing.T, options standin.Options) *stand {
	t.Helper()
	clock := clocktest.New(time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC))
	options.Admin, options.Token, options.Clock = platform.NewSecret(adminSecret), platform.NewSecret(tokenSecret), clock
	server, err := standin.New(options)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &stand{New(web.URL+"/", platform.NewSecret(adminSecret), transport, clock), server, clock}
}

func step() platform.Step {
	return platform.Step{Subject: "ten_acme", Integration: platform.IntegrationStalwart, Want: platform.Want{
		Tenant: &platform.TenantWant{ID: "ten_acme", Slug: "acme", Name: "Acme GmbH", MailDomain: "acme.dezky.test"},
	}}
}

// make puts a domain there by somebody else's hand.
func (s *stand) make(t *testing.T, properties map[string]any) {
	t.Helper()
	var result setResult
	err := s.call(t.Context(), call{"a", "x:Domain/set", map[string]any{"create": map[string]any{"d": properties}}, &result})
	if err != nil || result.Created["d"].ID == "" {
		t.Fatalf("cannot prepare %v: %v %v", properties, err, result.NotCreated["d"])
	}
}

const (
	lookUp = "x:Domain/query x:Domain/get"
	create = "x:Domain/set x:Domain/query x:Domain/get"
	mend   = "x:Domain/set"
)

func TestApply(t *testing.T) {
	acme := map[string]any{"name": "acme.dezky.test"}
	described := func(text string) map[string]any {
		return map[string]any{"name": "acme.dezky.test", "description": text}
	}
	for name, tt := range map[string]struct {
		reason string
		before map[string]any
		tenant platform.TenantWant
		// calls are those of the first Apply, found what is there afterwards.
		calls []string
		found string
		code  platform.Code
	}{
		"missing": {
			reason: "it is made, and read back in the same request",
			calls:  []string{lookUp, create}, found: "Acme GmbH (ten_acme)",
		},
		"unmarked": {
			reason: "a domain that nobody marked is adopted",
			before: acme, calls: []string{lookUp, mend}, found: "Acme GmbH (ten_acme)",
		},
		"described by a person": {
			reason: "words without a mark claim nothing",
			before: described("The new customer (call Bob)"), calls: []string{lookUp, mend}, found: "Acme GmbH (ten_acme)",
		},
		"renamed tenant": {
			reason: "the description follows the tenant's name",
			before: described("Acme Inc. (ten_acme)"), calls: []string{lookUp, mend}, found: "Acme GmbH (ten_acme)",
		},
		"ours with words added": {
			reason: "a person's words after our mark do not hide it",
			before: described("Acme GmbH (ten_acme), paid until May"), calls: []string{lookUp, mend}, found: "Acme GmbH (ten_acme)",
		},
		"another tenant's": {
			reason: "a mark is never painted over",
			before: described("Globex (ten_globex)"), calls: []string{lookUp}, found: "Globex (ten_globex)", code: platform.Conflict,
		},
		"another tenant's with words added": {
			reason: "the mark counts wherever it stands",
			before: described("Globex (ten_globex), our best"), calls: []string{lookUp},
			found: "Globex (ten_globex), our best", code: platform.Conflict,
		},
		"another tenant's whose name looks like our mark": {
			reason: "a tenant may call itself anything, so the last mark counts",
			before: described("Globex (ten_acme) (ten_globex)"), calls: []string{lookUp},
			found: "Globex (ten_acme) (ten_globex)", code: platform.Conflict,
		},
		"an alias of another domain": {
			reason: "mail to it is somebody else's",
			before: map[string]any{"name": "globex.test", "aliases": map[string]any{"acme.dezky.test": true}},
			calls:  []string{lookUp, create}, code: platform.Conflict,
		},
		"upper case": {
			reason: "the server keeps names in lower case, and its filter wants them so",
			tenant: platform.TenantWant{ID: "ten_acme", Name: "Acme GmbH", MailDomain: "Acme.Dezky.TEST"},
			calls:  []string{lookUp, create}, found: "Acme GmbH (ten_acme)",
		},
		"a name that no mail server takes": {
			reason: "a refusal of what we ask does not pass",
			tenant: platform.TenantWant{ID: "ten_acme", Name: "Acme", MailDomain: "acme.example"},
			calls:  []string{lookUp, create}, code: platform.Unavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			if tt.before != nil {
				s.make(t, tt.before)
			}
			want := step()
			if tt.tenant.ID != "" {
				want.Want.Tenant = &tt.tenant
			}
			before := len(s.server.Stage().Calls())
			handle, err := s.Apply(t.Context(), want)
			if calls := s.server.Stage().Calls()[before:]; !cmp.Equal(calls, tt.calls) {
				t.Errorf("%s: called %q, want %q", tt.reason, calls, tt.calls)
			}
			domains := s.server.Domains()
			if found := domains["acme.dezky.test"]; found.Description != tt.found || err == nil && found.ID != handle || err != nil && handle != "" {
				t.Errorf("%s: there is %+v, handle %q", tt.reason, found, handle)
			}
			if tt.code != "" {
				if platform.CodeOf(err) != tt.code || platform.CanPass(err) {
					t.Errorf("%s: err = %v, can pass %v, want %s for good", tt.reason, err, platform.CanPass(err), tt.code)
				}
				isSentence(t, err)
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", tt.reason, err)
			}
			again, err := s.Apply(t.Context(), want)
			if calls := s.server.Stage().Calls()[before+len(tt.calls):]; !cmp.Equal(calls, []string{lookUp}) {
				t.Errorf("applied again it called %q", calls)
			}
			if err != nil || again != handle || !cmp.Equal(domains, s.server.Domains()) {
				t.Errorf("applied again: %q, %v, %v", again, err, s.server.Domains())
			}
		})
	}
}

func TestApplySkips(t *testing.T) {
	s := newStand(t)
	for name, want := range map[string]platform.Want{
		"no platform mail domain": {Tenant: &platform.TenantWant{ID: "ten_acme", Name: "Acme"}},
		"nothing":                 {},
		"a person":                {Person: &platform.PersonWant{ID: "usr_ada"}},
		"no mailbox":              {Member: &platform.MemberWant{ID: "mem_ada", Tenant: acme()}},
		"no list":                 {Group: &platform.GroupWant{ID: "grp_sales", Tenant: acme()}},
	} {
		if _, err := s.Apply(t.Context(), platform.Step{Want: want}); !errors.Is(err, platform.ErrSkip) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if calls := s.server.Stage().Calls(); len(calls) > 0 {
		t.Errorf("a skip called %q", calls)
	}
}

func TestApplyWithAPIKey(t *testing.T) {
	s := newStand(t)
	s.authorization = authorization(platform.NewSecret(tokenSecret))
	if _, err := s.Apply(t.Context(), step()); err != nil {
		t.Error(err)
	}
}

// Whatever is cut off wherever, the next attempt finds what it left.
func TestApplyAfterAnAttemptThatWasCutOff(t *testing.T) {
	for _, on := range []string{lookUp, create, mend} {
		for name, kind := range map[string]stage.Kind{"reset": stage.Reset, "lost": stage.Lost, "half": stage.Half} {
			t.Run(name+" "+on, func(t *testing.T) {
				s := newStand(t)
				if on == mend {
					s.make(t, map[string]any{"name": "acme.dezky.test"})
				}
				s.server.Stage().Fail(stage.Fault{Kind: kind, On: on, Times: 1})
				if _, err := s.Apply(t.Context(), step()); err == nil || !platform.CanPass(err) {
					t.Fatalf("the attempt that was cut off: %v", err)
				}
				handle, err := s.Apply(t.Context(), step())
				if err != nil {
					t.Fatal(err)
				}
				want := map[string]standin.Domain{"acme.dezky.test": {ID: handle, Description: "Acme GmbH (ten_acme)"}}
				if found := s.server.Domains(); !cmp.Equal(found, want) {
					t.Error(cmp.Diff(found, want))
				}
			})
		}
	}
}

func TestApplyInParallelMakesOneDomain(t *testing.T) {
	s := newStand(t)
	handles := make([]string, 8)
	s.server.Stage().Hold()
	var all sync.WaitGroup
	for i := range handles {
		all.Go(func() {
			handle, err := s.Apply(t.Context(), step())
			if err != nil {
				t.Error(err)
			}
			handles[i] = handle
		})
	}
	for len(s.server.Stage().Calls()) < limits().Parallel {
		time.Sleep(time.Millisecond)
	}
	s.server.Stage().Release()
	all.Wait()
	want := map[string]standin.Domain{"acme.dezky.test": {ID: "b", Description: "Acme GmbH (ten_acme)"}}
	if found := s.server.Domains(); !cmp.Equal(found, want) {
		t.Error(cmp.Diff(found, want))
	}
	for _, handle := range handles {
		if handle != "b" {
			t.Errorf("handles %q", handles)
		}
	}
}

const (
	passes = true
	never  = false
)

func TestFailures(t *testing.T) {
	problem := map[string]string{"Content-Type": "application/problem+json"}
	for name, tt := range map[string]struct {
		reason string
		fault  stage.Fault
		verdict,
		waits bool // until the clock moves on
		after time.Duration
	}{
		"401":        {reason: "100 wrong tries are a ban without end", fault: stage.Fault{Status: 401}, verdict: never},
		"402":        {reason: "an account with one-time passwords", fault: stage.Fault{Status: 402}, verdict: never},
		"403":        {reason: "rights do not grow by waiting", fault: stage.Fault{Status: 403}, verdict: never},
		"404":        {reason: "the address is wrong", fault: stage.Fault{Status: 404}, verdict: never},
		"409":        {reason: "no such answer is known", fault: stage.Fault{Status: 409}, verdict: never},
		"422":        {reason: "no such answer is known", fault: stage.Fault{Status: 422}, verdict: never},
		"redirect":   {reason: "a token is sent to no other host", fault: stage.Fault{Status: 307, Header: map[string]string{"Location": "/elsewhere"}}, verdict: never},
		"500":        {reason: "servers recover", fault: stage.Fault{Status: 500}, verdict: passes},
		"503":        {reason: "servers recover", fault: stage.Fault{Status: 503}, verdict: passes},
		"429":        {reason: "it says when", fault: stage.Fault{Status: 429, Header: map[string]string{"Retry-After": "37"}}, verdict: passes, after: 37 * time.Second},
		"HTML":       {reason: "a proxy, while the server restarts", fault: stage.Fault{Status: 200, Header: map[string]string{"Content-Type": "text/html"}, Body: "<html>"}, verdict: passes},
		"other JSON": {reason: "a proxy, while the server restarts", fault: stage.Fault{Status: 200, Header: map[string]string{"Content-Type": "application/json"}, Body: `{}`}, verdict: passes},
		"concurrency": {
			reason:  "it is over when our other requests are",
			fault:   stage.Fault{Status: 400, Header: problem, Body: `{"type":"urn:ietf:params:jmap:error:limit","status":400,"detail":"x","limit":"maxConcurrentRequests"}`},
			verdict: passes,
		},
		"too large": {
			reason:  "the request is the same the next time",
			fault:   stage.Fault{Status: 400, Header: problem, Body: `{"type":"urn:ietf:params:jmap:error:limit","status":400,"detail":"x","limit":"maxSizeRequest"}`},
			verdict: never,
		},
		"not understood": {
			reason:  "and its detail, our own request, is left out",
			fault:   stage.Fault{Status: 400, Header: problem, Body: `{"type":"urn:ietf:params:jmap:error:notRequest","status":400,"detail":"correct-horse"}`},
			verdict: never,
		},
		"nothing": {reason: "a call has an end", fault: stage.Fault{Kind: stage.Nothing}, verdict: passes, waits: true},
		"drip":    {reason: "and so has its answer", fault: stage.Fault{Kind: stage.Drip}, verdict: passes, waits: true},
		"reset":   {reason: "connections break", fault: stage.Fault{Kind: stage.Reset}, verdict: passes},
		"half":    {reason: "connections break", fault: stage.Fault{Kind: stage.Half}, verdict: passes},
		"flood":   {reason: "no more is read than fits", fault: stage.Fault{Kind: stage.Flood}, verdict: passes},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.server.Stage().Fail(tt.fault)
			if tt.waits {
				go func() {
					for len(s.server.Stage().Calls()) == 0 && t.Context().Err() == nil {
						time.Sleep(time.Millisecond)
					}
					s.clock.Advance(time.Minute)
				}()
			}
			_, err := s.Apply(t.Context(), step())
			isVerdict(t, tt.reason, err, tt.verdict)
			if after := platform.RetryAfter(err); after != tt.after {
				t.Errorf("%s: retry after %v, want %v", tt.reason, after, tt.after)
			}
			s.server.Stage().Heal()
			if _, err := s.Apply(t.Context(), step()); err != nil {
				t.Errorf("healed: %v", err)
			}
		})
	}
}

// What the server may say to a method call, beside doing it.
func TestMethodFailures(t *testing.T) {
	for name, tt := range map[string]struct {
		reason   string
		response string
		verdict  bool
	}{
		"lost race":     {"a concurrent write surfaces so", `["error",{"type":"serverUnavailable"},"mend"]`, passes},
		"forbidden":     {"rights do not grow by waiting", `["error",{"type":"forbidden","description":"You are not authorized"},"mend"]`, never},
		"bad arguments": {"its words quote ours", `["error",{"type":"invalidArguments","description":"invalid type: correct-horse"},"mend"]`, never},
		"no answer":     {"an answer without the call's id", `["x:Domain/set",{"updated":{"b":null}},"other"]`, passes},
		"another call":  {"an answer to another call", `["x:Domain/get",{"list":[]},"mend"]`, passes},
		"not a set":     {"an answer of another shape", `["x:Domain/set",[],"mend"]`, passes},
		"dropped":       {"ids that it cannot read are left out without a word", `["x:Domain/set",{"accountId":"d333333"},"mend"]`, passes},
		"removed":       {"somebody removed it between two calls", `["x:Domain/set",{"notUpdated":{"b":{"type":"notFound"}}},"mend"]`, passes},
		"refused":       {"what is refused today is refused tomorrow", `["x:Domain/set",{"notUpdated":{"b":{"type":"invalidPatch","properties":["description"]}}},"mend"]`, never},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.make(t, map[string]any{"name": "acme.dezky.test"})
			s.server.Stage().Fail(stage.Fault{On: mend, Status: 200,
				Header: map[string]string{"Content-Type": "application/json; charset=utf-8"},
				Body:   `{"methodResponses":[` + tt.response + `],"sessionState":"0"}`})
			_, err := s.Apply(t.Context(), step())
			isVerdict(t, tt.reason, err, tt.verdict)
		})
	}
}

func TestAddressThatIsNone(t *testing.T) {
	c := New("http://user:correct-horse@[", platform.NewSecret(adminSecret), http.DefaultTransport, clocktest.New(time.Time{}))
	_, err := c.Apply(t.Context(), step())
	isVerdict(t, "an address does not mend itself", err, never)
}

func TestCallerGivesUp(t *testing.T) {
	s := newStand(t)
	s.server.Stage().Hold()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if s.clock.Sleeping(ctx, 1) == nil {
			cancel()
		}
	}()
	_, err := s.Apply(ctx, step())
	isVerdict(t, "the attempt ended, not the wish", err, passes)
	s.server.Stage().Release()
}

// A server that restarts knows what it knew, and keys still come.
func TestStandInKeepsItsState(t *testing.T) {
	clock := clocktest.New(time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC))
	options := standin.Options{File: filepath.Join(t.TempDir(), "stalwart.json"), Admin: platform.NewSecret(adminSecret), Clock: clock}
	var handles []string
	for range 2 {
		server, err := standin.New(options)
		if err != nil {
			t.Fatal(err)
		}
		web := httptest.NewServer(server)
		handle, err := New(web.URL, options.Admin, http.DefaultTransport, clock).Apply(t.Context(), step())
		web.Close()
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, handle)
	}
	if handles[0] != handles[1] {
		t.Errorf("handles %q", handles)
	}
	server, err := standin.New(options)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{0, 1, 2} {
		if keys := server.Domains()["acme.dezky.test"].Keys; keys != want {
			t.Errorf("%d keys, want %d", keys, want)
		}
		clock.Advance(200 * time.Millisecond)
	}
}

func isVerdict(t *testing.T, reason string, err error, canPass bool) {
	t.Helper()
	if err == nil || platform.CanPass(err) != canPass || platform.CodeOf(err) != platform.Unavailable {
		t.Errorf("%s: err = %v, %s, can pass %v, want %v", reason, err, platform.CodeOf(err), platform.CanPass(err), canPass)
	}
	isSentence(t, err)
}

// isSentence says whether a person may read the error, and the log too.
func isSentence(t *testing.T, err error) {
	t.Helper()
	if message := platform.MessageOf(err); !strings.HasSuffix(message, ".") || strings.Count(message, ". ") > 0 {
		t.Errorf("%q is not a sentence", message)
	}
	for _, secret := range []string{"correct-horse", "YWRtaW46Y29ycmVjdC1ob3JzZQ", "AAAABQ"} {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%q shows a secret", err)
		}
	}
}
