package stalwart

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/stalwart/standin"
	"github.com/dezky/platform/platform"
)

func TestList(t *testing.T) {
	gone := func(w *platform.GroupWant) { w.Presence = platform.PresenceGone }
	recipients := []string{"ada@acme.dezky.test", "odd/name~x@acme.test"}
	described := func(text string) map[string]any {
		return map[string]any{"name": "sales", "domainId": "b", "description": text}
	}
	for name, tt := range map[string]struct {
		reason  string
		before  map[string]any
		want    func(w *platform.GroupWant)
		handle  string
		found   map[string]standin.List
		changes int
		code    platform.Code
		canPass bool
	}{
		"missing": {
			reason: "it is made in one call", changes: 1,
			found: map[string]standin.List{"sales@acme.dezky.test": {ID: "b", Description: "Sales (grp_sales)", Recipients: recipients}},
		},
		"unmarked": {
			reason: "a list that nobody marked is adopted", before: described("Vertrieb"), changes: 1,
			found: map[string]standin.List{"sales@acme.dezky.test": {ID: "b", Description: "Sales (grp_sales)", Recipients: recipients}},
		},
		"another group's": {
			reason: "a mark is never painted over", before: described("Sales (grp_other)"), code: platform.Conflict,
			found: map[string]standin.List{"sales@acme.dezky.test": {ID: "b", Description: "Sales (grp_other)"}},
		},
		"moved": {
			reason: "the handle is the list, wherever it was", before: map[string]any{"name": "old", "domainId": "c", "description": "Sales (grp_sales)"},
			handle: "b", changes: 1,
			found: map[string]standin.List{"sales@acme.dezky.test": {ID: "b", Description: "Sales (grp_sales)", Recipients: recipients}},
		},
		"no domain":  {reason: "it may be made by another step", want: func(w *platform.GroupWant) { w.Address = "sales@later.test" }, code: platform.Unavailable, canPass: true, found: map[string]standin.List{}},
		"no address": {reason: "it does not mend itself", want: func(w *platform.GroupWant) { w.Address = "sales" }, code: platform.Invalid, found: map[string]standin.List{}},
		"gone":       {reason: "with its mark it is ours", want: gone, before: described("Sales (grp_sales)"), changes: 1, found: map[string]standin.List{}},
		"gone, unmarked": {
			reason: "what nobody marked and we do not know is not ours", want: gone, before: described("Vertrieb"),
			found: map[string]standin.List{"sales@acme.dezky.test": {ID: "b", Description: "Vertrieb"}},
		},
		"gone, unmarked and known": {reason: "somebody wrote over the mark", want: gone, before: described("Vertrieb"), handle: "b", changes: 1, found: map[string]standin.List{}},
		"gone, not there":          {reason: "as wanted", want: gone, handle: "zz", found: map[string]standin.List{}},
		"gone, no domain":          {reason: "as wanted", want: func(w *platform.GroupWant) { gone(w); w.Address = "sales@later.test" }, found: map[string]standin.List{}},
		"without an address by now": {
			reason: "a list that is known goes with the address", want: func(w *platform.GroupWant) { w.Address = "" },
			before: described("Sales (grp_sales)"), handle: "b", changes: 1, found: map[string]standin.List{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newDomains(t)
			if tt.before != nil {
				s.set(t, "x:MailingList/set", map[string]any{"create": map[string]any{"l": tt.before}})
			}
			want := sales()
			if tt.want != nil {
				tt.want(&want)
			}
			handle := ""
			var err error
			if n := s.changes(func() { handle, err = s.Apply(t.Context(), groupStep(want, tt.handle)) }); n != tt.changes {
				t.Errorf("%s: %d changing calls, want %d", tt.reason, n, tt.changes)
			}
			if tt.code == "" && err != nil || tt.code != "" && (platform.CodeOf(err) != tt.code || platform.CanPass(err) != tt.canPass) {
				t.Errorf("%s: %v", tt.reason, err)
			}
			if found := s.server.Lists(); !cmp.Equal(found, tt.found) {
				t.Errorf("%s: %s", tt.reason, cmp.Diff(tt.found, found))
			}
			if err != nil {
				return
			}
			for _, known := range []string{tt.handle, handle} {
				if n := s.changes(func() { handle, err = s.Apply(t.Context(), groupStep(want, known)) }); n > 0 || err != nil && !errors.Is(err, platform.ErrSkip) {
					t.Errorf("applied again: %d changing calls, %v", n, err)
				}
			}
		})
	}
}

// An address that an account has, and a list that has it as an alias.
func TestListAddressIsTaken(t *testing.T) {
	for name, prepare := range map[string]func(s *stand){
		"mailbox": func(s *stand) {
			s.set(t, "x:Account/set", map[string]any{"create": map[string]any{"a": map[string]any{"@type": "User", "name": "sales", "domainId": "b"}}})
		},
		"alias": func(s *stand) {
			s.set(t, "x:MailingList/set", map[string]any{"create": map[string]any{"a": map[string]any{
				"name": "all", "domainId": "b", "aliases": map[string]any{"0": map[string]any{"name": "sales", "domainId": "b"}},
			}}})
		},
	} {
		s := newDomains(t)
		prepare(s)
		before := s.look()
		_, err := s.Apply(t.Context(), groupStep(sales(), ""))
		if platform.CodeOf(err) != platform.Conflict || platform.CanPass(err) || !cmp.Equal(before, s.look()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoListIsSkipped(t *testing.T) {
	s := newStand(t)
	w := sales()
	w.Address = ""
	if _, err := s.Apply(t.Context(), groupStep(w, "")); !errors.Is(err, platform.ErrSkip) || len(s.server.Stage().Calls()) > 0 {
		t.Errorf("%v, %q", err, s.server.Stage().Calls())
	}
}

// A list is found on whatever page it is, though nothing filters by address.
func TestListOnALaterPage(t *testing.T) {
	s := newDomains(t)
	for from := 0; from < 1100; from += 100 {
		create := map[string]any{}
		for i := range 100 {
			create[fmt.Sprintf("l%03d", i)] = map[string]any{"name": fmt.Sprintf("list%d", from+i), "domainId": "b"}
		}
		s.set(t, "x:MailingList/set", map[string]any{"create": create})
	}
	w := sales()
	w.Address = "list1050@acme.dezky.test"
	handle := s.apply(t, groupStep(w, ""))
	if found := s.server.Lists()[w.Address]; found.ID != handle || found.Description != "Sales (grp_sales)" || len(s.server.Lists()) != 1100 {
		t.Errorf("there is %+v of %d", found, len(s.server.Lists()))
	}
}
