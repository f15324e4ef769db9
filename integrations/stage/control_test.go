package stage

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestControl(t *testing.T) {
	var s Stage
	host := httptest.NewServer(s.Control(s.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "played") }))))
	defer host.Close()
	ask := func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, host.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := host.Client().Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text)
	}
	for _, step := range []struct {
		reason             string
		method, path, body string
		status             int
		text               string
	}{
		{"nothing is asked for yet", "GET", "/a/", "", 200, "played"},
		{"a fault is an answer, unless told otherwise", "POST", ControlPath, `{"status": 503, "on": "GET /a/", "times": 1, "body": "busy"}`, 204, ""},
		{"it is on the named calls alone", "GET", "/b/", "", 200, "played"},
		{"and on them", "GET", "/a/", "", 503, "busy"},
		{"as often as was asked", "GET", "/a/", "", 200, "played"},
		{"other ways have names", "POST", ControlPath, `{"kind": "reset"}`, 204, ""},
		{"and are what they say", "GET", "/a/", "", 0, "EOF"},
		{"the controls go on", "GET", ControlPath, "", 200, `"GET /a/","GET /b/","GET /a/"`},
		{"a way that is none", "POST", ControlPath, `{"kind": "explode"}`, 400, "explode"},
		{"an answer without a status", "POST", ControlPath, `{}`, 400, "status"},
		{"a field that is none", "POST", ControlPath, `{"state": 503}`, 400, "state"},
		{"all is well again", "DELETE", ControlPath, "", 204, ""},
		{"for everybody", "GET", "/a/", "", 200, "played"},
	} {
		status, text := ask(step.method, step.path, step.body)
		if status != step.status || !strings.Contains(text, step.text) {
			t.Errorf("%s: %s %s answers %d %q", step.reason, step.method, step.path, status, text)
		}
	}
}
