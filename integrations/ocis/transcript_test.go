package ocis

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dezky/platform/integrations/ocis/standin"
	"github.com/dezky/platform/integrations/stage/replay"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

// What was recorded from a live OpenCloud is answered alike by the stand-in.
func TestStandInAgreesWithRecordings(t *testing.T) {
	lines, err := replay.Read("testdata/transcript.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	clock := clocktest.New(time.Date(2026, 11, 23, 8, 44, 5, 0, time.UTC))
	server, err := standin.New(standin.Options{
		Username: "admin", Token: platform.NewSecret("secret-of-admin"), Clock: clock, PublicURL: "https://localhost:9200",
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	defer web.Close()
	compare := replay.Comparison{Normal: normal}

	for _, line := range lines {
		clock.Advance(time.Millisecond)
		path := compare.Ours(line.Request.Path)
		switch line.Name { // what happened before a line and is not among them
		case "drive-get-after-upload":
			id, err := url.PathUnescape(path[strings.LastIndex(path, "/")+1:])
			if err == nil {
				err = server.Upload(id, 3145728)
			}
			if err != nil {
				t.Fatal(err)
			}
		case "drive-purge-before-disable":
			unrecorded(t, web.URL, path, http.MethodPatch, `{"name":"Tenant A Files v3","quota":{"total":31457280}}`)
		case "drive-purge":
			unrecorded(t, web.URL, path, http.MethodDelete, "null")
		}
		status, answer := send(t, web.URL, path, line)
		expected, _ := line.Response.Body.(map[string]any)
		var differences []string
		if expected["NOTE"] == nil { // it says that the recording was trimmed
			differences = compare.Diff(line.Response.Body, answer)
		}
		if status != line.Response.Status || len(differences) > 0 {
			t.Errorf("%s: sent %s %s %.200s\nexpected %d, found %d\n%s", line.Name, line.Request.Method, path, line.Request.Body,
				line.Response.Status, status, strings.Join(differences, "\n"))
		}
	}
}

func unrecorded(t *testing.T, url, path, method, body string) {
	t.Helper()
	var line replay.Line
	line.Request.Method, line.Request.Body = method, json.RawMessage(body)
	line.Request.Headers = map[string]string{"Authorization": "<ADMIN_PASSWORD>"}
	if status, answer := send(t, url, path, line); status > 299 {
		t.Fatalf("%s %s: %d %v", method, path, status, answer)
	}
}

// send sends as the recorder did and reads the answer as the recorder wrote it
// down: JSON, a text, or nothing.
func send(t *testing.T, url, path string, line replay.Line) (int, any) {
	t.Helper()
	body := []byte(line.Request.Body)
	if string(body) == "null" {
		body = nil
	}
	req, err := http.NewRequestWithContext(t.Context(), line.Request.Method, url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range line.Request.Headers {
		req.Header.Set(name, value)
	}
	if strings.Contains(line.Request.Headers["Authorization"], "<ADMIN_PASSWORD>") {
		req.SetBasicAuth("admin", "secret-of-admin")
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if line.Response.Status == http.StatusUnauthorized {
		want := 2
		if line.Request.Headers["X-Requested-With"] != "" {
			want = 0
		}
		if challenges := res.Header.Values("Www-Authenticate"); len(challenges) != want {
			t.Errorf("%s: 401 has the challenges %q", line.Name, challenges)
		}
	}
	var answer any
	if len(data) > 0 && json.Unmarshal(data, &answer) != nil {
		return res.StatusCode, string(data)
	}
	return res.StatusCode, answer
}

var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// normal leaves of a text what has to be equal: nothing of ids and dates.
func normal(key, text string) string {
	switch key {
	case "lastModifiedDateTime", "date", "eTag", "request-id":
		return ""
	}
	return uuid.ReplaceAllString(text, "an id")
}
