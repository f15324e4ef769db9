package ocis

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/ocis/standin"
	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

const tokenSecret = "correct-horse"

// stand is a client with its stand-in.
type stand struct {
	*Client
	t      *testing.T
	server *standin.Server
	clock  *clocktest.Clock
	// before is called before each request of the client.
	before func(*http.Request)
}

func (s *stand) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkRequest(r); err != nil {
		s.t.Error(err)
	}
	if s.before != nil {
		s.before(r)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{t: t, clock: clocktest.New(time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC))}
	var err error
	s.server, err = standin.New(standin.Options{Username: "platform", Token: platform.NewSecret(tokenSecret), Clock: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.server)
	t.Cleanup(web.Close)
	s.Client = New(web.URL+"/", "platform", platform.NewSecret(tokenSecret), s, s.clock)
	return s
}

// calls are the labels since before, without ids and names.
func (s *stand) calls(before int) []string {
	var all []string
	for _, call := range s.server.Stage().Calls()[before:] {
		all = append(all, ids.ReplaceAllString(call, "$1"))
	}
	return all
}

var ids = regexp.MustCompile(`/graph/v1\.0|/graph/v1beta1|[^/ ]*\$[^/ ]*|u:[^/ ]*|(/users/)[^/ ]*`)

const (
	listing = "GET /drives"
	post    = "POST /drives"
	patch   = "PATCH /drives/"
	back    = "PATCH /drives/ (restore)"
	remove  = "DELETE /drives/"
	purge   = "DELETE /drives/ (purge)"

	look   = "GET /users/"
	search = "GET /users"
	create = "POST /users"
	mend   = "PATCH /users/"
	end    = "DELETE /users/"
	whoami = "GET /me"

	invite = "POST /drives//root/invite"
	grants = "GET /drives//root/permissions"
	regive = "PATCH /drives//root/permissions/"
	revoke = "DELETE /drives//root/permissions/"
)

// isChange says whether a call may change something.
func isChange(call string) bool { return !strings.HasPrefix(call, "GET ") }

// outside is what the file server has but for spaces' names: one line for each
// account, and one for each grant.
func (s *stand) outside() []string {
	var all []string
	names := map[string]string{}
	for _, u := range s.server.Users() {
		state := "shut"
		if u.Enabled {
			state = "open"
		}
		names[u.ID] = u.Username
		all = append(all, fmt.Sprintf("%s (%s, %s) %s", u.Username, u.Name, u.Mail, state))
	}
	for _, d := range s.server.Drives() {
		for id, role := range s.server.Grants(d.ID) {
			name := names[id]
			if name == "" {
				name = "somebody gone"
			}
			all = append(all, fmt.Sprintf("%s is %s of %s", name, role, d.Description))
		}
	}
	slices.Sort(all)
	return all
}

// story is a step that finds something and leaves something.
type story struct {
	reason string
	// before prepares the file server and answers with the recorded handle.
	before func(*stand) string
	want   platform.Want
	calls  []string
	after  []string
	// code is of the error that cannot pass, or "" for a success.
	code platform.Code
}

func (tt story) step(handle string) platform.Step {
	return platform.Step{Subject: "subject", Integration: platform.IntegrationOCIS, Handle: handle, Want: tt.want}
}

// prepared is a stand at the story's begin.
func (tt story) prepared(t *testing.T) (s *stand, handle string) {
	t.Helper()
	s = newStand(t)
	if tt.before != nil {
		handle = tt.before(s)
	}
	return s, handle
}

// play applies a story, and again: the second time nothing is changed.
func (tt story) play(t *testing.T) {
	t.Helper()
	s, recorded := tt.prepared(t)
	before := len(s.server.Stage().Calls())
	handle, err := s.Apply(t.Context(), tt.step(recorded))
	if calls := s.calls(before); !cmp.Equal(calls, tt.calls) {
		t.Errorf("%s: called %q, want %q", tt.reason, calls, tt.calls)
	}
	if diff := cmp.Diff(tt.after, s.outside()); diff != "" {
		t.Errorf("%s: %s", tt.reason, diff)
	}
	if tt.code != "" {
		if platform.CodeOf(err) != tt.code || platform.CanPass(err) {
			t.Errorf("%s: %v, can pass %t, want %s for good", tt.reason, err, platform.CanPass(err), tt.code)
		}
		isSentence(t, err)
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", tt.reason, err)
	}
	tt.isStill(t, s, handle)
}

// isStill applies once more to what is as wanted.
func (tt story) isStill(t *testing.T, s *stand, handle string) {
	t.Helper()
	before := len(s.server.Stage().Calls())
	again, err := s.Apply(t.Context(), tt.step(handle))
	if err != nil || again != handle {
		t.Errorf("%s: applied again: %q instead of %q, %v", tt.reason, again, handle, err)
	}
	if calls := s.calls(before); slices.ContainsFunc(calls, isChange) {
		t.Errorf("%s: applied again it called %q", tt.reason, calls)
	}
	if diff := cmp.Diff(tt.after, s.outside()); diff != "" {
		t.Errorf("%s: applied again: %s", tt.reason, diff)
	}
}

// isNoticed says whether a call that goes wrong so is an error. A connection that
// ends before the answer makes Go's transport read once more, and half of an
// answer without a body is all of it.
func isNoticed(kind stage.Kind, call string) bool {
	switch kind {
	case stage.Reset, stage.Lost:
		return isChange(call)
	case stage.Half:
		return !strings.HasPrefix(call, http.MethodDelete)
	}
	return true
}

// cutOff lets each call of a story in turn go wrong in every way, and applies it
// again: the end is the same.
func (tt story) cutOff(t *testing.T) {
	t.Helper()
	for way, fault := range map[string]stage.Fault{
		"reset": {Kind: stage.Reset}, "lost": {Kind: stage.Lost}, "half": {Kind: stage.Half},
		"503": {Status: 503}, "HTML": {Status: 200, Header: map[string]string{"Content-Type": "text/html"}, Body: "<html>"},
		"nothing said": {Status: 200}, "other JSON": {Status: 200, Header: map[string]string{"Content-Type": "application/json"}, Body: "{}"},
	} {
		for at := range tt.calls {
			s, recorded := tt.prepared(t)
			count := 0
			s.before = func(*http.Request) {
				if count == at {
					fault.Times = 1
					s.server.Stage().Fail(fault)
				}
				count++
			}
			handle, err := s.Apply(t.Context(), tt.step(recorded))
			if err != nil && !platform.CanPass(err) || err == nil && isNoticed(fault.Kind, tt.calls[at]) {
				t.Errorf("%s at call %d, %s: %v", way, at, tt.calls[at], err)
			}
			if err != nil {
				isSentence(t, err)
			}
			s.before = nil
			if handle == "" {
				handle = recorded
			}
			if handle, err = s.Apply(t.Context(), tt.step(handle)); err != nil {
				t.Errorf("%s at call %d, %s, again: %v", way, at, tt.calls[at], err)
			}
			tt.isStill(t, s, handle)
		}
	}
}

func TestApplySkips(t *testing.T) {
	s := newStand(t)
	if _, err := s.Apply(t.Context(), platform.Step{}); !errors.Is(err, platform.ErrSkip) {
		t.Error(err)
	}
}

const (
	passes = true
	never  = false
)

func TestFailures(t *testing.T) {
	asJSON := map[string]string{"Content-Type": "application/json"}
	asHTML := map[string]string{"Content-Type": "text/html"}
	for name, tt := range map[string]struct {
		reason  string
		fault   stage.Fault
		verdict bool
		waits   bool // until the clock moves on
		after   time.Duration
		only    string // the subject, where it is not for all
	}{
		"401":            {reason: "an account that is not known yet may be tomorrow", fault: stage.Fault{Status: 401}, verdict: passes},
		"401, challenge": {reason: "everybody gets it while the server starts", fault: stage.Fault{Status: 401, Header: map[string]string{"Www-Authenticate": "Basic"}}, verdict: passes},
		"405":            {reason: "a server that is set up to be read does not write", fault: stage.Fault{On: "POST", Status: 405}, verdict: never},
		"403":            {reason: "rights do not grow by waiting", fault: stage.Fault{Status: 403}, verdict: never},
		"404":            {reason: "the address is wrong", fault: stage.Fault{Status: 404}, verdict: never},
		"409":            {reason: "no such answer is known", fault: stage.Fault{Status: 409}, verdict: never},
		"422":            {reason: "no such answer is known", fault: stage.Fault{Status: 422}, verdict: never},
		"redirect":       {reason: "a token is sent to no other host", fault: stage.Fault{Status: 302, Header: map[string]string{"Location": "/elsewhere"}}, verdict: never},
		"429":            {reason: "it says when", fault: stage.Fault{Status: 429, Header: map[string]string{"Retry-After": "37"}}, verdict: passes, after: 37 * time.Second},
		"500":            {reason: "servers recover", fault: stage.Fault{Status: 500}, verdict: passes},
		"501":            {reason: "what is not made is not made tomorrow", fault: stage.Fault{Status: 501}, verdict: never},
		"503":            {reason: "servers recover", fault: stage.Fault{Status: 503}, verdict: passes},
		"HTML":           {reason: "a proxy, while the server restarts", fault: stage.Fault{Status: 200, Header: asHTML, Body: "<html>"}, verdict: passes},
		"HTML to a POST": {reason: "nothing was made", fault: stage.Fault{On: "POST", Status: 200, Header: asHTML, Body: "<html>"}, verdict: passes},
		"empty POST":     {reason: "nothing was made", fault: stage.Fault{On: "POST", Status: 204}, verdict: passes},
		"other JSON":     {reason: "a list without entries is no empty list", fault: stage.Fault{Status: 200, Header: asJSON, Body: "{}"}, verdict: passes},
		"JSON to a POST": {reason: "nothing was made", fault: stage.Fault{On: "POST", Status: 200, Header: asJSON, Body: "{}"}, verdict: passes},
		"bad space":      {only: "tenant", reason: "what is refused today is refused tomorrow", fault: stage.Fault{On: "POST", Status: 400, Header: asJSON, Body: `{"error":{"code":"invalidRequest","message":"invalid spacename"}}`}, verdict: never},
		"nothing":        {reason: "a call has an end", fault: stage.Fault{Kind: stage.Nothing}, verdict: passes, waits: true},
		"drip":           {reason: "and so has its answer", fault: stage.Fault{Kind: stage.Drip}, verdict: passes, waits: true},
		"reset":          {reason: "connections break", fault: stage.Fault{Kind: stage.Reset}, verdict: passes},
		"half":           {reason: "connections break", fault: stage.Fault{Kind: stage.Half}, verdict: passes},
		"flood":          {reason: "no more is read than fits", fault: stage.Fault{Kind: stage.Flood}, verdict: passes},
	} {
		for subject, want := range map[string]platform.Want{
			"tenant": {Tenant: &acme}, "person": {Person: olga()}, "member": {Member: membership(olga())},
		} {
			if tt.only != "" && tt.only != subject {
				continue
			}
			t.Run(name+", "+subject, func(t *testing.T) {
				s := newStand(t)
				if subject == "member" {
					s.seedSpace()
				}
				before := len(s.server.Stage().Calls())
				s.server.Stage().Fail(tt.fault)
				if tt.waits {
					go func() {
						for len(s.server.Stage().Calls()) == before && t.Context().Err() == nil {
							time.Sleep(time.Millisecond)
						}
						s.clock.Advance(time.Minute)
					}()
				}
				_, err := s.Apply(t.Context(), platform.Step{Want: want})
				isVerdict(t, tt.reason, err, tt.verdict)
				if after := platform.RetryAfter(err); after != tt.after {
					t.Errorf("%s: retry after %v, want %v", tt.reason, after, tt.after)
				}
				if calls := slices.Compact(s.calls(before)); tt.fault.On == "" && len(calls) != 1 {
					t.Errorf("%s: went on with %q", tt.reason, calls)
				}
				s.server.Stage().Heal()
				if _, err := s.Apply(t.Context(), platform.Step{Want: want}); err != nil {
					t.Errorf("healed: %v", err)
				}
				if subject == "tenant" && len(s.server.Drives()) != 1 || subject != "tenant" && len(s.server.Users()) != 1 {
					t.Errorf("healed: %v, %v", s.server.Drives(), s.server.Users())
				}
			})
		}
	}
}

func TestServerThatStarts(t *testing.T) {
	clock := clocktest.New(time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC))
	options := standin.Options{
		File: filepath.Join(t.TempDir(), "ocis.json"), Username: "platform", Token: platform.NewSecret(tokenSecret),
		Clock: clock, Starting: 2 * time.Second,
	}
	var handles []string
	for range 2 { // the second has the state of the first
		server, err := standin.New(options)
		if err != nil {
			t.Fatal(err)
		}
		web := httptest.NewServer(server)
		defer web.Close()
		client := New(web.URL, options.Username, options.Token, http.DefaultTransport, clock)
		_, err = client.Apply(t.Context(), step("Acme GmbH", ""))
		isVerdict(t, "it answers 401 for a while", err, passes)
		clock.Advance(2 * time.Second)
		handle, err := client.Apply(t.Context(), step("Acme GmbH", ""))
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, handle)
	}
	if handles[0] != handles[1] {
		t.Errorf("handles %q", handles)
	}
}

func TestAddressThatIsNone(t *testing.T) {
	c := New("http://user:correct-horse@[", "platform", platform.NewSecret(tokenSecret), http.DefaultTransport, clocktest.New(time.Time{}))
	_, err := c.Apply(t.Context(), step("Acme GmbH", ""))
	isVerdict(t, "an address does not mend itself", err, never)
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
	for _, secret := range []string{tokenSecret, "cGxhdGZvcm06Y29ycmVjdC1ob3JzZQ"} {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%q shows a secret", err)
		}
	}
}
