package standin_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/integrations/stage"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a stand-in behind a real socket.
type world struct {
	*standin.Server
	url string
}

func newWorld(t *testing.T, file string) *world {
	t.Helper()
	server, err := standin.New(standin.Options{File: file, Clock: clocktest.New(start)})
	if err != nil {
		t.Fatal(err)
	}
	host := httptest.NewServer(server)
	t.Cleanup(host.Close)
	server.SetBaseURL(host.URL + "/")
	return &world{server, host.URL}
}

// call makes one call of the API, and does not follow redirects.
func (w *world) call(t *testing.T, method, path, body string) (status int, answer map[string]any) {
	t.Helper()
	status, answer, _ = w.send(t, method, path, body, "Bearer "+w.Token().Reveal())
	return status, answer
}

func (w *world) send(t *testing.T, method, path, body, authorization string) (int, map[string]any, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.url+"/api/v3"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if len(data) > 0 {
		if err := json.Unmarshal(data, &answer); err != nil {
			t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, data)
		}
	}
	return res.StatusCode, answer, res.Header
}

func (w *world) group(t *testing.T, name string) string {
	t.Helper()
	pk, err := w.AddGroup(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pk
}

func (w *world) person(t *testing.T, p standin.Person) {
	t.Helper()
	if err := w.AddPerson(p); err != nil {
		t.Fatal(err)
	}
}

func TestFilters(t *testing.T) {
	w := newWorld(t, "")
	for _, name := range []string{"tenant-acme", "tenant-globex"} {
		w.group(t, name)
	}
	w.person(t, standin.Person{Username: "anna", Email: "a@acme.dk", Groups: []string{"tenant-acme"}})
	w.person(t, standin.Person{Username: "bo", Email: "a@acme.dk"})
	uuid := w.People()[0].UUID
	for path, want := range map[string]float64{
		"/core/groups/?name=tenant-acme":                            1,
		"/core/groups/?name=Tenant-Acme":                            0,
		"/core/groups/?name=tenant":                                 0,
		"/core/groups/?name=":                                       2, // empty is no filter
		"/core/groups/?group=tenant-acme":                           2, // neither is an unknown one
		"/core/users/?username=anna":                                1,
		"/core/users/?username=Anna":                                0,
		"/core/users/?username=":                                    3, // the token's own account too
		"/core/users/?user__username=anna":                          3,
		"/core/users/?email=a@acme.dk":                              2,
		"/core/users/?uuid=" + uuid:                                 1,
		"/core/users/?groups_by_pk=" + w.Groups()["tenant-acme"].PK: 1,
	} {
		status, answer := w.call(t, "GET", path, "")
		if status != 200 || answer["pagination"].(map[string]any)["count"] != want {
			t.Errorf("%s: %d %v, want %v", path, status, answer["pagination"], want)
		}
	}
	for path, want := range map[string]int{
		"/core/groups/?search=acme":         501,
		"/core/users/?uuid=x":               400,
		"/core/users/?groups_by_pk=unknown": 400,
	} {
		if status, _ := w.call(t, "GET", path, ""); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

func TestPages(t *testing.T) {
	w := newWorld(t, "")
	for i := range 205 {
		w.group(t, fmt.Sprintf("group-%03d", i))
	}
	var names []string
	for page := 1; page != 0; {
		status, answer := w.call(t, "GET", fmt.Sprintf("/core/groups/?page=%d&page_size=1000", page), "")
		if status != 200 {
			t.Fatal(status)
		}
		for _, row := range answer["results"].([]any) {
			names = append(names, row.(map[string]any)["name"].(string))
		}
		page = int(answer["pagination"].(map[string]any)["next"].(float64))
	}
	if len(slices.Compact(names)) != 205 {
		t.Errorf("%d names", len(names))
	}
	if n := len(w.Stage().Calls()); n != 3 {
		t.Errorf("%d pages, want 3: a page has 100 rows at most", n)
	}
	if status, answer := w.call(t, "GET", "/core/groups/?page=99", ""); status != 404 || answer["detail"] != "Invalid page." {
		t.Errorf("past the end: %d %v", status, answer)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, "")
	pk := w.group(t, "choir")
	token := "Bearer " + w.Token().Reveal()
	for name, test := range map[string]struct {
		method, path, body, authorization string
		status                            int
		answer                            map[string]any
	}{
		"no token":       {"GET", "/core/groups/", "", "", 403, map[string]any{"detail": "Authentication credentials were not provided."}},
		"wrong token":    {"GET", "/core/groups/", "", "Bearer x", 403, map[string]any{"detail": "Token invalid/expired"}},
		"empty token":    {"GET", "/core/groups/", "", "Bearer ", 403, nil},
		"no such path":   {"GET", "/core/none/", "", token, 404, map[string]any{"detail": "Not found."}},
		"no such group":  {"GET", "/core/groups/x/", "", token, 404, map[string]any{"detail": "Not found."}},
		"wrong method":   {"POST", "/core/groups/" + pk + "/", "{}", token, 405, map[string]any{"detail": `Method "POST" not allowed.`}},
		"no name":        {"POST", "/core/groups/", "{}", token, 400, map[string]any{"name": []any{"This field is required."}}},
		"blank name":     {"POST", "/core/groups/", `{"name":" "}`, token, 400, map[string]any{"name": []any{"This field may not be blank."}}},
		"taken name":     {"POST", "/core/groups/", `{"name":" choir "}`, token, 400, map[string]any{"name": []any{"This field must be unique."}}},
		"no JSON":        {"POST", "/core/groups/", `{`, token, 400, nil},
		"attributes":     {"PATCH", "/core/groups/" + pk + "/", `{"attributes":[]}`, token, 400, nil},
		"no such member": {"POST", "/core/groups/" + pk + "/add_user/", `{"pk":99}`, token, 404, nil},
		"member by name": {"POST", "/core/groups/" + pk + "/add_user/", `{"pk":"x"}`, token, 400, map[string]any{"pk": []any{"A valid integer is required."}}},
		"user's path":    {"POST", "/core/users/", `{"username":"x","name":"","path":"/a"}`, token, 400, nil},
		"user's email":   {"POST", "/core/users/", `{"username":"x","name":"","email":"x"}`, token, 400, nil},
	} {
		status, answer, _ := w.send(t, test.method, test.path, test.body, test.authorization)
		if status != test.status || (test.answer != nil && !cmp.Equal(test.answer, answer)) {
			t.Errorf("%s: got %d %v", name, status, answer)
		}
	}
	// A DELETE without the last slash does nothing, and a client that follows
	// would think that it did.
	status, _, header := w.send(t, "DELETE", "/core/groups/"+pk, "", token)
	if status != 301 || header.Get("Location") != "/api/v3/core/groups/"+pk+"/" || len(w.Groups()) != 1 {
		t.Errorf("got %d to %q", status, header.Get("Location"))
	}
}

func TestWritesAndTheirTraps(t *testing.T) {
	w := newWorld(t, "")
	pk := w.group(t, "choir")
	w.person(t, standin.Person{Username: "anna", Groups: []string{"choir"}})
	members := func() int { return w.Groups()["choir"].Members }

	w.call(t, "PATCH", "/core/groups/"+pk+"/", `{"attributes":{"a":1,"b":2}}`)
	w.call(t, "PATCH", "/core/groups/"+pk+"/", `{"attributes":{"c":3},"nonsense":true}`)
	if diff := cmp.Diff(map[string]any{"c": 3.0}, w.Groups()["choir"].Attributes); diff != "" || members() != 1 {
		t.Errorf("a PATCH replaces the attributes as a whole and leaves the members: %d\n%s", members(), diff)
	}
	w.call(t, "PUT", "/core/groups/"+pk+"/", `{"name":"choir"}`)
	if members() != 0 {
		t.Error("a PUT without users takes all members away")
	}
	for range 2 {
		if status, _ := w.call(t, "POST", "/core/groups/"+pk+"/add_user/", `{"pk":2}`); status != 204 || members() != 1 {
			t.Errorf("added: %d, %d members", status, members())
		}
	}
	w.call(t, "PUT", "/core/users/2/", `{"username":"anna","name":"Anna"}`)
	if members() != 0 {
		t.Error("a PUT without groups takes the user out of all")
	}
	w.call(t, "PATCH", "/core/users/2/", fmt.Sprintf(`{"groups":[%q,%q]}`, pk, pk))
	if members() != 1 {
		t.Errorf("%d members", members())
	}
	for range 2 {
		if status, _ := w.call(t, "POST", "/core/groups/"+pk+"/remove_user/", `{"pk":2}`); status != 204 || members() != 0 {
			t.Errorf("removed: %d, %d members", status, members())
		}
	}
	w.call(t, "PATCH", "/core/groups/"+pk+"/", `{"name":"band","users":[2]}`)
	if g := w.Groups(); len(g) != 1 || g["band"].Members != 1 {
		t.Errorf("renamed: %v", g)
	}
	if _, user := w.call(t, "GET", "/core/users/2/?include_groups=false", ""); user["groups_obj"] != nil || len(user["groups"].([]any)) != 1 {
		t.Errorf("without group objects: %v", user)
	}
	if _, group := w.call(t, "GET", "/core/groups/"+pk+"/?include_users=false", ""); group["users_obj"] != nil || len(group["users"].([]any)) != 1 {
		t.Errorf("without user objects: %v", group)
	}
	w.call(t, "DELETE", "/core/users/2/", "")
	w.call(t, "DELETE", "/core/groups/"+pk+"/", "")
	if len(w.Groups()) != 0 || len(w.People()) != 0 {
		t.Errorf("left: %v, %v", w.Groups(), w.People())
	}
}

func TestRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "authentik.json")
	w := newWorld(t, file)
	w.person(t, standin.Person{Username: "anna", Groups: []string{"tenant-acme"}, EmailUnverified: true})
	if status, _ := w.call(t, "POST", "/core/groups/", `{"name":"choir","attributes":{"a":1}}`); status != 201 {
		t.Fatal(status)
	}
	token, err := w.SignIn("anna", standin.Portal)
	if err != nil {
		t.Fatal(err)
	}
	again := newWorld(t, file)
	again.person(t, standin.Person{Username: "anna", Groups: []string{"choir"}})
	if diff := cmp.Diff(w.Groups(), again.Groups()); diff != "" {
		t.Errorf("groups (-before +after)\n%s", diff)
	}
	if diff := cmp.Diff(w.People(), again.People()); diff != "" {
		t.Errorf("people (-before +after)\n%s", diff)
	}
	if w.Token().Reveal() != again.Token().Reveal() {
		t.Error("another API token")
	}
	kid := decode(t, strings.Split(token, ".")[0])["kid"]
	if again.SigningKey(standin.Portal).ID != kid || again.SigningKey(standin.Operator).ID == kid {
		t.Error("another key, or the same for both applications")
	}
	again.SetBaseURL(w.url)
	if _, err := again.SignIn("anna", standin.Portal); err != nil {
		t.Error(err)
	}
}

func TestManyAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "authentik.json")
	w := newWorld(t, file)
	w.person(t, standin.Person{Username: "anna"})
	created := make([]int, 50)
	var all sync.WaitGroup
	for i := range created {
		all.Go(func() {
			created[i], _ = w.call(t, "POST", "/core/groups/", fmt.Sprintf(`{"name":"group-%d"}`, i/2))
			if _, err := w.SignIn("anna", standin.Portal); err != nil {
				t.Error(err)
			}
			w.call(t, "GET", "/core/groups/", "")
			w.Groups()
		})
	}
	all.Wait()
	slices.Sort(created)
	if created[24] != 201 || created[25] != 400 {
		t.Errorf("of two that make one group one is refused: %v", created)
	}
	if diff := cmp.Diff(w.Groups(), newWorld(t, file).Groups()); diff != "" {
		t.Errorf("the file (-memory +file)\n%s", diff)
	}
}

func decode(t *testing.T, part string) map[string]any {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func TestTokenEndpoint(t *testing.T) {
	w := newWorld(t, "")
	w.person(t, standin.Person{Username: "anna", Name: "Anna", Email: "a@acme.dk", Groups: []string{"tenant-acme"}, MFA: true})
	w.Stage().Hold() // the API's troubles are not those of the issuers
	defer w.Stage().Release()
	good := url.Values{"grant_type": {"client_credentials"}, "client_id": {standin.Portal}, "username": {"anna"}, "password": {standin.Password}}
	post := func(form url.Values) (int, map[string]any) {
		res, err := http.PostForm(w.url+"/application/o/token/", form)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var answer map[string]any
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, answer
	}
	status, answer := post(good)
	if status != 200 || answer["token_type"] != "Bearer" || answer["expires_in"] != 600.0 {
		t.Fatalf("got %d %v", status, answer)
	}
	access := decode(t, strings.Split(answer["access_token"].(string), ".")[1])
	id := decode(t, strings.Split(answer["id_token"].(string), ".")[1])
	names := []string{"acr", "amr", "aud", "auth_time", "email", "email_verified", "exp", "given_name", "groups", "iat", "iss", "name", "nickname", "nonce", "preferred_username", "sid", "sub"}
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(id))); diff != "" {
		t.Errorf("claims of an ID token (-want +got)\n%s", diff)
	}
	names = append(names, "azp", "uid")
	slices.Sort(names)
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(access))); diff != "" {
		t.Errorf("claims of an access token (-want +got)\n%s", diff)
	}
	for name, want := range map[string]any{
		"iss": w.url + "/application/o/dezky-portal/", "aud": standin.Portal, "azp": standin.Portal, "sub": w.People()[0].UUID,
		"exp": float64(start.Add(10 * time.Minute).Unix()), "email_verified": true, "groups": []any{"tenant-acme"}, "amr": []any{"pwd", "mfa"},
	} {
		if !cmp.Equal(access[name], want) {
			t.Errorf("%s is %v, want %v", name, access[name], want)
		}
	}
	for name, wrong := range map[string]struct{ field, value, err string }{
		"password":    {"password", "guess", "invalid_grant"},
		"user":        {"username", "bo", "invalid_grant"},
		"application": {"client_id", "acme-crm", "invalid_grant"},
		"grant":       {"grant_type", "urn:ietf:params:oauth:grant-type:device_code", "unsupported_grant_type"},
	} {
		form := url.Values{}
		for field, values := range good {
			form[field] = values
		}
		form.Set(wrong.field, wrong.value)
		if status, answer := post(form); status != 400 || answer["error"] != wrong.err {
			t.Errorf("wrong %s: %d %v", name, status, answer)
		}
	}
	w.IssuerStage().Fail(stage.Fault{Status: 503, Body: "{}"})
	if status, _ := post(good); status != 503 {
		t.Errorf("the issuers can fail too: got %d", status)
	}
}

func TestSuspendedUserCannotSignIn(t *testing.T) {
	w := newWorld(t, "")
	w.person(t, standin.Person{Username: "anna"})
	w.call(t, "PATCH", "/core/users/2/", `{"is_active":false}`)
	if _, err := w.SignIn("anna", standin.Portal); err == nil {
		t.Error("signed in")
	}
}

func TestHealth(t *testing.T) {
	w := newWorld(t, "")
	for _, path := range []string{"/-/health/live/", "/-/health/ready/"} {
		res, err := http.Get(w.url + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
}

func TestTokenIsKept(t *testing.T) {
	s, err := standin.New(standin.Options{Token: platform.NewSecret("mine"), Clock: clocktest.New(start)})
	if err != nil || s.Token().Reveal() != "mine" {
		t.Errorf("got %v", err)
	}
}
