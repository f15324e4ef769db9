package ocis

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dezky/platform/integrations/ocis/standin"
	"github.com/dezky/platform/integrations/stage/replay"
	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

const recordings = "testdata/transcript.jsonl"

// notReplayed are the recorded exchanges that the stand-in does not play, by the
// beginnings of their names, and why.
var notReplayed = map[string][]string{
	"other ports than the public one are not called": {"health-", "service-account-", "graph-direct-"},
	"nothing asks for what the server can do, or where one signs in": {
		"capabilities-public", "oidc-discovery-builtin", "oidc[A] well-known-rewritten",
	},
	"groups are not used": {
		"group-", "groups-", "users-filter-memberof", "space-invite-group-editor", "space-permission-delete-group",
		"space-permissions-after-group-delete", "drive-get-after-group-delete", "space-permission-delete-of-deleted-group",
		"space-via-group-", "app-token-use-post", "oidc[A] client-credentials create group",
	},
	"roles are not given by the platform": {
		"app-role-", "application-", "applications-", "me-without-role", "users-filter-approle", "drive-create-as-space-admin",
		"users-list-as-space-admin", "drives-list-as-space-admin", "oidc[A] give service user Admin role", "oidc[A] client-credentials as admin",
		"role-definition",
	},
	"these expansions are not used": {"user-expand-all", "users-list-expand", "user-expand-drives"},
	"a space is listed by the other version of the API, and made without sample files": {
		"drives-beta-list-project", "drive-create-template",
	},
	"people change no passwords at the file server": {"me-change-password"},
	"app tokens are made before, by hand": {
		"app-token-create-self", "app-token-impersonate-", "app-token-no-expiry", "app-token-bad-expiry", "app-token-dave-me",
		"user-drive-created-by-app-token-login", "app-token-list", "app-token-of-disabled-user", "app-token-delete-", "app-token-use-after-delete",
		"app-token dead after OC_OIDC_ISSUER changed",
	},
	"the server was set up in another way than the stand-in": {"oidc[B", "oidc[C]", "oidc[D", "oidc[E]", "oidc[F]", "oidc[G]", "settings["},
}

// What was recorded from a live OpenCloud is answered alike by the stand-in.
func TestStandInAgreesWithRecordings(t *testing.T) {
	lines, err := replay.Read(recordings)
	if err != nil {
		t.Fatal(err)
	}
	r := newReplayed(t)
	used, played := map[string]bool{}, 0
	for _, line := range lines {
		if beginning := isLeftOut(line.Name); beginning != "" {
			used[beginning] = true
			continue
		}
		r.play(line)
		played++
	}
	for reason, beginnings := range notReplayed {
		for _, beginning := range beginnings {
			if !used[beginning] {
				t.Errorf("no recording begins with %q (%s)", beginning, reason)
			}
		}
	}
	t.Logf("%d of %d recordings were played", played, len(lines))
}

func isLeftOut(name string) (beginning string) {
	for _, beginnings := range notReplayed {
		for _, beginning := range beginnings {
			if strings.HasPrefix(name, beginning) {
				return beginning
			}
		}
	}
	return ""
}

// replayed is a stand-in in the middle of the recordings.
type replayed struct {
	t       *testing.T
	clock   *clocktest.Clock
	server  *standin.Server
	url     string
	compare replay.Comparison
	// known are ids of what was made where nothing was recorded, by the recorded
	// ones.
	known map[string]string
	// claims are what the identity provider said at the line of a name, and now is
	// what it says: "" is that it knows no such token. challenges are the recorded
	// ones.
	claims, challenges map[string]string
	now                string
}

func newReplayed(t *testing.T) *replayed {
	t.Helper()
	r := &replayed{
		t: t, clock: clocktest.New(time.Date(2026, 11, 23, 8, 44, 5, 0, time.UTC)), compare: replay.Comparison{Normal: normal},
		known: map[string]string{}, challenges: map[string]string{}, claims: map[string]string{
			// These two are told by the recordings' names alone.
			"oidc[A] graph-created user without any password logs in via OIDC": `{"preferred_username":"bob"}`,
			"oidc[A] client-credentials, no such user":                         `{"preferred_username":"ak-provisioner-client_credentials"}`,
		},
	}
	r.readWhatIsBeside()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if r.now == "" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		io.WriteString(w, r.now)
	}))
	t.Cleanup(provider.Close)
	var err error
	r.server, err = standin.New(standin.Options{
		Username: "admin", Token: platform.NewSecret("secret-of-admin"), Clock: r.clock, PublicURL: "https://localhost:9200", UserInfo: provider.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(r.server)
	t.Cleanup(web.Close)
	r.url = web.URL
	return r
}

// readWhatIsBeside reads what only these recordings have.
func (r *replayed) readWhatIsBeside() {
	r.t.Helper()
	data, err := os.ReadFile(recordings)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, text := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		var line struct {
			Name    string
			Request struct {
				Claims json.RawMessage `json:"userinfo_claims"`
			}
			Response struct{ Headers map[string]string }
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			r.t.Fatal(err)
		}
		r.challenges[line.Name] = line.Response.Headers["Www-Authenticate"]
		if len(line.Request.Claims) > 0 {
			r.claims[line.Name] = string(line.Request.Claims)
		}
	}
}

func (r *replayed) play(line replay.Line) {
	r.t.Helper()
	r.clock.Advance(time.Millisecond)
	r.prepare(line)
	line.Request.Path = r.ours(line.Request.Path)
	line.Request.Body = json.RawMessage(r.ours(string(line.Request.Body)))
	r.now = r.claims[line.Name]
	status, answer := r.send(line)
	expected, _ := line.Response.Body.(map[string]any)
	var differences []string
	if expected["NOTE"] == nil { // it says that the recording was trimmed
		differences = r.compare.Diff(line.Response.Body, answer)
	}
	if status != line.Response.Status || len(differences) > 0 {
		r.t.Errorf("%s: sent %s %s %.200s\nexpected %d, found %d\n%s", line.Name, line.Request.Method, line.Request.Path, line.Request.Body,
			line.Response.Status, status, strings.Join(differences, "\n"))
	}
}

func (r *replayed) ours(text string) string {
	for theirs, ours := range r.known {
		text = strings.ReplaceAll(text, theirs, ours)
	}
	return r.compare.Ours(text)
}

// prepare does what happened before a line and is not among the recordings.
func (r *replayed) prepare(line replay.Line) {
	r.t.Helper()
	const alice, temp, hank, hanksSpace = "/graph/v1.0/users/alice", "8835e1b6-556f-4ffe-8a35-7a82bd77b09f",
		"7e29b366-d363-4671-baf9-f7b05c57488b", "78fc2d3b-3d0e-4563-b25a-e461211ef065$d030bb21-1a33-4ab8-82b8-3b8f9ab4ff61"
	switch line.Name {
	case "user-patch-attributes": // she has changed her password herself
		r.admin(http.MethodPatch, alice, `{"passwordProfile":{"password":"<ALICE_PASSWORD_3>"}}`)
	case "user-delete":
		r.known[temp] = r.make("/graph/v1.0/users", `{"onPremisesSamAccountName":"temp","displayName":"Temp"}`)
	case "drive-get-after-upload":
		r.upload(r.ours(line.Request.Path), 3145728)
	case "user-drive-usage-as-admin":
		r.upload("/78fc2d3b-3d0e-4563-b25a-e461211ef065%241ee63f3c-679f-4dab-8fc3-092a9fd71181", 1048576)
	case "drive-purge":
		r.admin(http.MethodDelete, r.ours(line.Request.Path), "")
	case "space-permissions-before-user-delete":
		r.known[hank] = r.make("/graph/v1.0/users", `{"onPremisesSamAccountName":"hank","displayName":"Hank"}`)
		space := r.make("/graph/v1.0/drives", `{"name":"Hank test"}`)
		r.known[url.PathEscape(hanksSpace)], r.known[strings.Replace(hanksSpace, "$", "%24", 1)] = url.PathEscape(space), url.PathEscape(space)
		r.admin(http.MethodPost, "/graph/v1beta1/drives/"+url.PathEscape(space)+"/root/invite",
			`{"recipients":[{"objectId":"`+r.known[hank]+`"}],"roles":["312c0871-5ef7-4b3a-85b6-0e4074c64049"]}`)
	case "oidc[A] disabled user":
		r.admin(http.MethodPatch, alice, `{"accountEnabled":false}`)
	case "oidc[A] basic auth still works":
		r.admin(http.MethodPatch, alice, `{"accountEnabled":true}`)
	case "app-token survives restart with same issuer": // she has signed in meanwhile
		r.now = `{"preferred_username":"carol@tenant-b.example"}`
		me := replay.Line{}
		me.Request.Path, me.Request.Headers = "/graph/v1.0/me", map[string]string{"Authorization": "Bearer hers"}
		r.send(me)
	case "user-expand-unknown": // a later sign-in has renamed her
		r.admin(http.MethodPatch, alice, `{"displayName":"Alice From IdP"}`)
	case "space-invite-as-non-member":
		space := r.make("/graph/v1.0/drives", `{"name":"Group space"}`)
		r.known["f6f9a551-fea3-4eb5-be49-9f0b9442b972%24bf7cfed6-dea5-4e9c-8311-7f2578eec55b"] = url.PathEscape(space)
		r.make("/graph/v1.0/users", `{"onPremisesSamAccountName":"max","displayName":"Max","passwordProfile":{"password":"<PASSWORD>"}}`)
	case "space-permissions-75s-after-user-delete":
		who := r.make("/graph/v1.0/users", `{"onPremisesSamAccountName":"ina","displayName":"Ina"}`)
		space := r.make("/graph/v1.0/drives", `{"name":"Another"}`)
		r.known["3283999d-daf8-46d6-9d8d-0d500191ba5c"] = who
		r.known["cdc82008-b42a-497f-a290-890aa4910599%24ba3a31be-10fb-44f6-8e59-cc777b2a1bba"] = url.PathEscape(space)
		r.admin(http.MethodPost, "/graph/v1beta1/drives/"+url.PathEscape(space)+"/root/invite",
			`{"recipients":[{"objectId":"`+who+`"}],"roles":["a8d5fe5e-96e3-418d-825b-534dbdf22b99"]}`)
		r.admin(http.MethodDelete, "/graph/v1.0/users/ina", "")
		r.clock.Advance(75 * time.Second)
	}
}

// upload puts bytes into the drive whose id ends a path.
func (r *replayed) upload(path string, bytes int64) {
	r.t.Helper()
	id, err := url.PathUnescape(r.ours(path)[strings.LastIndex(path, "/")+1:])
	if err == nil {
		err = r.server.Upload(id, bytes)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// make posts and answers with the id of what was made.
func (r *replayed) make(path, body string) string {
	r.t.Helper()
	made, _ := r.admin(http.MethodPost, path, body).(map[string]any)
	id, _ := made["id"].(string)
	return id
}

func (r *replayed) admin(method, path, body string) any {
	r.t.Helper()
	line := replay.Line{}
	line.Request.Method, line.Request.Path, line.Request.Body = method, path, json.RawMessage(body)
	line.Request.Headers = map[string]string{"Authorization": "Basic base64(admin:<ADMIN_PASSWORD>)"}
	status, answer := r.send(line)
	if status > 299 {
		r.t.Fatalf("%s %s: %d %v", method, path, status, answer)
	}
	return answer
}

var credentials = regexp.MustCompile(`^Basic base64\(([^:]*):(.*)\)$`)

// send sends as the recorder did and reads the answer as the recorder wrote it
// down: JSON, a text, or nothing. Passwords are the names that stand for them,
// but for the administrator's, and a text that stands for megabytes is as long.
func (r *replayed) send(line replay.Line) (int, any) {
	r.t.Helper()
	body := []byte(line.Request.Body)
	var raw string
	switch {
	case string(body) == "null":
		body = nil
	case json.Unmarshal(body, &raw) == nil:
		body = []byte(raw)
	}
	if strings.HasPrefix(raw, "<9 MiB of data") {
		body = make([]byte, 9<<20)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), line.Request.Method, r.url+line.Request.Path, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for name, value := range line.Request.Headers {
		req.Header.Set(name, value)
	}
	if found := credentials.FindStringSubmatch(line.Request.Headers["Authorization"]); found != nil {
		password := found[2]
		if found[1] == "admin" && (password == "<ADMIN_PASSWORD>" || password == "<APP_TOKEN>") {
			password = "secret-of-admin"
		}
		req.SetBasicAuth(found[1], password)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	r.isChallenged(line, res)
	var answer any
	if len(data) > 0 && json.Unmarshal(data, &answer) != nil {
		return res.StatusCode, string(data)
	}
	return res.StatusCode, answer
}

// isChallenged holds the challenges of a 401 against the recorded ones.
func (r *replayed) isChallenged(line replay.Line, res *http.Response) {
	r.t.Helper()
	recorded := r.challenges[line.Name]
	if line.Response.Status != http.StatusUnauthorized {
		return
	}
	if found := res.Header.Values("Www-Authenticate"); (len(found) == 2) != strings.Contains(recorded, " | ") || (len(found) == 0) != (recorded == "") {
		r.t.Errorf("%s: 401 has the challenges %q instead of %q", line.Name, found, recorded)
	}
}

var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// normal leaves of a text what has to be equal: nothing of ids and dates.
func normal(key, text string) string {
	switch key {
	case "lastModifiedDateTime", "date", "eTag", "request-id", "lastSuccessfulSignInDateTime", "issuer":
		return ""
	}
	return uuid.ReplaceAllString(text, "an id")
}
