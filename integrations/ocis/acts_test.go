package ocis

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
)

func TestSpaceUse(t *testing.T) {
	s := newStand(t)
	ids := s.seed(t, []space{{Name: "A", Used: 7}, {Name: "B", Used: 8, Disabled: true}, {Name: "C", Used: 9}})
	s.lift(ids[0])
	used, err := s.SpaceUse(t.Context(), []string{ids[0], ids[1], "not$there"})
	want := map[string]platform.Use{ids[0]: {UsedBytes: 7}}
	if err != nil || !cmp.Equal(used, want) {
		t.Errorf("%v: %s", err, cmp.Diff(want, used))
	}
	if used, err = s.SpaceUse(t.Context(), ids[2:]); err != nil || used[ids[2]] != (platform.Use{UsedBytes: 9, QuotaBytes: 1000000000}) {
		t.Errorf("%v, %v", used, err)
	}
}

// lift takes a space's limit away, as an administrator does by hand.
func (s *stand) lift(space string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPatch, s.url+drivePath(space), strings.NewReader(`{"quota":{"total":0}}`))
	if err != nil {
		s.t.Fatal(err)
	}
	req.SetBasicAuth("platform", tokenSecret)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatal(res, err)
	}
	res.Body.Close()
}

func TestAccountUse(t *testing.T) {
	s := newStand(t)
	me, err := s.me(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	olga := s.seedAccount(olga()) // she has not signed in
	if err := s.server.Upload(s.storage()+"$"+me, 5); err != nil {
		t.Fatal(err)
	}
	used, err := s.AccountUse(t.Context(), []string{me, olga})
	if want := map[string]platform.Use{me: {UsedBytes: 5}}; err != nil || !cmp.Equal(used, want) {
		t.Errorf("%v: %s", err, cmp.Diff(want, used))
	}
}

// storage is the first half of every drive's id.
func (s *stand) storage() string {
	s.t.Helper()
	all, err := s.drives(s.t.Context(), personal)
	if err != nil || len(all) == 0 {
		s.t.Fatal(all, err)
	}
	return all[0].ID[:len("8835e1b6-556f-4ffe-8a35-7a82bd77b09f")]
}

func TestUseAsksOnce(t *testing.T) {
	s := newStand(t)
	if used, err := s.AccountUse(t.Context(), nil); err != nil || len(used) != 0 || len(s.calls(0)) != 0 {
		t.Errorf("%v, %v after %q", used, err, s.calls(0))
	}
	s.server.Stage().Fail(stage.Fault{Status: 200, Times: 1, Body: `{"value":null}`})
	if used, err := s.SpaceUse(t.Context(), []string{"a", "b", "c"}); err != nil || used == nil || len(used) != 0 {
		t.Errorf("%v, %v", used, err)
	}
	s.server.Stage().Fail(stage.Fault{Status: 200, Times: 1, Body: `{}`})
	if used, err := s.AccountUse(t.Context(), []string{"a"}); err == nil || used != nil {
		t.Errorf("%v: a list without entries is no empty list", used)
	}
	if calls := s.calls(0); !cmp.Equal(calls, []string{listing, listing}) {
		t.Errorf("called %q", calls)
	}
}

func TestProbe(t *testing.T) {
	asJSON := map[string]string{"Content-Type": "application/json"}
	assigned := func(id string) stage.Fault {
		return stage.Fault{On: "GET /graph/v1.0/users/", Status: 200, Header: asJSON, Body: `{"id":"a","appRoleAssignments":[{"appRoleId":"` + id + `"}]}`}
	}
	for name, tt := range map[string]struct {
		reason string
		fault  stage.Fault
		pass   bool
	}{
		"shut":              {"somebody may open it", stage.Fault{Status: 401}, passes},
		"wrong token":       {"or the server starts", stage.Fault{Status: 401, Header: map[string]string{"Www-Authenticate": "Basic"}}, passes},
		"away":              {"servers recover", stage.Fault{Kind: stage.Reset}, passes},
		"nobody":            {"an answer without an id is none", stage.Fault{Status: 200, Body: `{}`}, passes},
		"a plain user":      {"rights do not grow by waiting", assigned("d7beeea8-8ff4-406b-8fb6-ab2dd81e6b11"), never},
		"a space's manager": {"it may make no accounts", assigned(roleSpaceAdmin), never},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			if err := s.Probe(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.server.Stage().Fail(tt.fault)
			isVerdict(t, tt.reason, s.Probe(t.Context()), tt.pass)
			for _, call := range s.calls(0) {
				if isChange(call) {
					t.Errorf("called %s", call)
				}
			}
		})
	}
}
