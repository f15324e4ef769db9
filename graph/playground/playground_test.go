package playground

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

var (
	unbuilt = fstest.MapFS{
		"dist/placeholder.html": {Data: []byte("placeholder")},
	}
	aBuild = fstest.MapFS{
		"dist/placeholder.html":    {Data: []byte("placeholder")},
		"dist/index.html":          {Data: []byte("page")},
		"dist/assets/main-A1.js":   {Data: []byte("script")},
		"dist/assets/main-B2.css":  {Data: []byte("style")},
		"dist/assets/more/deep.js": {Data: []byte("deep")},
	}
	twoPeople = Options{
		People: func() []Person {
			return []Person{{ID: "operator", Name: "Olga", Role: "Operator"}, {ID: "broken", Name: "Bo", Role: "Member"}}
		},
		SignIn: func(_ context.Context, person string) (Token, error) {
			if person == "broken" {
				return Token{}, errors.New("keys are at /secret/path")
			}
			return Token{Token: "tok-" + person, ExpiresAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, nil
		},
	}
)

func ask(t *testing.T, h http.Handler, method, target, body string, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestFiles(t *testing.T) {
	for name, c := range map[string]struct {
		files        fs.FS
		method, path string
		status       int
		body         string
		kind, cache  string
	}{
		"page":                     {aBuild, "GET", "/playground", 200, "page", "text/html; charset=utf-8", "no-store"},
		"page below the slash":     {aBuild, "GET", "/playground/", 200, "page", "text/html; charset=utf-8", "no-store"},
		"head of the page":         {aBuild, "HEAD", "/playground", 200, "", "text/html; charset=utf-8", "no-store"},
		"script":                   {aBuild, "GET", "/playground/assets/main-A1.js", 200, "script", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		"style":                    {aBuild, "GET", "/playground/assets/main-B2.css", 200, "style", "text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		"no such asset":            {aBuild, "GET", "/playground/assets/none.js", 404, "404 page not found\n", "text/plain; charset=utf-8", ""},
		"a folder is not an asset": {aBuild, "GET", "/playground/assets/more", 404, "404 page not found\n", "text/plain; charset=utf-8", ""},
		"no way out of the assets": {aBuild, "GET", "/playground/assets/..%2findex.html", 404, "404 page not found\n", "text/plain; charset=utf-8", ""},
		"nothing else":             {aBuild, "GET", "/playground/index.html", 404, "404 page not found\n", "text/plain; charset=utf-8", ""},
		"page, not built":          {unbuilt, "GET", "/playground", 200, "placeholder", "text/html; charset=utf-8", "no-store"},
		"page, not built, slash":   {unbuilt, "GET", "/playground/", 200, "placeholder", "text/html; charset=utf-8", "no-store"},
		"asset, not built":         {unbuilt, "GET", "/playground/assets/main-A1.js", 404, "404 page not found\n", "text/plain; charset=utf-8", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(t, newHandler(c.files, Options{}), c.method, c.path, "", nil)
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, c.status, c.body)
			}
			if got := w.Header().Get("Content-Type"); got != c.kind {
				t.Errorf("Content-Type %q, want %q", got, c.kind)
			}
			if got := w.Header().Get("Cache-Control"); got != c.cache {
				t.Errorf("Cache-Control %q, want %q", got, c.cache)
			}
		})
	}
}

func TestEveryAnswerCarriesTheSecurityHeaders(t *testing.T) {
	h := newHandler(aBuild, twoPeople)
	for _, path := range []string{"/playground", "/playground/assets/main-A1.js", "/playground/people", "/playground/none"} {
		header := ask(t, h, "GET", path, "", nil).Header()
		for _, directive := range []string{
			"default-src 'none'", "script-src 'self'", "connect-src 'self'", "img-src 'self' data:",
			"font-src 'self' data:", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'",
		} {
			if !strings.Contains(header.Get("Content-Security-Policy")+";", directive+";") {
				t.Errorf("%s: the policy lacks %q: %s", path, directive, header.Get("Content-Security-Policy"))
			}
		}
		if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers are %v", path, header)
		}
	}
}

func TestMethods(t *testing.T) {
	h := newHandler(aBuild, twoPeople)
	for _, c := range []struct{ method, path, allow string }{
		{"POST", "/playground", "GET, HEAD"},
		{"DELETE", "/playground/", "GET, HEAD"},
		{"PUT", "/playground/assets/main-A1.js", "GET, HEAD"},
		{"POST", "/playground/people", "GET, HEAD"},
		{"GET", "/playground/sign-in", "POST"},
	} {
		w := ask(t, h, c.method, c.path, "", nil)
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q; want 405, Allow %q", c.method, c.path, w.Code, w.Header().Get("Allow"), c.allow)
		}
	}
}

func TestPeople(t *testing.T) {
	for name, c := range map[string]struct {
		options Options
		status  int
		body    string
	}{
		"two":        {twoPeople, 200, `[{"id":"operator","name":"Olga","role":"Operator"},{"id":"broken","name":"Bo","role":"Member"}]` + "\n"},
		"none":       {Options{People: func() []Person { return nil }, SignIn: twoPeople.SignIn}, 200, "[]\n"},
		"no sign-in": {Options{}, 404, "404 page not found\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(t, newHandler(aBuild, c.options), "GET", "/playground/people", "", nil)
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, c.status, c.body)
			}
		})
	}
}

func TestSignIn(t *testing.T) {
	const (
		operator = `{"person":"operator"}`
		token    = `{"token":"tok-operator","expiresAt":"2026-01-02T03:04:05Z"}` + "\n"
		json     = "application/json"
	)
	for name, c := range map[string]struct {
		reason string
		body   string
		header map[string]string
		status int
		want   string // "" where the status says it all
	}{
		"from the page":        {"a browser that sends both", operator, map[string]string{"Content-Type": json, "Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 200, token},
		"from an older page":   {"a browser without fetch metadata", operator, map[string]string{"Content-Type": json, "Origin": "http://localhost"}, 200, token},
		"from curl":            {"not a browser, so no page is behind it", operator, map[string]string{"Content-Type": json}, 200, token},
		"with a charset":       {"a parameter does not make it less JSON", operator, map[string]string{"Content-Type": json + "; charset=utf-8"}, 200, token},
		"cross-site":           {"a foreign page must not get a token", operator, map[string]string{"Content-Type": json, "Sec-Fetch-Site": "cross-site"}, 403, ""},
		"same-site":            {"neither must a neighbouring host", operator, map[string]string{"Content-Type": json, "Sec-Fetch-Site": "same-site"}, 403, ""},
		"another origin":       {"nor one in an older browser", operator, map[string]string{"Content-Type": json, "Origin": "http://evil.example"}, 403, ""},
		"another port":         {"a port is part of the origin", operator, map[string]string{"Content-Type": json, "Origin": "http://localhost:81"}, 403, ""},
		"opaque origin":        {"a sandboxed frame is foreign", operator, map[string]string{"Content-Type": json, "Origin": "null"}, 403, ""},
		"a form":               {"a form needs no leave to be sent", "person=operator", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, 415, ""},
		"plain text":           {"nor does plain text", operator, map[string]string{"Content-Type": "text/plain"}, 415, ""},
		"no content type":      {"it could be anything", operator, nil, 415, ""},
		"not JSON":             {"", `person`, map[string]string{"Content-Type": json}, 400, ""},
		"too large":            {"the body is limited", `{"person":"` + strings.Repeat("x", bodyLimit) + `"}`, map[string]string{"Content-Type": json}, 413, ""},
		"nobody by that name":  {"only people on the list", `{"person":"root"}`, map[string]string{"Content-Type": json}, 404, "There is no such person.\n"},
		"someone who does not": {"the cause is for the log", `{"person":"broken"}`, map[string]string{"Content-Type": json}, 502, "Signing in failed; the server's log says why.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(t, newHandler(aBuild, twoPeople), "POST", "http://localhost/playground/sign-in", c.body, c.header)
			if w.Code != c.status || c.want != "" && w.Body.String() != c.want {
				t.Errorf("%d %q, want %d %q: %s", w.Code, w.Body, c.status, c.want, c.reason)
			}
			if strings.Contains(w.Body.String(), "tok-") != (c.status == 200) {
				t.Errorf("status %d with body %q", w.Code, w.Body)
			}
			if w.Code == 200 && w.Header().Get("Cache-Control") != "no-store" {
				t.Error("a token may be cached")
			}
		})
	}
}

func TestAFailedSignInIsLogged(t *testing.T) {
	var log bytes.Buffer
	options := twoPeople
	options.Log = slog.New(slog.NewTextHandler(&log, nil))
	ask(t, newHandler(aBuild, options), "POST", "http://localhost/playground/sign-in", `{"person":"broken"}`, map[string]string{"Content-Type": "application/json"})
	if !strings.Contains(log.String(), "keys are at /secret/path") {
		t.Errorf("the log lacks the cause: %s", &log)
	}
}

// The placeholder is what a checkout without npm answers, so it has to be
// committed, and to say what to do.
func TestThePlaceholderSaysHowToBuild(t *testing.T) {
	page, err := fs.ReadFile(embedded, placeholderFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"make playground", "npm", "has not been built"} {
		if !bytes.Contains(page, []byte(words)) {
			t.Errorf("the placeholder does not say %q", words)
		}
	}
}

func TestTheBuildFetchesFromThisServerOnly(t *testing.T) {
	if !Built() {
		t.Skip("the Playground has not been built (make playground), so its pages were not checked")
	}
	page, err := fs.ReadFile(embedded, pageFile)
	if err != nil {
		t.Fatal(err)
	}
	h := Handler(Options{})
	references := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllSubmatch(page, -1)
	if len(references) < 2 {
		t.Fatalf("the page refers to %d files, want a script and a style sheet", len(references))
	}
	for _, reference := range references {
		target := string(reference[1])
		if strings.HasPrefix(target, "data:") {
			continue
		}
		if w := ask(t, h, "GET", target, "", nil); w.Code != 200 {
			t.Errorf("the page refers to %s, which answers %d", target, w.Code)
		}
	}
	foreign := regexp.MustCompile(`(?:url\(\s*["']?|@import\s+["']?|\bfrom\s*["']|\bimport\(?\s*["'])(?:https?:)?//[^"')]*`)
	err = fs.WalkDir(embedded, "dist/assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		asset, err := fs.ReadFile(embedded, name)
		if found := foreign.Find(asset); found != nil {
			t.Errorf("%s would fetch %s", name, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestANameThatLeadsHereGetsNoToken(t *testing.T) {
	for host, want := range map[string]int{
		"localhost:3001": 200, "127.0.0.1:3001": 200, "[::1]:3001": 200, "dezky.localhost": 200, "10.1.2.3": 200,
		"rebound.example:3001": 403, "localhost.example": 403,
	} {
		w := ask(t, newHandler(aBuild, twoPeople), "POST", "http://"+host+"/playground/sign-in", `{"person":"operator"}`,
			map[string]string{"Content-Type": "application/json", "Origin": "http://" + host})
		if w.Code != want {
			t.Errorf("to %s it answered %d instead of %d", host, w.Code, want)
		}
	}
}
