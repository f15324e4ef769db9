package standin_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/ocis/standin"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

const (
	editor  = "58c63c02-1d89-4572-916a-870abc5a1b7d"
	manager = "312c0871-5ef7-4b3a-85b6-0e4074c64049"
	viewer  = "a8d5fe5e-96e3-418d-825b-534dbdf22b99"
)

// stand is a server at which bearer tokens are usernames.
type stand struct {
	*standin.Server
	t     *testing.T
	clock *clocktest.Clock
	url   string
}

func newStand(t *testing.T, file string) *stand {
	t.Helper()
	s := &stand{t: t, clock: clocktest.New(time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC))}
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if name == "expired" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		claims := map[string]string{"sub": "1"}
		if name != "nameless" {
			claims["preferred_username"] = name
		}
		json.NewEncoder(w).Encode(claims)
	}))
	t.Cleanup(provider.Close)
	var err error
	s.Server, err = standin.New(standin.Options{
		File: file, Username: "dezky", Token: platform.NewSecret("app"), Clock: s.clock, UserInfo: provider.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Server)
	t.Cleanup(web.Close)
	s.url = web.URL
	return s
}

// as makes a call as the user with a name, or as the administrator with "".
func (s *stand) as(name, method, path, body string) (int, http.Header, map[string]any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	if name == "" {
		req.SetBasicAuth("dezky", "app")
	} else {
		req.Header.Set("Authorization", "Bearer "+name)
	}
	if method == "PROPFIND" {
		req.Header.Set("Depth", "0")
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var answer map[string]any
	json.Unmarshal(data, &answer)
	return res.StatusCode, res.Header, answer
}

// must makes a call as the administrator, and answers with what it made.
func (s *stand) must(method, path, body string) (id string) {
	s.t.Helper()
	status, _, answer := s.as("", method, path, body)
	if status > 299 {
		s.t.Fatalf("%s %s: %d %v", method, path, status, answer)
	}
	id, _ = answer["id"].(string)
	return id
}

// member makes a space and somebody who may enter it.
func (s *stand) member(role string) (space, user string) {
	s.t.Helper()
	space = url.PathEscape(s.must("POST", "/graph/v1.0/drives", `{"name":"Acme","quota":{"total":10}}`))
	user = s.must("POST", "/graph/v1.0/users", `{"onPremisesSamAccountName":"olga","displayName":"Olga"}`)
	s.must("POST", "/graph/v1beta1/drives/"+space+"/root/invite", `{"recipients":[{"objectId":"`+user+`"}],"roles":["`+role+`"]}`)
	return space, user
}

func TestBearerTokens(t *testing.T) {
	for name, test := range map[string]struct {
		reason     string
		token      string
		disabled   bool
		status     int
		challenges int
	}{
		"known":     {"a username is the same in any case", "OLGA", false, 200, 0},
		"disabled":  {"the token is good, so nothing is asked for", "olga", true, 401, 0},
		"unknown":   {"the token is good, so nothing is asked for", "nobody", false, 401, 0},
		"no claim":  {"the real one fails", "nameless", false, 500, 0},
		"not known": {"the provider does not know the token", "expired", false, 401, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, "")
			s.must("POST", "/graph/v1.0/users", `{"onPremisesSamAccountName":"olga","displayName":"Olga"}`)
			if test.disabled {
				s.must("PATCH", "/graph/v1.0/users/olga", `{"accountEnabled":false}`)
			}
			status, header, _ := s.as(test.token, "GET", "/graph/v1.0/me", "")
			if n := len(header.Values("Www-Authenticate")); status != test.status || n != test.challenges {
				t.Errorf("%s: %d with %d challenges", test.reason, status, n)
			}
		})
	}
}

// Access ends and comes back with the account and with the grant.
func TestAccess(t *testing.T) {
	s := newStand(t, "")
	space, olga := s.member(editor)
	permission := "/graph/v1beta1/drives/" + space + "/root/permissions/u:" + olga
	invite := `{"recipients":[{"objectId":"` + olga + `"}],"roles":["` + editor + `"]}`
	enters := func(status, spaces int, reason string) {
		t.Helper()
		found, _, _ := s.as("olga", "PROPFIND", "/dav/spaces/"+space, "")
		if found != status {
			t.Errorf("%s: PROPFIND is %d instead of %d", reason, found, status)
		}
		_, _, mine := s.as("olga", "GET", "/graph/v1.0/me/drives?%24filter=driveType%20eq%20%27project%27", "")
		if value, _ := mine["value"].([]any); len(value) != spaces {
			t.Errorf("%s: %d spaces instead of %d", reason, len(value), spaces)
		}
	}
	enters(207, 1, "invited")
	s.must("PATCH", "/graph/v1.0/users/"+olga, `{"accountEnabled":false}`)
	enters(401, 0, "suspended")
	s.must("PATCH", "/graph/v1.0/users/"+olga, `{"accountEnabled":true}`)
	enters(207, 1, "resumed")
	s.must("DELETE", permission, "")
	enters(404, 0, "without a grant")
	s.must("POST", "/graph/v1beta1/drives/"+space+"/root/invite", invite)
	enters(207, 1, "invited again")
	s.must("DELETE", "/graph/v1.0/drives/"+space, "")
	enters(404, 0, "the space is disabled")
}

func TestUpload(t *testing.T) {
	s := newStand(t, "")
	space, _ := s.member(editor)
	for _, test := range []struct {
		file, body string
		status     int
	}{
		{"a.txt", "12345", 201}, {"a.txt", "1234567890", 204}, {"b.txt", "1", 507}, {"a.txt", "", 204}, {"dir/b.txt", "1", 201},
	} {
		if status, _, _ := s.as("olga", "PUT", "/dav/spaces/"+space+"/"+test.file, test.body); status != test.status {
			t.Errorf("%s: %d instead of %d", test.file, status, test.status)
		}
	}
	_, _, shown := s.as("", "GET", "/graph/v1.0/drives/"+space, "")
	if quota, _ := shown["quota"].(map[string]any); quota["used"] != float64(1) || quota["remaining"] != float64(9) {
		t.Errorf("%v", quota)
	}
}

func TestViewersDoNotWrite(t *testing.T) {
	s := newStand(t, "")
	space, _ := s.member(viewer)
	if status, _, _ := s.as("olga", "PUT", "/dav/spaces/"+space+"/a", "1"); status != 403 {
		t.Errorf("got %d", status)
	}
	if status, _, _ := s.as("olga", "GET", "/graph/v1beta1/drives/"+space+"/root/permissions", ""); status != 403 {
		t.Errorf("got %d", status)
	}
}

// A deleted user's grant stays, with their name for a minute.
func TestGrantsOutliveTheirUsers(t *testing.T) {
	s := newStand(t, "")
	space, olga := s.member(editor)
	s.must("DELETE", "/graph/v1.0/users/olga", "")
	for _, test := range []struct {
		wait time.Duration
		name string
	}{{0, "Olga"}, {59 * time.Second, "Olga"}, {time.Second, ""}} {
		s.clock.Advance(test.wait)
		_, _, list := s.as("", "GET", "/graph/v1beta1/drives/"+space+"/root/permissions", "")
		value, _ := json.Marshal(list["value"])
		if !strings.Contains(string(value), `"displayName":"`+test.name+`","id":"`+olga) {
			t.Errorf("after %v: %s", test.wait, value)
		}
	}
	id, _ := url.PathUnescape(space)
	if diff := cmp.Diff(map[string]string{olga: "editor"}, s.Grants(id)); diff != "" {
		t.Error(diff)
	}
	if again := s.must("POST", "/graph/v1.0/users", `{"onPremisesSamAccountName":"olga","displayName":"Olga"}`); again == olga {
		t.Error("an id came back")
	}
}

// What the real one has and this one has not is refused aloud; what neither has
// is not found.
func TestNotPlayed(t *testing.T) {
	s := newStand(t, "")
	space, _ := s.member(manager)
	for target, status := range map[string]int{
		"GET /graph/v1.0/groups": 501, "POST /auth-app/tokens": 501, "GET /graph/v1.0/applications": 501, "POST /graph/v1.0/me/changePassword": 501,
		"GET /graph/v1.0/users/olga/appRoleAssignments": 501, "GET /graph/v1beta1/drives": 501, "GET /graph/v1.0/users/olga?%24expand=memberOf": 501,
		"GET /graph/v1.0/users?%24search=a%20b": 501, "GET /dav/spaces/" + space + "/a": 501, "GET /graph/v1.0/nope": 404, "GET /nope": 404,
		"PUT /graph/v1.0/users": 405,
	} {
		method, path, _ := strings.Cut(target, " ")
		if got, _, _ := s.as("", method, path, ""); got != status {
			t.Errorf("%s: %d instead of %d", target, got, status)
		}
	}
}

func TestStateOutlivesARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ocis.json")
	s := newStand(t, file)
	space, olga := s.member(editor)
	s.as("olga", "PUT", "/dav/spaces/"+space+"/a", "123")
	id, _ := url.PathUnescape(space)
	again := newStand(t, file)
	if diff := cmp.Diff(s.Users(), again.Users()); diff != "" || len(again.Users()) != 1 {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{olga: "editor"}, again.Grants(id)); diff != "" {
		t.Error(diff)
	}
	if status, _, _ := again.as("olga", "PUT", "/dav/spaces/"+space+"/a", "1234"); status != 204 {
		t.Errorf("the file is not there any more: %d", status)
	}
	if data, err := os.ReadFile(file); err != nil || strings.Contains(string(data), `"app"`) {
		t.Errorf("the file shows the token: %v", err)
	}
}

// A file from before there were users and grants has an administrator who
// manages every space.
func TestOldFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ocis.json")
	err := os.WriteFile(file, []byte(`{"Storage":"s","Admin":"a","Drives":[
		{"Space":"a","Name":"Admin","Type":"personal","Alias":"personal/dezky","Changed":"2026-01-01T00:00:00Z"},
		{"Space":"p","Name":"Acme","Type":"project","Alias":"project/acme","Total":9,"Used":4,"Changed":"2026-01-01T00:00:00Z"}]}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s := newStand(t, file)
	if _, _, me := s.as("", "GET", "/graph/v1.0/me", ""); me["id"] != "a" || me["onPremisesSamAccountName"] != "dezky" {
		t.Errorf("%v", me)
	}
	user := s.must("POST", "/graph/v1.0/users", `{"onPremisesSamAccountName":"olga","displayName":"Olga"}`)
	s.must("POST", "/graph/v1beta1/drives/s%24p/root/invite", `{"recipients":[{"objectId":"`+user+`"}],"roles":["`+editor+`"]}`)
	if diff := cmp.Diff(map[string]string{user: "editor"}, s.Grants("s$p")); diff != "" {
		t.Error(diff)
	}
}
