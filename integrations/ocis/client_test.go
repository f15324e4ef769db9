package ocis

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
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
	server *standin.Server
	clock  *clocktest.Clock
	// before is called before each request of the client.
	before func(*http.Request)
}

func (s *stand) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.before != nil {
		s.before(r)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{clock: clocktest.New(time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC))}
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

func step(name, handle string) platform.Step {
	return platform.Step{Subject: "ten_acme", Integration: platform.IntegrationOCIS, Handle: handle, Want: platform.Want{
		Tenant: &platform.TenantWant{ID: "ten_acme", Slug: "acme", Name: name},
	}}
}

// space is one that is there before, or after.
type space struct {
	Name, Description string
	Disabled          bool
	Used              int64
}

const ours = "dezky:ten_acme"

// seed makes spaces and answers with their ids. The stand-in's ids are random,
// so the ones that look alike are put in the order of their ids.
func (s *stand) seed(t *testing.T, spaces []space) []string {
	t.Helper()
	var ids []string
	for range spaces {
		if err := s.create(t.Context(), "seed", "seed"); err != nil {
			t.Fatal(err)
		}
	}
	for i, d := range s.server.Drives() {
		ids = append(ids, d.ID)
		err := errors.Join(
			s.change(t.Context(), d.ID, map[string]string{"name": spaces[i].Name, "description": spaces[i].Description}),
			s.server.Upload(d.ID, spaces[i].Used))
		if spaces[i].Disabled {
			err = errors.Join(err, s.disable(t.Context(), d.ID))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// calls are the labels since before, without ids.
func (s *stand) calls(before int) []string {
	var all []string
	for _, call := range s.server.Stage().Calls()[before:] {
		all = append(all, regexp.MustCompile(`/graph/v1.0|[^/]*\$[^ ]*`).ReplaceAllString(call, ""))
	}
	return all
}

const (
	list   = "GET /drives"
	post   = "POST /drives"
	patch  = "PATCH /drives/"
	back   = "PATCH /drives/ (restore)"
	remove = "DELETE /drives/"
	purge  = "DELETE /drives/ (purge)"
)

func TestApply(t *testing.T) {
	acme := space{Name: "Acme GmbH", Description: ours}
	for name, tt := range map[string]struct {
		reason string
		before []space
		// handle is which of them is recorded, or -1; recorded is a handle that is
		// none of them.
		handle   int
		recorded string
		name     string
		calls    []string
		// after are the names of what is there, by the id's order; stays is which
		// of before is the tenant's, or -1 for a new one.
		after []space
		stays int
		code  platform.Code
	}{
		"missing": {
			reason: "it is made, and looked for again, since another may have made one too",
			handle: -1, calls: []string{list, post, list}, after: []space{acme}, stays: -1,
		},
		"there": {
			reason: "what is right is left alone",
			before: []space{acme}, handle: -1, calls: []string{list}, after: []space{acme},
		},
		"renamed tenant": {
			reason: "the space bears the tenant's name",
			before: []space{{Name: "Acme Inc", Description: ours}}, handle: -1, calls: []string{list, patch}, after: []space{acme},
		},
		"disabled": {
			reason: "a space that is wanted is not disabled",
			before: []space{{Name: "Acme GmbH", Description: ours, Disabled: true}}, calls: []string{list, back}, after: []space{acme},
		},
		"disabled and renamed": {
			reason: "all that differs is mended",
			before: []space{{Name: "Acme Inc", Description: ours, Disabled: true}}, calls: []string{list, back, patch}, after: []space{acme},
		},
		"mark edited away": {
			reason: "members can edit a description, and the recorded handle still finds the space",
			before: []space{{Name: "Acme GmbH", Description: "Our files"}}, calls: []string{list, patch}, after: []space{acme},
		},
		"another tenant's by our handle": {
			reason: "a mark is never painted over",
			before: []space{{Name: "Globex", Description: "dezky:ten_globex"}}, calls: []string{list},
			after: []space{{Name: "Globex", Description: "dezky:ten_globex"}}, code: platform.Conflict,
		},
		"recorded one is gone": {
			reason: "a space that somebody purged is made anew",
			handle: -1, recorded: "a$b", calls: []string{list, post, list}, after: []space{acme}, stays: -1,
		},
		"two": {
			reason: "all who look agree on the smallest id",
			before: []space{acme, acme}, handle: -1,
			calls: []string{list, patch, remove, purge}, after: []space{acme}, stays: 0,
		},
		"two, and the larger is recorded": {
			reason: "a late creation does not take the recorded one's place",
			before: []space{acme, acme}, handle: 1,
			calls: []string{list, patch, remove, purge}, after: []space{acme}, stays: 1,
		},
		"a second one with files": {
			reason: "files are never removed; a person has to look",
			before: []space{acme, {Name: "Acme GmbH", Description: ours, Used: 1}}, handle: -1,
			calls: []string{list}, after: []space{acme, acme},
		},
		"a second one that is disabled": {
			reason: "a disabled space does not show whether it has files",
			before: []space{acme, {Name: "Acme GmbH", Description: ours, Disabled: true}}, handle: -1,
			calls: []string{list}, after: []space{acme, {Name: "Acme GmbH", Description: ours, Disabled: true}},
		},
		"a removal that was cut off after the mark": {
			reason: "it is finished",
			before: []space{acme, {Name: "Acme GmbH", Description: ours + " (surplus)"}}, handle: -1,
			calls: []string{list, remove, purge}, after: []space{acme},
		},
		"a removal that was cut off before the purge": {
			reason: "it is finished",
			before: []space{acme, {Name: "Acme GmbH", Description: ours + " (surplus)", Disabled: true}}, handle: -1,
			calls: []string{list, remove, purge}, after: []space{acme},
		},
		"a removal that somebody undid to put files there": {
			reason: "files are never removed",
			before: []space{acme, {Name: "Acme GmbH", Description: ours + " (surplus)", Used: 1}}, handle: -1,
			calls: []string{list}, after: []space{acme, {Name: "Acme GmbH", Description: ours + " (surplus)"}},
		},
		"only a surplus one is left": {
			reason: "what is being removed is not the tenant's space",
			before: []space{{Name: "Acme GmbH", Description: ours + " (surplus)", Disabled: true}}, handle: -1,
			calls: []string{list, post, list, remove, purge}, after: []space{acme}, stays: -1,
		},
		"a surplus one is recorded": {
			reason: "the record decides",
			before: []space{{Name: "Acme GmbH", Description: ours + " (surplus)", Disabled: true}},
			calls:  []string{list, back, patch}, after: []space{acme},
		},
		"a name that the server refuses": {
			reason: "what it refuses becomes a space",
			handle: -1, name: ` A/S "Größe"\: <Acme | Söhne>* Inc.? `, calls: []string{list, post, list},
			after: []space{{Name: "A S Größe Acme Söhne Inc", Description: ours}}, stays: -1,
		},
		"nothing but what the server refuses": {
			reason: "the slug is a name too",
			handle: -1, name: "???", calls: []string{list, post, list}, after: []space{{Name: "acme", Description: ours}}, stays: -1,
		},
		"a long name": {
			reason: "255 bytes are the most, and no letter is cut in two",
			handle: -1, name: strings.Repeat("ö", 200), calls: []string{list, post, list},
			after: []space{{Name: strings.Repeat("ö", 127), Description: ours}}, stays: -1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			ids := s.seed(t, tt.before)
			handle, wanted := tt.recorded, tt.name
			if tt.handle >= 0 {
				handle = ids[tt.handle]
			}
			if wanted == "" {
				wanted = "Acme GmbH"
			}
			// Another tenant's space of the same name is nobody's business.
			other := space{Name: "Acme GmbH", Description: "dezky:ten_other"}
			if err := s.create(t.Context(), other.Name, other.Description); err != nil {
				t.Fatal(err)
			}
			before := len(s.server.Stage().Calls())
			id, err := s.Apply(t.Context(), step(wanted, handle))
			if calls := s.calls(before); !cmp.Equal(calls, tt.calls) {
				t.Errorf("%s: called %q, want %q", tt.reason, calls, tt.calls)
			}
			if found, want := s.spaces(), sorted(append(tt.after, other)); !cmp.Equal(found, want) {
				t.Errorf("%s: %s", tt.reason, cmp.Diff(found, want))
			}
			if tt.code != "" {
				if platform.CodeOf(err) != tt.code || platform.CanPass(err) {
					t.Errorf("%s: err = %v, can pass %v, want %s for good", tt.reason, err, platform.CanPass(err), tt.code)
				}
				isSentence(t, err)
				return
			}
			if err != nil || tt.stays >= 0 && id != ids[tt.stays] || slices.Contains(ids, id) != (tt.stays >= 0) {
				t.Fatalf("%s: handle %s of %q, %v", tt.reason, id, ids, err)
			}
			before = len(s.server.Stage().Calls())
			state := s.server.Drives()
			again, err := s.Apply(t.Context(), step(wanted, id))
			if calls := s.calls(before); !cmp.Equal(calls, []string{list}) {
				t.Errorf("applied again it called %q", calls)
			}
			if err != nil || again != id || !cmp.Equal(state, s.server.Drives()) {
				t.Errorf("applied again: %s, %v, %v", again, err, s.server.Drives())
			}
		})
	}
}

// spaces are what is there, without ids.
func (s *stand) spaces() []space {
	var all []space
	for _, d := range s.server.Drives() {
		all = append(all, space{Name: d.Name, Description: d.Description, Disabled: !d.Enabled})
	}
	return sorted(all)
}

func sorted(spaces []space) []space {
	return slices.SortedFunc(slices.Values(spaces), func(a, b space) int {
		return strings.Compare(a.Description+a.Name, b.Description+b.Name)
	})
}

func TestApplySkips(t *testing.T) {
	s := newStand(t)
	if _, err := s.Apply(t.Context(), platform.Step{}); !errors.Is(err, platform.ErrSkip) {
		t.Error(err)
	}
}

// Wherever an attempt is cut off, the next one ends where it would have ended.
func TestApplyAfterAnAttemptThatWasCutOff(t *testing.T) {
	for name, before := range map[string][]space{
		"creates": nil,
		"removes": {{Name: "Acme GmbH", Description: ours}, {Name: "Acme GmbH", Description: ours}},
		"mends":   {{Name: "Acme Inc", Description: ours, Disabled: true}},
	} {
		for way, kind := range map[string]stage.Kind{"reset": stage.Reset, "lost": stage.Lost, "half": stage.Half} {
			for at := range 4 {
				s := newStand(t)
				s.seed(t, before)
				count := 0
				s.before = func(*http.Request) {
					if count == at {
						s.server.Stage().Fail(stage.Fault{Kind: kind, Times: 1})
					}
					count++
				}
				_, err := s.Apply(t.Context(), step("Acme GmbH", ""))
				if count <= at {
					continue // it has no such call
				}
				if err != nil && !platform.CanPass(err) {
					t.Fatalf("%s, %s at call %d: %v", name, way, at, err)
				}
				s.before = nil
				if _, err := s.Apply(t.Context(), step("Acme GmbH", "")); err != nil {
					t.Errorf("%s, %s at call %d, again: %v", name, way, at, err)
				}
				if found, want := s.spaces(), []space{{Name: "Acme GmbH", Description: ours}}; !cmp.Equal(found, want) {
					t.Errorf("%s, %s at call %d: %s", name, way, at, cmp.Diff(found, want))
				}
			}
		}
	}
}

// Several owners of one step all look before any of them has made a space.
func TestApplyInParallelLeavesOneSpace(t *testing.T) {
	s := newStand(t)
	const owners = 8
	// Each waits before its first POST until all of them have come so far.
	var ready sync.WaitGroup
	ready.Add(owners)
	s.before = func(r *http.Request) {
		if r.Method == http.MethodPost {
			ready.Done()
			ready.Wait()
		}
	}
	handles := make([]string, owners)
	var all sync.WaitGroup
	for i := range owners {
		all.Go(func() {
			var err error
			if handles[i], err = s.Apply(t.Context(), step("Acme GmbH", "")); err != nil && !platform.CanPass(err) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s.before = nil
	id, err := s.Apply(t.Context(), step("Acme GmbH", handles[0]))
	if err != nil {
		t.Fatal(err)
	}
	want := []standin.Drive{{ID: id, Name: "Acme GmbH", Description: ours, Enabled: true}}
	if found := s.server.Drives(); !cmp.Equal(found, want) {
		t.Error(cmp.Diff(found, want))
	}
}

// Another owner makes a space between our look and our POST.
func TestApplyLooksAgainAfterCreating(t *testing.T) {
	for range 8 { // its id is the smaller one in half of the cases
		s := newStand(t)
		s.before = func(r *http.Request) {
			if r.Method == http.MethodPost {
				s.before = nil
				if err := s.create(t.Context(), "Acme GmbH", ours); err != nil {
					t.Error(err)
				}
			}
		}
		id, err := s.Apply(t.Context(), step("Acme GmbH", ""))
		if found := s.server.Drives(); err != nil || len(found) != 1 || found[0].ID != id {
			t.Errorf("%s, %v: %v", id, err, found)
		}
	}
}

// The server may ignore a filter, and then lists everything.
func TestFilterThatIsIgnored(t *testing.T) {
	s := newStand(t)
	s.server.Stage().Fail(stage.Fault{Times: 1, Status: 200, Body: `{"value":[
		{"id":"a$a","driveType":"personal","description":"` + ours + `"},{"id":"a$b","driveType":"virtual","description":"` + ours + `"}]}`})
	if _, err := s.Apply(t.Context(), step("Acme GmbH", "")); err != nil || len(s.server.Drives()) != 1 {
		t.Errorf("%v: %v", err, s.server.Drives())
	}
}

// An empty list may be null.
func TestListThatIsNull(t *testing.T) {
	s := newStand(t)
	s.server.Stage().Fail(stage.Fault{Times: 1, Status: 200, Body: `{"value":null}`})
	if _, err := s.Apply(t.Context(), step("Acme GmbH", "")); err != nil || len(s.server.Drives()) != 1 {
		t.Errorf("%v: %v", err, s.server.Drives())
	}
}

// A POST of an owner that was taken for dead lands after everything.
func TestLateCreationGoes(t *testing.T) {
	s := newStand(t)
	id, err := s.Apply(t.Context(), step("Acme GmbH", ""))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 { // of which some have a smaller id
		if err := s.create(t.Context(), "Acme GmbH", ours); err != nil {
			t.Fatal(err)
		}
	}
	again, err := s.Apply(t.Context(), step("Acme GmbH", id))
	if err != nil || again != id || len(s.server.Drives()) != 1 || s.server.Drives()[0].ID != id {
		t.Errorf("%s, then %s, %v: %v", id, again, err, s.server.Drives())
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
	}{
		"401":            {reason: "everybody gets it while the server starts", fault: stage.Fault{Status: 401}, verdict: passes},
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
		"bad space":      {reason: "what is refused today is refused tomorrow", fault: stage.Fault{On: "POST", Status: 400, Header: asJSON, Body: `{"error":{"code":"invalidRequest","message":"invalid spacename"}}`}, verdict: never},
		"nothing":        {reason: "a call has an end", fault: stage.Fault{Kind: stage.Nothing}, verdict: passes, waits: true},
		"drip":           {reason: "and so has its answer", fault: stage.Fault{Kind: stage.Drip}, verdict: passes, waits: true},
		"reset":          {reason: "connections break", fault: stage.Fault{Kind: stage.Reset}, verdict: passes},
		"half":           {reason: "connections break", fault: stage.Fault{Kind: stage.Half}, verdict: passes},
		"flood":          {reason: "no more is read than fits", fault: stage.Fault{Kind: stage.Flood}, verdict: passes},
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
			_, err := s.Apply(t.Context(), step("Acme GmbH", ""))
			isVerdict(t, tt.reason, err, tt.verdict)
			if after := platform.RetryAfter(err); after != tt.after {
				t.Errorf("%s: retry after %v, want %v", tt.reason, after, tt.after)
			}
			if calls := s.calls(0); tt.fault.On == "" && len(calls) != 1 {
				t.Errorf("%s: went on with %q", tt.reason, calls)
			}
			s.server.Stage().Heal()
			if _, err := s.Apply(t.Context(), step("Acme GmbH", "")); err != nil || len(s.server.Drives()) != 1 {
				t.Errorf("healed: %v, %v", err, s.server.Drives())
			}
		})
	}
}

// Between two calls of an attempt somebody else may be faster.
func TestSomebodyElseWasFaster(t *testing.T) {
	for name, tt := range map[string]struct {
		reason string
		before []space
		at     string
		status int
		ends   bool
	}{
		"renamed one is gone": {"the next attempt looks anew", []space{{Name: "Acme Inc", Description: ours}}, "PATCH", 404, false},
		"surplus one is gone": {"that is what was wanted", []space{{Description: ours, Name: "Acme GmbH"}, {Description: ours, Name: "Acme GmbH"}}, "PATCH", 404, true},
		"already removed":     {"that is what was wanted", []space{{Description: ours, Name: "Acme GmbH"}, {Description: ours, Name: "Acme GmbH"}}, "DELETE", 404, true},
		"another is changed":  {"an answer about something else is none", []space{{Name: "Acme Inc", Description: ours}}, "PATCH", 200, false},
		"not a removal":       {"an answer with a body is from somebody else", []space{{Description: ours, Name: "Acme GmbH"}, {Description: ours, Name: "Acme GmbH"}}, "DELETE", 200, false},
		"surplus one is back": {"the next attempt looks anew", []space{{Description: ours, Name: "Acme GmbH"}, {Description: ours, Name: "Acme GmbH"}}, "purge", 400, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.seed(t, tt.before)
			s.before = func(r *http.Request) {
				if r.Method == tt.at || r.Header.Get("Purge") != "" && tt.at == "purge" {
					s.server.Stage().Fail(stage.Fault{Status: tt.status, Body: "{}", Times: 1})
				}
			}
			_, err := s.Apply(t.Context(), step("Acme GmbH", ""))
			if tt.ends {
				if err != nil {
					t.Errorf("%s: %v", tt.reason, err)
				}
				return
			}
			isVerdict(t, tt.reason, err, passes)
		})
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
