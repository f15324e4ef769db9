package standin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/integrations/authentik/standin"
	"github.com/dezky/platform/platform/clocktest"
)

// token asks the token endpoint.
func (w *world) token(t *testing.T, fields ...string) (int, map[string]any) {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
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

// userinfo asks who a bearer is.
func (w *world) userinfo(t *testing.T, token string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/application/o/userinfo/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer map[string]any
	if res.StatusCode == http.StatusOK {
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
	} else if !strings.Contains(res.Header.Get("WWW-Authenticate"), "invalid_token") {
		t.Errorf("a refusal without a challenge: %v", res.Header)
	}
	return res.StatusCode, answer
}

func TestPasswords(t *testing.T) {
	w := newWorld(t, "")
	w.person(t, standin.Person{Username: "anna"})
	w.call(t, "POST", "/core/users/", `{"username":"bo","name":"Bo"}`)
	signsIn := func(username, password string) bool {
		_, err := w.SignInWithPassword(username, password, standin.Portal)
		status, _ := w.token(t, "grant_type", "password", "client_id", standin.Portal, "username", username, "password", password)
		if (err == nil) != (status == 200) || (err == nil) != w.CheckPassword(username, password) {
			t.Errorf("%s with %q: %v, and over HTTP %d", username, password, err, status)
		}
		return err == nil
	}
	if !signsIn("anna", standin.Password) || signsIn("bo", standin.Password) || signsIn("bo", "") || signsIn("cy", standin.Password) {
		t.Error("who was made for development has a password, and nobody else")
	}
	for _, pk := range []string{"2", "3"} {
		if status, _ := w.call(t, "POST", "/core/users/"+pk+"/set_password/", `{"password":"correct horse"}`); status != 204 {
			t.Errorf("set: %d", status)
		}
	}
	if !signsIn("anna", "correct horse") || !signsIn("bo", "correct horse") || signsIn("anna", standin.Password) || signsIn("bo", "guess") {
		t.Error("the password that was set is the only one")
	}
	for path, want := range map[string]int{"/core/users/2/set_password/": 400, "/core/users/9/set_password/": 404} {
		if status, answer := w.call(t, "POST", path, `{"password":""}`); status != want || (want == 400 && answer != nil) {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
	w.call(t, "PATCH", "/core/users/3/", `{"is_active":false}`)
	if signsIn("bo", "correct horse") {
		t.Error("somebody who is shut out signed in")
	}
	w.call(t, "PATCH", "/core/users/3/", `{"is_active":true}`)
	if !signsIn("bo", "correct horse") {
		t.Error("the password was lost")
	}
}

func TestUserinfo(t *testing.T) {
	w := newWorld(t, "")
	w.person(t, standin.Person{Username: "anna", Name: "Anna", Email: "a@acme.dk", Groups: []string{"tenant-acme"}})
	sign := func(options ...standin.Option) string {
		token, err := w.SignIn("anna", standin.Portal, options...)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	status, answer := w.userinfo(t, sign())
	want := map[string]any{
		"sub": w.Users()["anna"].UUID, "email": "a@acme.dk", "email_verified": true, "name": "Anna", "given_name": "Anna",
		"preferred_username": "anna", "nickname": "anna", "groups": []any{"tenant-acme"},
	}
	if diff := cmp.Diff(want, answer); status != 200 || diff != "" {
		t.Errorf("%d (-want +got)\n%s", status, diff)
	}
	key, err := standin.NewKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	old := sign()
	for name, token := range map[string]string{
		"none": "", "nonsense": "a.b.c", "cut": old[:len(old)-4], "ID token": sign(standin.IDToken()), "expired": sign(standin.ExpiresIn(-time.Second)),
		"another's key": sign(standin.SignedBy(key)), "another's subject": sign(standin.Claim("sub", "x")), "no session": sign(standin.Claim("sid", nil)),
		"another issuer": sign(standin.Claim("iss", w.Issuer(standin.Operator))),
	} {
		if status, _ := w.userinfo(t, token); status != 401 {
			t.Errorf("%s: %d", name, status)
		}
	}
	w.call(t, "DELETE", "/core/authenticated_sessions/bulk_delete/?user_pks=2", "")
	if status, _ := w.userinfo(t, old); status != 401 {
		t.Errorf("a token goes with its session: %d", status)
	}
	old = sign()
	for _, active := range []string{"false", "true"} {
		w.call(t, "PATCH", "/core/users/2/", `{"is_active":`+active+`}`)
		if status, _ := w.userinfo(t, old); status != 401 {
			t.Errorf("a token goes when its user is shut out, and stays away: %d", status)
		}
	}
}

func TestSessionsAndTheirTraps(t *testing.T) {
	w := newWorld(t, "")
	for _, username := range []string{"anna", "bo"} {
		w.person(t, standin.Person{Username: username})
		if _, err := w.SignIn(username, standin.Portal); err != nil {
			t.Fatal(err)
		}
		if _, err := w.SignInOffline(username, standin.Portal); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]float64{
		"/core/authenticated_sessions/?user__username=anna": 2,
		"/core/authenticated_sessions/?user__username=cy":   0,
		"/core/authenticated_sessions/?user__username=":     4, // empty is no filter
		"/core/authenticated_sessions/?user=2":              4, // neither is an unknown one
		"/core/authenticated_sessions/?username=anna":       4,
		"/oauth2/refresh_tokens/?user=2":                    1,
		"/oauth2/refresh_tokens/?user=":                     2,
		"/oauth2/refresh_tokens/?user__username=anna":       2,
	} {
		if status, answer := w.call(t, "GET", path, ""); status != 200 || answer["pagination"].(map[string]any)["count"] != want {
			t.Errorf("%s: %d %v, want %v", path, status, answer["pagination"], want)
		}
	}
	for query, want := range map[string]int{"": 400, "?user_pks=": 400, "?user_pks=2,3": 400, "?user_pks=99": 200} {
		if status, _ := w.call(t, "DELETE", "/core/authenticated_sessions/bulk_delete/"+query, `{"user_pks":[2]}`); status != want || len(w.Sessions("anna")) != 2 {
			t.Errorf("bulk_delete%s: %d, %v", query, status, w.Sessions("anna"))
		}
	}
	one := "/core/authenticated_sessions/" + w.Sessions("anna")[0].UUID + "/"
	for _, want := range []int{204, 404} {
		if status, _ := w.call(t, "DELETE", one, ""); status != want || len(w.Sessions("anna")) != 1 {
			t.Errorf("deleted: %d", status)
		}
	}
	if status, answer := w.call(t, "DELETE", "/core/authenticated_sessions/bulk_delete/?user_pks=2", ""); status != 200 || answer["deleted"] == 1.0 || len(w.Sessions("anna")) != 0 {
		t.Errorf("it counts more than sessions: %d %v", status, answer)
	}
	if w.RefreshTokens("anna") != 1 {
		t.Error("offline access does not end with the sessions")
	}
	w.call(t, "PUT", "/core/users/3/", `{"username":"bo","name":"Bo","is_active":false}`)
	if len(w.Sessions("bo")) != 2 || w.RefreshTokens("bo") != 0 {
		t.Errorf("a PUT leaves the sessions: %v, %d", w.Sessions("bo"), w.RefreshTokens("bo"))
	}
	w.call(t, "PATCH", "/core/users/3/", `{"name":"Bob"}`)
	if len(w.Sessions("bo")) != 0 {
		t.Error("a PATCH ends them")
	}
	w.call(t, "DELETE", "/core/users/2/", "")
	if w.RefreshTokens("anna") != 0 {
		t.Error("a user's tokens go with them")
	}
}

func TestRefreshTokens(t *testing.T) {
	w := newWorld(t, "")
	w.person(t, standin.Person{Username: "anna"})
	ask := []string{"grant_type", "client_credentials", "client_id", standin.Portal, "username", "anna", "password", standin.Password}
	if _, answer := w.token(t, ask...); answer["refresh_token"] != nil {
		t.Error("nobody asked for one")
	}
	_, answer := w.token(t, append(ask, "scope", "openid offline_access nonsense")...)
	if answer["scope"] != "openid offline_access" {
		t.Errorf("scopes %v", answer["scope"])
	}
	first := answer["refresh_token"].(string)
	w.call(t, "DELETE", "/core/authenticated_sessions/bulk_delete/?user_pks=2", "")
	status, answer := w.token(t, "grant_type", "refresh_token", "client_id", standin.Portal, "refresh_token", first)
	if status != 200 || len(w.Sessions("anna")) != 0 {
		t.Fatalf("it goes on without a session: %d %v, %v", status, answer, w.Sessions("anna"))
	}
	access := answer["access_token"].(string)
	if status, _ := w.userinfo(t, access); status != 200 {
		t.Errorf("its token is good: %d", status)
	}
	for name, fields := range map[string][]string{
		"spent":        {"grant_type", "refresh_token", "client_id", standin.Portal, "refresh_token", first},
		"none":         {"grant_type", "refresh_token", "client_id", standin.Portal},
		"another's":    {"grant_type", "refresh_token", "client_id", standin.Operator, "refresh_token", answer["refresh_token"].(string)},
		"of no client": {"grant_type", "refresh_token", "client_id", "x", "refresh_token", answer["refresh_token"].(string)},
	} {
		if status, _ := w.token(t, fields...); status != 400 {
			t.Errorf("%s: %d", name, status)
		}
	}
	w.call(t, "PATCH", "/core/users/2/", `{"is_active":false}`)
	if status, _ := w.userinfo(t, access); status != 401 || w.RefreshTokens("anna") != 0 {
		t.Errorf("who is shut out has no tokens: %d", status)
	}
}

func TestDevicesOfEverybody(t *testing.T) {
	w := newWorld(t, "")
	w.person(t, standin.Person{Username: "anna", MFA: true})
	w.person(t, standin.Person{Username: "bo", MFA: true})
	for query, want := range map[string]int{"?user=2": 1, "?user=1": 0, "": 2, "?user=": 2, "?username=anna": 2} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/api/v3/authenticators/admin/all/"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+w.Token().Reveal())
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		var rows []map[string]any
		if err := json.NewDecoder(res.Body).Decode(&rows); err != nil || len(rows) != want {
			t.Errorf("%s: %v, %v, want %d", query, rows, err, want)
		}
		res.Body.Close()
	}
	if status, _ := w.call(t, "GET", "/authenticators/admin/all/?user=anna", ""); status != 400 {
		t.Errorf("a user is a number: %d", status)
	}
}

func TestApplicationsAndTheirTraps(t *testing.T) {
	w := newWorld(t, "")
	w.person(t, standin.Person{Username: "anna", Groups: []string{"tenant-acme"}})
	w.person(t, standin.Person{Username: "bo"})
	_, app := w.call(t, "POST", "/core/applications/", `{"name":"CRM","slug":"acme-crm"}`)
	pk := app["pk"].(string)
	_, flows := w.call(t, "GET", "/flows/instances/?slug=default-provider-authorization-implicit-consent", "")
	flow := flows["results"].([]any)[0].(map[string]any)["pk"].(string)
	body := fmt.Sprintf(`{"name":"acme-crm","authorization_flow":%q,"invalidation_flow":%q,"redirect_uris":[]}`, flow, flow)
	status, provider := w.call(t, "POST", "/providers/oauth2/", body)
	if status != 201 || len(provider["client_secret"].(string)) != 128 || provider["assigned_application_slug"] != nil {
		t.Fatalf("%d %v", status, provider)
	}
	if status, _ := w.call(t, "POST", "/providers/oauth2/", body); status != 400 {
		t.Errorf("a provider's name is unique: %d", status)
	}
	number := int(provider["pk"].(float64))
	if _, err := w.SignIn("anna", "acme-crm"); err == nil {
		t.Error("signed in without a provider")
	}
	w.call(t, "PATCH", "/core/applications/acme-crm/", fmt.Sprintf(`{"provider":%d}`, number))
	if _, err := w.SignIn("bo", "acme-crm"); err != nil {
		t.Errorf("without a binding everybody may: %v", err)
	}
	group := w.Groups()["tenant-acme"].PK
	status, bound := w.call(t, "POST", "/policies/bindings/", fmt.Sprintf(`{"target":%q,"group":%q,"order":0}`, pk, group))
	if _, err := w.SignIn("bo", "acme-crm"); err == nil || status != 201 {
		t.Errorf("bound to others, and signed in: %d", status)
	}
	token, err := w.SignIn("anna", provider["client_id"].(string))
	if err != nil {
		t.Fatal(err)
	}
	claims := decode(t, strings.Split(token, ".")[1])
	if claims["aud"] != provider["client_id"] || claims["iss"] != w.url+"/application/o/acme-crm/" {
		t.Errorf("claims %v", claims)
	}
	for _, test := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/policies/bindings/?target=" + pk, "", 200},
		{"GET", "/policies/bindings/?target=x", "", 400},
		{"POST", "/policies/bindings/", `{"target":"` + pk + `","order":0}`, 400},
		{"POST", "/policies/bindings/", `{"target":"acme-crm","order":0,"group":"` + group + `"}`, 400},
		{"PATCH", "/policies/bindings/" + bound["pk"].(string) + "/", `{"enabled":false}`, 500},
		{"PATCH", "/policies/bindings/" + bound["pk"].(string) + "/", `{"target":"` + pk + `"}`, 501},
		{"PUT", "/core/applications/acme-crm/", `{"name":"CRM","slug":"acme-crm"}`, 501},
		{"PUT", "/providers/oauth2/1/", `{}`, 501},
		{"POST", "/core/applications/", `{"name":"CRM","slug":"acme-crm"}`, 400},
		{"POST", "/core/applications/", `{"name":"Token","slug":"token"}`, 400},
		{"POST", "/core/applications/", `{"name":"Odd","slug":"a b"}`, 400},
		{"GET", "/propertymappings/provider/scope/?managed=none", "", 400},
		{"GET", "/core/applications/none/", "", 404},
	} {
		if status, answer := w.call(t, test.method, test.path, test.body); status != test.status {
			t.Errorf("%s %s %s: %d %v, want %d", test.method, test.path, test.body, status, answer, test.status)
		}
	}
	_, cached := w.call(t, "GET", "/core/applications/?slug=acme-crm", "")
	_, full := w.call(t, "GET", "/core/applications/?slug=acme-crm&superuser_full_list=true", "")
	if cached["pagination"].(map[string]any)["count"] != 1.0 || len(cached["results"].([]any)) != 3 || len(full["results"].([]any)) != 1 {
		t.Errorf("the list of one's own applications knows no filter: %v, %v", cached, full)
	}
	if _, list := w.call(t, "GET", "/policies/bindings/?group=x&user=2", ""); len(list["results"].([]any)) != 1 {
		t.Errorf("bindings are not filtered by who is bound: %v", list)
	}
	w.call(t, "DELETE", fmt.Sprintf("/providers/oauth2/%d/", number), "")
	if a := w.Applications()["acme-crm"]; a.Provider != 0 || a.Name != "CRM" {
		t.Errorf("the application stays, without a provider: %+v", a)
	}
	w.call(t, "DELETE", "/core/applications/acme-crm/", "")
	if w.Leftovers() != 0 || w.SigningKey("acme-crm") != nil {
		t.Error("something is left")
	}
}

func TestRestartKeepsSignIns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "authentik.json")
	w := newWorld(t, file)
	w.person(t, standin.Person{Username: "anna", MFA: true})
	w.call(t, "POST", "/core/users/2/set_password/", `{"password":"correct horse"}`)
	w.call(t, "POST", "/core/applications/", `{"name":"CRM","slug":"acme-crm"}`)
	token, err := w.SignInWithPassword("anna", "correct horse", standin.Portal)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.SignInOffline("anna", standin.Portal); err != nil {
		t.Fatal(err)
	}
	again := newWorld(t, file)
	again.SetBaseURL(w.url)
	if diff := cmp.Diff(w.Sessions("anna"), again.Sessions("anna")); diff != "" {
		t.Errorf("sessions (-before +after)\n%s", diff)
	}
	if diff := cmp.Diff(w.Users(), again.Users()); diff != "" {
		t.Errorf("users (-before +after)\n%s", diff)
	}
	if diff := cmp.Diff(w.Applications(), again.Applications()); diff != "" {
		t.Errorf("applications (-before +after)\n%s", diff)
	}
	if status, _ := again.userinfo(t, token); status != 200 || again.RefreshTokens("anna") != 1 || !again.CheckPassword("anna", "correct horse") {
		t.Errorf("the token: %d", status)
	}
}

// TestOldFile starts with a file from before there were sessions and
// applications.
func TestOldFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "authentik.json")
	w := newWorld(t, file)
	w.person(t, standin.Person{Username: "anna"})
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var kept map[string]any
	if err := json.Unmarshal(data, &kept); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"nextNumber", "sessions", "refreshTokens", "devices", "applications", "bindings", "providers"} {
		if kept[field] == nil {
			t.Errorf("there is no field %s", field)
		}
		delete(kept, field)
	}
	if data, err = json.Marshal(kept); err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	again, err := standin.New(standin.Options{File: file, Clock: clocktest.New(start)})
	if err != nil {
		t.Fatal(err)
	}
	for _, application := range standin.Applications() {
		if again.SigningKey(application).ID != w.SigningKey(application).ID {
			t.Errorf("another key for %s", application)
		}
		if _, err := again.SignInWithPassword("anna", standin.Password, application); err != nil {
			t.Error(err)
		}
	}
}
