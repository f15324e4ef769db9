package ocis

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/ocis/standin"
	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

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

func TestApplySpace(t *testing.T) {
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
			handle: -1, calls: []string{listing, post, listing}, after: []space{acme}, stays: -1,
		},
		"there": {
			reason: "what is right is left alone",
			before: []space{acme}, handle: -1, calls: []string{listing}, after: []space{acme},
		},
		"renamed tenant": {
			reason: "the space bears the tenant's name",
			before: []space{{Name: "Acme Inc", Description: ours}}, handle: -1, calls: []string{listing, patch}, after: []space{acme},
		},
		"disabled": {
			reason: "a space that is wanted is not disabled",
			before: []space{{Name: "Acme GmbH", Description: ours, Disabled: true}}, calls: []string{listing, back}, after: []space{acme},
		},
		"disabled and renamed": {
			reason: "all that differs is mended",
			before: []space{{Name: "Acme Inc", Description: ours, Disabled: true}}, calls: []string{listing, back, patch}, after: []space{acme},
		},
		"mark edited away": {
			reason: "members can edit a description, and the recorded handle still finds the space",
			before: []space{{Name: "Acme GmbH", Description: "Our files"}}, calls: []string{listing, patch}, after: []space{acme},
		},
		"another tenant's by our handle": {
			reason: "a mark is never painted over",
			before: []space{{Name: "Globex", Description: "dezky:ten_globex"}}, calls: []string{listing},
			after: []space{{Name: "Globex", Description: "dezky:ten_globex"}}, code: platform.Conflict,
		},
		"recorded one is gone": {
			reason: "a space that somebody purged is made anew",
			handle: -1, recorded: "a$b", calls: []string{listing, post, listing}, after: []space{acme}, stays: -1,
		},
		"two": {
			reason: "all who look agree on the smallest id",
			before: []space{acme, acme}, handle: -1,
			calls: []string{listing, patch, remove, purge}, after: []space{acme}, stays: 0,
		},
		"two, and the larger is recorded": {
			reason: "a late creation does not take the recorded one's place",
			before: []space{acme, acme}, handle: 1,
			calls: []string{listing, patch, remove, purge}, after: []space{acme}, stays: 1,
		},
		"a second one with files": {
			reason: "files are never removed; a person has to look",
			before: []space{acme, {Name: "Acme GmbH", Description: ours, Used: 1}}, handle: -1,
			calls: []string{listing}, after: []space{acme, acme},
		},
		"a second one that is disabled": {
			reason: "a disabled space does not show whether it has files",
			before: []space{acme, {Name: "Acme GmbH", Description: ours, Disabled: true}}, handle: -1,
			calls: []string{listing}, after: []space{acme, {Name: "Acme GmbH", Description: ours, Disabled: true}},
		},
		"a removal that was cut off after the mark": {
			reason: "it is finished",
			before: []space{acme, {Name: "Acme GmbH", Description: ours + " (surplus)"}}, handle: -1,
			calls: []string{listing, remove, purge}, after: []space{acme},
		},
		"a removal that was cut off before the purge": {
			reason: "it is finished",
			before: []space{acme, {Name: "Acme GmbH", Description: ours + " (surplus)", Disabled: true}}, handle: -1,
			calls: []string{listing, remove, purge}, after: []space{acme},
		},
		"a removal that somebody undid to put files there": {
			reason: "files are never removed",
			before: []space{acme, {Name: "Acme GmbH", Description: ours + " (surplus)", Used: 1}}, handle: -1,
			calls: []string{listing}, after: []space{acme, {Name: "Acme GmbH", Description: ours + " (surplus)"}},
		},
		"only a surplus one is left": {
			reason: "what is being removed is not the tenant's space",
			before: []space{{Name: "Acme GmbH", Description: ours + " (surplus)", Disabled: true}}, handle: -1,
			calls: []string{listing, post, listing, remove, purge}, after: []space{acme}, stays: -1,
		},
		"a surplus one is recorded": {
			reason: "the record decides",
			before: []space{{Name: "Acme GmbH", Description: ours + " (surplus)", Disabled: true}},
			calls:  []string{listing, back, patch}, after: []space{acme},
		},
		"a name that the server refuses": {
			reason: "what it refuses becomes a space",
			handle: -1, name: ` A/S "Größe"\: <Acme | Söhne>* Inc.? `, calls: []string{listing, post, listing},
			after: []space{{Name: "A S Größe Acme Söhne Inc", Description: ours}}, stays: -1,
		},
		"nothing but what the server refuses": {
			reason: "the slug is a name too",
			handle: -1, name: "???", calls: []string{listing, post, listing}, after: []space{{Name: "acme", Description: ours}}, stays: -1,
		},
		"a long name": {
			reason: "255 bytes are the most, and no letter is cut in two",
			handle: -1, name: strings.Repeat("ö", 200), calls: []string{listing, post, listing},
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
			if calls := s.calls(before); !cmp.Equal(calls, []string{listing}) {
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

// Wherever an attempt is cut off, the next one ends where it would have ended.
func TestApplySpaceAfterAnAttemptThatWasCutOff(t *testing.T) {
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
